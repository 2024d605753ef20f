"""What a private set intersection gives, and what it lets out beside its result: its label.

Sources of the protocols: RR22 is Raghuraman and Rindal, "Blazing Fast PSI from Improved OKVS and
Subfield VOLE" (CCS 2022); KKRT is Kolesnikov, Kumaresan, Rosulek and Trieu, "Efficient Batched
Oblivious PRF with Applications to Private Set Intersection" (CCS 2016); ECDH is Meadows (1986) over
an elliptic curve; `openmined` is the same, with the receiver's keys in a compressed set of hashes.
All of them are proved for parties that follow the protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from secureflow.domain.securitylabel import SecurityLabel
from secureflow.domain.specs.psi import PsiProtocol, PsiSpec
from secureflow.kit.text import Text

_STATISTICAL: Final[dict[PsiProtocol, int | None]] = {
    "rr22": 40, "kkrt": 40, "ecdh": None, "openmined": None,
}  # fmt: skip
_THRESHOLD: Final = "each pair of parties by itself: nobody else can help one of them"
_COLLUSION: Final = "parties that put together what they receive learn what each of them learns"
_REPEATS: Final = (
    "of the same keys nothing more: randomness is fresh, and the owner's agent counts them once "
    "until a run with them has ended there; that they are the same is their party's word, and one "
    "that breaks it tests other keys in each attempt"
)
_TOGETHER: Final = (
    "parties that put together what they receive learn what each of them learns; a receiver that "
    "acts together with one of the others can tell the rest of any of their keys that all have it"
)
_MATCHING: Final = "by matching alone: a false match has a chance below 2^-40"


def label_of(spec: PsiSpec) -> SecurityLabel:
    """Return the label of a job's protocol, with what this job lets out."""
    return SecurityLabel(
        adversary="semi-honest",
        threshold=_THRESHOLD,
        collusion=_TOGETHER if spec.tells_others else _COLLUSION,
        leakage=tuple(_leakage(spec)),
        repeats=_REPEATS,
        numeric=_MATCHING,
        statistical_bits=_STATISTICAL[spec.protocol],
    )


def _leakage(spec: PsiSpec) -> Iterator[str]:
    """Yield what comes out beside the result."""
    yield "each party learns how many keys the others bring"
    if spec.learns == "size":
        yield Text("{party} learns how many of its keys match, and not which", party=spec.receiver)
        yield _apart(spec.receiver)
    elif spec.learns == "one":
        yield Text(
            "{party} learns which of its keys match: {protocol} tells its receiver the keys",
            party=spec.receiver,
            protocol=spec.protocol,
        )
    else:
        yield "each party learns which of its keys match"
    if len(spec.roster) > 2:
        yield Text(
            "{party} learns which of its keys each single one of the others has: the protocol runs "
            "with one after the other",
            party=spec.receiver,
        )
    if spec.tells_others:
        yield Text(
            "the others learn from {party} which of their keys all have, after it has learned it: "
            "that it leaves none out is its word",
            party=spec.receiver,
        )
    if spec.size_first:
        yield Text("{party} learns how many keys match before the job goes on",
                   party=spec.others(spec.receiver)[0])  # fmt: skip
        yield _apart(spec.others(spec.receiver)[0])
        yield Text(
            "that the keys of {party} are the same before and after that is the word of {party}",
            party=spec.receiver,
        )
    yield from _joined(spec)
    if spec.tells_size:
        yield "everybody with the report learns how many keys match"
    elif spec.bytes_tell_size:
        yield (
            "about how many keys match can be worked out from the bytes of the channels, which the "
            "operator sees and the report tells: what the parties send each other grows with it"
        )


def _apart(party: str) -> str:
    """Return what the size alone rests on: an engine scales each key by a secret, all by one."""
    return Text(
        "that {party} does not learn which of them is the word of its engine: one that disguises "
        "each key in a way of its own tells their answers apart",
        party=party,
    )


def _joined(spec: PsiSpec) -> Iterator[str]:
    """Yield what a join other than the inner one lets out, and the columns that are handed over."""
    granting = [one.party for one in spec.sides if one.granted]
    for party in granting:
        others = [one for one in spec.learners if one != party]
        if others:
            yield Text(
                "{others} learns the columns {columns} of {party}'s rows that match",
                others=", ".join(others),
                columns=", ".join(spec.side(party).granted),
                party=party,
            )
    if spec.join in {"right", "full"}:
        other = spec.others(spec.receiver)[0]
        yield Text(
            "{party} learns how many rows of {other} do not match, with their columns and without "
            "their keys",
            party=spec.receiver,
            other=other,
        )
    if spec.join in {"left", "full"} and spec.learns == "all":
        other = spec.others(spec.receiver)[0]
        yield Text(
            "{party} learns how many rows of {other} do not match, with their columns and without "
            "their keys",
            party=other,
            other=spec.receiver,
        )
