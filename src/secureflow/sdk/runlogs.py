"""What an experiment tracker is to a job (`tracking`), and how it fails."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.sdk.objects import Job

if TYPE_CHECKING:
    from secureflow.engines.training.export import ModelFile

_JOB_ID: Final = re.compile(r"job_[0-9a-z]{1,64}")


@runtime_checkable
class RunLog(Protocol):
    """Where a job is logged."""

    def begin(self, job: Job, parameters: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Open the run of a job."""

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Log the figures of a step, finite numbers."""

    def end(self, state: str, tags: Mapping[str, str], model: ModelFile | None) -> None:
        """Close the run; also one whose `begin` failed.

        Args:
            state: `succeeded`, `failed`, `cancelled`; or `left` if nobody waits any more.
            tags: what became known at the end.
            model: the released model with its card, if it is asked for and there is one.
        """


def folder_name(job: Job) -> str:
    """Return the name of a job's folder: its id, which is checked, for the server chose it.

    Raises:
        SecureFlowError: `invalid_answer`.
    """
    if not _JOB_ID.fullmatch(job.id):
        raise SecureFlowError(
            "invalid_answer",
            "The server's job has no plain id.",
            "Check that the URL is a SecureFlow server and that no proxy is in between.",
        )
    return job.id


def not_logged(to: str, error: BaseException) -> SecureFlowError:
    """Return the error of a tracker that takes nothing; the job continues."""
    return SecureFlowError(
        "not_logged",
        Text("{to} does not take what is logged: {reason}", to=to, reason=str(error)[:300]),
        "The job continues: wait for it again, and everything is logged from its first round.",
    )
