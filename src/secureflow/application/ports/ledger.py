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
    """The indices of appended leaves under one signed head."""

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

    @property
    def public(self) -> str:
        """The log's public key; a change of the key by its members starts another one."""

    @property
    def origin(self) -> str:
        """The log's current name; a continuation starts another one."""

    @property
    def hold(self) -> Hold | None:
        """Why the log signs nothing (`engines.ledger.setback`); None while it does."""

    async def judge(self, decide: Callable[[Hold | None, int], Hold | None]) -> Hold | None:
        """Decide under the lock whether the log is held, from what is known of it and its size."""

    async def continue_as(
        self, origin: str, start: int, root: bytes, leaf: PendingLeaf, key: str = ""
    ) -> None:
        """Continue under a new origin after the first `start` leaves, with this leaf as the next.

        Existing leaves after them follow it. Repeating it changes nothing. With a `key` the log is
        signed by that one from then on, and no leaf may have come after the first `start`.

        Raises:
            SecureFlowError: `log_not_set_back`, `continuation_refused`.
        """

    async def root(self, size: int) -> bytes:
        """Return the root over the first `size` leaves (`not_found` if there are fewer)."""

    async def sequenced(self, job: str, seq: int) -> Recorded:
        """Wait until the submitted leaves of (job, seq) have numbers under a signed head."""

    async def caught_up(self) -> int:
        """Number every leaf submitted so far; return the log's size."""

    async def append(self, leaves: Sequence[PendingLeaf]) -> Recorded:
        """Submit and wait, for actions outside jobs (users, grants, charter)."""

    async def head(self) -> str:
        """Return the newest signed checkpoint note, with its cosignatures."""

    async def note(self, size: int) -> str:
        """Return the signed checkpoint of this size with its cosignatures (`not_found`)."""

    async def witnessed(self, index: int, names: Iterable[str]) -> str | None:
        """Return the smallest note over an index with the most cosignatures of these, if any."""

    async def cosign(self, size: int, lines: Iterable[str]) -> None:
        """Store verified cosignature lines for the checkpoint of this size."""

    async def entries(
        self, *, job: str | None = None, start: int = 0, limit: int = 500
    ) -> list[LogEntry]:
        """Return numbered leaves in order, optionally of one job."""

    async def search(
        self,
        *,
        kind: str = "",
        author: str = "",
        job: str = "",
        since: int = 0,
        until: int = 0,
        before: int = 0,
        limit: int = 50,
    ) -> list[LogEntry]:
        """Return numbered leaves, newest first; what is "" or 0 does not matter.

        Args:
            kind: of a leaf, or what it begins with if that ends with a full stop (`job.`).
            author, job: of a leaf.
            since, until: unix seconds by their author's clock, the latter exclusive.
            before: only leaves with a smaller number.
            limit: how many.
        """

    async def authors(self, job: str, size: int) -> list[tuple[str, str]]:
        """Return author and hex hash of a job's leaves among the first `size`; read only these."""

    async def job_leaves(self, job: str) -> list[LogEntry]:
        """Return every leaf of the job, and those in between that complete its authors' chains."""

    async def newest_of(self, author: str, limit: int) -> list[LogEntry]:
        """Return an author's newest leaves, newest first."""

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the inclusion proof (`not_found` if index ≥ size or size too large)."""

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the consistency proof from old to new."""

    async def find(self, leaf_hash: bytes) -> int | None:
        """Return the index of a leaf hash."""
