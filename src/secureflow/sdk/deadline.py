"""How long a call may take in all, however often it is tried: a server that hangs costs no more.

One try does not get the whole time: what hangs may be an old connection, and a fresh one works.
"""

from __future__ import annotations

import os
from typing import Final

import httpx

from secureflow.kit.clock import Ticks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

SECONDS: Final = 30.0
"""For a read; `SECUREFLOW_PATIENCE` and the client's `patience` say otherwise."""
WRITING: Final = 2.0
"""So many times as long for what changes something: the server may have to compute first."""
SLOW: Final = 8.0
"""And for what is large: a bundle, a report, a model."""
VARIABLE: Final = "SECUREFLOW_PATIENCE"
_CONNECT: Final = 10.0
_SHARE: Final = 2 / 3
_LEAST: Final = 0.05


def patience(given: float | None) -> float:
    """Return the seconds that a read may take.

    Raises:
        SecureFlowError: `invalid_settings` for an environment that names no time.
    """
    text = os.environ.get(VARIABLE, "")
    if given is None and not text:
        return SECONDS
    try:
        seconds = float(text) if given is None else given
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise SecureFlowError(
            "invalid_settings",
            Text("{text!r} is not a valid time limit for a call.", text=text or given),
            Text("Set {variable} to a number of seconds above 0.", variable=VARIABLE),
        )
    return seconds


class Deadline:
    """The time of one call."""

    def __init__(self, seconds: float, ticks: Ticks) -> None:
        self.tries = 0
        self._ticks = ticks
        self._began = ticks()
        self._end = self._began + seconds

    def next_try(self) -> dict[str, float | None]:
        """Count another try and return the time-outs (httpx) that it gets."""
        self.tries += 1
        share = max((self._end - self._ticks()) * _SHARE, _LEAST)
        return httpx.Timeout(share, connect=min(share, _CONNECT)).as_dict()

    def allows(self, pause: float, requested: str = "") -> bool:
        """Tell whether there is time for another try after a pause.

        A pause that the server asked for is not counted: it answers, it is only busy.
        """
        if requested:
            self._end += pause
        return self._ticks() + pause + _LEAST < self._end

    @property
    def tried(self) -> dict[str, float]:
        """How often, and for how many seconds."""
        return {"tries": self.tries, "seconds": round(self._ticks() - self._began, 1)}
