"""What a data owner reads of a step whose inputs do not exist yet."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from secureflow.cli.kinds import EvaluationText, PredictionText, _sees
from secureflow.domain.specs.notyet import NOT_YET


def training(job: str) -> Any:
    recipe = SimpleNamespace(job=job)
    features = SimpleNamespace(
        recipe=recipe, numeric=("a", "b"), images=None, arrays=None, texts=None
    )
    return SimpleNamespace(features=features)


def scored(job: str) -> Any:
    model = SimpleNamespace(family="logistic_regression")
    return SimpleNamespace(
        job=job, name="x", digest="0" * 64, model=model, seen=lambda parties, held: ()
    )


def test_what_does_not_exist_yet_is_not_called_by_an_id() -> None:
    prediction: Any = SimpleNamespace(model=scored(NOT_YET), columns=())
    evaluation: Any = SimpleNamespace(
        models=(scored(NOT_YET),), held_out=None, per_party=False, parties=("a",)
    )
    said = (
        _sees(training(NOT_YET)),
        PredictionText().task(prediction),
        EvaluationText().task(evaluation),
    )
    for one in said:
        assert "an earlier step" in one
        assert NOT_YET not in one
    assert "job_1" in _sees(training("job_1"))
    existing: Any = SimpleNamespace(model=scored("job_1"), columns=())
    assert "job_1 (x)" in PredictionText().task(existing)
