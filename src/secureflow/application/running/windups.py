"""Ending jobs without their script: what is recorded of such an end, and the script that does it.

The end is in the job's progress from the moment that it is decided, so it is continued after a
crash. Its effects are journalled like any others, after one unused number: the last request of the
job's own script may have been answered by a party under that number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.application.running.driving import resumes_by_itself, retry_stale
from secureflow.application.running.scripts import ScriptSource
from secureflow.domain.jobs import Job, JobState, withdrawal
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

KEY: Final = "windup"
"""Its key in a job's progress."""
SET_BACK: Final = "set_back"
"""Key in a job's progress that says that the log was rolled back."""
KEY_CHANGED: Final = "log_key"
"""Its value if the log's signing key changed instead."""
BECAUSE: Final = "cancelled_because"
"""Key in a job's progress for why its project cancelled it: `{why, project, organisation}`."""
AWAITED_SECONDS: Final = 60.0
"""How long agents may take to dial in again after a start, to learn of the end."""
TRIES: Final = 21
"""Attempts to record a cancellation that conflicts with other writes."""
PRESENT_SECONDS: Final = 5.0
"""How long parties may be silent when they are told of a cancellation."""


@dataclass(frozen=True)
class WindUp:
    """An end without the script.

    Args:
        first: number of its first effect in the journal.
        size: the log's size before it.
        error: why the job ends.
    """

    first: int
    size: int
    error: dict[str, JSON]

    @classmethod
    def of(cls, job: Job) -> Self | None:
        """Return the end that was decided for a job, if any."""
        kept = job.progress.get(KEY)
        return None if kept is None else cls(**kept)

    def kept_by(self, job: Job) -> Job:
        """Return the job with this end in its progress."""
        kept = {"first": self.first, "size": self.size, "error": self.error}
        return replace(job, progress={**job.progress, KEY: kept})


async def decide(ledger: Ledger, last: int, error: SecureFlowError) -> WindUp:
    """Return a job's end with an error, after everything that is journalled and logged of it.

    `last` is the number of its journal's last line; the end does not depend on the lines, so an
    unreadable one does not prevent it.
    """
    return WindUp(last + 2, await ledger.caught_up(), error.as_json())


async def note_cancellation(
    begin: UnitOfWorkFactory,
    job: str,
    by: str,
    because: Mapping[str, str] | None = None,
    withdrawn: str = "",
) -> bool:
    """Record durably that someone cancelled a job; False if it has ended.

    `withdrawn`: the code with which the party `by` took its approval back.

    A running job's row changes with each of its steps, also between our read and our write.
    `because` is the reason, if it is the project's (`cancellation`).
    """

    async def stored() -> bool:
        async with begin() as unit:
            entity = await unit.jobs.get(job)
            if entity.state.final:
                return False
            noted: dict[str, Any] = {"cancel": by}
            if because is not None:
                noted[BECAUSE] = dict(because)
            if withdrawn and "cancel" not in entity.progress:
                noted["withdrawn"] = {"party": by, "code": withdrawn}
            await unit.jobs.save(replace(entity, progress={**entity.progress, **noted}))
            await unit.commit()
            return True

    return await retry_stale(stored, TRIES)


def cancellation(job: Job) -> SecureFlowError | None:
    """Return the error with which a cancelled job ends; None if it was not cancelled."""
    if "cancel" not in job.progress:
        return None
    reason = job.progress.get(BECAUSE) or {}
    cancelled = SecureFlowError("cancelled", _cancelled(job.id, reason), "", dict(reason))
    return withdrawal(job) or cancelled


async def why_cancelled(begin: UnitOfWorkFactory, job: str) -> SecureFlowError | None:
    """Return the error with which a job's script hears of its cancellation: with the reason."""
    async with begin() as unit:
        return cancellation(await unit.jobs.get(job))


def _cancelled(job: str, reason: Mapping[str, str]) -> Text:
    project, organisation = reason.get("project", ""), reason.get("organisation", "")
    match reason.get("why"):
        case "frozen":
            return Text(
                "Job {id} was cancelled: its project {project} was frozen.", id=job, project=project
            )
        case "archived":
            return Text(
                "Job {id} was cancelled: its project {project} was archived.",
                id=job,
                project=project,
            )
        case "ended":
            return Text(
                "Job {id} was cancelled: its project {project} reached its end date.",
                id=job,
                project=project,
            )
        case "left":
            return Text(
                "Job {id} was cancelled: {organisation} left its project {project}.",
                id=job,
                organisation=organisation,
                project=project,
            )
    return Text("Job {id} was cancelled.", id=job)


def overtaken(job: Job) -> SecureFlowError | None:
    """Return the error with which a job ends that began before the log was rolled back."""
    if SET_BACK not in job.progress:
        return None
    if job.progress[SET_BACK] == KEY_CHANGED:
        return SecureFlowError(
            "job_set_back",
            Text(
                "Job {id} began before the log got another signing key, and cannot continue.",
                id=job.id,
            ),
            "Submit it again; consent is then asked for again.",
        )
    return SecureFlowError(
        "job_set_back",
        Text(
            (
                "Job {id} began before the centre was rolled back to an earlier state, "
                "and cannot continue."
            ),
            id=job.id,
        ),
        "Submit it again; consent is then asked for again.",
    )


def ends_without_script(job: Job) -> bool:
    """Tell whether a paused job is about to end, whether or not its driver has begun to."""
    return not {"cancel", KEY, SET_BACK}.isdisjoint(job.progress)


def ends_by(job: Job, scripts: ScriptSource) -> SecureFlowError | None:
    """Return why a job must end without its script; None if its script continues."""
    paused = job.state == JobState.PAUSED
    return (cancellation(job) if paused else None) or overtaken(job) or scripts.retired(job)


def leaves_pause(job: Job, scripts: ScriptSource) -> bool:
    """Tell whether a paused job is resumed automatically."""
    ends = WindUp.of(job) is not None or ends_by(job, scripts) is not None
    return ends or resumes_by_itself(job.error)


async def script_of(job: Job, end: WindUp, ledger: Ledger) -> Script[dict[str, Any]]:
    """Return a fresh script that ends the job."""
    from secureflow.engines.run.windup import wind_up  # NumPy is loaded with the first job

    leaves = await ledger.authors(job.id, end.size)
    error = SecureFlowError.from_json(end.error)
    patience = PRESENT_SECONDS if error.code == "cancelled" else AWAITED_SECONDS
    return wind_up(job.id, job.script, job.spec, job.digest, leaves, error, patience)
