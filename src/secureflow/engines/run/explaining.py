"""Rows of the page that explains a job, and the facts that are common to jobs of every kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from secureflow.domain.quorum import honest_of, threshold_of
from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.contributors import two_sum
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text, with_texts

Row = tuple[str, str, str]

MASKED: Final = "sums are masked: only the total of a certified set can be opened"
CODE_READ: Final = (
    "no check of source or output finds that: the owners read the code and approved it"
)


class _Noise(Protocol):
    @property
    def noise(self) -> str: ...
    @property
    def unit(self) -> str: ...


def sight_rows(rows: Iterable[Row]) -> list[dict[str, JSON]]:
    """Return who sees what, and why, as JSON."""
    return [with_texts({"who": who, "sees": sees, "why": why}) for who, sees, why in rows]


def attack_rows(rows: Iterable[Row]) -> list[dict[str, JSON]]:
    """Return attacks, whether they are stopped, and why, as JSON."""
    return [
        with_texts({"attack": attack, "stopped": stopped, "why": why})
        for attack, stopped, why in rows
    ]


def two_parties(spec: JobSpec) -> Iterator[Row]:
    """Yield what each of two parties learns of the other; nothing for more parties."""
    if len(spec.roster) != 2:
        return
    if two_sum(spec):
        yield (
            "each of the two parties",
            "the other's contribution to every sum",
            "it is the sum less its own",
        )
    else:
        yield (
            "each of the two parties",
            "the other's contribution with its noise",
            "it is the sum less its own; differential privacy bounds what it tells",
        )


def sybils(spec: JobSpec) -> Row:
    """Return what an operator gains by inventing parties."""
    attack = "the operator adds invented parties and keeps one real one"
    least = max(threshold_of(len(spec.roster)), spec.min_contributors)
    why = Text(
        "the roster is pinned members only, and {least} of {count} must contribute",
        least=least,
        count=len(spec.roster),
    )
    return attack, "yes", why


def subtracting(spec: JobSpec, noise: str) -> Row:
    """Return what colluding parties gain from knowing their own noise, if parties add it.

    `noise` is where it is added: `shared` among the parties, or in full by each party or value.
    """
    attack = "parties that collude subtract their own noise from what is released"
    if noise != "shared":
        return attack, "yes", "each party's own noise is the whole noise"
    parties = len(spec.roster)
    least = honest_of(parties)
    most = threshold_of(parties) - least
    why = Text(
        "the shares of the {least} honest {least:party|parties} that every sum holds make up the "
        "noise; more than {most} colluders get below",
        least=least,
        most=most,
    )
    return attack, "yes", why


def membership(privacy: _Noise | None) -> Row:
    """Return whether released totals tell of a row that it is in the data."""
    attack = "somebody tells from the totals whether a row was in the data"
    if privacy is None:
        return attack, "no", "without differential privacy totals are exact"
    return attack, "yes", bounded(privacy.unit)


def bounded(unit: str) -> str:
    """Return whom ε protects less than it says, by the unit that it protects."""
    if unit == "person":
        return "bounded by ε; a person with rows at several owners less"
    return "bounded by ε; a person with many records is protected less"


def averaging(privacy: _Noise | None, repeated: str) -> Row:
    """Return what asking for a round again gains; `repeated` is why nothing, where noise is."""
    attack = "a round is asked for again to average its noise away"
    if privacy is None:
        return attack, "no", "there is no noise"
    return attack, "yes", repeated


def subtracting_sums(spec: JobSpec, privacy: _Noise | None) -> Row:
    """Return what colluding parties gain from knowing what they sent themselves."""
    if privacy is None:
        attack = "parties that collude subtract their own sums from the totals"
        return attack, "partly", "what is left is the sum over the other parties"
    return subtracting(spec, privacy.noise)


def false_sums() -> Row:
    """Return what stops a contributor that lies: nothing but the record."""
    attack = "a contributor sends false sums"
    return attack, "no", "masked sums cannot be inspected: who contributed is on record"
