"""The runner: performs a script's effects, journals each answer, and survives a crash at any point.

Rules (docs/architecture.md, "A job is a script of effects"):
- the journal keeps the digest of each effect with its outcome; a replay that yields another effect
  pauses the job (`script_changed`) instead of continuing wrongly;
- the answer to effect k, the job's new state, and what effect k+1 sends out are committed in one
  transaction: one commit per external effect, none for the effects in between;
- failures and cancellation are journalled and enter by `throw()`, on replay too;
- a job whose script cannot be run (an older version's, one that no longer fits, one with a damaged
  journal) is ended without it (`windups`): on start-up, or when it is cancelled;
- an effect that was performed but not journalled is performed again under the same key
  `(job, seq)`; the other side answers from its own record;
- of several servers of a database one drives a job (`claims`); others' requests come through it;
- a fault of the infrastructure (`driving`) is no outcome: the job is restarted from the journal
  until it passes; nor is a damaged file of this server (`DamagedArtifactError`): it is paused;
- a script's own work (signatures of every party, frames for every party) grows with the roster and
  runs in a thread: the event loop serves people and parties meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final, cast

from secureflow.application.listing import list_readable
from secureflow.application.ports.artifacts import DamagedArtifactError
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import PendingLeaf, UnitOfWork, UnitOfWorkFactory
from secureflow.application.running import moving
from secureflow.application.running.asking import Asking
from secureflow.application.running.claims import JobClaims
from secureflow.application.running.driving import DriverBackoff, defect, passes
from secureflow.application.running.partjobs import PartJobs
from secureflow.application.running.performing import journal, perform_inside
from secureflow.application.running.queueing import JobQueue
from secureflow.application.running.recording import closes, pending_leaves
from secureflow.application.running.replaying import RunningJob, is_cancellation, replay
from secureflow.application.running.resuming import (
    RESUMED,
    begin_waiting,
    check_resumed,
    resumed_by,
)
from secureflow.application.running.scripts import ScriptSource
from secureflow.application.running.stepoutputs import StepOutputs
from secureflow.application.running.timetabling import Timetabling
from secureflow.application.running.waiting import SERVER as DRIVER
from secureflow.application.running.windups import (
    WindUp,
    cancellation,
    decide,
    ends_by,
    leaves_pause,
    note_cancellation,
    overtaken,
    script_of,
    why_cancelled,
)
from secureflow.domain.errors import DAMAGED
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.queue import UNLIMITED
from secureflow.engines.ledger.ends import SERVER, End
from secureflow.engines.script import Ask, AwaitResume, AwaitTime, Record, RunJob, Tell
from secureflow.kit.canonical import JSON
from secureflow.kit.crypto import SigningKey
from secureflow.kit.disk import exhausted
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.logthrottle import ThrottledLog
from secureflow.kit.memory import return_free_memory

_log = get_logger(__name__)

Milliseconds = Callable[[], int]
Waits = Callable[[str, str, SecureFlowError | None], None]
OUTSIDE: Final = (Ask, Record, RunJob, AwaitTime, AwaitResume)
"""Effects whose answers come from outside of the job's own transaction."""


