"""Ends that this party signs of jobs that did not end here: stopped by its owner, or not approved.

A party that never approved a job has nothing in it, and signs just that at the end of one that
failed or was cancelled: `finished` with a count of 0 (`engines.ledger.ends`). Without it a job that
one of three refused would never verify, since nobody could tell that party from one whose leaves a
centre left out. From then on the job is over here: no approval follows (`check_not_ended`).

Only a party that certainly signed nothing says so. A record that was restored, or continued with
after it was rolled back, may have lost an approval: there the record must hold that the job was
asked about, and the log no leaf that it lacks.
"""

from __future__ import annotations

from secureflow.agent.job.context import AgentContext
from secureflow.agent.record.going import STOPPED
from secureflow.agent.record.restored import BEHIND, ForgottenJobs, restored
from secureflow.agent.record.store import RecordStore
from secureflow.engines.ledger.ends import FINISHED
from secureflow.engines.run.messages import FinishRequest
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.text import Text


def end_stopped(context: AgentContext, request: FinishRequest) -> JSON:
    """Sign the end of a job that its owner stopped, once; return its leaf's hash, or None.

    The caller's transaction.
    """
    job = context.store.job(request.job)
    if job is None or job.outcome not in STOPPED:
        return None
    return _signed(context, request, job.digest)


def end_unapproved(context: AgentContext, request: FinishRequest) -> JSON:
    """Sign that this party signed nothing in a job, once; return its leaf's hash, or None.

    The caller's transaction; it has asked `took_no_part`.
    """
    store, job = context.store, request.job
    if request.outcome == "succeeded" or store.job(job) is not None or store.leaves(job):
        return None
    return _signed(context, request, request.digest)


async def took_no_part(
    store: RecordStore, forgotten_jobs: ForgottenJobs, request: FinishRequest
) -> bool:
    """Tell whether this party certainly signed nothing in a job."""
    if store.job(request.job) is not None or store.leaves(request.job):
        return False
    if restored(store) is None and store.fact(BEHIND) is None:
        return True
    refused = store.actions(job=request.job, limit=1, names=("job.refused",))
    if not refused and store.inbox_request(request.job, request.digest) is None:
        return False
    try:
        await forgotten_jobs.check(request.job)
    except InfrastructureError:
        raise
    except SecureFlowError:
        return False
    return True


def check_not_ended(store: RecordStore, job: str) -> None:
    """Refuse to approve a job in which this party has signed that it took no part.

    Raises:
        SecureFlowError: `job_finished`.
    """
    if store.job(job) is None and store.leaf_of(job, FINISHED) is not None:
        raise SecureFlowError(
            "job_finished",
            Text("Job {job} has ended: this agent signed that it took no part in it.", job=job),
            "Submit a new job.",
        )


def _signed(context: AgentContext, request: FinishRequest, digest: str) -> str:
    leaf = context.witness.finish(request.job, digest, request.outcome)
    context.store.keep_answer(f"finish/{request.job}", request.job, leaf.hash)
    return leaf.hash
