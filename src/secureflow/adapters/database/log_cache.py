"""A cache of what the sequencer wrote lately: proofs of recent leaves need no query.

Nodes, leaf numbers and checkpoints never change once they are committed, so nothing here can become
stale; missing items are read from the database.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

NODES = 1 << 16
LEAVES = 1 << 13
NOTES = 64


class Bounded(Generic[K, V]):
    """A mapping that drops the oldest entries."""

    def __init__(self, capacity: int) -> None:
        self._items: OrderedDict[K, V] = OrderedDict()
        self._capacity = capacity

    def get(self, key: K) -> V | None:
        """Return the value if it is still cached."""
        return self._items.get(key)

    def add(self, items: Iterable[tuple[K, V]]) -> None:
        """Add items."""
        self._items.update(items)
        while len(self._items) > self._capacity:
            self._items.popitem(last=False)


class LogCache:
    """Committed tree nodes by place, leaf numbers by hash, checkpoint notes by size.

    Only complete, committed batches are added. `size` is the largest size known to be committed.
    """

    def __init__(self) -> None:
        self.nodes: Bounded[int, bytes] = Bounded(NODES)
        self.numbers: Bounded[bytes, int] = Bounded(LEAVES)
        self.notes: Bounded[int, str] = Bounded(NOTES)
        self.size = 0
