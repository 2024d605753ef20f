"""Who can see what of a computation among parties, and which attacks are stopped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from secureflow.domain.specs.mpc import MpcSpec
from secureflow.domain.specs.mpc_programs import OPENS, RECEIVERS, entry_of
from secureflow.domain.specs.ownprograms import MpycProgram
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
from secureflow.kit.plain import shown
from secureflow.kit.text import Text, one_after_the_other

_CIPHERTEXT: Final = "the centre carries what agents encrypt for each other"
_FOLLOWED: Final = "the protocol is proved for parties that follow it"
_FOLLOWS: Final = "it follows from the result"
_SIGNED: Final = "every owner has approved that: it stands in the spec"
_COMMITTED: Final = (
    "the log holds a salted commitment to them, signed before the run: evidence in a dispute, and "
    "no more"
)
_ITSELF: Final = "the program alone says it: its source is what every owner approves by its digest"
_REPEATED: Final = "for the same job a party's sums and noise are the same, bit by bit"


def disclosure(spec: MpcSpec) -> list[dict[str, JSON]]:
    """Return what each kind of party can learn from the job, and why."""
    return sight_rows(_sights(spec))


def attacks(spec: MpcSpec) -> list[dict[str, JSON]]:
    """Return common attacks: `stopped` is yes, partly or no, and why."""
    if not spec.masked:
        return attack_rows(_engine_attacks(spec))
    private = spec.privacy
    rows = (
        *(_reading(), sybils(spec), _differencing(spec), _narrowing(spec), _overflowing()),
        *(membership(private), averaging(private, _REPEATED)),
        *(subtracting_sums(spec, private), false_sums()),
    )
    return attack_rows(rows)


def _sights(spec: MpcSpec) -> Iterator[Row]:
    if not spec.masked:
        yield from _engine_sights(spec)
        return
    yield "owner", "its own rows, its own sums, the totals", "they are its own"
    yield "other parties", "the totals", "the report is the project's"
    yield from two_parties(spec)
    yield "operator", "the totals over the contributors; never a party's sums", MASKED
    yield "network", "masked bytes, sizes and times", "TLS 1.3"
    if spec.privacy is None:
        yield (
            "whoever has the totals",
            "exact numbers over the rows of all contributors, of small groups and keys too",
            "without differential privacy they are released as they are",
        )
    else:
        yield (
            "whoever has the totals",
            "what noised totals can tell about rows",
            Text("bounded by differential privacy per {unit}", unit=spec.privacy.unit),
        )


def _reading() -> Row:
    return "the operator reads a single party's sums", "yes", MASKED


def _differencing(spec: MpcSpec) -> Row:
    attack = "two totals over sets that differ in one party are subtracted"
    if spec.privacy is None:
        why = (
            "a party that is left out of another job is the difference; the totals of this one are "
            "over the same parties, and who contributed is on record"
        )
        return attack, "no", why
    unit = spec.privacy.unit
    why = f"the noise hides any {unit} of the difference, not the party's figures as a whole"
    return attack, "partly", why


def _narrowing(spec: MpcSpec) -> Row:
    attack = "the analyst asks by groups or keys so fine that a total is that of one row"
    if spec.privacy is None:
        why = "without differential privacy it is told as it is; every owner sees the queries first"
        return attack, "no", why
    return attack, "yes", "every total is noised, that of no rows too"


def _overflowing() -> Row:
    attack = "a sum wraps around in the ring, and another one is told"
    why = "a party refuses a sum beyond 2^50 before it masks, and 256 of these fit into the ring"
    return attack, "yes", why


def _engine_sights(spec: MpcSpec) -> Iterator[Row]:
    if spec.of_others is not None:
        yield from _program_sights(spec, spec.of_others)
        return
    yield "owner", "its own rows, and how many rows and columns the others bring", _FOLLOWED
    entry = entry_of(spec.computation.name)
    told = [what for who, what in entry.learns if who == RECEIVERS]
    for party in spec.learners:
        yield party, one_after_the_other(told), _SIGNED
    yield from ((who, what, _FOLLOWS) for who, what in entry.learns if who != RECEIVERS)
    yield from _beside()


def _beside() -> Iterator[Row]:
    """Yield what those see who compute nothing."""
    yield "operator", "how many rows each party brings, bytes and times", _CIPHERTEXT
    yield "network", "sizes and times", "TLS 1.3"
    yield (
        "whoever has the report",
        "how many rows each party brings, bytes and times",
        "results stay with the receivers, each in a file of its own",
    )


def _program_sights(spec: MpcSpec, own: MpycProgram) -> Iterator[Row]:
    """Yield who sees what of a program of others: which columns it reads comes first."""
    yield "owner", "its own rows, and how many rows and columns the others bring", _FOLLOWED
    for side in spec.sides:
        if side.columns:
            columns = ", ".join(map(shown, side.columns))
            read = Text("reads of {party}: {columns}", party=side.party, columns=columns)
            yield "the program", read, _SIGNED
    for party in spec.learners:
        yield party, "the files that the program writes there, and what it prints", _SIGNED
    yield "every party", OPENS, _ITSELF
    label = entry_of(own.name).protocols[spec.protocol].label
    yield "half of the parties or more, together", "every input", label.collusion
    yield (
        "a party that leaves the protocol",
        "the inputs of this party to the job: its messages can run code in the engine's process",
        one_after_the_other(label.trusted),
    )
    yield from _beside()


def _engine_attacks(spec: MpcSpec) -> Iterator[Row]:
    yield "the operator reads what parties send each other", "yes", _CIPHERTEXT
    yield (
        "the operator connects an agent to another one than the approved party",
        "yes",
        "each channel's certificate is signed by the organisation, for this job and attempt",
    )
    label = entry_of(spec.computation.name).protocols[spec.protocol].label
    if spec.of_others is not None:
        yield "the program opens an input to a party, whoever its receivers are", "no", _ITSELF
        yield (
            "the program reads other data of an owner, or sends something elsewhere",
            "yes",
            "its process has nothing but its inputs, and no network but the job's channels",
        )
    yield "parties put together what they see", "partly", label.collusion
    yield (
        "a party leaves the protocol to learn more",
        "no",
        "the protocols are proved for parties that follow them",
    )
    yield (
        "a party brings other numbers than it has",
        "no",
        _COMMITTED,
    )
    yield (
        "a job is made to fail, and begun again with other numbers",
        "partly",
        Text(
            "an agent refuses a peer that commits to other inputs, and runs nothing again that ran "
            "to its end there; a party that breaks its word and cuts each run off learns of other "
            "inputs in up to {attempts} {attempts:attempt|attempts}",
            attempts=spec.attempts,
        ),
    )
