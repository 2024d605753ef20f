"""Jobs that end without their script: what is kept of such an end, and the script that ends them.

The end stands in the job's progress from the moment that it is decided, so a crash in the middle of
it goes on with it. Its effects are journalled like any others, behind a number that is left free:
what the job's own script asked last may have been answered by a party under that number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Self

from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.application.running.driving import resumes_by_itself, retry_stale
from secureflow.application.running.scripts import ScriptSource
from secureflow.domain.jobs import Job, JobState
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

KEY: Final = "windup"
"""Where a job's progress holds it."""
SET_BACK: Final = "set_back"
"""Where the progress of a job says that the log was set back under it."""
AWAITED_SECONDS: Final = 60.0
"""How long agents may take to dial in again after a start, to be told of the end."""
TRIES: Final = 21
"""How often a cancellation that meets other writes is tried to be noted."""
PRESENT_SECONDS: Final = 5.0
"""How long parties may be silent that are told of a cancellation."""


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
        """Return the end that was decided for a job, if one was."""
        kept = job.progress.get(KEY)
        return None if kept is None else cls(**kept)

    def kept_by(self, job: Job) -> Job:
        """Return the job with this end in its progress."""
        kept = {"first": self.first, "size": self.size, "error": self.error}
        return replace(job, progress={**job.progress, KEY: kept})


async def decide(ledger: Ledger, last: int, error: SecureFlowError) -> WindUp:
    """Return a job's end by an error, after everything that is journalled and logged of it.

    `last` is the number of its journal's last line: what the lines hold plays no part in the end,
    so one of them that cannot be read does not stand in its way.
    """
    return WindUp(last + 2, await ledger.caught_up(), error.as_json())


async def note_cancellation(begin: UnitOfWorkFactory, job: str, by: str) -> bool:
    """Note durably that somebody cancelled a job; False for one that is over.

    A running job's row changes with each of its steps: between our read and our write, too.
    """

    async def noted() -> bool:
        async with begin() as unit:
            entity = await unit.jobs.get(job)
            if entity.state.final:
                return False
            await unit.jobs.save(replace(entity, progress={**entity.progress, "cancel": by}))
            await unit.commit()
            return True

    return await retry_stale(noted, TRIES)


def cancellation(job: Job) -> SecureFlowError | None:
    """Return the error by which a cancelled job ends; None when nobody cancelled it."""
    if "cancel" not in job.progress:
        return None
    return SecureFlowError("cancelled", Text("Job {id} was cancelled.", id=job.id))


def overtaken(job: Job) -> SecureFlowError | None:
    """Return the error by which a job ends that began before the log was set back."""
    if SET_BACK not in job.progress:
        return None
    return SecureFlowError(
        "job_set_back",
        Text(
            "Job {id} began before the centre was set back to an earlier state, and cannot go on.",
            id=job.id,
        ),
        "Submit it again; consent is asked anew.",
    )


def ends_without_script(job: Job) -> bool:
    """Tell whether a paused job is about to end, whether or not its driver has begun with that."""
    return not {"cancel", KEY, SET_BACK}.isdisjoint(job.progress)


def ends_by(job: Job, scripts: ScriptSource) -> SecureFlowError | None:
    """Return why a job is to be ended without its script; None when its script goes on."""
    paused = job.state == JobState.PAUSED
    return (cancellation(job) if paused else None) or overtaken(job) or scripts.retired(job)


def leaves_pause(job: Job, scripts: ScriptSource) -> bool:
    """Tell whether a paused job is taken up without anybody's word."""
    ends = WindUp.of(job) is not None or ends_by(job, scripts) is not None
    return ends or resumes_by_itself(job.error)


async def script_of(job: Job, end: WindUp, ledger: Ledger) -> Script[dict[str, Any]]:
    """Return a fresh script that ends the job."""
    from secureflow.engines.run.windup import wind_up  # NumPy loads with the first job

    leaves = await ledger.authors(job.id, end.size)
    error = SecureFlowError.from_json(end.error)
    patience = PRESENT_SECONDS if error.code == "cancelled" else AWAITED_SECONDS
    return wind_up(job.id, job.script, job.spec, job.digest, leaves, error, patience)
