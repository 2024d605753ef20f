"""Stopping jobs that run: the owner takes back what it allowed, and no link is needed for it.

One transaction records why (an approval withdrawn, a grant revoked, a project or requester
stopped), ends every job that it covers in the record, and signs a leaf `revoked` in each. A job
whose row cannot be read hinders none of the others: it is named, and ended without a leaf where the
grant is known to be its. From then on every request of such a job is refused, after a restart too,
and whatever commits this party checks it in its own transaction (`going.check_going`): no vote
follows. Then what runs is ended: requests, workers, engines, channels; secrets and rows are
dropped.

What cannot be taken back is named, per job (`given`): an approval and leaves that were signed; a
vote that was cast, so a sum that a certificate may open; and, where the others' votes are enough
for a certificate, an update that was sent. t = ⌊2N/3⌋ + 1 of N parties certify a set, and never
fewer than the spec's `min_contributors`: of three that is all of them, and without this one's vote
nothing opens; of four it is three, unless the job (or the grant's `min_group`) asks for all four.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from secureflow.agent.job.context import AgentContext, Computing
from secureflow.agent.owner.acting import acting
from secureflow.agent.owner.grants import Grants
from secureflow.agent.owner.stoppedjobs import StoppedJob
from secureflow.agent.owner.stops import recall
from secureflow.agent.record.damage import damaged
from secureflow.agent.record.grantrows import Stop
from secureflow.agent.record.records import JobRecord
from secureflow.agent.record.store import RecordStore
from secureflow.agent.verbs.settling import Settling
from secureflow.domain.quorum import threshold_of
from secureflow.engines.run.kept import KEPT
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

LEAF = "revoked"
"""The kind of leaf that says that this party took its approval of a job back."""
Code = Literal["approval_withdrawn", "grant_revoked", "project_stopped", "requester_blocked"]
By = Literal["owner", "centre"]
_log = get_logger(__name__)

ANSWERED_WITHIN: Final = 8.0
"""Seconds after which whoever stops jobs is answered, though their files and workers still go: a
command waits for 15."""


@dataclass(frozen=True)
class Cause:
    """Why jobs are stopped.

    Args:
        code: the outcome of the jobs.
        name: the job's id, the grant's, the project's, or the requester as the centre names them.
        by: who says so: the owner, or the centre, which can only take away.
        reason: in the owner's words.
    """

    code: Code
    name: str
    by: By = "owner"
    reason: str = ""


class Stopping:
    """Stops jobs.

    Args:
        context: the party.
        grants: the owner's.
        settling: ends jobs in the record.
        cancel: ends what is being done for a job.
        end_run: ends a job's run with peers.
        forget: drops a job's files, rows, channels and questions, in its turn.
        computing: the workers.
    """

    def __init__(
        self,
        context: AgentContext,
        grants: Grants,
        settling: Settling,
        cancel: Callable[[str], None],
        end_run: Callable[[str], Awaitable[None]],
        forget: Callable[[str], Awaitable[None]],
        computing: Computing,
    ) -> None:
        self._context = context
        self._grants = grants
        self._settling = settling
        self._cancel = cancel
        self._end_run = end_run
        self._forget = forget
        self._computing = computing
        self._ending: set[asyncio.Task[None]] = set()

    async def stop(self, cause: Cause) -> list[StoppedJob]:
        """Record why, and end every job that it covers; return those that this ended.

        Raises:
            SecureFlowError: `not_found` for a grant or a job that is not on record.
        """
        stopped = await asyncio.to_thread(self._record, cause)
        for one in stopped:  # first everything that is being done, then what takes time
            self._cancel(one.job)
        ends = [asyncio.create_task(self._end(one.job)) for one in stopped]
        self._ending.update(ends)
        for end in ends:
            end.add_done_callback(self._ending.discard)
        if ends:  # who stops is answered in time; what takes longer goes on
            await asyncio.wait(ends, timeout=ANSWERED_WITHIN)
        if stopped:
            _log.warning("jobs_stopped", code=cause.code, jobs=[one.job for one in stopped])
        return stopped

    async def _end(self, job: str) -> None:
        """End what runs of a job; what fails of it hinders neither the rest nor other jobs."""
        # A handler may hold the job's lock a moment longer: its files and rows are dropped last.
        for step in (self._end_run, self._computing.close, self._forget):
            (problem,) = await asyncio.gather(step(job), return_exceptions=True)
            if isinstance(problem, Exception):
                _log.error("job_not_ended", job=job, step=step.__name__, message=str(problem))

    def _record(self, cause: Cause) -> list[StoppedJob]:
        store, now = self._context.store, self._context.clock()
        stopped: list[StoppedJob] = []
        with store.transaction():
            self._apply(cause, now)
            for name in store.open_jobs():
                try:
                    job = _read(store, name)
                    if not self._covers(cause, job):
                        continue
                    found = given(store, job)
                except InfrastructureError:
                    raise
                except (SecureFlowError, TypeError, ValueError) as error:
                    stopped += self._unread(cause, name, error, now)
                    continue
                self._stop(cause, job, found, now)
                stopped.append(found)
        return stopped

    def _stop(self, cause: Cause, job: JobRecord, found: StoppedJob, now: int) -> None:
        """End a job in the record, and sign that."""
        self._settling.settle(job.job, cause.code)
        document = {"code": cause.code, "by": cause.by, **found.as_json()}
        self._context.witness.leaf(LEAF, job.job, job.digest, document)
        facts = {**document, "name": cause.name, "reason": cause.reason}
        del facts["job"]
        self._context.store.note(now, "job.stopped", job.job, **facts)

    def _unread(self, cause: Cause, name: str, error: Exception, now: int) -> list[StoppedJob]:
        """End a job whose rows cannot be read, if it is under the revoked grant; name it anyway.

        Of a project or a requester, only the unreadable row says whether the job is theirs: it
        stays as it is, and nothing of it is answered, because it cannot be read.
        """
        store = self._context.store
        use = store.grant_use(name)
        if cause.code == "grant_revoked" and (use is None or use.grant != cause.name):
            return []
        if cause.code == "grant_revoked":
            store.finish_job(name, cause.code)
        _log.error("job_unreadable", job=name, message=str(error))
        store.note(now, "job.unreadable", name, cause=cause.code, name=cause.name)
        return [StoppedJob(name, (), (), 0, 0, kept=False, unreadable=True)]

    def _apply(self, cause: Cause, now: int) -> None:
        """Keep the cause itself: later jobs are refused for it too."""
        store = self._context.store
        if cause.code == "approval_withdrawn":
            if store.job(cause.name) is None and not recall(store, cause.name, cause.reason):
                raise _not_approved(cause.name)
            facts = {"by": cause.by, "reason": cause.reason, **acting().facts()}
            store.note(now, "approval.withdrawn", cause.name, **facts)
            return
        if cause.code == "grant_revoked":
            kept = self._grants.get(cause.name)
            if kept.state == "revoked":
                return
            revoked = replace(kept, state="revoked", revoked_at=now, reason=cause.reason)
            store.keep_grant(revoked)
            facts = {"grant": kept.id, "by": cause.by, "reason": cause.reason, **acting().facts()}
            store.note(now, "grant.revoked", "", **facts)
            return
        kind: Literal["project", "requester"] = (
            "project" if cause.code == "project_stopped" else "requester"
        )
        if store.stop(kind, cause.name) is None:
            store.keep_stop(Stop(kind, cause.name, cause.by, cause.reason, now))
            facts = {"kind": kind, "name": cause.name, "by": cause.by, "reason": cause.reason}
            store.note(now, "stop.set", "", **facts, **acting().facts())

    def _covers(self, cause: Cause, job: JobRecord) -> bool:
        if cause.code == "approval_withdrawn":  # of a timetable: the run that goes on, too
            whole = (job.spec.get("part_of") or {}).get("job")
            return cause.name in {job.job, whole}
        if cause.code == "grant_revoked":
            use = self._context.store.grant_use(job.job)
            return use is not None and use.grant == cause.name
        named = "project" if cause.code == "project_stopped" else "submitter"
        return bool(job.spec.get(named) == cause.name)


def _read(store: RecordStore, name: str) -> JobRecord:
    """Return an approved job, if what is needed of its row is as it was written.

    Raises:
        SecureFlowError: `record_damaged`.
    """
    job = store.job(name)
    if job is None or not isinstance(job.spec, dict) or not isinstance(job.digest, str):
        raise damaged(Text("the row of job {job} is not as it was written", job=name))
    return job


def given(store: RecordStore, job: JobRecord) -> StoppedJob:
    """Return what this party has given out in a job: what it sent, and what it voted on."""
    rounds = [(one.round, one.stage) for one in store.rounds(job.job)]
    voted = tuple(one for one in rounds if store.vote(job.job, *one) is not None)
    parties = len(job.spec.get("roster", ()))
    kept = store.leaf_of(job.job, KEPT) is not None
    sent = tuple(one for one in rounds if one not in voted)
    needed = max(threshold_of(parties), int(job.spec.get("min_contributors", 0)))
    return StoppedJob(job.job, voted, sent, needed, parties, kept)


def _not_approved(job: str) -> SecureFlowError:
    return SecureFlowError(
        "not_found",
        Text("This organisation has approved no job {job!r}.", job=job[:80]),
        "secureflow agent data usage shows the approved jobs; one that still waits is rejected: "
        "secureflow agent inbox reject ID.",
    )
