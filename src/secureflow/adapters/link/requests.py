"""The requests that are open at parties: delivered again after every reconnect until answered.

A request's id is its idempotency key. Liveness is progress: every request has a patience, and a
party that neither connects nor shows progress for that long counts as silent. Answers from another
party than the one asked, to an unknown id, or after the first answer are ignored. A stall of the
centre itself is not a party's silence: after it patience starts over, so that queued messages are
read first.

A party that reports what it waits for (`waits`) shows no progress by that: when its patience is
over the request ends with the reported cause. The same goes for alternating waiting and work, once
the total wait reaches the patience. A request without patience, which waits for people, waits for
room no longer than its job's parties may be silent (`room_patience`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from secureflow.adapters.link.waits import ENCLAVE
from secureflow.application.ports.courier import Request
from secureflow.application.running.waiting import WaitObserver, cause_of, room_patience
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import CHECK_INTERVAL, stalled
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

REPORT_AGAIN: Final = 1.0
"""Seconds between two reports about one request to watchers, however often its party reports."""


@dataclass
class _Open:
    request: Request
    answer: asyncio.Future[JSON]
    progress: float
    waiters: int = field(default=0)
    waiting: SecureFlowError | None = None
    heard: float = 0.0
    waited: float = 0.0
    reported: str = ""
    reported_at: float = -REPORT_AGAIN


class OpenRequests:
    """The table of open requests.

    Args:
        deliver: sends a request on the party's stream, if it has one now.
        on_wait: called when a party begins to wait, and (with None) when it works again.
    """

    def __init__(
        self,
        deliver: Callable[[Request], None],
        on_wait: WaitObserver = lambda _request, _error: None,
    ) -> None:
        self._deliver = deliver
        self._on_wait = on_wait
        self._open: dict[str, _Open] = {}

    async def ask(self, request: Request) -> JSON:
        """Deliver and wait for the answer; the same id asked twice is one request.

        Raises:
            SecureFlowError: the party's own error, `party_silent`, or `cancelled`.
        """
        loop = asyncio.get_running_loop()
        entry = self._open.get(request.id)
        if entry is None:
            entry = _Open(request, loop.create_future(), loop.time())
            self._open[request.id] = entry
            self._deliver(request)
        entry.waiters += 1
        try:
            await self._wait(entry, request.patience)
            return entry.answer.result()
        finally:
            entry.waiters -= 1
            if not entry.waiters and self._open.get(request.id) is entry:
                del self._open[request.id]
                if entry.reported:
                    self._on_wait(request, None)

    def of_party(self, party: str) -> list[Request]:
        """Return the party's open requests in order, and count its connection as progress."""
        entries = [entry for entry in self._open.values() if entry.request.party == party]
        for entry in entries:
            self._touch(entry)
        return [entry.request for entry in entries]

    def waits_for(self, request: Request) -> bool:
        """Tell whether someone still waits for the answer to this very request."""
        entry = self._open.get(request.id)
        return entry is not None and entry.request is request and not entry.answer.done()

    def progress(self, identifier: str, party: str, waiting: SecureFlowError | None = None) -> None:
        """Handle progress: the party works, waits for a person, or for something else."""
        entry = self._find(identifier, party)
        if entry is None:
            return
        self._report(entry, waiting)
        if waiting is None:
            entry.waiting = None
            self._touch(entry)
            return
        now = asyncio.get_running_loop().time()
        if entry.waiting is not None:
            entry.waited += now - entry.heard
        entry.waiting, entry.heard = waiting, now
        if entry.waited >= room_patience(entry.request):
            self.fail(identifier, party, waiting)

    def answer(self, identifier: str, party: str, body: JSON) -> None:
        """Handle the party's answer."""
        if entry := self._find(identifier, party):
            entry.answer.set_result(body)

    def fail(self, identifier: str, party: str, error: SecureFlowError) -> None:
        """Handle the party's refusal, or a failed delivery."""
        if entry := self._find(identifier, party):
            entry.answer.set_exception(error)
            entry.answer.exception()  # mark it as retrieved: the waiter may have been cancelled

    def withdraw(self, job: str) -> Iterable[str]:
        """End the job's open requests as `cancelled` and return their parties."""
        error = SecureFlowError(
            "cancelled", Text("The requests of job {job} were withdrawn.", job=job)
        )
        parties = set()
        for entry in list(self._open.values()):
            request = entry.request
            if request.id.startswith(f"{job}/"):
                parties.add(request.party)
                self.fail(request.id, request.party, error)
        return parties

    async def _wait(self, entry: _Open, patience: float | None) -> None:
        loop = asyncio.get_running_loop()
        while not entry.answer.done():
            left = None if patience is None else entry.progress + patience - loop.time()
            if left is not None and left <= 0:
                raise entry.waiting or silent(entry.request)
            if left is None:
                await asyncio.wait({entry.answer})
                continue
            asked, began = min(left, CHECK_INTERVAL), loop.time()
            await asyncio.wait({entry.answer}, timeout=asked)
            if stalled(asked, loop.time() - began):
                self._touch(entry)

    def _find(self, identifier: str, party: str) -> _Open | None:
        entry = self._open.get(identifier)
        if entry is None or entry.request.party != party or entry.answer.done():
            return None
        return entry

    def _report(self, entry: _Open, waiting: SecureFlowError | None) -> None:
        now, cause = asyncio.get_running_loop().time(), cause_of(waiting)
        if entry.reported != cause and now - entry.reported_at >= REPORT_AGAIN:
            entry.reported, entry.reported_at = cause, now
            self._on_wait(entry.request, waiting)

    def _touch(self, entry: _Open) -> None:
        entry.progress = entry.heard = asyncio.get_running_loop().time()


def silent(request: Request) -> SecureFlowError:
    """Return the error for a party that showed no progress for the request's patience."""
    process, look = ("enclave", "check") if request.party == ENCLAVE else ("agent", "doctor")
    return SecureFlowError(
        "party_silent",
        Text(
            "{party} made no progress for {patience:g} seconds.",
            party=request.party,
            patience=request.patience,
        ),
        Text(
            "Check that {party} runs and is connected (`secureflow {process} {look}` there).",
            party=request.party,
            process=process,
            look=look,
        ),
        {"party": request.party, "verb": request.verb},
    )
