"""Who waits for what in jobs that go on: for watchers, and kept nowhere.

It is known to the server that drives a job, in memory: what is waited for may be the room, or the
database, to write it down. Of a party's word the link has read codes and numbers only
(`adapters.link.waits`); when one began to wait is this server's own clock.
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
"""Told of a request that begins to wait, and (None) that it waits no more."""
DEFAULT: Final = 60.0
"""Seconds that a request without any patience waits for room."""
SERVER: Final = "server"
"""Who waits where it is the driver of the job itself."""
HELD: Final = "log_set_back"
_NUMBERS: Final = ("needed", "free")


class Waits:
    """Implements what tells watchers who waits.

    Args:
        clock: unix seconds.
        changed: called with a job id when who waits in it has changed.
    """

    def __init__(self, clock: Clock, changed: Callable[[str], None] = lambda _: None) -> None:
        self._clock = clock
        self._changed = changed
        self._jobs: dict[str, dict[str, dict[str, JSON]]] = {}

    def observe(self, request: Request, error: SecureFlowError | None) -> None:
        """A request waits for something, or no more."""
        self.note(request.id.partition("/")[0], request.party, error)

    def note(self, job: str, who: str, error: SecureFlowError | None) -> None:
        """Somebody in a job waits for something, or no more."""
        waiting = self._jobs.get(job, {})
        if error is None:
            if waiting.pop(who, None) is None:
                return
            if not waiting:
                del self._jobs[job]
        elif who in waiting and waiting[who]["code"] == error.code:
            return
        else:
            since = self._clock()
            self._jobs.setdefault(job, waiting)[who] = {"party": who, "since": since, **_of(error)}
        self._changed(job)

    def of(self, job: str) -> list[dict[str, JSON]]:
        """Return who waits in a job: `party`, `since`, `code`, `message`, and more if known."""
        return [dict(one) for _, one in sorted(self._jobs.get(job, {}).items())]


def _of(error: SecureFlowError) -> dict[str, JSON]:
    entry: dict[str, JSON] = {"code": error.code, "message": error.message}
    if error.code == HELD:  # nobody's wait ends it: it takes people, who must know how
        entry["hint"] = error.hint
    numbers = {name: error.details[name] for name in _NUMBERS if name in error.details}
    return with_texts(entry | numbers)


def room_patience(request: Request) -> float:
    """Return how many seconds a request waits for room: its patience, else that of its job."""
    if request.patience is not None:
        return request.patience
    spec = request.body.get("spec")
    limits = spec.get("limits") if isinstance(spec, Mapping) else None
    seconds = limits.get("patience_seconds") if isinstance(limits, Mapping) else None
    return float(seconds) if isinstance(seconds, int | float) else DEFAULT
