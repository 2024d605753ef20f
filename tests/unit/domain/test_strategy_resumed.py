"""A strategy whose other half lies at the parties cannot be taken up by another job."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.strategies import NAMES
from secureflow.domain.specs.strategy_rules import strategy_problem
from secureflow.domain.specs.torch_families import TorchMlpModel
from secureflow.domain.specs.training import (
    FeatureSpec,
    Initial,
    Label,
    NumericFeature,
    Resume,
    TrainingPlan,
    TrainingSpec,
)

RESUME = Resume("job_0123456789", 1, "ab" * 32)
SEEN = FeatureSpec(Label("y", "1"), (NumericFeature("x", (0.0, 1.0), "bounds"),))
SPEC = TrainingSpec("", "", "", "", (), min_contributors=4)


@pytest.mark.parametrize("name", NAMES)
def test_what_parties_keep_is_not_resumed(name: str) -> None:
    spec = replace(SPEC, plan=parse(TrainingPlan, {"strategy": name}, "training"))
    if name == "fedbn":  # it keeps normalisation layers
        spec = replace(spec, features=SEEN, model=TorchMlpModel("torch_mlp", norm="layer"))
    assert strategy_problem(spec) is None
    assert strategy_problem(replace(spec, initial=Initial("ab" * 32, "cd" * 32))) is None
    problem = strategy_problem(replace(spec, resume=RESUME))
    if name not in {"feddyn", "scaffold", "fedbn"}:
        assert problem is None
        return
    assert problem is not None
    assert problem[0] == "resume"
    assert name in problem[1]
