"""Token buckets: a rate for each key, in bounded memory, with a given clock."""

from __future__ import annotations

from collections import OrderedDict

from secureflow.kit.clock import Ticks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class Throttle:
    """Allows `burst` at once and `rate` per second after that, for each key.

    Memory is bounded by `keys`: the least recently used key is forgotten first, and a full bucket
    is the same as none.
    """

    def __init__(self, rate: float, burst: int, ticks: Ticks, *, keys: int = 10_000) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._ticks = ticks
        self._keys = keys
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Take one from the key's bucket; return 0.0, or the seconds to wait if it is empty."""
        level = self._level(key)
        if level < 1.0:
            return (1.0 - level) / self._rate
        self._set(key, level - 1.0)
        return 0.0

    def charge(self, key: str, amount: float) -> None:
        """Take what was already used, even below zero: later callers wait for it."""
        self._set(key, self._level(key) - amount)

    def pace(self, key: str, amount: float) -> float:
        """Take what was already used; return how long to pause before the next, in seconds."""
        self.charge(key, amount)
        return max(0.0, -self._level(key) / self._rate)

    def give_back(self, key: str) -> None:
        """Return one that turned out not to count."""
        if key in self._buckets:
            self._set(key, min(self._burst, self._level(key) + 1.0))

    def forget(self, key: str) -> None:
        """Fill the key's bucket again."""
        self._buckets.pop(key, None)

    def _set(self, key: str, level: float) -> None:
        self._buckets[key] = (level, self._ticks())
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._keys:
            self._buckets.popitem(last=False)

    def _level(self, key: str) -> float:
        level, since = self._buckets.get(key, (self._burst, self._ticks()))
        return min(self._burst, level + (self._ticks() - since) * self._rate)


def too_fast(seconds: float) -> SecureFlowError:
    """Return the error that says how long to wait."""
    wait = max(1, int(seconds + 0.999))
    return SecureFlowError(
        "rate_limited",
        "Too many requests from here.",
        Text("Wait {wait} s and try again.", wait=wait),
        {"retry_after": wait},
    )
