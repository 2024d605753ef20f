"""What the centre stores of revenue: agreements, settlements and what members signed in them.

The centre shows it and vouches for none of it: everybody checks signatures, and computes again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

RecordKind = Literal["candidate", "agreement", "settlement", "deed"]


@dataclass(frozen=True)
class RevenueRecord:
    """One record; its id is the hex SHA-256 of what was signed or is to be.

    Args:
        id: the digest.
        project: the project's id.
        kind: an agreement that waits for signatures, one that stands or stood, a settlement, or a
            deed in one.
        at: unix seconds when it came.
        body: the signed JSON; of a settlement `{settlement, computed, by}`.
        settlement: of a deed, the settlement's id.
        organisation: of a deed, who signed it.
        receipt: of a deed, the centre's own leaf about it: `{leaf, document, salt}`.
    """

    id: str
    project: str
    kind: RecordKind
    at: int
    body: dict[str, Any]
    settlement: str = ""
    organisation: str = ""
    receipt: dict[str, Any] = field(default_factory=dict)
