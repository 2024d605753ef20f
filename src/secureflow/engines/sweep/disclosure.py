"""Who could see what of a sweep, and what choosing the best of its points costs."""

from __future__ import annotations

from typing import Final

from secureflow.domain.specs.sweep import SweepSpec
from secureflow.engines.run.explaining import Row, attack_rows, sight_rows
from secureflow.engines.training import disclosure as of_training
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text

_LEFT_OUT: Final = "the operator leaves a party out at one point alone, and subtracts the sums"


def disclosure(spec: SweepSpec, tee: str) -> list[dict[str, JSON]]:
    """Return what each kind of party can learn: as of one training, and of every point."""
    sees = Text(
        "models and figures of all {count} points, not of the best alone", count=len(spec.points)
    )
    own = sight_rows([("whoever has the report", sees, "each point is a job with its own report")])
    return [*of_training.disclosure(spec.training, tee), *own]


def attacks(spec: SweepSpec, tee: str) -> list[dict[str, JSON]]:
    """Return which attacks are stopped: as of one training, and of points that are subtracted."""
    return [*of_training.attacks(spec.training, tee), *attack_rows([_leaving_out(spec)])]


def _leaving_out(spec: SweepSpec) -> Row:
    """Return what comes of sums over other parties at one point than at another.

    All points start from one model, so their first rounds compute the same, or nearly.
    """
    if spec.all_private:
        return _LEFT_OUT, "yes", "the sums of every point are noised, and each point is charged"
    return _LEFT_OUT, "yes", "every sum is over all parties"


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
