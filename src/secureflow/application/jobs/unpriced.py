"""The application's part of kinds of job that charge no budget, and of which nothing is summed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from secureflow.application.jobs.kind import Drafted, Wanted
from secureflow.application.ports.accountant import Accountant
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import UnitOfWork
from secureflow.engines.run.kind import EngineKind


@dataclass(frozen=True)
class UnpricedJobs:
    """`application.jobs.kind.JobKind`.

    Args:
        engine: the kind's record in the engines.
        drafted: fills in a request of a submitter, at a time; see `JobKind.draft`.
    """

    engine: EngineKind
    drafted: Callable[[UnitOfWork, Wanted, str, int], Awaitable[Drafted]]

    def sum_handler(self, artifacts: Artifacts) -> None:
        """Return None: nothing is summed."""
        del artifacts

    async def draft(
        self, work: UnitOfWork, wanted: Wanted, submitter: str, now: int, priced: None
    ) -> Drafted:
        """See `JobKind.draft`."""
        del priced
        return await self.drafted(work, wanted, submitter, now)

    async def price(
        self, wanted: Wanted, accountant: Accountant, draft: Callable[[], Awaitable[Drafted]]
    ) -> None:
        """Return None: no budget is charged."""
        del wanted, accountant, draft
