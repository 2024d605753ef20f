"""A party tells rows and losses past the masks only where the approved spec asks for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from secureflow.agent.kinds.kind import LocalContribution
from secureflow.agent.kinds.telling import Telling, told_beside
from secureflow.agent.kinds.training.kind import TrainingContribution
from secureflow.agent.kinds.training.selfreport import self_report
from secureflow.domain.specs.strategies import FineTune
from secureflow.domain.specs.targets import ClassesLabel, NumberLabel
from secureflow.domain.specs.training import LinearModel, SoftmaxModel, TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.engines.training.disclosure import disclosure
from secureflow.engines.training.measures import measure_of
from secureflow.engines.training.models import Stage, update_layout
from tests.unit.domain.test_plan_rules import SPEC

MASKED = replace(SPEC, protection="secagg")
ASKED = replace(MASKED, plan=replace(SPEC.plan, self_report="rows_and_loss"))


def held(spec: TrainingSpec, number: int, stage: Stage) -> LocalContribution:
    """A contribution of 40 rows, of which 10 were held out, with a loss of 0.25 each."""
    layout = update_layout(spec, stage)
    sums = np.zeros(layout.sums)
    if len(sums) > 2:
        sums[:3] = 40.0, 10.0, 2.5
    values = np.zeros(layout.parameters, np.float32).tobytes() + sums.tobytes()
    return LocalContribution(number, stage, "", memoryview(values), 0.1)


@pytest.mark.parametrize(
    ("number", "stage", "tells"),
    [(1, "train", True), (2, "train", False), (3, "evaluate", True), (0, "moments", False)],
)
def test_the_first_round_and_the_evaluation_are_told(number: int, stage: Any, tells: bool) -> None:
    told = self_report(ASKED, held(ASKED, number, stage), 40)
    assert (told is not None) == tells
    if told is not None:
        assert (told.rows, told.loss) == (40, pytest.approx(0.25))
    assert self_report(MASKED, held(MASKED, number, stage), 40) is None


@pytest.mark.parametrize(
    ("label", "model"),
    [
        (SPEC.features.label if SPEC.features else None, SPEC.model),
        (ClassesLabel("y", ("a", "b", "c")), SoftmaxModel("softmax")),
        (NumberLabel("y", (0.0, 1.0)), LinearModel("linear")),
    ],
    ids=["binary", "classes", "number"],
)
def test_where_parties_end_with_own_models_the_loss_is_of_the_shared_one(
    label: Any, model: Any
) -> None:
    assert ASKED.features is not None
    plan = replace(ASKED.plan, strategy=FineTune("finetune"), validation=0.2)
    features = replace(ASKED.features, label=label)
    spec = replace(ASKED, features=features, model=model, plan=plan)
    check(spec)
    for number, stage in ((1, "train"), (3, "evaluate")):
        given = held(spec, number, stage)  # type: ignore[arg-type]
        told = self_report(spec, given, 40)
        size = 4 * update_layout(spec, stage).parameters  # type: ignore[arg-type]
        shared = np.frombuffer(given.plaintext[size:], "<f8")[1 : 1 + measure_of(spec).count]
        assert told is not None
        assert told.loss == pytest.approx(measure_of(spec).summarise(shared)["loss"])


def test_only_kinds_that_tell_are_asked() -> None:
    assert issubclass(TrainingContribution, Telling)
    assert told_beside(object(), ASKED, held(ASKED, 1, "train"), 40) is None


def test_whoever_approves_reads_what_is_told() -> None:
    for spec, says in ((ASKED, True), (MASKED, False)):
        seen = [str(one["sees"]) for one in disclosure(spec, "")]
        assert any("its number of rows, and the loss" in one for one in seen) == says
