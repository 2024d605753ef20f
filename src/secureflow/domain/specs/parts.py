"""Jobs that another job starts as its parts: whose they are, and what they set, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.kit.canonical import JSON
from secureflow.kit.plain import shown

MOST_PARTS: Final = 64
"""Most points of a sweep."""


def has_own_turn(spec: Mapping[str, Any]) -> bool:
    """Tell whether a stored job takes a place in the queue: a timetable only waits.

    A part runs in the place of its whole, but for a run of a timetable, which has its own time.
    """
    if spec.get("timetable") is not None:
        return False
    return spec.get("part_of") is None or spec.get("not_after") is not None


def settings_of(sets: Mapping[str, JSON]) -> str:
    """Return `field = value` of everything that a part sets, without hidden characters."""
    return ", ".join(f"{shown(str(name))} = {setting(one)}" for name, one in sets.items())


def setting(value: JSON) -> str:
    """Write the value of a setting, every digit of it; lists in brackets."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(setting, value)) + "]"
    if isinstance(value, bool) or value is None:
        return "none" if value is None else str(value).lower()
    return shown(str(value))
