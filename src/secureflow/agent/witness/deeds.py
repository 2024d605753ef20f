"""What is told of an agent's own leaves and accepted heads, in the transaction that stores them."""

from __future__ import annotations

from typing import Protocol

from secureflow.agent.record.records import OwnLeaf


class Deeds(Protocol):
    """Is told; `agent.witness.owndeeds` anchors them."""

    def leaf(self, leaf: OwnLeaf, spec: str) -> None:
        """Note an own leaf of a job with this spec."""

    def head(self, note: str) -> None:
        """Note an accepted head, as the log signed it."""
