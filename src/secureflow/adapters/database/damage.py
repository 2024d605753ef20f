"""Stored values that cannot be read: named by their place, and told once, so that others work on.

Everything that this adapter writes as JSON is ASCII; a character beyond it is damage, too.
"""

from __future__ import annotations

import json
from typing import Any, Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.logthrottle import OncePerMinute
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

CHECK: Final = "The operator finds what is damaged with: secureflow server check."

_log = get_logger(__name__)


def load_json(text: str) -> Any:
    """Return a stored JSON value.

    Raises:
        SecureFlowError: `record_damaged`.
    """
    try:
        if text.isascii():
            return json.loads(text)
    except (ValueError, RecursionError):
        pass
    raise SecureFlowError("record_damaged", "A stored value of the server is damaged.", CHECK)


def damaged(noun: str, key: str) -> SecureFlowError:
    """Return the error of a stored object that cannot be read."""
    facts = {"noun": noun, "id": shown(key)}
    return SecureFlowError(
        "record_damaged",
        Text("The {noun} {key} is damaged in the server's record.", noun=noun, key=shown(key)),
        CHECK,
        facts,
    )


def damaged_log(what: str) -> SecureFlowError:
    """Return the error of a log that lacks a part of itself."""
    facts = {"noun": "log", "reason": what}
    return SecureFlowError(
        "record_damaged", Text("The server's log is damaged: {what}.", what=what), CHECK, facts
    )


def decoded(data: bytes) -> str:
    """Return a stored text; bytes that are no UTF-8 stay visible as what no text may hold."""
    return data.decode("utf-8", "surrogateescape")


class DamageLog:
    """Says of each damaged object that it is, once in a while."""

    def __init__(self) -> None:
        self._once = OncePerMinute()

    def note(self, noun: str, key: str) -> None:
        """Note an object that could not be read."""
        if self._once.due((noun, key)) is not None:
            _log.error("record_damaged", noun=noun, id=shown(key), hint=CHECK)
