"""Statements of members about what they anchored, as the centre keeps them (`engines.anchors`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

MOST_HELD: Final = 2_000
"""Statements of one organisation; beyond that the oldest go."""
MOST_TOLD: Final = 50
"""Statements in one message."""


@dataclass(frozen=True)
class AnchorRecord:
    """One statement.

    Args:
        id: when it came, and `digest`: in the order in which they came.
        digest: of organisation, place and entry, in hex: the same deed is kept once.
        organisation: who signed it.
        place: `Anchor.place`.
        kind: of the deed.
        job: digest that stands for the job, hex; empty for others.
        statement: with its signature.
        at: unix seconds when the deed was final, by the organisation.
        size: of a head; 0 for others.
    """

    id: str
    digest: str
    organisation: str
    place: str
    kind: str
    job: str
    at: int
    size: int = 0
    statement: dict[str, Any] = field(default_factory=dict, repr=False)
