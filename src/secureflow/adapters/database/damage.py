"""Stored values that cannot be read: located and logged once, without affecting others.

Everything that this adapter writes as JSON is ASCII; any other character is damage, too.
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
    """Return the error for a stored object that cannot be read."""
    facts = {"noun": noun, "id": shown(key)}
    return SecureFlowError(
        "record_damaged",
        Text("The {noun} {key} is damaged in the server's record.", noun=noun, key=shown(key)),
        CHECK,
        facts,
    )


def damaged_log(what: str) -> SecureFlowError:
    """Return the error for a log with a missing part."""
    facts = {"noun": "log", "reason": what}
    return SecureFlowError(
        "record_damaged", Text("The server's log is damaged: {what}.", what=what), CHECK, facts
    )


def decoded(data: bytes) -> str:
    """Return a stored text; invalid UTF-8 becomes surrogates, which no valid text holds."""
    return data.decode("utf-8", "surrogateescape")


class DamageLog:
    """Logs each damaged object, once in a while, and keeps what makes the database unusable."""

    def __init__(self) -> None:
        self._once = OncePerMinute()
        self.fault: SecureFlowError | None = None
        """That the database itself is damaged, once that was found: no restart mends it."""

    def note(self, noun: str, key: str) -> None:
        """Log an object that could not be read."""
        if self._once.due((noun, key)) is not None:
            _log.error("record_damaged", noun=noun, id=shown(key), hint=CHECK)

    def found(self, error: SecureFlowError, cause: BaseException) -> None:
        """Keep and log that the database is damaged; only the log shows the driver's text."""
        self.fault = error
        if self._once.due(("database", "")) is not None:
            _log.error("database_damaged", cause=shown(repr(cause)), hint=CHECK)
