"""A round that failed ends with the step that mends it: an agent to bring back, or rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from secureflow.domain.clocks import naming
from secureflow.engines.run.rounds import Step, too_few_contributors
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        (["malformed_cell"], "agent log"),
        (["malformed_cell", "unknown_category"], "agent log"),
        (["malformed_cell", "unreachable"], "agents back"),
        (["unreachable"], "agents back"),
        (["record_set_back"], "an older record"),
        (["record_set_back", "unreachable"], "agents back"),
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


@pytest.mark.parametrize("code", ["certificate_not_valid_now", "link_broken"])
def test_a_clock_that_is_wrong_sends_nobody_to_bring_agents_back(code: str) -> None:
    """The enclave's clock keeps all parties out: none of them is away."""
    course = SimpleNamespace(
        context=SimpleNamespace(job="job_11111111"), threshold=2, parties=("bank-a", "bank-b")
    )
    failure = naming(SecureFlowError(code, "No link to the enclave."), {"enclave": -7200})
    step = cast("Step", SimpleNamespace(number=1, stage="train"))
    failures = {party: failure.as_json() for party in course.parties}
    error = too_few_contributors(cast("Any", course), step, failures)
    assert "enclave 7200 s behind" in error.message
    assert error.hint.startswith("Set the clock that is wrong")
