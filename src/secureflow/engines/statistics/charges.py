"""The cost of a statistics job, and everything that it releases.

Each query is one release with its own noise. Under `local` a unit has up to k values, each of which
is answered, so each query counts k times; that charge hides a *value* (any cell replaced
by any other), not whether a row exists.
"""

from __future__ import annotations

from typing import Any

from secureflow.domain.specs.matchedrows import moved_rows
from secureflow.domain.specs.statistics import StatisticsQuery, StatisticsSpec
from secureflow.engines.privacy.accounting import Charge, Kind, Mechanism
from secureflow.engines.statistics.layout import ANSWERED

_NOISED = {
    "count": "count of rows",
    "sum": "sum",
    "mean": "sum and count of rows",
    "variance": "sum, sum of squares and count of rows",
    "histogram": "count of rows in each cell",
    "quantile": "counts of rows in each node of a tree over the cells",
}


def charge(spec: StatisticsSpec) -> Charge:
    """Return the cost of the whole job."""
    privacy = spec.privacy
    noise = privacy.multiplier / moved_rows(spec)
    if privacy.noise != "local":
        return (Mechanism(privacy.mechanism, noise, 1.0, len(spec.queries)),)
    found: dict[Kind, int] = {}
    for query in spec.queries:
        one = _cost(spec, query)
        found[one.kind] = found.get(one.kind, 0) + one.count
    return tuple(Mechanism(kind, noise, 1.0, count) for kind, count in found.items())


def released(spec: StatisticsSpec) -> tuple[dict[str, Any], ...]:
    """Return every number that the job releases, with its mechanism and its charge."""
    rows = [_row(spec, query) for query in spec.queries]
    if spec.privacy.noise == "local":
        exact = "not hidden: local noise hides which value a cell has, not that it has one"
        rows.append({"number": "number of rows with a value", "mechanism": exact, "charge": []})
    rows.append({"number": "how many parties contributed", "mechanism": "public", "charge": []})
    return tuple(rows)


def _row(spec: StatisticsSpec, query: StatisticsQuery) -> dict[str, Any]:
    privacy = spec.privacy
    kind = privacy.mechanism.capitalize()
    if privacy.noise == "local":
        mechanism = f"discrete {kind} on each value, before it is summed"
        if query.measure in ANSWERED:
            mechanism = "k-ary randomised response of each value"
    else:
        who = "shared out over the parties" if privacy.noise == "shared" else "whole at each party"
        mechanism = f"discrete {kind} on the {_NOISED[query.measure]}, {who}"
    one = _cost(spec, query)
    return {"number": query.name, "mechanism": mechanism, "charge": [one.as_json()]}


def _cost(spec: StatisticsSpec, query: StatisticsQuery) -> Mechanism:
    privacy = spec.privacy
    noise = privacy.multiplier / moved_rows(spec)
    if privacy.noise != "local":
        return Mechanism(privacy.mechanism, noise)
    kind: Kind = "response" if query.measure in ANSWERED else "laplace"
    return Mechanism(kind, noise, 1.0, spec.contributions)
