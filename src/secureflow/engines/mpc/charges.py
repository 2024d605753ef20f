"""The cost of a computation among parties, and everything that it releases.

Each query of `joint-sums` is one release with its own noise: σ is the multiplier times what one
unit can move its numbers by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.domain.specs.jointsums import SumsQuery
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.engines.privacy.accounting import Charge, Mechanism
from secureflow.engines.privacy.noisedsums import Spending, noise_against

_NUMBERS: Final[Mapping[str, str]] = {
    "count": "count of rows",
    "sum": "sum",
    "mean": "sum and count of rows",
    "variance": "sum, sum of squares and count of rows",
    "covariance": "sums, sums of products and count of rows",
    "correlation": "sums, sums of products and count of rows",
    "histogram": "count of rows in each cell",
}


def charge(spec: MpcSpec, rounds: int | None = None) -> Charge:
    """Return the cost of the job; () without differential privacy, or before its round."""
    if spec.privacy is None or rounds == 0:
        return ()
    return (Mechanism("gaussian", noise_against(spec), 1.0, len(spec.sums.queries)),)


def released(spec: MpcSpec) -> tuple[dict[str, Any], ...]:
    """Return every number that the job releases, with its mechanism and its charge."""
    rows = [_row(spec, query) for query in spec.sums.queries]
    rows.append({"number": "how many parties contributed", "mechanism": "public", "charge": []})
    return tuple(rows)


def _row(spec: MpcSpec, query: SumsQuery) -> dict[str, Any]:
    what = _NUMBERS[query.measure]
    if spec.privacy is None:
        return {"number": query.name, "mechanism": f"{what}, exact", "charge": []}
    mechanism = f"discrete Gaussian on the {what}, shared out over the parties"
    one = Mechanism("gaussian", noise_against(spec))
    return {"number": query.name, "mechanism": mechanism, "charge": [one.as_json()]}


SPENDING: Final = Spending(charge, released)
