"""The part of the runner that the use cases around jobs need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.jobs import JobState


class Driver(Protocol):
    """The part of the runner that jobs need."""

    async def claim(self, unit: UnitOfWork, job: str) -> None:
        """Claim a job for this server, in the caller's unit of work."""

    def start(self, job: str) -> None:
        """Drive the job in the background."""

    async def cancel(
        self, job: str, by: str, because: Mapping[str, str] | None = None, withdrawn: str = ""
    ) -> None:
        """Cancel it durably.

        `because` is the reason, if its project stopped it; `withdrawn` says why the party `by` took
        its approval back.
        """

    async def restart(self, job: str) -> None:
        """Restart a job's driver from its journal."""

    async def state_to_resume(self, job: str) -> JobState:
        """Replay a paused job; return the state of its script (`script_changed`)."""
