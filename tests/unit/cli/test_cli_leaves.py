"""Whoever approves a training reads what leaves, and what of it becomes visible."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.cli.kinds import TrainingText
from tests.unit.domain.test_plan_rules import SPEC, planned

HELD_OUT = "and once 50 HELD-OUT ROWS WITH THEIR LABELS, sealed to the enclave"


@pytest.mark.parametrize(
    ("protection", "plan", "told"),
    [
        ("sealed", {}, "only the sum leaves the enclave"),
        ("sealed", {"aggregation": {"rule": "median"}}, "only what median makes of all updates"),
        ("sealed", {"contribution": {"rows": 50}, "validation": 0.2}, HELD_OUT),
        ("secagg", {"self_report": "rows_and_loss", "validation": 0.2}, "past the masks"),
    ],
)
def test_what_leaves_is_said(protection: Any, plan: dict[str, Any], told: str) -> None:
    leaves = TrainingText().leaves(planned(replace(SPEC, protection=protection), **plan))
    assert told in leaves
    assert ("only the sum leaves" in leaves) == (protection == "sealed" and "median" not in told)


def test_it_is_said_in_chinese_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    plan = {"contribution": {"rows": 50}, "validation": 0.2}
    assert "50 个留出的行连同标签" in TrainingText().leaves(
        planned(replace(SPEC, protection="sealed"), **plan)
    )
