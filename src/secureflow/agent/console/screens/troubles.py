"""Errors as parts of answers: what is wrong with something that is shown all the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secureflow.agent.console.screens.figures import plain
from secureflow.agent.console.screens.spoken import Spoken
from secureflow.kit.text import text_in


@dataclass(frozen=True)
class Trouble:
    """What is wrong.

    Args:
        code: of the error.
        message: what happened.
        hint: the next step; empty.
    """

    code: str
    message: Spoken
    hint: Spoken


def trouble_of(value: Any) -> Trouble | None:
    """Read an error's JSON form; None for none."""
    if not isinstance(value, Mapping):
        return None
    said = (plain(text_in(value, name)) for name in ("message", "hint"))
    return Trouble(plain(value.get("code")), *said)
