"""Who waits for what in running jobs: for watchers, not stored.

The server that drives a job knows it in memory: the wait may be for the disk or the database that
it would be written to. Of a party's report the link reads only codes and numbers
(`adapters.link.waits`); the start of a wait is by this server's own clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from secureflow.application.ports.courier import Request
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import with_texts

WaitObserver = Callable[[Request, SecureFlowError | None], None]
"""Called when a request begins to wait and (with None) when it stops."""
DEFAULT: Final = 60.0
"""Seconds for which a request without any patience waits for room."""
SERVER: Final = "server"
"""The name for the job's own driver as the one who waits."""
HELD: Final = "log_set_back"
_NUMBERS: Final = ("needed", "free")
_CLOCK: Final = "clock_ahead"


class Waits:
    """Tracks who waits, for watchers.

    Args:
        clock: unix seconds.
        changed: called with a job id when its waits have changed.
    """

    def __init__(self, clock: Clock, changed: Callable[[str], None] = lambda _: None) -> None:
        self._clock = clock
        self._changed = changed
        self._jobs: dict[str, dict[str, dict[str, JSON]]] = {}

    def observe(self, request: Request, error: SecureFlowError | None) -> None:
        """Note that a request waits for something, or no longer."""
        self.note(request.id.partition("/")[0], request.party, error)

    def note(self, job: str, who: str, error: SecureFlowError | None) -> None:
        """Note that someone in a job waits for something, or no longer."""
        waiting = self._jobs.get(job, {})
        if error is None:
            if waiting.pop(who, None) is None:
                return
            if not waiting:
                del self._jobs[job]
        elif who in waiting and _says(waiting[who], error):
            return
        else:
            same = who in waiting and waiting[who]["code"] == error.code
            since = waiting[who]["since"] if same else self._clock()
            self._jobs.setdefault(job, waiting)[who] = {"party": who, "since": since, **_of(error)}
        self._changed(job)

    def of(self, job: str) -> list[dict[str, JSON]]:
        """Return who waits in a job: `party`, `since`, `code`, `message`, and more if known."""
        return [dict(one) for _, one in sorted(self._jobs.get(job, {}).items())]


def cause_of(error: SecureFlowError | None) -> str:
    """Return what a wait is for: the code of its error, and whether it says whose clock is wrong.

    Which clock it is may be known only after the first report: then watchers are told again.
    """
    if error is None:
        return ""
    return f"{error.code} {_CLOCK}" if _CLOCK in error.details else error.code


def _says(entry: Mapping[str, JSON], error: SecureFlowError) -> bool:
    same = _CLOCK not in error.details or entry["message"] == error.message
    return bool(entry["code"] == error.code and same)


def _of(error: SecureFlowError) -> dict[str, JSON]:
    entry: dict[str, JSON] = {"code": error.code, "message": error.message}
    if error.code == HELD:  # waiting does not end it: people must act, and need to know how
        entry["hint"] = error.hint
    numbers = {name: error.details[name] for name in _NUMBERS if name in error.details}
    return with_texts(entry | numbers)


def room_patience(request: Request) -> float:
    """Return how many seconds a request waits for room: its patience, else its job's."""
    if request.patience is not None:
        return request.patience
    spec = request.body.get("spec")
    limits = spec.get("limits") if isinstance(spec, Mapping) else None
    seconds = limits.get("patience_seconds") if isinstance(limits, Mapping) else None
    return float(seconds) if isinstance(seconds, int | float) else DEFAULT
