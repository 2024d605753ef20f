"""Who could see what of a sweep, and what choosing the best of its points costs."""

from __future__ import annotations

from secureflow.domain.specs.sweep import SweepSpec
from secureflow.engines.run.explaining import sight_rows
from secureflow.engines.training import disclosure as of_training
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text


def disclosure(spec: SweepSpec, tee: str) -> list[dict[str, JSON]]:
    """Return what each kind of party can learn: as of one training, and of every point."""
    sees = Text(
        "models and figures of all {count} points, not of the best alone", count=len(spec.points)
    )
    own = sight_rows([("whoever has the report", sees, "each point is a job with its own report")])
    return [*of_training.disclosure(spec.training, tee), *own]


def attacks(spec: SweepSpec, tee: str) -> list[dict[str, JSON]]:
    """Return which attacks are stopped: as of one training, whose protection all points have."""
    return of_training.attacks(spec.training, tee)


def choosing(spec: SweepSpec) -> str:
    """Return what it costs to choose the best of the points."""
    if spec.privacy is None:
        return Text(
            "The best of {count} points was chosen on the rows that measured it, so its figure "
            "flatters it: measure it on other rows before relying on it.",
            count=len(spec.points),
        )
    return Text(
        "Each of the {count} points is charged. Figures and models of all of them are noised and "
        "released, so choosing the best adds nothing to ε; its figure still flatters it.",
        count=len(spec.points),
    )
