"""The jobs that are disturbed: small ones of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secureflow.application.jobs.kind import Wanted
from tests.chaos.platform import PURPOSE, Template

FEATURES: dict[str, Any] = {
    "label": {"column": "income", "positive": "high"},
    "numeric": [{"column": "age", "bounds": [0, 100]}],
    "categorical": [{"column": "job", "categories": ["clerk", "farmer"]}],
}
BOUNDED = {**FEATURES, "numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}]}
PLAN = {"rounds": 2, "batch_size": 8, "learning_rate": 0.1}
SHORT = {**PLAN, "rounds": 1}
PATIENCE = 60.0


@dataclass(frozen=True)
class Kind:
    """A kind of job.

    Args:
        name: of the kind.
        parts: what it asks for.
        noised: whether its result is drawn with noise.
        kind: as the product calls it.
        models: where the released model is named that it is about; "" if it is about none.
        seconds: of it, about, if nothing disturbs it: faults begin in this time.
    """

    name: str
    parts: dict[str, Any]
    noised: bool = False
    kind: str = "training"
    models: str = ""
    seconds: float = 6.0

    def wanted(self, template: Template, name: str = "income") -> Wanted:
        """Return the request."""
        limits = {"patience_seconds": PATIENCE}
        parts = {**self.parts, "limits": limits}
        if self.models:
            parts[self.models] = template.model if self.models == "model" else (template.model,)
        return Wanted(template.project, name, PURPOSE, template.datasets, parts, kind=self.kind)


def _private(noise: str) -> dict[str, Any]:
    return {
        "features": BOUNDED,
        "plan": {**PLAN, "validation": 0.0},
        "privacy": {"delta": 1e-6, "noise_multiplier": 2.0, "rows": 48, "noise": noise},
    }


RELEASING = Kind("masked", {"features": BOUNDED, "plan": PLAN, "protection": "secagg"})
"""Its model is in every template."""
KINDS = (
    Kind("sealed", {"features": FEATURES, "plan": PLAN, "protection": "sealed"}),
    RELEASING,
    Kind("both", {"features": BOUNDED, "plan": SHORT, "protection": "sealed+secagg"}),
    Kind(
        "agents",
        {
            "features": BOUNDED,
            "plan": PLAN,
            "protection": "sealed",
            "release": {"intermediate": "agents"},
        },
    ),
    Kind("private", {**_private("enclave"), "protection": "sealed"}, noised=True),
    Kind("shared", {**_private("shared"), "protection": "secagg"}, noised=True),
    Kind(
        "statistics",
        {
            "queries": [
                {"name": "rows", "measure": "count"},
                {"name": "ages", "measure": "mean", "column": "age"},
            ],
            "privacy": {"delta": 1e-6, "epsilon": 1.0},
        },
        noised=True,
        kind="statistics",
    ),
)
"""Those that are disturbed in real processes as well."""
POINTS = {"list": [{"plan.learning_rate": 0.1}, {"plan.learning_rate": 0.2}]}
LATER = (
    Kind("evaluation", {"per_party": True}, kind="evaluation", models="models"),
    Kind(
        "private evaluation",
        {"privacy": {"delta": 1e-6, "noise_multiplier": 2.0}},
        noised=True,
        kind="evaluation",
        models="models",
    ),
    Kind(
        "prediction",
        {"columns": ["age"], "deliver": {"to": "bank-b"}, "min_contributors": 3},
        kind="prediction",
        models="model",
    ),
    Kind(
        "sweep",
        {"features": BOUNDED, "plan": SHORT, "protection": "secagg", "sweep": POINTS},
        kind="sweep",
        seconds=9.0,
    ),
    Kind(
        "private sweep",
        {**_private("shared"), "protection": "secagg", "sweep": POINTS},
        noised=True,
        kind="sweep",
        seconds=9.0,
    ),
)
EVERY = (*KINDS, *LATER)


def kind_of(seed: int) -> Kind:
    """Return the kind of a seed's job in process: every fourth is one of the later ones."""
    return LATER[seed // 4 % len(LATER)] if seed % 4 == 3 else KINDS[seed % len(KINDS)]
