"""The spec of a private set intersection (PSI): which rows of two or more owners have equal keys.

Each party reads its own key columns, normalises them by the rules that all signed, and runs the
protocol with the others over channels that end at the agents. What comes of it stands in a file at
whoever learns it; nobody else, and not the centre, sees a key or a row.

What parties learn beside that is part of what they sign: each learns how many keys the others have
(at most `most_rows`); with more than two parties the receiver runs the protocol with each of the
others, so it learns every pairwise intersection; columns of others come only where these learn what
matches, for they could not choose the rows otherwise.

A minimum size binds the receiver's own agent: an honest one shows no smaller intersection. With
`size_first` it binds whoever does not receive: a protocol that tells it the size alone runs first.
That the receiver's list is the same in both is the receiver's word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from secureflow.domain.bounds import Bounds
from secureflow.domain.partyengines import EngineNeeded
from secureflow.domain.specs.base import (
    STRICT,
    Column,
    Problem,
    Slug,
    SpecBase,
    dump,
    refuse,
    roster_problem,
)
from secureflow.domain.specs.keyrules import MOST_PARTS, KeyRules
from secureflow.domain.texts import ONE_LINE
from secureflow.kit.canonical import digest
from secureflow.kit.text import Text

MAX_GRANTED: Final = 64
"""Most columns of a party that stand beside the key."""
MAX_ROWS: Final = 100_000_000
MAX_ATTEMPTS: Final = 10
SMALL: Final = 100_000
"""Most rows for the protocol that tells the size alone: slower, and with greater messages."""

_KEY_BYTES: Final = 128
"""On the disk for each key: as it is sorted and as it is listed, 32 each; twice the 16 that an
engine gets; and up to four places of 8 that match."""
_CELL_BYTES: Final = 64
"""For each cell of a result: as a worker writes it, and as it is kept."""

Learns = Literal["one", "all", "size"]
Join = Literal["inner", "left", "right", "full", "difference"]
PsiProtocol = Literal["rr22", "kkrt", "ecdh", "openmined"]
EngineName = Literal["spu", "openmined"]
ENGINES: Final[Mapping[PsiProtocol, EngineName]] = {
    "rr22": "spu", "kkrt": "spu", "ecdh": "spu", "openmined": "openmined",
}  # fmt: skip
"""Which engine runs a protocol."""
VERSIONS: Final[Mapping[EngineName, str]] = {"spu": "0.9.5", "openmined": "2.0.6"}
"""The versions that a job is drafted for."""
PROGRAM: Final = "psi"
"""The name of the program, in every engine that has it."""
_ASKS_OTHERS: Final = frozenset({"right", "full"})
_OWN_ROWS: Final = frozenset({"left", "difference"})
MATCHED: Final = "matched"
"""The column of the result that says whether a row has an equal at the others."""
ROW: Final = "row"
"""The column of the number that a row has in its owner's file, from 1."""


@dataclass(frozen=True)
class PsiEngine:
    """What runs the protocol: every party must have this very version."""

    __pydantic_config__ = STRICT
    name: EngineName
    version: Annotated[str, Field(min_length=1, max_length=64), ONE_LINE]


