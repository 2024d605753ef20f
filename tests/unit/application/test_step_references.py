"""What steps of a requested pipeline take of one another: found, and put in order."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.application.jobs.stepreferences import asked_steps
from secureflow.kit.errors import SecureFlowError

PREPARE = {"id": "prepare", "kind": "preparation", "columns": ["age"]}
TRAIN = {"id": "train", "kind": "training", "features": {"recipe": {"step": "prepare"}}}
TEST = {"id": "test", "kind": "evaluation", "models": ["mdl_1", {"step": "train"}]}


def test_steps_come_after_those_that_they_take_something_of() -> None:
    steps = asked_steps([TEST, TRAIN, {**PREPARE, "needs": ["count"]},
                         {"id": "count", "kind": "statistics"}])  # fmt: skip
    assert [one.id for one in steps] == ["count", "prepare", "train", "test"]
    prepare, train, test = steps[1:]
    assert prepare.needs == ("count",)
    (edge,) = train.takes
    assert (edge.input, edge.step, edge.output) == ("recipe", "prepare", "recipe")
    assert train.parts == {"features": {}}
    assert [(edge.input, edge.output) for edge in test.takes] == [("models", "model")]
    assert test.parts["models"][1:] == ["mdl_1"], "what comes over edges stands first"


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([PREPARE, PREPARE], "another step already"),
        ([{**PREPARE, "id": "Prepare it"}], "small letters"),
        ([{**PREPARE, "kind": "sweep"}], "its kind"),
        ([{**PREPARE, "kind": ["training"]}], "its kind"),
        ([TRAIN], "there is no step 'prepare'"),
        ([{**PREPARE, "needs": ["gone"]}], "there is no step 'gone'"),
        ([{**PREPARE, "needs": "train"}], "list of ids"),
        ([{**PREPARE, "needs": ["train"]}, TRAIN], "need one another"),
        ([{**TRAIN, "resume": {"step": "train"}, "features": {}}], "need one another"),
        ([PREPARE, {**TRAIN, "features": {"recipe": {"step": "prepare", "at": 1}}}], "at most"),
        (["prepare"], "small letters"),
    ],
)
def test_what_cannot_be_a_graph_is_refused_by_name(steps: Any, reason: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        asked_steps(steps)
    assert caught.value.code == "contradictory_spec"
    assert reason in caught.value.message
