"""How often each party's open link was replaced by a newer one (`domain.replacedlinks`)."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from secureflow.domain.replacedlinks import COUNTED_SECONDS
from secureflow.kit.clock import Ticks

MOST: Final = 1000
"""Replacements of one party that are counted; more tell nothing more."""


class Replacements:
    """Counts replacements of each party within `COUNTED_SECONDS`.

    Args:
        ticks: monotonic seconds.
    """

    def __init__(self, ticks: Ticks = time.monotonic) -> None:
        self._ticks = ticks
        self._at: dict[str, deque[float]] = {}

    def note(self, party: str) -> int:
        """Count one more; return the party's number."""
        self._at.setdefault(party, deque(maxlen=MOST)).append(self._ticks())
        return self.count(party)

    def count(self, party: str) -> int:
        """Return how often a party's link was replaced lately."""
        known = self._at.get(party)
        if known is None:
            return 0
        while known and known[0] <= self._ticks() - COUNTED_SECONDS:
            known.popleft()
        if not known:
            del self._at[party]
        return len(known)
