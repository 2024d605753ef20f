"""Pauses between tries: each twice as long as the one before it, up to a longest one."""

from __future__ import annotations


class Pauses:
    """The pauses of one who tries again, in seconds.

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

    def restart(self) -> None:
        """Begin with the first one again: a try succeeded."""
        self._next = self._first

    def exhaust(self) -> None:
        """Go on with the longest one: there is no hurry."""
        self._next = self._longest
