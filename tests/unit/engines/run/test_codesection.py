"""Reports of jobs that apply a model of code name the code, as those of its training do."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.engines.evaluation.sections import sections as evaluated
from secureflow.engines.prediction.sections import sections as predicted
from secureflow.engines.run.codesection import COMPUTED
from secureflow.texts import catalogue

CODE = {"digest": "ab" * 32, "entry": "model:Model", "environment": "cd" * 32}
MODEL: dict[str, Any] = {
    "model": "ef" * 32, "family": "bundle", "outputs": ["predicted"], "columns": [], "kept": {},
    "figures": {"rows": 3}, "intervals": {}, "noise": {}, "honest": [],
}  # fmt: skip


@pytest.mark.parametrize("kind", ["evaluation", "prediction"])
def test_the_code_is_named(kind: str) -> None:
    def told(model: dict[str, Any]) -> list[dict[str, Any]]:
        return evaluated({"models": [model]}) if kind == "evaluation" else predicted(model)

    (found,) = [one for one in told({**MODEL, "code": CODE}) if one["title"] == COMPUTED]
    assert {row["label"]: row["value"] for row in found["rows"]} == {
        "Bundle": CODE["digest"], "Entry": "model:Model", "Environment": CODE["environment"],
    }  # fmt: skip
    assert COMPUTED in catalogue()
    assert all(one["title"] != COMPUTED for one in told(MODEL))
