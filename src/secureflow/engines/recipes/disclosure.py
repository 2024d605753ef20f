"""Who can see what of a preparation job, and which attacks are stopped: derived from the spec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from secureflow.domain.specs.passes import searched
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.engines.run.explaining import (
    MASKED,
    Row,
    attack_rows,
    averaging,
    false_sums,
    membership,
    sight_rows,
    subtracting_sums,
    sybils,
    two_parties,
)
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text

_REPEATED: Final = "from the same totals a party's sums and noise are the same, bit by bit"


def disclosure(spec: PreparationSpec) -> list[dict[str, JSON]]:
    """Return what each kind of party can learn from the job, and why."""
    return sight_rows(_sights(spec))


def attacks(spec: PreparationSpec) -> list[dict[str, JSON]]:
    """Return common attacks: `stopped` is yes, partly or no, and why."""
    private = spec.privacy
    rows = (
        *(_reading(), *((_telling(spec),) if searched(spec) else ()), sybils(spec)),
        *(membership(private), averaging(private, _REPEATED)),
        *(subtracting_sums(spec, private), false_sums()),
    )
    return attack_rows(rows)


def _sights(spec: PreparationSpec) -> Iterator[Row]:
    totals = "the totals of every round"
    yield "owner", "its own rows, its own sums, the totals of every round", "they are its own"
    yield "other parties", totals, "each computes the next round's fits from them"
    yield from two_parties(spec)
    yield "operator", "the totals over the contributors; never a party's sums", MASKED
    yield "network", "masked bytes, sizes and times", "TLS 1.3"
    if spec.privacy is None:
        yield (
            "whoever has the recipe",
            "exact means, quantiles and counts over all rows",
            "without differential privacy they are released as they are",
        )
    else:
        yield (
            "whoever has the recipe",
            "what noised totals can tell about rows",
            Text("bounded by differential privacy per {unit}", unit=spec.privacy.unit),
        )


def _reading() -> Row:
    return "the operator reads a single party's sums", "yes", MASKED


def _telling(spec: PreparationSpec) -> Row:
    attack = "a search for quantiles closes in on one row's value"
    if spec.privacy is None:
        why = "cells shrink to a few millionths of the bounds, and their counts are exact"
        return attack, "no", why
    return attack, "yes", "one pass, whose counts are noised"
