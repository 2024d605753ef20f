"""How many bytes the channels of a job have carried, for whoever remembers it."""

from __future__ import annotations

from typing import Protocol


class Carried(Protocol):
    """Remembers what channels may have carried."""

    def of(self, job: str) -> int:
        """Return the bytes of a job, at least as many as were carried."""

    def reserve(self, job: str, total: int) -> None:
        """Keep that so many may have been carried; on the disk when this returns.

        Raises:
            InfrastructureError: it cannot be kept.
        """


class Unrecorded:
    """`Carried` of a process that keeps nothing."""

    def of(self, job: str) -> int:
        """See `Carried`."""
        del job
        return 0

    def reserve(self, job: str, total: int) -> None:
        """See `Carried`."""
