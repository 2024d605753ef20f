"""Honest parties that evaluate two models, and the centre's own aggregator, without a network."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from secureflow.application.jobs.evaluation import MeasuredSums
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.evaluation import EvaluationSpec, check_evaluation
from secureflow.engines.evaluation.kind import EVALUATION_ENGINE
from secureflow.engines.evaluation.plan import longest, noised, party_sums
from secureflow.engines.secagg.wholenumbers import masked_values
from tests.unit.engines.run.summed_world import SummedWorld, all_needed
from tests.unit.engines.training.world import JOB

FEATURES: dict[str, Any] = {
    "label": {"column": "income", "positive": ">50K"},
    "numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}],
}
MODELS: list[dict[str, Any]] = [
    {"job": "job_aaaaaaaaaa", "digest": "ab" * 32, "features": FEATURES,
     "model": {"family": "logistic_regression"}, "contributors": ["bank-a", "bank-b"]},
    {"job": "job_bbbbbbbbbb", "digest": "cd" * 32, "features": FEATURES,
     "model": {"family": "mlp", "hidden": [3]}},
]  # fmt: skip
ROWS = 60
"""Of each party."""


def specified(roster: list[dict[str, str]], **changes: Any) -> EvaluationSpec:
    value: dict[str, Any] = {
        "project": "prj_0123456789", "name": "figures", "purpose": "testing",
        "submitter": "ann", "roster": roster, "models": MODELS, **changes,
    }  # fmt: skip
    spec = parse(EvaluationSpec, value)
    check_evaluation(all_needed(spec))
    return spec


class EvaluationWorld(SummedWorld):
    """Each party has its own rows; `changes` are those of the spec."""

    engine = EVALUATION_ENGINE
    changes: ClassVar[dict[str, Any]] = {}

    def drafted(self, roster: list[dict[str, str]]) -> EvaluationSpec:
        return specified(roster, **self.changes)

    def rows(self, party: str, model: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Outputs and labels of a party's rows; the second model tells less."""
        draw = np.random.default_rng(sorted(self.keys).index(party))
        labels = (draw.random(ROWS) < 0.4).astype(np.float32)
        scores = labels * (2.0 if model == 0 else 0.5) + draw.normal(size=ROWS) - 0.5
        return scores.astype(np.float32)[:, None], labels

    def added(self, party: str, body: dict[str, Any]) -> NDArray[np.float64]:
        number = body["round"]
        assert body["model"]["digest"] == self.spec.models[number - 1].digest
        sums = party_sums(self.spec, number, party, *self.rows(party, number - 1))
        return masked_values(noised(self.spec, number, sums, party.encode().ljust(32, b".")))

    def released(
        self, body: dict[str, Any], total: NDArray[Any], survivors: tuple[str, ...]
    ) -> dict[str, Any]:
        request = SimpleNamespace(base=body["base"], job=JOB, round=body["round"])
        made: Any = SimpleNamespace(
            request=request, spec=self.spec, plan=self.plan, total=total, survivors=survivors
        )
        return asyncio.run(MeasuredSums().release(made))


class FixedWorld(EvaluationWorld):
    """The same with sums and figures that no version of NumPy rounds otherwise."""

    def added(self, party: str, body: dict[str, Any]) -> NDArray[np.float64]:
        return np.full(longest(self.spec), float(body["round"]))

    def released(
        self, body: dict[str, Any], total: NDArray[Any], survivors: tuple[str, ...]
    ) -> dict[str, Any]:
        model = self.spec.models[body["round"] - 1].digest
        figures = {"rows": 8 * len(survivors), "auc": 0.75}
        nothing: dict[str, Any] = {name: {} for name in ("bounds", "noise", "intervals", "curves")}
        measured = {
            **{"job": "job_aaaaaaaaaa", "model": model, "family": "mlp", "form": "binary"},
            **{"figures": figures, **nothing, "thresholds": [], "honest": []},
            **{"costs": None, "distribution": None, "psi": None, "parties": None, "seen": []},
        }
        base = {"base": body["base"], "model": body["base"]}
        return {**base, "sums_digest": model, "measured": measured}