class Runner:
    """Drives every job of this server.

    Args:
        begin: starts units of work.
        asking: performs `Ask` over the courier.
        ledger: numbers and signs what `Record` submits.
        log_key: signs the server's own leaves.
        scripts: makes a fresh script for a job.
        now_ms: unix milliseconds.
        changed: called with a job id after each durable step (wakes watchers).
        waits: called with a job id, who waits in it, and for what (None when the wait ends).
        claims: coordinates the servers of a database.
        queue: lets approved jobs start in turn; without one all start at once.
        outputs: reads what steps of pipelines give.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        asking: Asking,
        ledger: Ledger,
        log_key: SigningKey,
        scripts: ScriptSource,
        now_ms: Milliseconds,
        changed: Callable[[str], None],
        waits: Waits = lambda _job, _who, _error: None,
        claims: JobClaims | None = None,
        queue: JobQueue | None = None,
        outputs: StepOutputs | None = None,
    ) -> None:
        self._begin = begin
        self._asking = asking
        self._ledger = ledger
        self._log_key = log_key
        self._scripts = scripts
        self._now_ms = now_ms
        self._changed = changed
        self._waits = waits
        self._claims = claims or JobClaims(begin)
        self._queue = queue or JobQueue(begin, UNLIMITED, lambda: now_ms() // 1000)
        driven = self._claims, self.start, self.cancel
        self._parts = PartJobs(begin, ledger, log_key, *driven, outputs or StepOutputs(), scripts)
        self._times = Timetabling(begin, lambda: now_ms() // 1000)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancels: dict[str, asyncio.Event] = {}
        self._backoffs: dict[str, DriverBackoff] = {}
        self._wanted: set[str] = set()
        self._stopped = False
        self._faults = ThrottledLog(_log)

    @property
    def _now(self) -> int:
        """Unix seconds."""
        return self._now_ms() // 1000

    async def claim(self, unit: UnitOfWork, job: str) -> None:
        """Claim a job in the transaction that creates it, to make a server responsible for it."""
        await self._claims.take(unit, job)

    def start(self, job: str) -> None:
        """Drive the job in the background; one that is driven already continues without a pause.

        An unknown job is ignored; after `stop` nothing is driven any more.
        """
        if self._stopped:
            return
        if job in self._backoffs:
            self._backoffs[job].wake()
        self._times.wake(job)
        if self.drives(job):
            self._wanted.add(job)  # it may be about to stop
        else:
            self._tasks[job] = asyncio.create_task(self._guarded(job), name=f"job {job}")

    def drives(self, job: str) -> bool:
        """Tell whether the job is driven here, which means that its watchers are woken."""
        return job in self._tasks and not self._tasks[job].done()

    async def poll(self) -> None:
        """Do what other servers asked of this one, and take over jobs that they left.

        A job that fails now (a busy database, a damaged row) does not affect the others, and is
        retried at the next check.
        """
        changes = await self._claims.poll()
        for job, calls in changes.called.items():
            try:
                await self._called(job)
            except SecureFlowError as error:
                self._faults.note("call_not_heard", job=job, code=error.code)
            else:
                self._claims.acknowledge(job, calls)
        for job in changes.lost:
            self._lose(job)
            if self.drives(job):
                self._tasks[job].cancel()
                self._tasks[job].add_done_callback(partial(self._start_if_wanted, job))
        if changes.lapsed:
            await self.resume_all()

    def _lose(self, job: str) -> None:
        """Take note that another server drives a job."""
        self._claims.lose(job)
        self._queue.forget(job)

    async def _called(self, job: str) -> None:
        """Handle what was decided at another server about a job that is driven here."""
        async with self._begin() as unit:
            entity = await unit.jobs.get(job)
        if WindUp.of(entity) is None and overtaken(entity) is not None:
            await self.restart(job)
            return
        if "cancel" in entity.progress and job in self._cancels:
            self._cancels[job].set()
        self.start(job)

    def _start_if_wanted(self, job: str, _: object) -> None:
        if job in self._wanted:  # by a caller that arrived while its task ended
            self.start(job)

    async def resume_all(self) -> None:
        """Drive every job that is neither finished nor a draft, nor driven by another server.

        Of the paused ones only those that end without their script, and those paused by a fault of
        the infrastructure.
        """
        async with self._begin() as unit:
            free = await self._claims.free_jobs(unit)
            for state in JobState:
                if not state.final and state != JobState.DRAFT:
                    for job in await list_readable(unit.jobs, state=state.value):
                        goes_on = state != JobState.PAUSED or leaves_pause(job, self._scripts)
                        if goes_on and free(job.id) and not self.drives(job.id):
                            self.start(job.id)

    async def cancel(
        self, job: str, by: str, because: Mapping[str, str] | None = None, withdrawn: str = ""
    ) -> None:
        """Cancel a job durably; the script is told at its current effect and cleans up.

        A paused job ends without its script. `because`, `withdrawn`: see `note_cancellation`.
        """
        if not await note_cancellation(self._begin, job, by, because, withdrawn):
            return
        if job in self._cancels:
            self._cancels[job].set()
        self.start(job)

    async def restart(self, job: str) -> None:
        """Restart a job's driver from its journal, after how it continues was decided."""
        if (task := self._tasks.get(job)) is None or task.done():
            self.start(job)
            return
        task.cancel()
        task.add_done_callback(lambda _: self.start(job))  # also if nobody waits here any more
        await asyncio.gather(task, return_exceptions=True)

    async def stop(self) -> None:
        """Stop driving every job without ending it; the next runner's `resume_all` resumes them."""
        self._stopped = True
        tasks = [task for task in self._tasks.values() if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._queue.stop()

    async def _guarded(self, job: str) -> None:
        """Drive the job until it ends or pauses, through all temporary faults."""
        backoff = self._backoffs[job] = DriverBackoff()
        self._wanted.add(job)
        try:
            while job in self._wanted:
                self._wanted.discard(job)
                while not await self._attempted(job, backoff):
                    await backoff.wait()
        finally:
            self._backoffs.pop(job, None)
            self._waits(job, DRIVER, None)

    async def _attempted(self, job: str, backoff: DriverBackoff) -> bool:
        """Drive the job as far as possible; False if it should be restarted after a pause."""
        try:
            await self._driven(job, backoff)
        except SecureFlowError as error:
            if error.code == DAMAGED and not passes(error):
                # A fault of this job alone, which cannot even be recorded in it.
                _log.error("job_damaged", job=job, message=error.message, hint=error.hint)
                return True
            if error.code == "fenced":  # another server drives it, or did until now: not an error
                self._lose(job)
                return False
            if not passes(error):
                raise
            cause = error.__cause__ and repr(error.__cause__)
            self._faults.note("job_waits", job=job, code=error.code, cause=cause)
            if isinstance(error, InfrastructureError):
                self._waits(job, DRIVER, error)
            return False
        finally:
            self._cancels.pop(job, None)
            return_free_memory()
        return True

    async def _driven(self, job: str, backoff: DriverBackoff) -> None:
        try:
            try:
                await self._drive(job, backoff)
            except SecureFlowError as error:
                if not await self._winds_up(job, error):
                    raise
                await self._drive(job, backoff)
        except SecureFlowError as error:
            if passes(error) or error.code == "fenced":
                raise
            await self._pause(job, error)
        except Exception as error:  # the edge of a job: others continue
            if (fault := exhausted(error, "The centre")) is not None:
                raise fault from error
            _log.exception("job stopped by an internal error", job=job)
            await self._pause(job, defect(job))

    async def _drive(self, job: str, backoff: DriverBackoff) -> None:
        # Before the row is read: later cancellations find it, earlier ones are in the row.
        cancel = self._cancels[job] = asyncio.Event()
        running = await self._replayed(job, cancel)
        if running is None:
            self._changed(job)
            return
        news = True  # that it is taken up
        while True:
            news |= await self._make_durable(running)
            self._claims.hold(job)
            backoff.reset()
            self._waits(job, DRIVER, None)
            if news:
                self._changed(job)
                news = False
            if running.effect is None:
                self._claims.lose(job)
                self._queue.left(job)
                self._parts.ended(job)
                return
            await self._ready(running)
            try:
                answer = await self._perform_outside(running)
            except (InfrastructureError, DamagedArtifactError):  # a local fault, not an outcome
                raise
            except SecureFlowError as error:
                if error.code == "fenced":
                    raise
                if running.cancel.is_set() and error.code == "cancelled":
                    running.cancel = asyncio.Event()  # told once: its clean-up is not cancelled
                    running.ends = True
                    error = await why_cancelled(self._begin, job) or error
                await asyncio.to_thread(running.settle, failure=error.as_json())
            else:
                await asyncio.to_thread(running.settle, answer)

    async def _ready(self, running: RunningJob) -> None:
        """Wait for the job's turn; pause it where its script waits to be resumed."""
        if not running.ends:
            await self._queue.turn(running.job, running.state, running.cancel)
        if isinstance(running.effect, AwaitResume):
            await check_resumed(self._begin, running, running.effect)

    async def state_to_resume(self, job: str) -> JobState:
        """Replay a paused job without changing anything; return the state of its script.

        Raises:
            SecureFlowError: `script_changed` if the current script asks for something else than was
                journalled; other errors of the script.
        """
        async with self._begin() as unit:
            entity = await unit.jobs.get(job)
        return (await self._replay(entity, WindUp.of(entity), asyncio.Event())).state

    async def _replayed(self, job: str, cancel: asyncio.Event) -> RunningJob | None:
        """Replay the journal into a fresh script: the job's own, or the one that ends it without.

        None for a job that has ended, was never committed, is paused until someone resumes it, or
        is driven by another server, which is asked to check it.
        """
        async with self._begin() as unit:
            entity = await unit.jobs.find(job)
            if entity is None or entity.state.final:
                return None
            if await self._claims.driven_elsewhere(unit, job):
                return None
        if entity.state is JobState.PAUSED and not leaves_pause(entity, self._scripts):
            return None
        if RESUMED in entity.progress:  # its leaf comes before the job's next one
            await self._ledger.caught_up()
        end = WindUp.of(entity)
        if end is None and (why := ends_by(entity, self._scripts)) is not None:
            end = await self._decide(job, why)
        running = await self._replay(entity, end, cancel)
        if entity.state is JobState.PAUSED and end is None:
            await self._take_up(running)
        return running

    async def _replay(self, job: Job, end: WindUp | None, cancel: asyncio.Event) -> RunningJob:
        async with self._begin() as unit:  # for a job that ends without its script: only the end
            lines = await unit.journal.read(job.id, end.first if end is not None else 0)
        if end is not None:
            ending = await script_of(job, end, self._ledger)
            heard = asyncio.Event() if end.error["code"] == "cancelled" else cancel
            running = RunningJob(job.id, job.digest, ending, seq=end.first, cancel=heard, ends=True)
        else:
            script = await asyncio.to_thread(self._scripts.of, job)  # it may import its engine
            running = RunningJob(job.id, job.digest, script, cancel=cancel)
            if any(map(is_cancellation, lines)):  # told once, on replay too
                running.cancel, running.ends = asyncio.Event(), True
            elif "cancel" in job.progress:
                cancel.set()
        await asyncio.to_thread(replay, running, lines)
        return running

    async def _decide(self, job: str, error: SecureFlowError) -> WindUp:
        """Decide durably that a job ends with an error without its script, and its part with it."""
        await self._parts.cancel_left(job)  # first: nothing looks for it afterwards
        async with self._begin() as unit:
            last = await unit.journal.last(job)
        end = await decide(self._ledger, last, error)
        async with self._begin() as unit:
            await unit.jobs.save(end.kept_by(await unit.jobs.get(job)))
            await unit.commit()
        return end

    async def _winds_up(self, job: str, error: SecureFlowError) -> bool:
        """Tell whether a job that must end has to do so without its script, which cannot be run.

        An end that was begun by another version, and no longer fits either, starts over.
        """
        if error.code not in {"script_changed", DAMAGED}:
            return False
        async with self._begin() as unit:
            entity = await unit.jobs.get(job)
        begun = WindUp.of(entity)
        why = SecureFlowError.from_json(begun.error) if begun else cancellation(entity)
        if why is None:
            return False
        await self._decide(job, why)
        return True

    async def _take_up(self, running: RunningJob) -> None:
        """Leave `paused` for the script's state, from which it may continue."""
        async with self._begin() as unit:
            state = running.state
            job = await moving.move(unit, running.job, state, "taken up again", self._now)
            await unit.jobs.save(replace(job, error=None))
            await unit.commit()

    async def _make_durable(self, running: RunningJob) -> bool:
        """Commit what happened, perform the local effects, open the next external one.

        Return whether watchers would be shown anything of it: no answers, and no requests.
        """
        news = not isinstance(running.effect, (Ask, Record))
        async with self._begin() as unit:
            await self._claims.take(unit, running.job)
            while running.effect is not None and not isinstance(running.effect, OUTSIDE):
                answer = await perform_inside(unit, running, self._now_ms)
                if isinstance(running.effect, Tell):  # many in a row, without consequences
                    running.settle(answer)
                else:
                    await asyncio.to_thread(running.settle, answer)
            await journal(unit, running)
            if isinstance(running.effect, Ask):
                effect = running.effect
                await unit.outbox.put(running.job, running.seq, effect.verb, effect.to)
                running.owed = True
            elif isinstance(running.effect, Record):
                await unit.leaves.submit(await self._leaves(unit, running, running.effect))
            elif isinstance(running.effect, RunJob):
                await self._parts.propose(unit, running.job, running.effect, self._now)
            elif isinstance(running.effect, AwaitResume):
                await begin_waiting(unit, running)
            elif running.effect is None:
                await self._queue.leave(unit, running.job)
                await unit.claims.release(running.job)
                await moving.end(unit, running, self._now)
            await unit.commit()
        return news

    async def _leaves(self, unit: UnitOfWork, job: RunningJob, effect: Record) -> list[PendingLeaf]:
        # A job's own effects and its proposal get their numbers before its next effect begins.
        own = await unit.leaves.end(job.job, SERVER) if closes(effect) else End()
        return pending_leaves(
            job.job, job.seq, effect, self._ledger.origin, self._log_key, job.spec,
            self._now, own,
        )  # fmt: skip

    async def _perform_outside(self, running: RunningJob) -> JSON:
        effect = running.effect
        if isinstance(effect, Record):
            recorded = await self._ledger.sequenced(running.job, running.seq)
            return {"note": recorded.note, "size": recorded.size, "indices": list(recorded.indices)}
        if isinstance(effect, RunJob):
            return await self._parts.run(running.job, effect, running.cancel)
        if isinstance(effect, AwaitResume):
            return await resumed_by(self._begin, running)
        if isinstance(effect, AwaitTime):
            return await self._times.wait(running.job, effect, running.cancel)
        ask = cast("Ask", effect)
        return await self._asking.perform(running.job, running.seq, ask, running.cancel)

    async def _pause(self, job: str, error: SecureFlowError) -> None:
        self._claims.lose(job)  # a stalled one may have been overtaken: its error does not matter
        async with self._begin() as unit:
            entity = await unit.jobs.get(job)
            if not entity.state.final:
                await self._claims.take(unit, job)
                await self._queue.leave(unit, job)
                await moving.pause(unit, job, error, self._now)
                await unit.commit()
        self._queue.left(job)
        self._changed(job)
