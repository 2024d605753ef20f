"""Carries requests to parties, and reports the state of their links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from secureflow.kit.canonical import JSON


@dataclass(frozen=True)
class Request:
    """One request to one party. `id` (`job/seq/party`) is its idempotency key."""

    id: str
    party: str
    verb: str
    body: dict[str, JSON]
    patience: float | None


@dataclass(frozen=True)
class PartyStatus:
    """State of a party's link; an enclave's TEE and code are claims, not evidence.

    `clock_ahead`: seconds, when it connected; `server`: another server, if it connected there last;
    `replaced`: how often it opened a link while one was open, in the last ten minutes; `engines`:
    name → version of those for computation among parties that it announced, None if it named none;
    `since`: unix seconds when its link opened last; `gone`: when the last one ended, 0 while it is
    open or if there was none.
    """

    party: str
    connected: bool
    last_progress: float
    version: str = ""
    log_size: int = 0
    address: str = ""
    tee: str = ""
    measurement: str = ""
    clock_ahead: int | None = None
    server: str = ""
    replaced: int = 0
    engines: dict[str, str] | None = None
    since: int = 0
    gone: int = 0


class Courier(Protocol):
    """Carries requests to parties over links that the parties opened."""

    async def ask(self, request: Request) -> JSON:
        """Deliver (again after a reconnect) until answered.

        Raises:
            SecureFlowError: the party's own error, or `party_silent` after `patience` seconds
                without connection or progress.
        """

    def status(self, party: str) -> PartyStatus:
        """Return the party's link status."""

    def note_engines(self, party: str, engines: dict[str, str]) -> None:
        """Take what a connected party announces of its engines since it connected."""

    @property
    def connected(self) -> int:
        """How many parties have an open link."""

    async def withdraw(self, job: str) -> None:
        """Forget the job's open requests and tell parties to stop (cancellation)."""
