"""What a check of stored data finds: each problem with its place and the next step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import reason_of
from secureflow.kit.text import Text

MOST: Final = 50
"""Findings of one part that are listed one by one; the rest are counted."""
DAMAGED: Final = "record_damaged"


@dataclass(frozen=True)
class Finding:
    """One problem.

    Args:
        part: the part that was checked.
        message: names file, table or row.
        hint: the next step.
        code: of the error catalogue.
    """

    part: str
    message: str
    hint: str
    code: str = DAMAGED

    def as_json(self) -> dict[str, Any]:
        """Return the form that reports show."""
        return {
            "check": self.part,
            "ok": False,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
        }


@dataclass(frozen=True)
class Passed:
    """A part without findings; the message says how much was checked."""

    part: str
    message: str

    def as_json(self) -> dict[str, Any]:
        """Return the form that reports show."""
        return {"check": self.part, "ok": True, "code": "", "message": self.message, "hint": ""}


def finding(part: str, error: SecureFlowError, hint: str = "") -> Finding:
    """Return the finding for an error, with a default hint."""
    return Finding(part, error.message, error.hint or hint, error.code)


def refused(part: str, look: Callable[[], object], hint: str = "") -> Iterator[Finding]:
    """Yield why something cannot be read, if it cannot be."""
    try:
        look()
    except SecureFlowError as error:
        yield finding(part, error, hint)
    except OSError as error:
        message = Text(
            "{filename} cannot be read: {strerror}.",
            filename=error.filename,
            strerror=reason_of(error),
        )
        yield Finding(part, message, "Restore it from a backup.")


def report(part: str, found: Iterable[Finding], sound: str) -> Iterator[dict[str, Any]]:
    """Yield a part's findings, at most `MOST` one by one, or that it passed.

    Args:
        part: its name.
        found: its findings.
        sound: the message if there are none; it is called after they were found.
    """
    count, last = 0, None
    for one in found:
        count += 1
        if count <= MOST:
            yield one.as_json()
        last = one
    if last is None:
        yield Passed(part, sound).as_json()
    elif count > MOST:
        yield Finding(
            part, Text("{count} more of these.", count=count - MOST), last.hint, last.code
        ).as_json()
