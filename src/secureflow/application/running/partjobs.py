"""`RunJob`: jobs that another job starts as its parts, each once, and waits for.

A part is proposed in the transaction that makes the effect durable, so it exists if and only if its
whole got that far; its id follows from the effect, so a repeated one finds it. One on data whose
grant was revoked is not proposed, which ends its whole (`partgrants`). From then on it is a
job like any other: its own journal, its own driver, its own end. A cancellation of the whole
cancels the part that runs, and is told to the whole when that has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.running.claims import JobClaims
from secureflow.application.running.partgrants import revoked_for
from secureflow.application.running.recording import BEFORE_THE_SCRIPT, server_leaf
from secureflow.application.running.scripts import ScriptSource
from secureflow.application.running.stepoutputs import StepOutputs, ends_naming
from secureflow.domain.jobs import Job, JobState
from secureflow.engines.script import REPORTED, REPORTED_OF_STEPS, RunJob
from secureflow.kit.canonical import JSON
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

LOOK_SECONDS: Final = 3.0
"""Seconds between looks at a part: another server may drive it."""
PART: Final = "part"
"""Key in a job's progress that names the part that it started last."""


class PartJobs:
    """The parts of this server's jobs.

    Args:
        begin: starts units of work.
        ledger: numbers the leaves of proposals.
        log_key: signs them.
        claims: of this server.
        start: drives a job in the background.
        cancel: cancels a job (by whom), durably.
        outputs: reads what a pipeline's step that has succeeded gives to others.
        scripts: tells the columns that a part reads.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        ledger: Ledger,
        log_key: SigningKey,
        claims: JobClaims,
        start: Callable[[str], None],
        cancel: Callable[[str, str], Awaitable[None]],
        outputs: StepOutputs,
        scripts: ScriptSource,
    ) -> None:
        self._begin = begin
        self._ledger = ledger
        self._log_key = log_key
        self._claims = claims
        self._start = start
        self._cancel = cancel
        self._outputs = outputs
        self._scripts = scripts
        self._refused: dict[str, SecureFlowError] = {}
        self._awaited: dict[str, asyncio.Event] = {}

    def ended(self, job: str) -> None:
        """Wake whoever waits for a job: it has ended, or may have."""
        if job in self._awaited:
            self._awaited[job].set()

    async def propose(self, unit: UnitOfWork, whole: str, effect: RunJob, now: int) -> None:
        """Create a part unless it exists, or must not begin, in its whole's transaction.

        Args:
            unit: the transaction.
            whole: the job that starts it.
            effect: says what it is.
            now: unix seconds.
        """
        self._refused.pop(effect.job, None)
        if await unit.jobs.find(effect.job) is not None:
            return
        entity = await unit.jobs.get(whole)
        part = part_of(entity, effect, now)
        refused = await revoked_for(unit, part, self._scripts.columns, now)
        if refused is not None:
            self._refused[part.id] = refused
            progress = {name: one for name, one in entity.progress.items() if name != PART}
            await unit.jobs.save(replace(entity, progress=progress))
            return
        await unit.jobs.add(part)
        await self._claims.take(unit, part.id)
        state = {"state": part.state.value, "reason": "submitted"}
        await unit.events.append(part.id, "state", now, state)
        document = {"name": part.name, "project": part.project, "part_of": whole}
        document |= {"organisation": part.organisation, "spec": part.digest}
        leaf = server_leaf(
            "job.proposed", document, self._ledger.origin, self._log_key, now,
            job=part.id, spec=part.digest, seq=BEFORE_THE_SCRIPT,
        )  # fmt: skip
        await unit.leaves.submit([leaf])

    async def run(self, whole: str, effect: RunJob, cancel: asyncio.Event) -> JSON:
        """Drive a proposed part to its end; return how it ended (`script.RunJob`).

        Raises:
            SecureFlowError: `cancelled`, when the whole was cancelled and the part has ended;
                `grant_revoked` if it was not proposed.
        """
        if (refused := self._refused.pop(effect.job, None)) is not None:
            raise refused
        # Its proposal has its number before its first effect begins.
        await self._ledger.sequenced(effect.job, BEFORE_THE_SCRIPT)
        self._start(effect.job)
        event = self._awaited[effect.job] = asyncio.Event()
        cancelling = asyncio.create_task(_set_after(cancel, event))
        told = False
        try:
            while not (part := await self._read(effect.job)).state.final:
                if cancel.is_set() and not told:
                    by = (await self._read(whole)).progress.get("cancel", "")
                    await self._cancel(effect.job, str(by))
                    told = True
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await event.wait()
                event.clear()
        finally:
            cancelling.cancel()
            self._awaited.pop(effect.job, None)
        if cancel.is_set():
            raise SecureFlowError("cancelled", Text("Job {job} was cancelled.", job=whole))
        return await self._outcome(part)

    async def _outcome(self, part: Job) -> dict[str, JSON]:
        """Return what a whole is told of a part that has ended."""
        told = outcome_of(part)
        if not (part.spec.get("part_of") or {}).get("step") or part.report is None:
            return told
        async with self._begin() as unit:
            outputs = await self._outputs.of(unit, part)
        model = str(outputs.get("model") or "")
        ends = await ends_naming(self._ledger, part, model) if model else []
        return {**told, "outputs": outputs, **({"ends": ends} if ends else {})}

    async def cancel_left(self, whole: str) -> None:
        """Cancel the part of a job that ends without its script, which waits for nobody."""
        found = await self._read(whole)
        part = found.progress.get(PART)
        if isinstance(part, str):
            await self._cancel(part, str(found.progress.get("cancel", "")))

    async def _read(self, job: str) -> Job:
        async with self._begin() as unit:
            return await unit.jobs.get(job)


def part_of(whole: Job, effect: RunJob, now: int) -> Job:
    """Return a part as it is proposed: of its whole's project, submitter and charter."""
    from secureflow.engines.run.renewing import RENEWED_SECONDS  # with all of SecAgg

    spec = dict(effect.spec)
    course: dict[str, Any] = {
        **{name: whole.progress[name] for name in ("charter", "members", "facts")},
        "expires": now + RENEWED_SECONDS,
    }
    if effect.accounting is not None:
        course["accounting"] = dict(effect.accounting)
    return Job(
        id=effect.job,
        project=whole.project,
        organisation=whole.organisation,
        name=str(spec["name"]),
        submitter=whole.submitter,
        kind=str(spec["kind"]),
        script=str(spec["script"]),
        spec=spec,
        digest=effect.digest,
        state=JobState.PROPOSED,
        created=now,
        updated=now,
        progress=course,
    )


def outcome_of(part: Job) -> dict[str, JSON]:
    """Return what a whole is told of a part that has ended."""
    told: dict[str, JSON] = {"job": part.id, "state": part.state.value}
    if part.error is not None:
        said = ("code", "message", "hint", "texts")
        told["error"] = {name: part.error[name] for name in said if name in part.error}
    if part.report is not None:
        members = REPORTED_OF_STEPS if (part.spec.get("part_of") or {}).get("step") else REPORTED
        told["report"] = {name: part.report[name] for name in members if name in part.report}
    return told


async def _set_after(cancel: asyncio.Event, event: asyncio.Event) -> None:
    await cancel.wait()
    event.set()
