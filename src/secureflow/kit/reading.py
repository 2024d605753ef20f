"""Taking parts out of JSON that others wrote: what is not of the expected shape is left out.

A report comes from the centre. What shows it must neither fail nor grow without bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeGuard

_LARGEST: Final = 1e300
MAX_LINES: Final = 1024
"""Most lines of a table, points of a curve, or bars that are drawn."""


def finite(value: Any) -> TypeGuard[float]:
    """Tell whether it is a number that a float can be, also when it is rounded up."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return known and abs(value) <= _LARGEST


def number(value: Any) -> float | None:
    """Return a finite number of moderate size, or None."""
    return float(value) if finite(value) and abs(value) <= 1e15 else None


def points(value: Any, width: int) -> list[tuple[float, ...]]:
    """Return the lists of exactly `width` numbers in a list."""
    found = []
    for one in listed(value):
        numbers = [number(each) for each in one] if isinstance(one, list | tuple) else []
        kept = tuple(each for each in numbers if each is not None)
        if len(kept) == width == len(numbers):
            found.append(kept)
    return found


def lines(value: Any, *names: str) -> list[dict[str, Any]]:
    """Return the objects in a list whose members of these names are numbers, made floats."""
    found = []
    for one in listed(value):
        if isinstance(one, Mapping):
            numbers = {name: number(one.get(name)) for name in names}
            if None not in numbers.values():
                found.append({**one, **numbers})
    return found


def listed(value: Any) -> list[Any]:
    """Return a list, cut off at `MAX_LINES`; empty if it is none."""
    return list(value[:MAX_LINES]) if isinstance(value, list | tuple) else []


def objects(value: Any, most: int | None = None) -> tuple[Mapping[str, Any], ...]:
    """Return the objects in a list, or among its first `most`; empty if it is none."""
    found = value[:most] if isinstance(value, list | tuple) else ()
    return tuple(one for one in found if isinstance(one, Mapping))


def members(value: Any) -> Mapping[str, Any]:
    """Return an object; empty if it is none."""
    return value if isinstance(value, Mapping) else {}


def numbers(value: Any) -> dict[str, float]:
    """Return the members of an object that are numbers."""
    each = {str(name): number(one) for name, one in members(value).items()}
    return {name: one for name, one in each.items() if one is not None}
