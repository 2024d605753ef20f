"""Server-sent events: the parser and the rule by which a watcher resumes (WHATWG HTML, 9.2).

No IO: drivers feed bytes in and ask what to do next. A broken stream is reopened from the last
event seen (`Last-Event-ID`); it has ended once `done` came, or once the server closed it while the
job is in a final state.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_EVENT_BYTES = 1 << 20
_NAMES = frozenset({"data", "event", "id"})
NOW = "waiting"
"""The kind of event that describes the present; it has no id."""
FINAL_STATES = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True)
class Event:
    """One thing that happened in a job: `state`, `party`, `round`, `error` or `done`.

    Or the present state of `waiting` (its data lists who waits for what); such events have id 0.
    """

    id: int
    kind: str
    data: dict[str, Any]


class Observer(Protocol):
    """What follows a job beside whoever reads its events."""

    def begin(self) -> Generator[Any, Any, None]:
        """Start; the steps of a flow. May be called again."""

    def take(self, event: Event) -> None:
        """Take an event."""

    def finish(self) -> Generator[Any, Any, None]:
        """End, once the job has; the steps of a flow."""

    def close(self) -> None:
        """End without it."""


@dataclass
class Subscription:
    """The state of one watcher: its position in a job's events, and a partial event.

    `deadline` is the monotonic second at which the wait ends; `stops` ends it when the job is
    paused, too, and `paused` says that it was; `observer` takes every event.
    """

    job: str
    last: int = 0
    done: bool = False
    failures: int = 0
    deadline: float = math.inf
    stops: bool = False
    paused: bool = False
    observer: Observer | None = None
    _buffer: bytearray = field(default_factory=bytearray)
    _fields: dict[str, list[str]] = field(default_factory=dict)
    _size: int = 0

    @property
    def path(self) -> str:
        """The stream's path under the API prefix."""
        return f"/jobs/{self.job}/events"

    @property
    def state_path(self) -> str:
        """The path of what tells whether the stream has ended for good."""
        return f"/jobs/{self.job}"

    def ended(self, state: Mapping[str, Any]) -> bool:
        """Tell from the answer of `state_path` whether the stream has ended for good."""
        return state.get("state") in FINAL_STATES

    def remaining(self) -> float:
        """Return the remaining seconds.

        Raises:
            SecureFlowError: `timed_out` when none are.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise SecureFlowError(
                "timed_out",
                Text("Job {job} has not ended in time.", job=self.job),
                Text("It continues: secureflow job watch {job}.", job=self.job),
            )
        return left

    def headers(self) -> dict[str, str]:
        """Return the headers that open the stream after the last event seen."""
        resume = {"Last-Event-ID": str(self.last)} if self.last else {}
        return {"Accept": "text/event-stream", **resume}

    def feed(self, chunk: bytes) -> list[Event]:
        """Take received bytes; return the new events that they complete.

        Raises:
            SecureFlowError: `malformed_event` if the server sends something else than events,
                `timed_out`.
        """
        self.remaining()
        self._buffer += chunk
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = rest
        events = [event for line in lines if (event := self._line(bytes(line))) is not None]
        if self._size + len(rest) > MAX_EVENT_BYTES:
            raise _malformed(
                Text("an event exceeds {max_event_bytes} bytes", max_event_bytes=MAX_EVENT_BYTES)
            )
        return events

    def forget_partial(self) -> None:
        """Drop a partial event: a reopened stream starts at an event's beginning."""
        self._buffer, self._fields, self._size = bytearray(), {}, 0

    def _line(self, raw: bytes) -> Event | None:
        line = raw.removesuffix(b"\r").decode("utf-8", "replace")
        if line:
            self._size += len(raw)
            name, _, value = line.partition(":")
            if not name:  # a keep-alive: this stream works
                self.failures = 0
            if name in _NAMES:
                self._fields.setdefault(name, []).append(value.removeprefix(" "))
            return None
        fields, self._fields, self._size = self._fields, {}, 0
        if "data" not in fields:
            return None
        event = _event(fields)
        if event.kind == NOW:  # not stored: nothing to resume from
            return event
        if event.id <= self.last:  # sent again after a reconnect
            return None
        self.last, self.failures = event.id, 0
        self.paused |= self.stops and (event.kind, event.data.get("state")) == ("state", "paused")
        self.done = self.done or self.paused or event.kind == "done"
        return event

    def resume(self) -> None:
        """Continue to follow a job that was paused, on a new stream."""
        self.forget_partial()
        self.done = self.paused = False


@dataclass
class InboxSubscription(Subscription):
    """The state of one who watches their notifications: that ends with the token only."""

    @property
    def path(self) -> str:
        """The stream's path under the API prefix."""
        return "/notifications/events"

    @property
    def state_path(self) -> str:
        """The path of what an ended token does not get."""
        return "/me"

    def ended(self, state: Mapping[str, Any]) -> bool:
        """Continue while the token holds."""
        del state
        return False


def _event(fields: dict[str, list[str]]) -> Event:
    kind = fields.get("event", ["message"])[-1]
    number = "0" if kind == NOW else fields.get("id", [""])[-1]
    if not number.isascii() or not number.isdecimal() or len(number) > 18:
        raise _malformed(Text("{number!r} is not an event id", number=number[:40]))
    try:
        value = parse_json("\n".join(fields["data"]), MAX_EVENT_BYTES)
    except SecureFlowError as error:
        raise _malformed(error.message) from error
    if not isinstance(value, dict):
        raise _malformed("its data must be a JSON object")
    return Event(int(number), kind, value)


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_event",
        Text("The server sent a malformed event: {reason}.", reason=reason),
        "Check that the URL is a SecureFlow server and that no proxy rewrites its answers.",
    )
