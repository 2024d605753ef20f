"""The total time of a call, including retries, so that a hanging server costs no more.

One try does not get the whole time: an old connection may hang while a fresh one works.
"""

from __future__ import annotations

import os
from typing import Final

import httpx

from secureflow.kit.clock import Ticks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

SECONDS: Final = 30.0
"""Default for a read; overridden by `SECUREFLOW_PATIENCE` and the client's `patience`."""
WRITING: Final = 2.0
"""Factor for writes: the server may have to compute first."""
SLOW: Final = 8.0
"""Factor for large answers: a bundle, a report, a model."""
VARIABLE: Final = "SECUREFLOW_PATIENCE"
_CONNECT: Final = 10.0
_SHARE: Final = 2 / 3
_LEAST: Final = 0.05


def patience(given: float | None) -> float:
    """Return the seconds that a read may take.

    Raises:
        SecureFlowError: `invalid_settings` if the variable is not a number of seconds.
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
        """Count another try and return its httpx time-outs."""
        self.tries += 1
        share = max((self._end - self._ticks()) * _SHARE, _LEAST)
        return httpx.Timeout(share, connect=min(share, _CONNECT)).as_dict()

    def allows(self, pause: float, requested: str = "") -> bool:
        """Tell whether there is time for another try after a pause.

        A pause that the server asked for is not counted: it does answer, it is only busy.
        """
        if requested:
            self._end += pause
        return self._ticks() + pause + _LEAST < self._end

    @property
    def tried(self) -> dict[str, float]:
        """The number of tries and their seconds so far."""
        return {"tries": self.tries, "seconds": round(self._ticks() - self._began, 1)}
