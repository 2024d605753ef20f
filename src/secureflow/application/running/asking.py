"""`Ask`: sends one request to each party and waits until each has answered or fallen silent.

Liveness is progress: a party that works or waits for a person reports it; one that reports nothing
for `patience` seconds counts as silent. No party is dropped for being slower than others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from secureflow.application.ports.artifacts import ARTIFACT, DamagedArtifactError
from secureflow.application.ports.courier import Courier, Request
from secureflow.application.running.answering import SLOW
from secureflow.application.running.disapprovals import disapproval
from secureflow.application.running.replies import checked_reply
from secureflow.domain.errors import DAMAGED, name_of
from secureflow.engines.run.attemptcodes import LOST
from secureflow.engines.script import Ask
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import InfrastructureError, SecureFlowError, reasons_of
from secureflow.kit.text import Text, text_in

_WITNESSING = frozenset({"cosign", "finish"})
"""Verbs on the heads that start and end a job: their cosignatures are stored with the log. Those of
a head that the next round replaces are only sent to the agents, with the closing request."""

Cosigned = Callable[[str, Mapping[str, str]], Awaitable[None]]
Answered = Callable[[str, int, str], Awaitable[None]]
Damaged = Callable[[str, str], Awaitable[None]]
"""Raises `DamagedArtifactError` if a blob of a job, of which a party says so, is damaged here."""
Lost = Callable[[str, int, str], None]
"""Told of a job, an attempt, and a party that is no longer in it."""


class Asking:
    """Performs `Ask` effects over a courier.

    Args:
        courier: carries requests to parties.
        cosigned: called with a head's note and the cosignature lines of the parties that answered
            with one.
        lost: called for every party that answers that it has lost an attempt, while others run it.
        answered: called with (job, seq, party) for each answer of people while others think.
        damaged: called with a job and the digest of a blob that a party says is damaged here.
    """

    def __init__(
        self,
        courier: Courier,
        cosigned: Cosigned,
        lost: Lost = lambda *_: None,
        answered: Answered | None = None,
        damaged: Damaged | None = None,
    ) -> None:
        self._courier = courier
        self._cosigned = cosigned
        self._lost = lost
        self._answered = answered
        self._damaged = damaged

    async def perform(self, job: str, seq: int, ask: Ask, cancel: asyncio.Event) -> JSON:
        """Return `{"replies", "failures"}` by party.

        Raises:
            SecureFlowError: `too_few_answers` (details: failures), `consent_refused` (details:
                refusals too), the party's own error if it is the only one that must answer, or
                `cancelled`.
            InfrastructureError: a local fault: the same request may be sent again.
            DamagedArtifactError: a file of this server is, which a party had to read.
        """
        waiting = asyncio.create_task(self._gather(job, seq, ask))
        cancelling = asyncio.create_task(cancel.wait())
        try:
            await asyncio.wait({waiting, cancelling}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                await self._courier.withdraw(job)
                raise SecureFlowError("cancelled", Text("Job {job} was cancelled.", job=job))
            replies, failures = waiting.result()
        finally:
            waiting.cancel()
            cancelling.cancel()
        need = len(ask.to) if ask.need is None else ask.need
        if len(replies) < need:
            raise _too_few(ask, need, replies, failures)
        await self._pass_on_cosignatures(ask, replies)
        return {"replies": replies, "failures": failures}

    async def _gather(
        self, job: str, seq: int, ask: Ask
    ) -> tuple[dict[str, JSON], dict[str, JSON]]:
        tasks = {
            asyncio.create_task(self._courier.ask(request)): request.party
            for request in (_request(job, seq, ask, party) for party in ask.to)
        }
        replies: dict[str, JSON] = {}
        failures: dict[str, JSON] = {}
        need = len(ask.to) if ask.need is None else ask.need
        open_tasks = set(tasks)
        try:
            while open_tasks and len(replies) + len(open_tasks) >= need:
                done, open_tasks = await asyncio.wait(
                    open_tasks, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    try:
                        party = tasks[task]
                        replies[party] = checked_reply(ask.verb, party, task.result())
                    except (InfrastructureError, DamagedArtifactError):  # of this server
                        raise
                    except SecureFlowError as error:
                        await self._look_at_blob(job, error)
                        failures[tasks[task]] = error.as_json()
                        if error.code == LOST and type(number := ask.body.get("attempt")) is int:
                            self._lost(job, number, tasks[task])
                if ask.verb in SLOW and open_tasks and self._answered is not None:
                    for party in {tasks[task] for task in done} & replies.keys():
                        await self._answered(job, seq, party)
        finally:
            for task in tasks:  # a local fault may have hit several of them at once
                task.add_done_callback(_read)
                task.cancel()
        return dict(sorted(replies.items())), dict(sorted(failures.items()))

    async def _look_at_blob(self, job: str, error: SecureFlowError) -> None:
        """Tell a party's word of a damaged blob from a damaged blob of this server."""
        digest = error.details.get(ARTIFACT)
        if error.code == DAMAGED and isinstance(digest, str) and self._damaged is not None:
            await self._damaged(job, digest)

    async def _pass_on_cosignatures(self, ask: Ask, replies: Mapping[str, Any]) -> None:
        head = ask.body.get("head")
        if not isinstance(head, str) or ask.verb not in _WITNESSING:
            return
        lines: dict[str, str] = {}
        for party, reply in replies.items():
            line = reply.get("cosignature") if isinstance(reply, dict) else None
            if isinstance(line, str) and line:
                lines[party] = line
        if lines:
            await self._cosigned(head, lines)


def _read(task: asyncio.Task[JSON]) -> None:
    """Retrieve the exception of an abandoned task, or the loop complains about it."""
    if not task.cancelled():
        task.exception()


def _request(job: str, seq: int, ask: Ask, party: str) -> Request:
    body = {**ask.body, **ask.each.get(party, {})}
    return Request(f"{job}/{seq}/{party}", party, ask.verb, body, ask.patience)


def _too_few(
    ask: Ask, need: int, replies: dict[str, JSON], failures: dict[str, JSON]
) -> SecureFlowError:
    if ask.verb == "consent":
        return disapproval(ask.to, replies, failures)
    if len(ask.to) == 1 and failures:
        return SecureFlowError.from_json(next(iter(failures.values())))
    reasons = reasons_of(failures)
    return SecureFlowError(
        name_of(failures.values(), "too_few_answers"),
        Text(
            "{count} of {to_count} parties can answer '{verb}', {need} are needed. {reasons}",
            count=len(ask.to) - len(failures),
            to_count=len(ask.to),
            verb=ask.verb,
            need=need,
            reasons=reasons,
        ),
        next((text_in(error, "hint") for error in failures.values() if error.get("hint")), ""),
        {"verb": ask.verb, "failures": failures},
    )
