"""What this owner stops at its own agent, whatever the centre says: projects and requesters.

A stop is a row of the record. It refuses every new request of the project, or of who the centre
says submitted a job; that name is the centre's word, so a block keeps out nobody whom a lying
centre renames, and is for people whom the centre names honestly. Projects are in the signed spec.
"""

from __future__ import annotations

from dataclasses import replace

from secureflow.agent.owner.acting import acting
from secureflow.agent.record.going import stopped_here
from secureflow.agent.record.grantrows import Stop, StopKind
from secureflow.agent.record.store import RecordStore
from secureflow.domain.specs.base import JobSpec
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def check_unstopped(store: RecordStore, job: str, spec: JobSpec) -> None:
    """Refuse a job of a project or requester that is stopped here.

    Raises:
        SecureFlowError: `project_stopped`, `requester_blocked`.
    """
    if store.stop("project", spec.project) is not None:
        raise SecureFlowError(
            "project_stopped",
            Text(
                "This organisation has stopped the project {project} at its agent, and refuses "
                "job {job}.",
                project=spec.project,
                job=job,
            ),
            "Ask its data owner: secureflow agent project unfreeze PROJECT.",
        )
    if store.stop("requester", spec.submitter) is not None:
        raise SecureFlowError(
            "requester_blocked",
            Text(
                "This organisation takes part in no job of {submitter}, and refuses job {job}.",
                submitter=spec.submitter,
                job=job,
            ),
            "Ask its data owner: secureflow agent requester unblock USER.",
        )


def recall(store: RecordStore, job: str, reason: str) -> bool:
    """Take back a person's approval that is not signed yet; tell whether there was one.

    The caller's transaction. The centre may ask for it any time later, or be asking now.
    """
    approved = [one for one in store.inbox() if one.job == job and one.state == "approved"]
    for one in approved:
        store.decide_inbox_item(replace(one, state="withdrawn", reason=reason, spec={}))
    return bool(approved)


def check_not_recalled(store: RecordStore, job: str, item: str) -> None:
    """Refuse to sign what a person approved and took back since; the caller's transaction.

    Args:
        store: the record.
        job: the job's id.
        item: what was decided in the inbox; "" if nobody was asked.

    Raises:
        SecureFlowError: `approval_withdrawn`.
    """
    found = store.inbox_item(item) if item else None
    if found is not None and found.state == "withdrawn":
        raise stopped_here("approval_withdrawn", job)


def lifted(store: RecordStore, kind: StopKind, name: str, now: int) -> Stop:
    """Remove a stop; jobs that it ended stay ended.

    Raises:
        SecureFlowError: `not_found`.
    """
    with store.transaction():
        known = store.stop(kind, name)
        if known is None:
            raise SecureFlowError(
                "not_found",
                Text("{name!r} is not stopped at this agent.", name=name[:128]),
                "secureflow agent project list and secureflow agent requester list show what is.",
            )
        store.lift_stop(kind, name)
        store.note(now, "stop.lifted", "", kind=kind, name=name, **acting().facts())
    return known
