"""Jobs that another job starts as its parts: whose they are, and what they set, for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from secureflow.domain.specs.base import STRICT, Id
from secureflow.kit.canonical import JSON
from secureflow.kit.plain import shown

MOST_PARTS: Final = 64
"""Most jobs that one job starts."""


@dataclass(frozen=True)
class Part:
    """`base.PartOf`: the job that starts this one, and which of its parts this one is, from 1."""

    __pydantic_config__ = STRICT
    job: Id
    number: Annotated[int, Field(ge=1, le=MOST_PARTS)]


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
