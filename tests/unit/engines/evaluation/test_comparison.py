"""Models side by side: what is compared, what is marked, and on whose rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest

from secureflow.application.reports.page import render
from secureflow.domain.specs.heldout import HeldOut
from secureflow.engines.evaluation.comparison import Measured, compared
from secureflow.kit.text import text_in
from secureflow.texts import chinese
from tests.unit.engines.evaluation.world import EvaluationWorld
from tests.unit.engines.training.world import drive


class Private(EvaluationWorld):
    """With noise."""

    changes: ClassVar = {"privacy": {"delta": 1e-6, "noise_multiplier": 0.5}}


def notes(found: Any) -> list[str]:
    return [text_in(row, "value") for row in found["rows"]]


def cells(found: Any, metric: str) -> list[dict[str, Any]]:
    (line,) = (one for one in found["lines"] if one["metric"] == metric)
    return list(line["cells"])


@pytest.fixture(scope="module")
def world() -> EvaluationWorld:
    return EvaluationWorld()


@pytest.fixture(scope="module")
def report(world: EvaluationWorld) -> dict[str, Any]:
    return drive(world, [])


def test_two_models_of_one_evaluation_stand_side_by_side_with_the_best_marked(
    world: EvaluationWorld, report: dict[str, Any]
) -> None:
    found, models = report["comparison"], report["evaluation"]["models"]
    assert [one["model"] for one in found["models"]] == [one.digest for one in world.spec.models]
    auc = cells(found, "auc")
    assert [one["value"] for one in auc] == [f"{one['figures']['auc']:.4f}" for one in models]
    assert [one["best"] for one in auc] == [True, False]  # the first tells more (`world.rows`)
    assert [one["best"] for one in cells(found, "loss")].count(True) == 1
    low, high = models[0]["intervals"]["auc"]
    assert auc[0]["interval"] == f"{low:.4f} – {high:.4f}"
    rows = cells(found, "rows")
    assert [one["value"] for one in rows] == ["180", "180"]
    assert not any(one["best"] for name in ("rows", "precision") for one in cells(found, name))
    assert found["same_rows"] is True
    assert "same rows: all of bank-a, bank-b, bank-c" in notes(found)[0]
    assert any("may have learned from rows of bank-a" in one for one in notes(found))
    page = render({"kind": "evaluation", "state": "succeeded", "comparison": found}, "zh")
    assert "模型对比" in page
    assert page.count('class="n best"') == sum(
        one["best"] for line in found["lines"] for one in line["cells"]
    )
    assert all(chinese(one) is not None for one in notes(found))


def test_noise_is_told_beside_the_figures() -> None:
    found = drive(Private(), [])["comparison"]
    assert all(one["noise"].startswith("± ") for one in cells(found, "accuracy"))
    assert notes(found)[-1].startswith("± is what differential privacy adds")


def test_no_text_of_a_comparison_is_a_number(report: dict[str, Any]) -> None:
    """Its digest is recorded: every reader has the same characters."""
    told = [value for line in report["comparison"]["lines"] for one in line["cells"]
            for value in one.values()]  # fmt: skip
    assert {type(one) for one in told} == {str, bool}


@pytest.mark.parametrize("way", ["parties", "rows", "count"])
def test_other_rows_are_said_and_no_model_is_best(
    world: EvaluationWorld, report: dict[str, Any], way: str
) -> None:
    first, second = (dict(one) for one in report["measured"])
    spec, other = world.spec, world.spec
    if way == "parties":
        second["contributors"] = ["bank-a", "bank-b"]
    elif way == "rows":
        other = replace(spec, held_out=HeldOut("key", share=0.2))
    else:
        second["figures"] = {**second["figures"], "rows": 179.0}
    found = compared([Measured(spec, [first], "one"), Measured(other, [second], "two")])
    assert found is not None
    assert [one["step"] for one in found["models"]] == ["one", "two"]
    assert found["same_rows"] is False
    assert notes(found)[0].startswith("Not the same rows")
    assert not any(one["best"] for line in found["lines"] for one in line["cells"])


def test_one_model_is_compared_with_nothing(world: EvaluationWorld, report: dict[str, Any]) -> None:
    assert compared([Measured(world.spec, report["measured"][:1])]) is None
