"""The append-only, provable record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from secureflow.application.ports.storage import PendingLeaf
from secureflow.engines.ledger.setback import Hold
from secureflow.kit.canonical import JSON


@dataclass(frozen=True)
class Recorded:
    """Where leaves landed: their indices under one signed head."""

    note: str
    size: int
    indices: tuple[int, ...]


@dataclass(frozen=True)
class LogEntry:
    """A numbered leaf with its document (if kept) and salt."""

    index: int
    hash: bytes
    data: bytes
    job: str
    kind: str
    author: str
    at: int
    document: JSON = None
    salt: bytes | None = field(default=None, repr=False)


class Ledger(Protocol):
    """The append-only, provable record (RFC 9162 log; anchors may follow it)."""

    public: str

    @property
    def origin(self) -> str:
        """The name that the log goes by now; a continuation opens another one."""

    @property
    def hold(self) -> Hold | None:
        """Why the log signs nothing (`engines.ledger.setback`); None while it does."""

    async def judge(self, decide: Callable[[Hold | None, int], Hold | None]) -> Hold | None:
        """Decide whether the log is held, from what is known of it and its size, alone."""

    async def continue_as(self, origin: str, start: int, root: bytes, leaf: PendingLeaf) -> None:
        """Go on under a new origin from the first `start` leaves, with this one as the next.

        What the log holds after them follows it. Done twice it changes nothing.

        Raises:
            SecureFlowError: `log_not_set_back`, `continuation_refused`.
        """

    async def root(self, size: int) -> bytes:
        """Return the root over the first `size` leaves (`not_found` where there are fewer)."""

    async def sequenced(self, job: str, seq: int) -> Recorded:
        """Wait until the submitted leaves of (job, seq) have numbers under a signed head."""

    async def caught_up(self) -> int:
        """Number every leaf that was submitted by now; return the log's size."""

    async def append(self, leaves: Sequence[PendingLeaf]) -> Recorded:
        """Submit and wait, for actions that belong to no job (users, grants, charter)."""

    async def head(self) -> str:
        """Return the newest signed checkpoint note, with the cosignatures that it has."""

    async def note(self, size: int) -> str:
        """Return the signed checkpoint of this size with its cosignatures (`not_found`)."""

    async def witnessed(self, index: int, names: Iterable[str]) -> str | None:
        """Return the smallest note that holds an index and that most of these cosigned, if any."""

    async def cosign(self, size: int, lines: Iterable[str]) -> None:
        """Store verified cosignature lines for the checkpoint of this size."""

    async def entries(
        self, *, job: str | None = None, start: int = 0, limit: int = 500
    ) -> list[LogEntry]:
        """Return numbered leaves in order, optionally of one job."""

    async def authors(self, job: str, size: int) -> list[tuple[str, str]]:
        """Return author and hex hash of a job's leaves among the first `size`; no more is read."""

    async def story(self, job: str) -> list[LogEntry]:
        """Return every leaf of the job, and those between that complete its authors' chains."""

    async def newest_of(self, author: str, limit: int) -> list[LogEntry]:
        """Return an author's newest leaves, newest first."""

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the inclusion proof (`not_found` when index ≥ size or size too large)."""

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the consistency proof from old to new."""

    async def find(self, leaf_hash: bytes) -> int | None:
        """Return the index of a leaf hash."""
