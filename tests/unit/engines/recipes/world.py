"""Honest parties that fit a preparation, and the centre's own aggregator, without a network."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from doubles import MemoryArtifacts
from numpy.typing import NDArray

from secureflow.application.jobs.preparation import RecipeSums
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.preparation import PreparationSpec, check_preparation
from secureflow.engines.preparation.fitting import tally
from secureflow.engines.preparation.steps.values import Values, read_values
from secureflow.engines.recipes.kind import PREPARATION_ENGINE
from secureflow.engines.recipes.plan import noised, progress_after
from secureflow.engines.secagg.wholenumbers import masked_values
from tests.unit.engines.run.summed_world import SummedWorld, all_needed
from tests.unit.engines.training.world import JOB

STEPS: list[dict[str, Any]] = [
    {"step": "impute", "columns": ["age"], "by": "mean"},
    {"step": "standardise", "columns": ["age"]},
    {"step": "one_hot", "columns": ["job"], "least": 10},
]
COLUMNS = [
    {"column": "age", "type": "number", "bounds": [0, 100]},
    {"column": "job", "type": "category", "categories": ["a", "b", "c"]},
]
ROWS = 40
"""Of each party."""


class PreparationWorld(SummedWorld):
    """Each party has its own rows; `noise` is the spec's privacy part."""

    engine = PREPARATION_ENGINE
    noise: ClassVar[dict[str, Any] | None] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.artifacts = MemoryArtifacts()
        self.handler = RecipeSums(self.artifacts)

    def drafted(self, roster: list[dict[str, str]]) -> PreparationSpec:
        value: dict[str, Any] = {
            "project": "prj_0123456789", "name": "inputs", "purpose": "testing",
            "submitter": "ann", "roster": roster, "columns": COLUMNS, "steps": STEPS,
        }  # fmt: skip
        if self.noise is not None:
            value["privacy"] = self.noise
        spec = parse(PreparationSpec, value)
        check_preparation(all_needed(spec))
        return spec

    def values(self, party: str) -> Values:
        """The party's rows."""
        draw = np.random.default_rng(sorted(self.keys).index(party))
        ages: Any = draw.integers(18, 90, ROWS).astype(float)
        ages[::7] = np.nan
        jobs = draw.choice(np.array(["a", "b", "c"], object), ROWS, p=[0.7, 0.28, 0.02])
        return read_values(self.spec.columns, {"age": ages, "job": jobs}, strict=True)

    def added(self, party: str, body: dict[str, Any]) -> NDArray[np.float64]:
        number, model = body["round"], body["model"]
        assert (model is None) == (number == 1)
        totals = b"" if model is None else self.artifacts.blobs[model["artifact"]]
        sums = tally(self.spec, progress_after(self.spec, totals), self.values(party), None)
        return masked_values(noised(self.spec, number, sums, party.encode().ljust(32, b".")))

    def released(
        self, body: dict[str, Any], total: NDArray[Any], survivors: tuple[str, ...]
    ) -> dict[str, Any]:
        model = body["model"] and SimpleNamespace(digest=body["model"]["digest"])
        request = SimpleNamespace(
            model=model, base=body["base"], job=JOB, digest=self.digest, round=body["round"]
        )
        made: Any = SimpleNamespace(
            request=request, spec=self.spec, plan=self.plan, total=total, survivors=survivors
        )
        return asyncio.run(self.handler.release(made))
