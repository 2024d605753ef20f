"""Waits of a request that are not progress: for a disk that is full or fails, or a wrong clock.

A party at work reports it, and its patience starts over (`requests`). One that waits for room
reports that instead; only codes and numbers of it are read. Such a report does not extend its
patience, but names the cause when the request ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final

from secureflow.kit.canonical import JSON
from secureflow.kit.disk import (
    FAILED,
    FULL,
    MOST_BYTES,
    PARTS,
    RAISE_LIMIT,
    TOO_MANY,
    WAITED_FOR,
    describe,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

CENTRE: Final = "the centre"
ENCLAVE: Final = "enclave"
ROOM: Final = (
    "Its operator frees space (secureflow agent doctor, secureflow doctor); then submit the job "
    "again."
)
NOT_VALID_NOW: Final = "certificate_not_valid_now"
"""What a party is told whose certificate is not valid by the enclave's clock, or by its own."""
WORKING: Final = 5.0
"""Seconds after which a new attempt that has not failed counts as work."""


class Waiting:
    """What one request waits for, if anything."""

    def __init__(self) -> None:
        self._error: SecureFlowError | None = None
        self._at_centre = False
        self._again: float | None = None

    def begin(self, error: SecureFlowError, *, at_centre: bool = False) -> None:
        """Note that it waits; `at_centre`: for the centre's disk, not its own."""
        self._error, self._at_centre, self._again = error, at_centre, None

    def try_again(self) -> None:
        """Note a new attempt, which counts as work once it has run for a while."""
        self._again = asyncio.get_running_loop().time()

    def end(self) -> None:
        """Note that it works."""
        self._error = None

    def as_json(self) -> dict[str, JSON]:
        """Return the content of a progress report: empty for work."""
        if self._error is None:
            return {}
        if self._again is not None and asyncio.get_running_loop().time() - self._again > WORKING:
            self.end()
            return {}
        numbers = ("needed", "free")
        facts = {name: self._error.details.get(name, 0) for name in numbers}
        part = self._error.details.get("part", "own files")
        return {"waiting": {"code": self._error.code, "part": part, "centre": self._at_centre,
                            **facts}}  # fmt: skip


WAITING: ContextVar[Waiting | None] = ContextVar("waiting", default=None)
"""The wait of the request that this task works on."""


def waits_for_centre(error: SecureFlowError) -> None:
    """Note that the current request waits for the centre's disk."""
    if (waiting := WAITING.get()) is not None and error.code in {FULL, FAILED, TOO_MANY}:
        waiting.begin(error, at_centre=True)


def waits_for_clock(error: SecureFlowError) -> None:
    """Note that the current request waits until a wrong clock is set right."""
    if (waiting := WAITING.get()) is not None:
        waiting.begin(error)


def waits_no_more() -> None:
    """Note that the current request no longer waits."""
    if (waiting := WAITING.get()) is not None:
        waiting.end()


def claim(party: str, body: Mapping[str, JSON]) -> SecureFlowError | None:
    """Parse what a party reports to wait for, as our own error; None for work."""
    waiting = body.get("waiting")
    code = waiting.get("code") if isinstance(waiting, Mapping) else None
    if not isinstance(waiting, Mapping) or not isinstance(code, str):
        return None
    if code == NOT_VALID_NOW:
        return _clock_of(party)
    if code not in WAITED_FOR:
        return None
    at_centre = waiting.get("centre") is True
    whose = CENTRE if at_centre else "the enclave" if party == ENCLAVE else party
    part = waiting.get("part")
    part = part if isinstance(part, str) and part in PARTS else "own files"
    needed, free = _number(waiting.get("needed")), _number(waiting.get("free"))
    what = describe(code, whose, part, needed, free)
    return SecureFlowError(
        code,
        Text("{party} waits for the centre. {what}", party=party, what=what) if at_centre else what,
        RAISE_LIMIT if code == TOO_MANY else ROOM,
        {"party": party, "whose": whose, "part": part, "needed": needed, "free": free},
    )


def _clock_of(party: str) -> SecureFlowError:
    """Return what a party waits for whose certificate is not valid now (`domain.clocks.naming`)."""
    return SecureFlowError(
        NOT_VALID_NOW,
        Text(
            "{party} waits to upload to the enclave: its certificate is not valid now by the "
            "enclave's clock, or by its own.",
            party=party,
        ),
        "`secureflow agent doctor` there shows the certificate, and whose clock is wrong.",
        {"party": party},
    )


def _number(value: JSON) -> int:
    return value if type(value) is int and 0 <= value <= MOST_BYTES else 0
