"""The cost of an evaluation, and everything that it releases.

A model's numbers are one release; with `per_party` each party's are another one, in which a row
counts once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.domain.specs.scored import ScoredModel
from secureflow.engines.privacy.accounting import Charge, Mechanism
from secureflow.engines.privacy.noisedsums import Spending, noise_against

_NUMBERS: Final[Mapping[str, str]] = {
    "binary": "rows, losses, and rows of either class in each cell of the scores",
    "classes": "rows, losses, and rows of each class by prediction and by score",
    "number": "rows, sums of targets and errors and of their powers, and rows by prediction",
}


def charge(spec: EvaluationSpec, rounds: int | None = None) -> Charge:
    """Return the cost of this many rounds (default: all); () without differential privacy."""
    count = (spec.planned_rounds if rounds is None else rounds) * (1 + spec.per_party)
    if spec.privacy is None or not count:
        return ()
    return (Mechanism("gaussian", noise_against(spec), 1.0, count),)


def released(spec: EvaluationSpec) -> tuple[dict[str, Any], ...]:
    """Return every number that the job releases, with its mechanism and its charge."""
    rows = []
    for number, model in enumerate(spec.models, 1):
        name = f"{number}. {model.model.family} {model.called}"
        rows.append(_row(spec, model, name))
        if spec.per_party:
            rows += [_row(spec, model, f"{name} {party}") for party in spec.parties]
    rows.append({"number": "how many parties contributed", "mechanism": "public", "charge": []})
    return tuple(rows)


def described(model: ScoredModel) -> str:
    """Return what a model's round adds up."""
    return _NUMBERS[model.form]


def _row(spec: EvaluationSpec, model: ScoredModel, name: str) -> dict[str, Any]:
    what = described(model)
    if spec.privacy is None:
        return {"number": name, "mechanism": f"{what}, exact", "charge": []}
    mechanism = f"discrete Gaussian on the {what}, shared out over the parties"
    one = Mechanism("gaussian", noise_against(spec))
    return {"number": name, "mechanism": mechanism, "charge": [one.as_json()]}


SPENDING: Final = Spending(charge, released)
