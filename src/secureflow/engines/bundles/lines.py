"""The shortest edit of one list of lines into another, within a bound of work.

Myers, "An O(ND) difference algorithm and its variations" (1986), after what both lists have in
common at their ends is set aside. Whoever writes the lists may want the comparison to take for
ever: when the work is used up, the differing middle counts as replaced as a whole, which is true,
and only longer than need be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Tag = Literal[" ", "-", "+"]
Step = tuple[Tag, int, int]
"""What happens to a line: kept, removed or added; its index in the old and in the new list."""


@dataclass
class Work:
    """How many comparisons may still be made; several edits can share it."""

    left: int

    def take(self, amount: int) -> bool:
        """Take so many; False if there are not that many left."""
        self.left -= amount
        return self.left >= 0


def edit(old: Sequence[str], new: Sequence[str], work: Work) -> list[Step]:
    """Return the steps from the old lines to the new ones, in order."""
    ahead = _common(old, new)
    behind = min(_common(old[::-1], new[::-1]), min(len(old), len(new)) - ahead)
    until_old, until_new = len(old) - behind, len(new) - behind
    middle = _middle(old[ahead:until_old], new[ahead:until_new], work)
    return [
        *((" ", at, at) for at in range(ahead)),
        *((tag, x + ahead, y + ahead) for tag, x, y in middle),
        *((" ", until_old + at, until_new + at) for at in range(behind)),
    ]


def _common(old: Sequence[str], new: Sequence[str]) -> int:
    pairs = zip(old, new, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(old), len(new)))


def _middle(old: Sequence[str], new: Sequence[str], work: Work) -> list[Step]:
    trace = _frontiers(old, new, work) if old and new else None
    if trace is None:
        return [
            *(("-", at, 0) for at in range(len(old))),
            *(("+", len(old), at) for at in range(len(new))),
        ]
    steps: list[Step] = []
    x, y = len(old), len(new)
    for edits in range(len(trace) - 1, 0, -1):
        before, diagonal = trace[edits - 1], x - y
        down = _goes_down(before, diagonal)
        came = diagonal + 1 if down else diagonal - 1
        start = before[came]
        first = start if down else start + 1
        while x > first:
            x, y = x - 1, y - 1
            steps.append((" ", x, y))
        x, y = start, start - came
        steps.append(("+", x, y) if down else ("-", x, y))
    while x:
        x, y = x - 1, y - 1
        steps.append((" ", x, y))
    return steps[::-1]


def _frontiers(old: Sequence[str], new: Sequence[str], work: Work) -> list[dict[int, int]] | None:
    """Return the furthest x on each diagonal after 0, 1, 2, … edits; None without enough work."""
    trace: list[dict[int, int]] = []
    before: dict[int, int] = {1: 0}
    for edits in range(len(old) + len(new) + 1):
        reached: dict[int, int] = {}
        for diagonal in range(-edits, edits + 1, 2):
            if edits and not -len(new) <= diagonal <= len(old):
                continue
            down = edits == 0 or _goes_down(before, diagonal)
            start = before[diagonal + 1] if down else before[diagonal - 1] + 1
            x = min(start, len(old))
            while x < len(old) and x - diagonal < len(new) and old[x] == new[x - diagonal]:
                x += 1
            if not work.take(1 + x - start):
                return None
            reached[diagonal] = x
            if x >= len(old) and x - diagonal >= len(new):
                return [*trace, reached]
        trace.append(reached)
        before = reached
    return None  # pragma: no cover - an edit of all lines is always found


def _goes_down(before: dict[int, int], diagonal: int) -> bool:
    """Tell whether a line is added (else one is removed) to get onto this diagonal."""
    left, right = before.get(diagonal - 1, -1), before.get(diagonal + 1, -1)
    return left < right
