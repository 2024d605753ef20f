"""What a request waits for that is nobody's progress: a disk that is full or fails.

A party that is at work says so, and its patience begins anew (`requests`). One that waits for room
says that instead, in words of which only codes and numbers are read: the claim costs it the
patience that it has, and gives the end a name.
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
WORKING: Final = 5.0
"""Seconds after which another try that has not failed counts as work."""


class Waiting:
    """One request's: what it waits for, if it does."""

    def __init__(self) -> None:
        self._error: SecureFlowError | None = None
        self._at_centre = False
        self._again: float | None = None

    def begin(self, error: SecureFlowError, *, at_centre: bool = False) -> None:
        """It waits from now on; `at_centre`: for the centre's disk, not its own."""
        self._error, self._at_centre, self._again = error, at_centre, None

    def try_again(self) -> None:
        """It tries again: that is work once it has gone well for a while."""
        self._again = asyncio.get_running_loop().time()

    def end(self) -> None:
        """It is at work."""
        self._error = None

    def as_json(self) -> dict[str, JSON]:
        """Return what a sign of life says: empty for work."""
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
"""That of the request that this task works on."""


def waits_for_centre(error: SecureFlowError) -> None:
    """The request that is worked on waits for the centre's disk."""
    if (waiting := WAITING.get()) is not None and error.code in {FULL, FAILED, TOO_MANY}:
        waiting.begin(error, at_centre=True)


def waits_no_more() -> None:
    """What the request that is worked on waited for is done."""
    if (waiting := WAITING.get()) is not None:
        waiting.end()


def claim(party: str, body: Mapping[str, JSON]) -> SecureFlowError | None:
    """Read what a party's sign of life says that it waits for: in our words, None for work."""
    waiting = body.get("waiting")
    code = waiting.get("code") if isinstance(waiting, Mapping) else None
    if not isinstance(waiting, Mapping) or not isinstance(code, str) or code not in WAITED_FOR:
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


def _number(value: JSON) -> int:
    return value if type(value) is int and 0 <= value <= MOST_BYTES else 0
