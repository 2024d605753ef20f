"""The names of one log: each continuation after a rollback starts a new origin.

The first origin is the operator's; the next ones are `<first>~2`, `<first>~3`. A smaller head under
the old name would prove fraud by the log, so the log continues under another one.
"""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"(?P<first>.+?)(?:~(?P<number>[1-9][0-9]{0,8}))?", re.DOTALL)


def following(origin: str) -> str:
    """Return the origin that a continuation of this one starts."""
    first, number = _split(origin)
    return f"{first}~{number + 1}"


def continues(origin: str, earlier: str) -> bool:
    """Tell whether an origin is the earlier one, or was started by continuations of it."""
    (first, number), (other, before) = _split(origin), _split(earlier)
    return first == other and number >= before


def _split(origin: str) -> tuple[str, int]:
    found = _NAME.fullmatch(origin)
    number = int(found["number"] or 1) if found else 1
    if found is None or number < 2:
        return origin, 1
    return found["first"], number
