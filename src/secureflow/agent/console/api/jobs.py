"""What an owner can still do about one job that runs: withdraw the approval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from secureflow.agent.console.api.operations import Call, Operation
from secureflow.agent.console.asking import STOPPING
from secureflow.agent.console.screens.figures import text_of
from secureflow.agent.console.screens.grants import stopped_job
from secureflow.agent.console.screens.spoken import Spoken
from secureflow.domain.specs.base import STRICT
from secureflow.kit.reading import members, objects


@dataclass(frozen=True)
class Withdrawal:
    """Withdrawing an approval, with a reason for the log."""

    __pydantic_config__ = STRICT
    reason: Annotated[str, Field(max_length=500)] = ""


@dataclass(frozen=True)
class EndedJob:
    """A job that ended here, with what of it cannot be taken back.

    Args:
        job: its id.
        told: what was sent, voted on or kept before, in words.
    """

    job: str
    told: tuple[Spoken, ...]


@dataclass(frozen=True)
class Withdrawn:
    """What a withdrawal ended.

    Args:
        job: whose approval was withdrawn.
        ended: that job and those which it had started.
    """

    job: str
    ended: tuple[EndedJob, ...]


async def withdraw(call: Call) -> Withdrawn:
    """Withdraw the approval of one job: it ends at once, also while the centre is silent."""
    job, reason = call.named("job"), call.body.reason.strip()
    answer = members(await call.visit.ask("job.withdraw", STOPPING, job=job, reason=reason))
    ended = (stopped_job(text_of(one, "job"), one) for one in objects(answer.get("stopped")))
    return Withdrawn(job, tuple(EndedJob(one.job, tuple(one.told())) for one in ended))


OPERATIONS: Final = (
    Operation(
        "withdrawApproval", "POST", "/jobs/{job}/withdraw", withdraw, Withdrawn, Withdrawal,
        need="decider", patterns={"job": r"[A-Za-z0-9_-]{1,128}"},
        about="Withdraw the approval of one job, under a grant or without: it ends here at once.",
    ),
)  # fmt: skip