@dataclass(frozen=True)
class PsiSide:
    """What one party brings.

    Args:
        party: of the roster.
        key: its columns that make up the key, as many as there are rules, in their order.
        granted: its columns that go into the results beside the key.
        most_rows: the most keys that it may bring: so many are tested against the others' data.
    """

    __pydantic_config__ = STRICT
    party: Slug
    key: Annotated[tuple[Column, ...], Field(min_length=1, max_length=MOST_PARTS)]
    granted: Annotated[tuple[Column, ...], Field(max_length=MAX_GRANTED)] = ()
    most_rows: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 1_000_000

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read of this party."""
        return tuple(dict.fromkeys((*self.key, *self.granted)))


@dataclass(frozen=True)
class PsiLimits:
    """How long things may take.

    Args:
        patience_seconds: without progress, after which a party counts as silent.
        seconds: of one attempt, at most.
    """

    __pydantic_config__ = STRICT
    patience_seconds: Annotated[float, Field(gt=0.0, le=86_400.0)] = 60.0
    seconds: Annotated[float, Field(ge=1.0, le=86_400.0)] = 3600.0


@dataclass(frozen=True)
class PsiSpec(SpecBase):
    """A private set intersection as every party signs it.

    Args:
        sides: what each party brings, in the roster's order.
        key: how the columns of the key are normalised.
        learns: who learns which keys match: the receiver alone (`one`), every party (`all`), or
            nobody: the receiver learns how many (`size`).
        receiver: the party that learns.
        join: which rows stand in a result: those that match (`inner`); with them the receiver's
            others (`left`), the other party's (`right`) or both (`full`); or its reader's rows
            without a match alone (`difference`).
        protocol: that the engine runs.
        engine: with its version.
        minimum: the smallest intersection that may be shown; 0 for any.
        size_first: whether who does not receive learns the size first, and can stop there.
        tells_size: whether the report tells everybody how many keys match: so the keys of every
            party are tested against the others' data.
        attempts: how often it may be begun; an attempt that died is repeated from its inputs.
        limits: of the job.
    """

    __pydantic_config__ = STRICT
    sides: Annotated[tuple[PsiSide, ...], Field(min_length=1, max_length=256)]
    key: KeyRules
    learns: Learns
    receiver: Slug
    engine: PsiEngine
    join: Join = "inner"
    protocol: PsiProtocol = "rr22"
    minimum: Annotated[int, Field(ge=0, le=MAX_ROWS)] = 0
    size_first: bool = False
    tells_size: bool = False
    attempts: Annotated[int, Field(ge=1, le=MAX_ATTEMPTS)] = 3
    limits: PsiLimits = field(default_factory=PsiLimits)
    protection: Literal["peers"] = "peers"
    kind: Literal["psi"] = "psi"
    script: Literal["psi/1"] = "psi/1"
    v: Literal[1] = 1

    def side(self, party: str) -> PsiSide:
        """Return what a party of the roster brings."""
        return next(one for one in self.sides if one.party == party)

    def columns_of(self, party: str) -> tuple[str, ...]:
        """Every column that is read of a party."""
        return self.side(party).columns

    def others(self, party: str) -> tuple[str, ...]:
        """Return the other parties, in the roster's order."""
        return tuple(one for one in self.parties if one != party)

    @property
    def learners(self) -> tuple[str, ...]:
        """The parties that get a result; with `size` that is a number."""
        return self.parties if self.learns == "all" else (self.receiver,)

    def place(self, party: str) -> str:
        """Return which side of a join a party is: the receiver is the left one."""
        return "left" if party == self.receiver else "right"

    def shows_others(self, owner: str, reader: str) -> bool:
        """Tell whether a reader's result has rows of an owner that do not match."""
        if owner == reader and self.join == "difference":
            return True
        return self.join in {"full", self.place(owner)}

    def hands_over(self, owner: str) -> bool:
        """Tell whether a party gives the other one columns, or word, of rows beside the keys."""
        return self.learns == "all" and (
            bool(self.side(owner).granted) or self.join in {"full", self.place(owner)}
        )

    def testers(self, party: str) -> tuple[str, ...]:
        """Return whose keys are tested against a party's data: single ones, or how many match.

        Nobody's where nobody learns anything of its keys but how many there are.
        """
        return self.others(party) if self.tells_size else self._testing_each_time(party)

    def _testing_each_time(self, party: str) -> tuple[str, ...]:
        """Return those that learn of their keys in every attempt; a report is there once."""
        learn = self.parties if self.size_first and party == self.receiver else self.learners
        return tuple(one for one in self.others(party) if one in learn)

    @property
    def bytes_tell_size(self) -> bool:
        """Whether messages grow with what matches: SPU tells both, or columns are handed over."""
        handed = any(map(self.hands_over, self.parties))
        return self.learns == "all" and (handed or self.engine.name == "spu")

    def probes(self, party: str) -> int:
        """Return how many keys of others are tested, at most, against a party's data.

        If they keep to the lists that they committed to; else see `probes_at_worst`.
        """
        return self._most_rows(self.testers(party))

    def probes_at_worst(self, party: str) -> int:
        """Return how many are if others bring another list in each attempt, of the same length."""
        again = self._testing_each_time(party)
        once = (one for one in self.testers(party) if one not in again)
        return self.attempts * self._most_rows(again) + self._most_rows(once)

    def _most_rows(self, parties: Iterable[str]) -> int:
        return sum(self.side(one).most_rows for one in parties)

    def file_bytes(self, party: str) -> int:
        """Return what lists, the engine's files and the result take, with cells of usual texts."""
        side, others = self.side(party), [self.side(one) for one in self.others(party)]
        listed = _KEY_BYTES * side.most_rows
        if party not in self.learners or self.learns == "size":
            return listed
        rows = min(one.most_rows for one in self.sides)
        rows += sum(one.most_rows for one in self.sides if self.shows_others(one.party, party))
        columns = 1 + len(side.columns) + sum(len(one.granted) for one in others)
        return listed + _CELL_BYTES * columns * rows

    @property
    def program(self) -> str:
        """The digest of what all parties run: engine, protocol, and how keys are made."""
        return digest(
            {
                "program": PROGRAM,
                "engine": {"name": self.engine.name, "version": self.engine.version},
                "protocol": self.protocol,
                "key": dump(self.key),
                "learns": self.learns,
                "receiver": self.receiver,
                "size_first": self.size_first,
            }
        )

    @property
    def engine_needed(self) -> EngineNeeded:
        """The engine that every party must have, in this version."""
        return self.engine.name, self.engine.version

    @property
    def min_contributors(self) -> int:
        """All: without a party there is nothing to intersect."""
        return len(self.roster)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that the job reads, of any party; `columns_of` says which of whom."""
        return tuple(dict.fromkeys(name for side in self.sides for name in side.columns))

    @property
    def bounds(self) -> tuple[tuple[str, Bounds], ...]:
        """None: nothing is summed."""
        return ()

    @property
    def privacy(self) -> None:
        """None: what matches is told exactly."""
        return

    @property
    def reads_rows(self) -> bool:
        """Every intersection reads rows."""
        return True

    @property
    def tells_rows(self) -> bool:
        """Every party learns how many keys the others have."""
        return True

    @property
    def all_private(self) -> bool:
        """Nothing of it is differentially private."""
        return False

    @property
    def planned_rounds(self) -> int:
        """The most attempts."""
        return self.attempts

    @property
    def parameters(self) -> int:
        """0: no model is updated."""
        return 0

    def facts(self) -> Mapping[str, Any]:
        """Return the policy attributes of intersections; `granted` are `party/column`."""
        return {
            "learns": self.learns,
            "receiver": self.receiver,
            "join": self.join,
            "protocol": self.protocol,
            "engine": self.engine.name,
            "rules": tuple(sorted({one.rule for one in self.key.parts})),
            "granted": tuple(sorted(f"{one.party}/{c}" for one in self.sides for c in one.granted)),
            "most_rows": max(one.most_rows for one in self.sides),
            "minimum": self.minimum,
            "attempts": self.attempts,
        }


def check_psi(spec: PsiSpec) -> None:
    """Refuse contradictions between fields.

    Raises:
        SecureFlowError: `contradictory_spec` naming the field and the reason.
    """
    rules: tuple[Callable[[PsiSpec], Problem | None], ...] = (
        *(_roster_rules, _side_rules, _receiver_rules, _protocol_rules),
        *(_join_rules, _granted_rules, _minimum_rules),
    )
    refuse(next((found for rule in rules if (found := rule(spec))), None))


def _roster_rules(spec: PsiSpec) -> Problem | None:
    return roster_problem(spec, 2)


def _side_rules(spec: PsiSpec) -> Problem | None:
    named = tuple(one.party for one in spec.sides)
    if named != spec.parties:
        missing = next((one for one in spec.parties if one not in named), "")
        strange = next((one for one in named if one not in spec.parties), "")
        reason: str = (
            Text("the columns of {party} are missing", party=missing)
            if missing
            else Text("{party} is not on the roster", party=strange)
            if strange
            else "it does not list each party once, in the roster's order"
        )
        return "columns", reason, "Name the key columns of each party that takes part."
    return next(filter(None, map(_side_problems(spec), spec.sides)), None)


def _side_problems(spec: PsiSpec) -> Callable[[PsiSide], Problem | None]:
    def problem(side: PsiSide) -> Problem | None:
        place = f"columns.{side.party}"
        if len(side.key) != len(spec.key.parts):
            reason: str = Text(
                "its key has {count} {count:column|columns}, and {rules} {rules:rule|rules} are "
                "named",
                count=len(side.key),
                rules=len(spec.key.parts),
            )
            return f"{place}.key", reason, "Name one column of each party for each rule of `key`."
        for name, columns in (("key", side.key), ("granted", side.granted)):
            twice = next((one for one in columns if columns.count(one) > 1), None)
            if twice is not None:
                reason = Text("{column!r} is listed twice", column=twice)
                return f"{place}.{name}", reason, "List each column once."
        both = next((one for one in side.granted if one in side.key), None)
        if both is not None:
            reason = Text("{column!r} is a column of the key already", column=both)
            return f"{place}.granted", reason, "Leave it out."
        return None

    return problem


def _receiver_rules(spec: PsiSpec) -> Problem | None:
    if spec.receiver not in spec.parties:
        reason: str = Text("{party} is not on the roster", party=spec.receiver)
        return "receiver", reason, "Name a party that takes part."
    if len(spec.roster) > 2 and spec.learns != "one":
        reason = (
            "with more than two parties the receiver runs the protocol with each of the others, "
            "and only it can tell what all have"
        )
        return "learns", reason, "Name the one party that learns it."
    return None


def _protocol_rules(spec: PsiSpec) -> Problem | None:
    needed = ENGINES[spec.protocol]
    if spec.engine.name != needed:
        reason: str = Text(
            "{engine} has no protocol {protocol}", engine=spec.engine.name, protocol=spec.protocol
        )
        return "protocol", reason, Text("The engine of it is {engine}.", engine=needed)
    if spec.learns == "size" and spec.protocol != "openmined":
        reason = Text(
            "with {protocol} the receiver learns which of its keys match, not only how many",
            protocol=spec.protocol,
        )
        return "protocol", reason, "Name openmined, whose receiver can be told the size alone."
    if spec.protocol == "openmined" or spec.size_first:
        many = next((one for one in spec.sides if one.most_rows > SMALL), None)
        if many is not None:
            reason = Text(
                "{party} may bring {count} keys, and the protocol openmined takes {most} at most",
                party=many.party,
                count=many.most_rows,
                most=SMALL,
            )
            return "most_rows", reason, "Lower it, or name another protocol without size_first."
    return None


def _join_rules(spec: PsiSpec) -> Problem | None:
    if spec.learns == "size" and spec.join != "inner":
        return "join", "a number has no rows", "Leave join out, or say who learns the keys."
    if spec.join in _ASKS_OTHERS and spec.learns != "all":
        reason: str = Text(
            "rows of the other party that do not match come only from a party that learns which do",
        )
        hint = "Set learns to all, or join to inner or left."
        return "join", reason, hint if len(spec.roster) == 2 else "Set join to inner or left."
    return None


def _granted_rules(spec: PsiSpec) -> Problem | None:
    theirs = next((one for one in spec.sides if one.granted and one.party != spec.receiver), None)
    if theirs is not None and spec.learns == "one":
        reason: str = Text(
            "{party} would have to learn which of its rows match, to hand their columns over",
            party=theirs.party,
        )
        hint = "Set learns to all, or leave its granted columns out."
        if len(spec.roster) > 2:
            hint = "Leave them out: with more than two parties one alone learns which rows match."
        return f"columns.{theirs.party}.granted", reason, hint
    granting = next((one for one in spec.sides if one.granted), None)
    if granting is not None and spec.learns == "size":
        return (
            f"columns.{granting.party}.granted",
            "a number has no columns",
            "Leave them out, or say who learns the keys.",
        )
    if theirs is not None and spec.join == "difference":
        return (
            f"columns.{theirs.party}.granted",
            "rows without a match have no columns of another party",
            "Leave them out, or set join to inner.",
        )
    return next(_clashes(spec), None)


def _clashes(spec: PsiSpec) -> Iterator[Problem]:
    """Yield columns whose names would stand twice in a result."""
    hint = "Leave it out, or have its owner name it otherwise."
    for side in spec.sides:
        for name in (*side.key, *side.granted):
            if name in {ROW, MATCHED}:
                place = "key" if name in side.key else "granted"
                reason = Text("a column of the result is called {column!r} already", column=name)
                yield f"columns.{side.party}.{place}", reason, hint
    for reader in (spec.side(one) for one in spec.learners):
        for other in (spec.side(one) for one in spec.others(reader.party)):
            twice = next((one for one in other.granted if one in reader.columns), None)
            if twice is not None:
                reason = Text("{party} has a column {column!r} as well", party=reader.party,
                              column=twice)  # fmt: skip
                yield f"columns.{other.party}.granted", reason, hint


def _minimum_rules(spec: PsiSpec) -> Problem | None:
    if spec.size_first and not spec.minimum:
        reason = "there is no minimum that the size could be compared with"
        return "size_first", reason, "Set minimum, or leave size_first out."
    if spec.size_first and (len(spec.roster) != 2 or spec.learns != "one"):
        reason = "it tells the size to the one party that does not receive"
        return "size_first", reason, "Use two parties, of which one learns the keys."
    least = min(one.most_rows for one in spec.sides)
    if spec.minimum > least:
        return "minimum", "a party may not bring that many keys", "Lower it, or raise most_rows."
    return None
