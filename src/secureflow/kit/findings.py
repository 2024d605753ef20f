"""What a check of stored things finds: each with its place, and the next step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MOST: Final = 50
"""Findings of one part that are told one by one; the rest are counted."""
DAMAGED: Final = "record_damaged"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be.

    Args:
        part: of what was checked.
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
class Sound:
    """A part in which nothing was found; the message says how much was looked at."""

    part: str
    message: str

    def as_json(self) -> dict[str, Any]:
        """Return the form that reports show."""
        return {"check": self.part, "ok": True, "code": "", "message": self.message, "hint": ""}


def finding(part: str, error: SecureFlowError, hint: str = "") -> Finding:
    """Return what an error found, with a hint where it has none."""
    return Finding(part, error.message, error.hint or hint, error.code)


def refused(part: str, look: Callable[[], object], hint: str = "") -> Iterator[Finding]:
    """Yield why something cannot be read, if it cannot."""
    try:
        look()
    except SecureFlowError as error:
        yield finding(part, error, hint)
    except OSError as error:
        message = Text(
            "{filename} cannot be read: {strerror}.",
            filename=error.filename,
            strerror=error.strerror,
        )
        yield Finding(part, message, "Restore it from a backup.")


def report(part: str, found: Iterable[Finding], sound: str) -> Iterator[dict[str, Any]]:
    """Yield a part's findings, at most `MOST` one by one, or that it is sound.

    Args:
        part: its name.
        found: its findings.
        sound: what is said where there are none; it is looked up after them (`{}` is no place).
    """
    count, last = 0, None
    for one in found:
        count += 1
        if count <= MOST:
            yield one.as_json()
        last = one
    if last is None:
        yield Sound(part, sound).as_json()
    elif count > MOST:
        yield Finding(
            part, Text("{count} more of these.", count=count - MOST), last.hint, last.code
        ).as_json()
