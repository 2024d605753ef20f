"""Which of the known names somebody may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

MOST: Final = 3
_SOME: Final = 20
_LONGEST: Final = 130
_PART: Final = 3
"""Fewest characters by which a part of a name is taken for it."""


def alike(name: str, known: Iterable[str], most: int = MOST) -> list[str]:
    """Return the names most like one: those of nearly its letters, then those that it is part of.

    Args:
        name: what somebody wrote; upper and lower case are one.
        known: the names that there are.
        most: how many to return.
    """
    written, names = name[:_LONGEST].strip().lower(), {one.lower(): one for one in known}
    close = get_close_matches(written, names, most)
    within = [one for one in names if len(written) >= _PART and written in one]
    return [names[one] for one in dict.fromkeys([*close, *within])][:most]


def some(names: Iterable[str], most: int = _SOME) -> str:
    """Return names one after the other, of many the first."""
    listed = list(names)
    return ", ".join([*listed[:most], *(["…"] if len(listed) > most else [])])
