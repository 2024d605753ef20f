"""Who can see what of a statistics job, and which attacks are stopped: derived from the spec."""

from __future__ import annotations

from collections.abc import Iterator

from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.run.explaining import (
    MASKED,
    Row,
    attack_rows,
    bounded,
    false_sums,
    sight_rows,
    subtracting,
    sybils,
    two_parties,
)
from secureflow.kit.canonical import JSON

_LOCAL = (
    "local noise hides which value a cell has, not that there is a row nor that a cell is empty"
)


def disclosure(spec: StatisticsSpec) -> list[dict[str, JSON]]:
    """Return what each kind of party can learn from the job, and why."""
    return sight_rows(_sights(spec))


def attacks(spec: StatisticsSpec) -> list[dict[str, JSON]]:
    """Return common attacks: `stopped` is yes, partly or no, and why."""
    rows = (_reading, _bounds, _differencing, sybils, _membership, _averaging)
    last = subtracting(spec, spec.privacy.noise), false_sums()
    return attack_rows((*(row(spec) for row in rows), *last))


def _sights(spec: StatisticsSpec) -> Iterator[Row]:
    yield "owner", "its own rows, its own noised sums, the answers", "they are its own"
    yield "other parties", "the answers", "the report is the project's"
    yield from two_parties(spec)
    yield "operator", "the noised total over the contributors; never a party's sums", MASKED
    yield "network", "masked bytes, sizes and times", "TLS 1.3"
    if spec.privacy.noise == "local":
        yield (
            "whoever has the answers",
            "how many rows have a value, exactly, in each column asked",
            _LOCAL,
        )
    yield (
        "whoever has the answers",
        "what noised totals can tell about rows",
        f"bounded by differential privacy per {spec.privacy.unit}",
    )


def _reading(spec: StatisticsSpec) -> Row:
    del spec
    return "the operator reads a single party's sums", "yes", MASKED


def _bounds(spec: StatisticsSpec) -> Row:
    del spec
    attack = "the analyst names bounds under which one row weighs more than the noise hides"
    why = "bounds and rows per unit are the owners'; each agent compares them with its own"
    return attack, "yes", why


def _differencing(spec: StatisticsSpec) -> Row:
    attack = "two totals over sets that differ in one party are subtracted"
    unit = spec.privacy.unit
    why = f"the noise hides any {unit} of the difference, not the party's figures as a whole"
    return attack, "partly", why


def _membership(spec: StatisticsSpec) -> Row:
    attack = f"somebody tells from the answers whether a {spec.privacy.unit} was in the data"
    if spec.privacy.noise == "local":
        return attack, "no", _LOCAL
    return attack, "yes", bounded(spec.privacy.unit)


def _averaging(spec: StatisticsSpec) -> Row:
    del spec
    attack = "a question is asked again to average its noise away"
    why = "another job is charged again; in this one each agent sends the sums that it stored"
    return attack, "yes", why
