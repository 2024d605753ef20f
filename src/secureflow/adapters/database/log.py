"""The embedded ledger: an RFC 9162 log in the metadata database, with group commit.

Leaves arrive in two ways: submitted in a job's transaction (`unit.leaves.submit`, then
`sequenced`), or directly (`append`). Callers join the group that is waiting for its turn; while one
batch is being written the next group forms, so that many leaves share one durable commit without a
timer. Every batch ends in a signed checkpoint.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import sqlalchemy as sa

from secureflow.adapters.database.damage import damaged_log
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.faults import typed_faults
from secureflow.adapters.database.log_batch import Batch, Candidate
from secureflow.adapters.database.log_search import leaf_conditions
from secureflow.adapters.database.log_store import MAX_BATCH, LogStore, place
from secureflow.adapters.database.tables import (
    LOG_CHECKPOINTS,
    LOG_COSIGNATURES,
    LOG_HEAD,
    LOG_LEAVES,
    LOG_NODES,
    LOG_SUBMISSIONS,
)
from secureflow.application.ports.ledger import LogEntry, Recorded
from secureflow.application.ports.logkeys import LogKeys, OneKey
from secureflow.application.ports.storage import PendingLeaf
from secureflow.domain.origins import continues
from secureflow.engines.ledger import merkle
from secureflow.engines.ledger.leaves import parse_leaf
from secureflow.engines.ledger.notes import attach, parse_note
from secureflow.engines.ledger.setback import Hold
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

T = TypeVar("T")
MAX_PAGE = 1000
MAX_BRIDGES = 100_000
UNNUMBERED = 3
"""Full batches that a submitted leaf may have to wait for."""


class _Group:
    """Leaves that are numbered in one transaction, and its task."""

    def __init__(self) -> None:
        self.leaves: list[Candidate] = []
        self.waiting = False
        self.task: asyncio.Task[Batch] | None = None


class SqlLedger:
    """Implements the port `Ledger` in the metadata database: `await start()`, use, `await stop()`.

    Several processes may hold one on the same database with the same key: the database's lock
    makes them take turns. A database of another origin or key is refused (`fenced`).
    """

    def __init__(
        self,
        database: Database,
        key: SigningKey,
        origin: str,
        clock: Callable[[], float] = time.time,
        keys: LogKeys | None = None,
    ) -> None:
        self._database = database
        self._keys = keys or OneKey(key)
        self._store = LogStore(database.url, self._keys, origin, clock, database.file)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._turn = asyncio.Lock()
        self._group: _Group | None = None

    @property
    def public(self) -> str:
        """The log's public key; a change of the key by its members starts another one."""
        return self._keys.signing.public

    @property
    def origin(self) -> str:
        """The log's current name."""
        return self._store.origin

    @property
    def hold(self) -> Hold | None:
        """Why the log signs nothing; None while it does."""
        return self._store.hold

    async def start(self) -> None:
        """Create the log if there is none, and number what a crash left waiting.

        While the log is held, nothing is numbered.
        """
        await self._in_thread(self._store.open)
        if self.hold is None:
            await self.caught_up()

    async def judge(self, decide: Callable[[Hold | None, int], Hold | None]) -> Hold | None:
        """Decide under the lock whether the log is held, from what is known of it and its size."""
        return await self._in_turn(lambda: self._store.judge(decide))

    async def continue_as(
        self, origin: str, start: int, root: bytes, leaf: PendingLeaf, key: str = ""
    ) -> None:
        """Continue under a new origin after the first leaves; see `LogStore.continue_as`."""
        await self._in_turn(lambda: self._store.continue_as(origin, start, root, leaf, key))

    async def root(self, size: int) -> bytes:
        """Return the root over the first `size` leaves (`not_found` if there are fewer)."""
        if not 0 <= size <= await self._size_at_least(size):
            raise _not_found(Text("no log of {size} leaves", size=size))
        return (await self._prove(lambda read: [merkle.root(size, read)]))[0]

    async def caught_up(self) -> int:
        """Number every leaf submitted so far; return the log's size."""
        while (await self._join((), waiting=True)).more:
            pass
        return await self._size_at_least(sys.maxsize)

    async def stop(self) -> None:
        """Finish the batch that is being written and close the connection."""
        async with self._turn:
            await self._in_thread(self._store.close)
        self._thread.shutdown()

    async def append(self, leaves: Sequence[PendingLeaf]) -> Recorded:
        """Submit and wait, for actions outside jobs.

        Raises:
            SecureFlowError: `malformed_leaf`, also for a leaf signed for another log.
        """
        candidates = [Candidate.direct(leaf) for leaf in leaves]
        for leaf in (candidate.signed.leaf for candidate in candidates):
            if not continues(self.origin, leaf.origin):
                raise SecureFlowError(
                    "malformed_leaf",
                    Text(
                        "The {kind} leaf of {author} is for the log {named}, not for {origin}.",
                        kind=leaf.kind,
                        author=leaf.author,
                        named=leaf.origin,
                        origin=self.origin,
                    ),
                    "Its author must sign a leaf for this log.",
                )
        group = self._gathering(len(candidates))
        first = len(group.leaves)
        batch = await self._join(candidates, group=group)
        return Recorded(batch.note, batch.size, batch.numbers[first : first + len(candidates)])

    async def sequenced(self, job: str, seq: int) -> Recorded:
        """Wait until the submitted leaves of (job, seq) have numbers under a signed head.

        Raises:
            SecureFlowError: `not_found` if nothing was submitted under (job, seq); `record_damaged`
                if the leaf is damaged.
        """
        table = LOG_SUBMISSIONS
        query = sa.select(table.c.number).where(table.c.job == job, table.c.seq == seq)
        tries = 0
        while True:
            batch = await self._join((), waiting=True)
            if landed := batch.landed.get((job, seq)):
                return Recorded(batch.note, batch.size, landed)
            numbers = [row.number for row in await self._read(query.order_by(table.c.position))]
            if not numbers:
                raise _not_found(
                    Text("no leaf submitted by effect {seq} of job {job}", seq=seq, job=job)
                )
            if None not in numbers:
                return Recorded(batch.note, batch.size, tuple(numbers))
            tries += not batch.more
            if tries == UNNUMBERED:
                raise damaged_log(
                    Text(
                        "it cannot process what effect {seq} of job {job} submitted",
                        seq=seq,
                        job=job,
                    )
                )

    @property
    def committed(self) -> str | None:
        """The newest head that this process signed, without cosignatures; None before the first."""
        return self._store.cache.notes.get(self._store.cache.size)

    async def head(self) -> str:
        """Return the newest signed checkpoint note, with its cosignatures."""
        return await self._cosigned(sa.select(sa.func.max(LOG_CHECKPOINTS.c.size)))

    async def note(self, size: int) -> str:
        """Return the signed checkpoint of this size with its cosignatures (`not_found`)."""
        return await self._cosigned(sa.select(sa.literal(size)))

    async def witnessed(self, index: int, names: Iterable[str]) -> str | None:
        """Return the note over an index with the most cosignatures of these names.

        The smallest of several; None if none of them cosigned any.
        """
        table = LOG_COSIGNATURES
        query = sa.select(table.c.size).where(table.c.size > index, table.c.name.in_(list(names)))
        query = query.group_by(table.c.size).order_by(sa.func.count().desc(), table.c.size)
        row = (await self._read(query.limit(1))).first()
        return None if row is None else await self.note(row.size)

    async def cosign(self, size: int, lines: Iterable[str]) -> None:
        """Store verified cosignature lines for the checkpoint of this size; one per name.

        Raises:
            SecureFlowError: `not_found`, `malformed_note`.
        """
        note = self._store.cache.notes.get(size) or await self.note(size)
        rows = []
        for line in lines:
            signatures = parse_note(attach(note, [line])).signatures
            rows.append({"size": size, "name": signatures[-1].name, "line": line})
        if not rows:
            return
        async with self._database.begin() as unit:
            await unit.insert_once(LOG_COSIGNATURES, *rows)
            await unit.commit()

    async def entries(
        self, *, job: str | None = None, start: int = 0, limit: int = 500
    ) -> list[LogEntry]:
        """Return numbered leaves in order from `start` on, optionally of one job."""
        query = sa.select(LOG_LEAVES).where(LOG_LEAVES.c.number >= start)
        if job is not None:
            query = query.where(LOG_LEAVES.c.job == job)
        limit = max(1, min(limit, MAX_PAGE))
        return [_entry(row) for row in await self._read(query.order_by("number").limit(limit))]

    async def newest_of(self, author: str, limit: int) -> list[LogEntry]:
        """Return an author's newest leaves, newest first."""
        query = sa.select(LOG_LEAVES).where(LOG_LEAVES.c.author == author)
        query = query.order_by(LOG_LEAVES.c.number.desc()).limit(max(1, min(limit, MAX_PAGE)))
        return [_entry(row) for row in await self._read(query)]

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
        """Return numbered leaves, newest first; arguments as of the port."""
        query = sa.select(LOG_LEAVES).order_by(LOG_LEAVES.c.number.desc())
        wanted = leaf_conditions(kind, author, job, (since, until), before)
        return [
            _entry(row)
            for row in await self._read(query.where(*wanted).limit(max(1, min(limit, MAX_PAGE))))
        ]

    async def authors(self, job: str, size: int) -> list[tuple[str, str]]:
        """Return author and hex hash of a job's leaves among the first `size`, in order."""
        table = LOG_LEAVES
        query = sa.select(table.c.author, table.c.hash)
        query = query.where(table.c.job == job, table.c.number < size).order_by(table.c.number)
        return [(row.author, bytes(row.hash).hex()) for row in await self._read(query)]

    async def job_leaves(self, job: str) -> list[LogEntry]:
        """Return every leaf of the job, and without their documents those of other jobs that lie
        between two leaves of one author: what an audit bundle needs to show each chain complete.
        """
        query = sa.select(LOG_LEAVES).where(LOG_LEAVES.c.job == job).order_by("number")
        by_hash = {entry.hash: entry for entry in map(_entry, await self._read(query))}
        bridges: dict[bytes, LogEntry] = {}
        for first, last in _chain_ends(by_hash.values()):
            bridges |= await self._walk_back(last, first, by_hash)
        return sorted([*by_hash.values(), *bridges.values()], key=lambda entry: entry.index)

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the inclusion proof (`not_found` when index ≥ size or size too large)."""
        if not 0 <= index < size <= await self._size_at_least(size):
            raise _not_found(Text("no leaf {index} in a log of {size}", index=index, size=size))
        return await self._prove(lambda read: merkle.inclusion_proof(index, size, read))

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the consistency proof from old to new (`not_found` for sizes it never had)."""
        if not 0 <= old <= new <= await self._size_at_least(new):
            raise _not_found(Text("no growth of the log from {old} to {new}", old=old, new=new))
        return await self._prove(lambda read: merkle.consistency_proof(old, new, read))

    async def find(self, leaf_hash: bytes) -> int | None:
        """Return the index of a leaf hash."""
        known = self._store.cache.numbers.get(leaf_hash)
        if known is not None:
            return known
        query = sa.select(LOG_LEAVES.c.number).where(LOG_LEAVES.c.hash == leaf_hash)
        row = (await self._read(query)).first()
        return None if row is None else int(row.number)

    def _gathering(self, more: int) -> _Group:
        """Return the group that is forming, or a new one if it is full."""
        group = self._group
        if group is None or (group.leaves and len(group.leaves) + more > MAX_BATCH):
            group = self._group = _Group()
            group.task = asyncio.create_task(self._write(group))
        return group

    async def _join(
        self, leaves: Sequence[Candidate], *, group: _Group | None = None, waiting: bool = False
    ) -> Batch:
        group = group or self._gathering(len(leaves))
        group.leaves.extend(leaves)
        group.waiting |= waiting
        assert group.task is not None  # noqa: S101 - created with the group
        # Shielded: a caller that gives up must not cancel the others' commit.
        return await asyncio.shield(group.task)

    async def _write(self, group: _Group) -> Batch:
        async with self._turn:
            try:
                await self._database.turn.acquire()
            finally:
                if self._group is group:
                    self._group = None  # from here on others join the next one
            try:
                number = self._store.number
                return await self._in_thread(lambda: number(group.leaves, waiting=group.waiting))
            finally:
                self._database.turn.release()

    async def _in_turn(self, write: Callable[[], T]) -> T:
        """Write to the log's tables while nobody else does."""
        async with self._turn:
            await self._database.turn.acquire()
            try:
                return await self._in_thread(write)
            finally:
                self._database.turn.release()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        with typed_faults(self._database.damage):
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _read(self, query: sa.Select[Any]) -> sa.Result[Any]:
        async with self._database.begin() as unit:
            return await unit.read(query)

    async def _size_at_least(self, wanted: int) -> int:
        """Return the log's size; a size known to be committed needs no query."""
        if wanted <= self._store.cache.size:
            return self._store.cache.size
        return int((await self._read(sa.select(LOG_HEAD.c.size))).scalar_one())

    async def _cosigned(self, size: sa.Select[Any]) -> str:
        wanted = size.scalar_subquery()
        query = sa.select(LOG_CHECKPOINTS.c.note, LOG_COSIGNATURES.c.line)
        query = query.outerjoin(
            LOG_COSIGNATURES, LOG_COSIGNATURES.c.size == LOG_CHECKPOINTS.c.size
        ).where(LOG_CHECKPOINTS.c.size == wanted)
        rows = (await self._read(query.order_by(LOG_COSIGNATURES.c.name))).all()
        if not rows:
            raise _not_found("no checkpoint of this size")
        return attach(rows[0].note, [row.line for row in rows if row.line is not None])

    async def _prove(self, prove: Callable[[merkle.NodeReader], list[bytes]]) -> list[bytes]:
        """Find out which nodes a proof needs, fetch those not cached, and build it."""
        nodes: dict[int, bytes] = {}
        wanted: list[int] = []

        def note_down(level: int, index: int) -> bytes:
            at = place(level, index)
            known = self._store.cache.nodes.get(at)
            if known is None:
                wanted.append(at)
            else:
                nodes[at] = known
            return b""

        prove(note_down)
        if wanted:
            rows = await self._read(sa.select(LOG_NODES).where(LOG_NODES.c.place.in_(wanted)))
            nodes |= {row.place: row.hash for row in rows}
        return prove(lambda level, index: bytes(nodes[place(level, index)]))

    async def _walk_back(
        self, last: LogEntry, first: LogEntry, by_hash: dict[bytes, LogEntry]
    ) -> dict[bytes, LogEntry]:
        bridges: dict[bytes, LogEntry] = {}
        step: LogEntry | None = last
        while step is not None and step.hash != first.hash and len(bridges) < MAX_BRIDGES:
            before = bytes.fromhex(parse_leaf(step.data).leaf.prev)
            step = by_hash.get(before) or await self._bridge(before, last.author)
            if step is not None and before not in by_hash:
                bridges[before] = step
        return bridges

    async def _bridge(self, leaf_hash: bytes, author: str) -> LogEntry | None:
        # Match the author too: a forged `prev` must not pull in another organisation's leaf.
        table = LOG_LEAVES
        query = sa.select(table).where(table.c.hash == leaf_hash, table.c.author == author)
        row = (await self._read(query)).first()
        return None if row is None else _entry(row, opened=False)


def _chain_ends(entries: Iterable[LogEntry]) -> list[tuple[LogEntry, LogEntry]]:
    """Return each organisation's first and last leaf; not those of `server` and `enclave`."""
    ends: dict[str, tuple[LogEntry, LogEntry]] = {}
    for entry in entries:
        if entry.author not in ("server", "enclave"):
            ends[entry.author] = (ends.get(entry.author, (entry, entry))[0], entry)
    return list(ends.values())


def _entry(row: Any, *, opened: bool = True) -> LogEntry:
    return LogEntry(
        index=row.number,
        hash=bytes(row.hash),
        data=bytes(row.data),
        job=row.job,
        kind=row.kind,
        author=row.author,
        at=row.at,
        document=row.document if opened else None,
        salt=bytes(row.salt) if opened and row.salt is not None else None,
    )


def _not_found(what: str) -> SecureFlowError:
    return SecureFlowError(
        "not_found",
        Text("The ledger has {what}.", what=what),
        "Ask for the head first: its size says what there is.",
    )
