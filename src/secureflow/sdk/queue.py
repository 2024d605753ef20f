"""The queue of jobs that wait for their turn."""

from __future__ import annotations

from dataclasses import dataclass

from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Resource, operation
from secureflow.sdk.objects import Job


@dataclass(frozen=True)
class QueueLine:
    """A job that waits for its turn, or runs; times in unix seconds.

    `waits_for` is the limit that holds it up (`running`, `of_organisation`, `of_user`), `time`, or
    empty; `ahead` how many jobs would be started before it.
    """

    job: str
    organisation: str = ""
    user: str = ""
    priority: int = 0
    since: int = 0
    not_before: int = 0
    started: bool = False
    ahead: int = 0
    waits_for: str = ""


@dataclass(frozen=True)
class QueueView:
    """The queue as the caller may see it, the next job first."""

    items: tuple[QueueLine, ...] = ()


class Queue(Resource[D_co]):
    """Jobs that wait for their turn, and those that run."""

    @operation
    def list(self) -> Call[QueueView]:
        """Return the caller's organisation's part of the queue; the operator's is all of it."""
        return verbs.get("/queue", QueueView)

    @operation
    def prioritise(self, job: str, priority: int) -> Call[Job]:
        """Give a job that has not started another priority, from 0 to 9.

        Raises:
            SecureFlowError: `priority_refused`, `already_started`, `forbidden`, `not_found`.
        """
        return verbs.post(f"/jobs/{job}/priority", {"priority": priority}, answers.value(Job))
