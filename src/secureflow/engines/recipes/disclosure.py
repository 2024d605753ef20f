"""Who can see what of a preparation job, and which attacks are stopped: derived from the spec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from secureflow.domain.specs.passes import searched
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.engines.run.explaining import (
    Row,
    attack_rows,
    sight_rows,
    subtracting,
    sybils,
    two_parties,
)
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text

_MASKED: Final = "sums are masked: only the total of a certified set can be opened"


def disclosure(spec: PreparationSpec) -> list[dict[str, JSON]]:
    """Return what each kind of party can learn from the job, and why."""
    return sight_rows(_sights(spec))


def attacks(spec: PreparationSpec) -> list[dict[str, JSON]]:
    """Return common attacks: `stopped` is yes, partly or no, and why."""
    telling = (_telling,) if searched(spec) else ()
    rows = (_reading, *telling, sybils, _membership, _averaging, _subtracting, _poisoning)
    return attack_rows(row(spec) for row in rows)


def _sights(spec: PreparationSpec) -> Iterator[Row]:
    totals = "the totals of every round"
    yield "owner", "its own rows, its own sums, the totals of every round", "they are its own"
    yield "other parties", totals, "each computes the next round's fits from them"
    yield from two_parties(spec)
    yield "operator", "the totals over the contributors; never a party's sums", _MASKED
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


def _reading(spec: PreparationSpec) -> Row:
    del spec
    return "the operator reads a single party's sums", "yes", _MASKED


def _telling(spec: PreparationSpec) -> Row:
    attack = "a search for quantiles closes in on one row's value"
    if spec.privacy is None:
        why = "cells shrink to a few millionths of the bounds, and their counts are exact"
        return attack, "no", why
    return attack, "yes", "one pass, whose counts are noised"


def _membership(spec: PreparationSpec) -> Row:
    attack = "somebody tells from the totals whether a row was in the data"
    if spec.privacy is None:
        return attack, "no", "without differential privacy totals are exact"
    if spec.privacy.unit == "person":
        return attack, "yes", "bounded by ε; a person with rows at several owners less"
    return attack, "yes", "bounded by ε; a person with many records is protected less"


def _averaging(spec: PreparationSpec) -> Row:
    attack = "a round is asked for again to average its noise away"
    if spec.privacy is None:
        return attack, "no", "there is no noise"
    return attack, "yes", "from the same totals a party's sums and noise are the same, bit by bit"


def _subtracting(spec: PreparationSpec) -> Row:
    if spec.privacy is None:
        attack = "parties that collude subtract their own sums from the totals"
        return attack, "partly", "what is left is the sum over the other parties"
    return subtracting(spec, spec.privacy.noise)


def _poisoning(spec: PreparationSpec) -> Row:
    del spec
    attack = "a contributor sends false sums"
    return attack, "no", "masked sums cannot be inspected: who contributed is on record"
