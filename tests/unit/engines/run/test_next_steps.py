"""A round that failed ends with the step that mends it: an agent to bring back, or rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from secureflow.engines.run.rounds import Step, too_few_contributors
from secureflow.texts import chinese


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        (["malformed_cell"], "agent log"),
        (["malformed_cell", "unknown_category"], "agent log"),
        (["malformed_cell", "unreachable"], "agents back"),
        (["unreachable"], "agents back"),
        ([], "agents back"),
    ],
)
def test_rows_that_do_not_fit_send_nobody_to_restart_agents(codes: list[str], told: str) -> None:
    course = SimpleNamespace(
        context=SimpleNamespace(job="job_11111111"), threshold=2, parties=("bank-a", "bank-b")
    )
    failures = {
        f"bank-{name}": {"code": code, "message": "a row does not fit"}
        for name, code in zip("ab", codes, strict=False)
    }
    step = cast("Step", SimpleNamespace(number=1, stage="fit"))
    error = too_few_contributors(cast("Any", course), step, failures)
    assert told in error.hint
    assert chinese(error.hint)
