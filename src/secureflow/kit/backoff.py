"""Exponential back-off: each pause is twice as long as the one before it, up to a maximum."""

from __future__ import annotations


class Backoff:
    """The pauses between attempts, in seconds.

    Args:
        first: the first one.
        longest: the longest one.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def next(self) -> float:
        """Return the next pause."""
        pause, self._next = self._next, min(2 * self._next, self._longest)
        return pause

    def reset(self) -> None:
        """Start over with the first one: an attempt succeeded."""
        self._next = self._first

    def exhaust(self) -> None:
        """Continue with the longest one: there is no hurry."""
        self._next = self._longest
