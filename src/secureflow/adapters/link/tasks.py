"""The requests that a party is working on: one task per request id, and the latest answers.

The durable record is the party's own (an agent's database, an enclave's state), by which it answers
a request that it carried out before, under any id. This one only avoids repetition after a short
break of the link. A fault of this party's own disk is not an answer: the request is retried until
there is room, or it is withdrawn; the centre is told what it waits for (`waits`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from secureflow.adapters.link.backoff import JitteredBackoff
from secureflow.adapters.link.messages import LogProgress, answer, failure
from secureflow.adapters.link.streams import Stream
from secureflow.adapters.link.waits import WAITING, Waiting
from secureflow.domain.errors import DAMAGED, NOT_ASKED_FOR, Category, category
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock, system_clock
from secureflow.kit.disk import exhausted
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.logthrottle import ThrottledLog
from secureflow.kit.text import Text
from secureflow.wire import Envelope

Handle = Callable[[str, dict[str, JSON], JSON], Awaitable[JSON]]
"""Answers a request: (verb, body, log_proofs) → body; refuses by raising `SecureFlowError`."""

PROGRESS: Final = 2.0
"""Seconds between progress reports of a request that is worked on or waits for a person."""
LONGEST_PAUSE: Final = 5.0
"""Seconds between attempts of a request that waits for room."""
MAX_ANSWERED: Final = 64
MAX_OPEN: Final = 256
"""Maximum concurrent requests; each may be as long as an envelope."""

_log = get_logger(__name__)


class RequestTasks:
    """Runs a party's handlers and sends their answers over the current stream.

    Args:
        handle: answers requests.
        standing: returns how far the party has verified the log.
        explained: adds what the link knows about its cause to an error.
        clock: unix seconds, sent with each refusal: a clock may be its cause.
    """

    def __init__(
        self,
        handle: Handle,
        standing: Callable[[], LogProgress],
        explained: Callable[[SecureFlowError], SecureFlowError],
        clock: Clock = system_clock,
    ) -> None:
        self._handle = handle
        self._standing = standing
        self._explained = explained
        self._clock = clock
        self._told = LogProgress()
        self._stream: Stream | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._at_work: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, Waiting] = {}
        self._faults = ThrottledLog(_log)
        self._answered: OrderedDict[str, JSON | SecureFlowError] = OrderedDict()

    def attach(self, stream: Stream) -> None:
        """Send over this stream from now on (the centre repeats unanswered requests)."""
        self._stream = stream

    def detach(self) -> None:
        """Detach from the stream; work continues."""
        self._stream = None

    def take(self, request: Envelope) -> None:
        """Start working on a request, unless it is being worked on or was answered.

        One that was withdrawn but has not ended yet is started again when it has.
        """
        before, ids = self._tasks.get(request.id), self._tasks.keys() | self._at_work.keys()
        if request.id not in ids and len(ids) >= MAX_OPEN:
            busy = Text(
                "{id} is one request too many: {max_open} are already in progress.",
                id=request.id,
                max_open=MAX_OPEN,
            )
            self._send(request.id, SecureFlowError("party_busy", busy, "Ask again later."))
        elif before is None or before.cancelling():
            task = asyncio.create_task(self._work_in_turn(request), name=f"request {request.id}")
            self._tasks[request.id] = task
            task.add_done_callback(lambda _: self._forget(request.id, task))

    async def _work_in_turn(self, request: Envelope) -> None:
        """Work on a request once all its withdrawn tasks have ended."""
        while (before := self._at_work.get(request.id)) is not None:
            await asyncio.wait({before})
        self._at_work[request.id] = self._tasks[request.id]
        try:
            await self._work(request)
        finally:
            del self._at_work[request.id]

    def _forget(self, identifier: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(identifier) is task:
            del self._tasks[identifier]

    def withdraw(self, job: str) -> None:
        """Stop working on a job's requests."""
        for identifier, task in self._tasks.items():
            if identifier.startswith(f"{job}/"):
                task.cancel()

    def forget_answers(self, job: str) -> None:
        """Forget what a job's requests were answered: asked again, they are worked on again."""
        for identifier in [one for one in self._answered if one.startswith(f"{job}/")]:
            del self._answered[identifier]

    async def show_progress(self) -> None:
        """Report every two seconds which requests are still worked on."""
        while True:
            await asyncio.sleep(PROGRESS)
            for identifier in self._tasks:
                if self._stream is not None:
                    waiting = self._waiting.get(identifier)
                    state = {} if waiting is None else waiting.as_json()
                    self._stream.send(Envelope(identifier, "progress", state))

    async def stop(self) -> None:
        """Cancel everything and wait for it."""
        tasks = {*self._tasks.values(), *self._at_work.values()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, request: Envelope) -> None:
        """Get the outcome, then this party's log progress; both may have to wait for its disk."""
        waiting = Waiting()
        self._waiting[request.id] = waiting
        WAITING.set(waiting)
        try:
            if request.id in self._answered:
                outcome = self._answered[request.id]
            else:
                outcome = await self._outcome(request, waiting)
            await self._read_progress(request, waiting)
        finally:
            del self._waiting[request.id]
        self._send(request.id, outcome)

    async def _outcome(self, request: Envelope, waiting: Waiting) -> JSON | SecureFlowError:
        outcome: JSON | SecureFlowError
        try:
            verb, body, log_proofs = _parse(request)
            outcome = await self._done(
                request, waiting, lambda: self._handle(verb, body, log_proofs)
            )
        except SecureFlowError as error:
            outcome = self._explained(error)
        except Exception:  # noqa: BLE001  the edge of a request: the centre must learn of a bug
            _log.exception("request_failed", request=request.id)
            hint = "The party's log has the trace."
            outcome = SecureFlowError(
                "internal", Text("{id} failed with an internal error.", id=request.id), hint
            )
        if not _passes(outcome):  # after such an error, a repeated request is tried again
            self._answered[request.id] = outcome
        if len(self._answered) > MAX_ANSWERED:
            self._answered.popitem(last=False)
        return outcome

    async def _read_progress(self, request: Envelope, waiting: Waiting) -> None:
        """Read this party's log progress; without it the answer could not be sent."""

        async def look() -> None:
            self._told = self._standing()

        try:
            await self._done(request, waiting, look)
        except Exception:  # noqa: BLE001  the edge of a request: the centre must get the answer
            _log.exception("standing_unknown", request=request.id)

    async def _done(
        self, request: Envelope, waiting: Waiting, work: Callable[[], Awaitable[JSON]]
    ) -> JSON:
        """Run work, with retries while this party's own disk fails."""
        backoff = JitteredBackoff(LONGEST_PAUSE)
        while True:
            try:
                return await _typed(work)
            except InfrastructureError as error:
                facts = {"code": error.code, "message": error.message, "hint": error.hint}
                cause = error.__cause__ and repr(error.__cause__)
                verb = request.body.get("verb")
                self._faults.note(
                    "request_waits", request=request.id, verb=verb, **facts, cause=cause
                )
                waiting.begin(error)
            await backoff.wait()
            waiting.try_again()

    def _send(self, identifier: str, outcome: JSON | SecureFlowError) -> None:
        if self._stream is None:
            return
        standing = self._told
        try:
            if isinstance(outcome, SecureFlowError):
                self._stream.send(failure(identifier, outcome, standing, self._clock()))
            else:
                self._stream.send(answer(identifier, outcome, standing))
        except SecureFlowError as error:  # the answer itself cannot be sent: report that instead
            self._answered[identifier] = error
            self._stream.send(failure(identifier, error, standing))


async def _typed(work: Callable[[], Awaitable[JSON]]) -> JSON:
    try:
        return await work()
    except OSError as error:
        if (known := exhausted(error, "This process")) is None:
            raise
        raise known from error


def _passes(outcome: JSON | SecureFlowError) -> bool:
    """Tell whether a failure is temporary: the party's disk or link, the centre's database.

    So is a blob that the centre did not give or take: it does for jobs that it drives at the time,
    and a job that is paused is driven again when it is resumed. And one that is damaged there: its
    operator puts it back.
    """
    if not isinstance(outcome, SecureFlowError):
        return False
    return (
        outcome.code in NOT_ASKED_FOR | {DAMAGED} or category(outcome.code) is Category.UNAVAILABLE
    )


def _parse(request: Envelope) -> tuple[str, dict[str, JSON], JSON]:
    verb, body = request.body.get("verb"), request.body.get("body")
    if not isinstance(verb, str) or not isinstance(body, dict):
        raise SecureFlowError(
            "invalid_request", Text("{id} names no verb or has no body.", id=request.id)
        )
    return verb, body, request.body.get("rider")
