"""The spec of a private set intersection (PSI): which rows of two or more owners have equal keys.

Each party reads its own key columns, normalises them by the rules that all signed, and runs the
protocol with the others over channels that end at the agents. What comes of it stands in a file at
whoever learns it; nobody else, and not the centre, sees a key or a row.

What parties learn beside that is part of what they sign: each learns how many keys the others have
(at most `most_rows`); with more than two parties the receiver runs the protocol with each of the
others, so it learns what it shares with each single one, and if all learn it tells the others which
of their keys all have; columns of others come only where these learn what matches, for they could
not choose the rows otherwise.

A minimum size binds the receiver's own agent: an honest one shows no smaller intersection. With
`size_first` it binds whoever does not receive: a protocol that tells it the size alone runs first.
That the receiver's list is the same in both is the receiver's word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from secureflow.domain.bounds import Bounds
from secureflow.domain.partyengines import EngineNeeded
from secureflow.domain.specs.base import (
    MAX_PEER_MEGABYTES,
    STRICT,
    UNLESS_NONE,
    Column,
    Slug,
    SpecBase,
    dump,
)
from secureflow.domain.specs.keyrules import MOST_PARTS, KeyRules
from secureflow.domain.texts import ONE_LINE
from secureflow.kit.canonical import digest

MAX_GRANTED: Final = 64
"""Most columns of a party that stand beside the key."""
MAX_ROWS: Final = 100_000_000
MAX_ATTEMPTS: Final = 10
SMALL: Final = 100_000
"""Most rows for the protocol that tells the size alone: slower, and with greater messages."""

_KEY_BYTES: Final = 128
"""On the disk for each key: as it is sorted and as it is listed, 32 each; twice the 16 that an
engine gets; and up to four places of 8 that match."""
_TOLD_BYTES: Final = 32
"""For each key that a party tells the others, or is told: as it is written, and as it is kept."""
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
        peer_megabytes: MiB that each party sends and receives over its channels, in all attempts
            together; None for what the estimate lets expect, several times over.
    """

    __pydantic_config__ = STRICT
    patience_seconds: Annotated[float, Field(gt=0.0, le=86_400.0)] = 60.0
    seconds: Annotated[float, Field(ge=1.0, le=86_400.0)] = 3600.0
    peer_megabytes: Annotated[int | None, Field(ge=1, le=MAX_PEER_MEGABYTES), UNLESS_NONE] = None


@dataclass(frozen=True)
class PsiSpec(SpecBase):
    """A private set intersection as every party signs it.

    Args:
        sides: what each party brings, in the roster's order.
        key: how the columns of the key are normalised.
        learns: who learns which keys match: the receiver alone (`one`), every party (`all`), or
            nobody: the receiver learns how many (`size`).
        receiver: the party that learns; with more than two the one that runs the protocol with
            each of the others.
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

    @property
    def tells_others(self) -> bool:
        """Whether the receiver tells the others what all have: the protocol is one of two."""
        return self.learns == "all" and len(self.roster) > 2

    def partners(self, party: str) -> tuple[str, ...]:
        """Return with whom a party runs the protocol."""
        return self.others(party) if party == self.receiver else (self.receiver,)

    def place(self, party: str) -> str:
        """Return which side of a join a party is: the receiver is the left one."""
        return "left" if party == self.receiver else "right"

    def shows_others(self, owner: str, reader: str) -> bool:
        """Tell whether a reader's result has rows of an owner that do not match."""
        if owner == reader and self.join == "difference":
            return True
        return self.join in {"full", self.place(owner)}

    def hands_over(self, owner: str) -> bool:
        """Tell whether a party gives the others columns, or word, of rows beside the keys."""
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
        """Whether messages grow with what matches: SPU tells both, or columns are handed over.

        What a receiver tells the others has the length of the shortest list, whatever matches.
        """
        handed = any(map(self.hands_over, self.parties))
        both = self.engine.name == "spu" and not self.tells_others
        return self.learns == "all" and (handed or both)

    def probes(self, party: str) -> int:
        """Return how many keys of others are tested, at most, against a party's data.

        If they keep to the lists that they committed to; else see `probes_at_worst`.
        """
        return self._most_rows(self.testers(party))

    def probes_at_worst(self, party: str) -> int:
        """Return how many are if others bring another list in each attempt, of the same length.

        A receiver that tells the others what all have can tell of keys that it did not bring.
        """
        again = self._testing_each_time(party)
        once = (one for one in self.testers(party) if one not in again)
        told = self._told_rows if party != self.receiver else 0
        return self.attempts * (self._most_rows(again) + told) + self._most_rows(once)

    @property
    def _told_rows(self) -> int:
        """How many keys a receiver tells the others at most: the shortest list, whole."""
        return min(one.most_rows for one in self.sides) if self.tells_others else 0

    def _most_rows(self, parties: Iterable[str]) -> int:
        return sum(self.side(one).most_rows for one in parties)

    def file_bytes(self, party: str) -> int:
        """Return what lists, the engine's files and the result take, with cells of usual texts."""
        side, others = self.side(party), [self.side(one) for one in self.others(party)]
        listed = _KEY_BYTES * side.most_rows
        listed += _TOLD_BYTES * self._told_rows
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
