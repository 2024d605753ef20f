"""What of a job's state is an error to whoever waits for it."""

from __future__ import annotations

from secureflow.domain.errors import INFRASTRUCTURE
from secureflow.domain.jobs import UnsuccessfulJobError
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.sdk.objects import Job


def raise_if_stuck(job: Job) -> None:
    """Raise an error for a paused job that does not resume by itself.

    Raises:
        SecureFlowError: `job_paused`; `details` name job and cause.
    """
    cause = job.error or {}
    if cause.get("code") in INFRASTRUCTURE:
        return
    raise SecureFlowError(
        "job_paused",
        Text("Job {id} is paused until someone resumes it.", id=job.id),
        Text(
            "When the cause is fixed: secureflow job resume {id}. Or: secureflow job cancel {id}.",
            id=job.id,
        ),
        {"job": job.id, "cause": cause},
    )


def raise_if_unsuccessful(job: Job) -> None:
    """Raise the error of an ended job that did not succeed.

    Raises:
        UnsuccessfulJobError: with the job's own code, or `cancelled`; `details` name job and state.
    """
    if job.state == "succeeded":
        return
    cause = job.error or {}
    cancelled = job.state == "cancelled"
    names = ("code", "message", "hint", "details", "texts")
    told = SecureFlowError.foreign(*(cause.get(name) or "" for name in names))
    raise UnsuccessfulJobError(
        "cancelled" if cancelled else str(cause.get("code") or "job_failed"),
        told.message or Text("Job {id} is {state}.", id=job.id, state=job.state),
        told.hint or Text("See what happened: secureflow job show {id}.", id=job.id),
        {**told.details, "job": job.id, "state": str(job.state)},
    )
