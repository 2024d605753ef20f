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
    """A kind of job: its name, what it asks for, and whether its result is drawn with noise."""

    name: str
    parts: dict[str, Any]
    noised: bool = False
    kind: str = "training"

    def wanted(self, template: Template, name: str = "income") -> Wanted:
        """Return the request."""
        limits = {"patience_seconds": PATIENCE}
        parts = {**self.parts, "limits": limits}
        return Wanted(template.project, name, PURPOSE, template.datasets, parts, kind=self.kind)


def _private(noise: str) -> dict[str, Any]:
    return {
        "features": BOUNDED,
        "plan": {**PLAN, "validation": 0.0},
        "privacy": {"delta": 1e-6, "noise_multiplier": 2.0, "rows": 48, "noise": noise},
    }


KINDS = (
    Kind("sealed", {"features": FEATURES, "plan": PLAN, "protection": "sealed"}),
    Kind("masked", {"features": BOUNDED, "plan": PLAN, "protection": "secagg"}),
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
