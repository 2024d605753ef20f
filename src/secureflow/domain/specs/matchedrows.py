"""The rows on which a step computes because they matched in an intersection before it.

They stay where they are. What a spec holds is the intersection's job, and of each party the digest
of its own *selection*: which of its rows match, in the order of their keys, so that the n-th row of
one party is the n-th of any other. A digest is salted with a secret of that party, so nobody can
test a guess against it; each party compares its own (`agent.owner.matchedrows`).

Under differential privacy one person counts in every owner's figures at once: who leaves one
owner's data takes the rows that matched elsewhere along. So each release is charged as if noise
hid `moved_rows` rows (group privacy: the sensitivity is as many times as large).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from secureflow.domain.fieldfaults import DIGEST_PATTERN, ID_PATTERN, SLUG_PATTERN
from secureflow.domain.specs.notyet import NO_DIGEST, NOT_YET

MATCHED: Final = "matched"
"""The name of the input, and of the output, over which matched rows come (`ports.PORTS`)."""
LEAST_MATCHED: Final = 10
"""Fewest rows that must match where exact figures of them are opened."""


_STRICT: Final = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)


@dataclass(frozen=True)
class Selection:
    """What a party's selection is known by."""

    __pydantic_config__ = _STRICT
    party: Annotated[str, Field(pattern=SLUG_PATTERN)]
    digest: Annotated[str, Field(pattern=DIGEST_PATTERN)]


@dataclass(frozen=True)
class MatchedRows:
    """Which rows alone a job reads of each party.

    Args:
        job: the intersection in which they matched.
        selections: of each party whose rows are read, by their names.
    """

    __pydantic_config__ = _STRICT
    job: Annotated[str, Field(pattern=ID_PATTERN)]
    selections: Annotated[tuple[Selection, ...], Field(min_length=1, max_length=256)]

    @classmethod
    def of(cls, job: str, digests: Mapping[str, str]) -> MatchedRows:
        """Return the rows that matched in a job: party → digest."""
        return cls(job, tuple(Selection(*one) for one in sorted(digests.items())))

    @property
    def digests(self) -> dict[str, str]:
        """The digests by party."""
        return {one.party: one.digest for one in self.selections}


def provisional_rows(parties: tuple[str, ...]) -> MatchedRows:
    """Return what stands for the rows of these parties before they are known."""
    return MatchedRows.of(NOT_YET, dict.fromkeys(parties, NO_DIGEST))


def owners_of(spec: Any) -> tuple[str, ...]:
    """Return the parties of a roster whose rows are read, in its order."""
    return tuple(one.party for one in spec.roster if one.dataset)


def moved_rows(spec: Any) -> int:
    """Return how many owners' rows one person moves at once: all, where rows matched; else 1."""
    return 1 if spec.rows is None else len(owners_of(spec))
