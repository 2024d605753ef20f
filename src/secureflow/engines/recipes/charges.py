"""The cost of a preparation job, and everything that it releases.

Each column of a step is one release in each round in which it is fitted, with its own noise: σ is
the multiplier times what one unit can move its sums by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.domain.specs.passes import Query, schedule
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.engines.privacy.accounting import Charge, Mechanism
from secureflow.engines.privacy.noisedsums import Spending, noise_against

_NUMBERS: Final[Mapping[str, str | Mapping[str, str]]] = {
    "impute": {
        "mean": "sum and count of rows",
        "mode": "count of rows in each category",
        "median": "count of rows in each cell",
    },
    "standardise": "sum, sum of squares and count of rows",
    "min_max": "count of rows in each cell",
    "quantile_bins": "count of rows in each cell",
    "woe": "count of rows in each category and class",
    "one_hot": "count of rows in each category",
    "yeo_johnson": "sums and sums of squares of powers, and count of rows",
    "select": {
        "variance": "sum, sum of squares and count of rows",
        "correlation": "sums, sums of products and count of rows",
    },
}


def charge(spec: PreparationSpec, rounds: int | None = None) -> Charge:
    """Return the cost of this many rounds (default: all); () without differential privacy."""
    if spec.privacy is None:
        return ()
    count = sum(len(each) for each in schedule(spec).rounds[:rounds])
    return (Mechanism("gaussian", noise_against(spec), 1.0, count),) if count else ()


def released(spec: PreparationSpec) -> tuple[dict[str, Any], ...]:
    """Return every number that the job releases, with its mechanism and its charge."""
    rows = [
        _row(spec, number, query)
        for number, each in enumerate(schedule(spec).rounds, 1)
        for query in each
    ]
    rows.append({"number": "how many parties contributed", "mechanism": "public", "charge": []})
    return tuple(rows)


def described(spec: PreparationSpec, query: Query) -> str:
    """Return what numbers a query adds up."""
    if query.step < 0:
        return "count of rows"
    step: Any = spec.steps[query.step]
    found = _NUMBERS[step.step]
    return found if isinstance(found, str) else found[step.by]


def _row(spec: PreparationSpec, number: int, query: Query) -> dict[str, Any]:
    step = "" if query.step < 0 else f"{query.step + 1}. {spec.steps[query.step].step}"
    name = " ".join(one for one in (step, query.column, f"({number})") if one)
    what = described(spec, query)
    if spec.privacy is None:
        return {"number": name, "mechanism": f"{what}, exact", "charge": []}
    mechanism = f"discrete Gaussian on the {what}, shared out over the parties"
    one = Mechanism("gaussian", noise_against(spec))
    return {"number": name, "mechanism": mechanism, "charge": [one.as_json()]}


SPENDING: Final = Spending(charge, released)
