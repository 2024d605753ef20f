"""Who can see what of a private set intersection, and which attacks are stopped: from the spec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from secureflow.domain.specs.psi import PsiSpec
from secureflow.engines.run.explaining import Row, attack_rows, sight_rows
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text, one_after_the_other

_CIPHERTEXT: Final = "the centre carries what agents encrypt for each other"
_FOLLOWED: Final = "the protocol is proved for parties that follow it"
_SIGNED: Final = "every owner has approved that: it stands in the spec"
_COMMITTED: Final = (
    "the log holds a salted commitment to the keys, signed before the run: evidence in a dispute, "
    "and no more"
)

_COMPARED: Final = (
    "each of the others looks its keys up in its own list, and they compare with one another what "
    "they were told; one that acts together with the receiver does not"
)
_LEFT_OUT: Final = (
    "nobody else has seen the lists side by side; one that tells nothing is named, after it has "
    "learned"
)
_NOT_BROUGHT: Final = (
    "nothing compares what it tells with what it committed to: each key that all the others have "
    "counts as shared, with their columns; one that somebody lacks ends the job"
)
_AGAIN: Final = (
    "each attempt commits to its keys; those that have changed are charged as new ones, and so are "
    "all after a run that ended; who commits to the same, brings others and cuts the run off is not"
)


def disclosure(spec: PsiSpec) -> list[dict[str, JSON]]:
    """Return what each kind of party can learn from the job, and why."""
    return sight_rows(_sights(spec))


def attacks(spec: PsiSpec) -> list[dict[str, JSON]]:
    """Return common attacks: `stopped` is yes, partly or no, and why."""
    return attack_rows(_attacks(spec))


def _sights(spec: PsiSpec) -> Iterator[Row]:
    yield "owner", "its own rows, and how many keys the others bring", _FOLLOWED
    for party in spec.learners:
        yield party, _learns(spec, party), _SIGNED
    if len(spec.roster) > 2:
        yield (
            spec.receiver,
            "the intersection with each single one of the others: more than what all of them share",
            "the protocol is one of two parties, and runs with one after the other",
        )
    if spec.size_first:
        other = spec.others(spec.receiver)[0]
        yield other, "how many keys match, before the job goes on", _SIGNED
    told = "how many keys each party brings, bytes and times"
    if spec.tells_size:
        told = "how many keys each party brings, how many match, bytes and times"
    elif spec.bytes_tell_size:
        told = "how many keys each party brings, bytes and times; from these about how many match"
    yield "operator", told, _CIPHERTEXT
    yield "network", "sizes and times", "TLS 1.3"
    yield (
        "whoever has the report",
        told,
        "keys and rows stay at the agents; results are at whoever learns them",
    )


def _learns(spec: PsiSpec, party: str) -> str:
    """Return what a party learns of the result."""
    if spec.learns == "size":
        return "how many of its keys the other party has, and not which"
    all_have = spec.tells_others and party != spec.receiver
    learned: list[str] = [
        "which of its keys all have" if all_have else "which of its keys the others have"
    ]
    for other in spec.others(party):
        if granted := spec.side(other).granted:
            columns = ", ".join(granted)
            learned.append(Text("of {party}'s rows that match: {columns}", party=other,
                                columns=columns))  # fmt: skip
    theirs = "right" if party == spec.receiver else "left"
    if spec.join in {theirs, "full"}:
        learned.append("how many rows of the other party do not match, and their columns")
    return one_after_the_other(learned)


def _attacks(spec: PsiSpec) -> Iterator[Row]:
    yield "the operator reads keys or rows", "yes", _CIPHERTEXT
    yield (
        "the operator connects an agent to another one than the approved party",
        "yes",
        "each channel's certificate is signed by the organisation, for this job and attempt",
    )
    yield from _probing(spec)
    yield (
        "a party brings other keys than it has",
        "no",
        _COMMITTED,
    )
    yield (
        "a party leaves the protocol to learn more",
        "no",
        "the protocols are proved for parties that follow them",
    )
    yield from _telling(spec)
    yield (
        "a party shows other keys later than it brought",
        "yes",
        "the log holds its commitment to them, signed before the run",
    )
    yield from _minimum(spec)


def _telling(spec: PsiSpec) -> Iterator[Row]:
    """Yield what a receiver can do that tells the others what all have."""
    if not spec.tells_others:
        return
    added = Text(
        "{party} tells the others keys that one of them does not have, or each of them other keys",
        party=spec.receiver,
    )
    yield added, "partly", _COMPARED
    tested = Text(
        "{party} tells the others keys that it did not bring, to learn whether all of them have "
        "them",
        party=spec.receiver,
    )
    yield tested, "no", _NOT_BROUGHT
    left = Text("{party} leaves keys out of what it tells the others", party=spec.receiver)
    yield left, "no", _LEFT_OUT


def _probing(spec: PsiSpec) -> Iterator[Row]:
    """Yield what stops a party that tries keys out."""
    yield (
        "a receiver makes keys up, to learn whether somebody is a customer of the other",
        "partly",
        one_after_the_other(list(_tested(spec))),
    )
    yield (
        "a job is made to fail, and begun again with other keys",
        "partly",
        _AGAIN,
    )


def _tested(spec: PsiSpec) -> Iterator[str]:
    """Yield how many keys can be tested."""
    yield "the owner's agent limits how many keys are tested over all jobs and partners"
    yield Text(
        "in this job it is at most {count} of parties that keep to the lists they committed to, "
        "and {worst} of others, in {attempts} {attempts:attempt|attempts}",
        count=max(map(spec.probes, spec.parties)),
        worst=max(map(spec.probes_at_worst, spec.parties)),
        attempts=spec.attempts,
    )
    if spec.engine.name == "spu":
        yield "that a list is no longer than its party said is the word of its engine"


def _minimum(spec: PsiSpec) -> Iterator[Row]:
    """Yield whether a small intersection is kept from the receiver."""
    if not spec.minimum:
        return
    attack = "an intersection is so small that it names single persons"
    if spec.size_first:
        why: str = (
            "the party that does not receive learns the size first, and stops there; a receiver "
            "that brings another list afterwards is not stopped"
        )
        yield attack, "partly", why
    else:
        why = "the receiver's own agent shows none below the minimum; one that is altered does"
        yield attack, "partly", why
