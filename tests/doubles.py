"""In-memory ports for unit tests: a database of dictionaries, a ledger on a `MemoryTree`.

They keep the ports' promises (contract suites run over the real adapters): a unit of work that is
not committed leaves nothing, unknown filters are programming errors, pages are ordered by id.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from blake3 import blake3

from secureflow.application.listing import words_of
from secureflow.application.ports.artifacts import Artifact
from secureflow.application.ports.changes import Change, ChangeKind, Position
from secureflow.application.ports.courier import PartyStatus, Request
from secureflow.application.ports.ledger import LogEntry, Recorded
from secureflow.application.ports.logkeys import LogKeys, OneKey
from secureflow.application.ports.storage import Event, Filter, Journalled, Page, PendingLeaf
from secureflow.application.running.scripts import Scripts
from secureflow.domain.datasets import Dataset, Grant
from secureflow.domain.deliveries import Delivery
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.notifications import Notification
from secureflow.domain.queue import QueuedJob
from secureflow.engines.kinds import ENGINE_KINDS
from secureflow.engines.ledger.ends import End
from secureflow.engines.ledger.leaves import parse_leaf
from secureflow.engines.ledger.merkle import MemoryTree, leaf_hash
from secureflow.engines.ledger.notes import Checkpoint, attach, parse_note, sign_checkpoint
from secureflow.engines.ledger.setback import Hold
from secureflow.engines.script import Script
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

LISTED = ("text", "since", "until")
FILTERS: dict[str, tuple[str, ...]] = {
    "users": (*LISTED, "name", "organisation"),
    "tokens": ("user", "digest", "unexpired", "expired"),
    "sessions": ("user", "digest", "unexpired"),
    "families": ("user", "unexpired"),
    "devices": ("digest", "code", "user", "block", "unexpired"),
    "second_factors": (),
    "login_places": (),
    "organisations": ("id",),
    "enrolments": ("organisation", "digest", "unexpired"),
    "agents": ("organisation", "party", "kind", "key"),
    "projects": ("id", "organisation", "member", "active"),
    "datasets": (*LISTED, "id", "organisation", "name", "state"),
    "grants": ("project", "dataset", "organisation", "state", "unexpired", "expired"),
    "jobs": ("submitter", *LISTED, "id", "project", "organisation", "state", "digest", "kind"),
    "models": (*LISTED, "project", "job", "name"),
    "bundles": ("project", "organisation", "digest", "unexpired"),
    "uploads": ("id", "project", "organisation", "digest", "unexpired"),
    "identities": ("user",),
    "pending_logins": ("block", "unexpired"),
    "questions": ("job", "organisation"),
    "anchor_statements": ("organisation", "place", "kind", "job", "digest"),
    "revenue": ("project", "kind", "settlement", "organisation"),
    "preferences": ("id",),
    "webhooks": ("id", "organisation"),
    "deliveries": ("id", "channel", "target", "organisation", "state", "due"),
}
UNIQUE = {
    **{"users": "name", "tokens": "digest", "sessions": "digest", "enrolments": "digest"},
    "devices": "digest",
    "deliveries": "key",
}


def not_found(what: str) -> SecureFlowError:
    return SecureFlowError("not_found", f"There is no {what}.")


class MemoryStore:
    def __init__(
        self, name: str, rows: dict[str, Any], note: Callable[[str], object] = str
    ) -> None:
        self._name = name
        self._rows = rows
        self._note = note

    async def get(self, key: str) -> Any:
        if key not in self._rows:
            raise not_found(key)
        return self._rows[key]

    async def find(self, key: str) -> Any:
        return self._rows.get(key)

    async def add(self, entity: Any) -> None:
        unique = UNIQUE.get(self._name)
        taken = {getattr(row, unique) for row in self._rows.values()} if unique else set()
        if entity.id in self._rows or (unique and getattr(entity, unique) in taken):
            raise SecureFlowError("already_exists", f"{entity.id} exists.")
        self._rows[entity.id] = entity
        self._note(entity.id)

    async def save(self, entity: Any) -> None:
        if entity.id not in self._rows:
            raise not_found(entity.id)
        self._rows[entity.id] = entity
        self._note(entity.id)

    async def remove(self, key: str) -> None:
        self._rows.pop(key, None)

    async def latest(self, *, cursor: str = "", limit: int = 100, **equals: Filter) -> Page:
        rows = reversed(self._found(equals))
        found = [row for key, row in rows if not cursor or key < cursor]
        more = found[limit - 1].id if len(found) > limit else ""
        return Page(found[:limit], more)

    async def list(self, *, cursor: str = "", limit: int = 100, **equals: Filter) -> Page:
        found = [row for key, row in self._found(equals) if key > cursor]
        more = found[limit - 1].id if len(found) > limit else ""
        return Page(found[:limit], more)

    async def count(self, **equals: Filter) -> int:
        return len(self._found(equals))

    async def distinct(self, column: str, **equals: Filter) -> list[str]:
        assert column in FILTERS[self._name], f"{self._name} has no filter {column}"
        return sorted({str(getattr(row, column)) for _, row in self._found(equals)})

    async def crowded(self, column: str, **equals: Filter) -> str:
        assert column in FILTERS[self._name], f"{self._name} has no filter {column}"
        counted: dict[str, list[int]] = {}
        for _, row in self._found(equals):
            counted.setdefault(getattr(row, column), []).append(row.expires)
        order = sorted((-len(ends), min(ends), value) for value, ends in counted.items())
        return order[0][2] if order else ""

    def _found(self, equals: Mapping[str, Filter]) -> list[tuple[str, Any]]:
        for name in equals:
            assert name in FILTERS[self._name], f"{self._name} has no filter {name}"
        return [
            (key, row)
            for key, row in sorted(self._rows.items())
            if all(self._matches(row, name, wanted) for name, wanted in equals.items())
        ]

    def _matches(self, row: Any, name: str, wanted: Filter) -> bool:
        if name == "text":
            words = words_of(self._name, row)
            return all(word in words for word in str(wanted).casefold().split())
        return _matches(row, name, wanted)


def _matches(row: Any, name: str, wanted: Filter) -> bool:
    if isinstance(wanted, int):
        if name in LISTED:
            return bool(row.created >= wanted if name == "since" else row.created < wanted)
        if name == "due":
            return bool(row.due <= wanted)
        return bool(row.expires <= wanted if name == "expired" else row.expires > wanted)
    values = [wanted] if isinstance(wanted, str) else list(wanted)
    if name in {"member", "active"}:
        return any(row.has_member(value, active=name == "active") for value in values)
    if isinstance(row, Dataset | Grant) and name == "state":
        gone = row.removed if isinstance(row, Dataset) else row.revoked
        living = "published" if isinstance(row, Dataset) else "granted"
        return (living if gone is None else "gone") in values
    return str(getattr(row, name)) in values


@dataclass
class Tables:
    rows: dict[str, dict[str, Any]] = field(default_factory=lambda: {name: {} for name in FILTERS})
    settings: dict[str, Any] = field(default_factory=dict)
    journal: dict[tuple[str, int], Journalled] = field(default_factory=dict)
    outbox: dict[tuple[str, int], tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    pending: dict[tuple[str, int, int], PendingLeaf] = field(default_factory=dict)
    answers: dict[tuple[str, str], tuple[str, int, Any]] = field(default_factory=dict)
    queue: dict[str, QueuedJob] = field(default_factory=dict)
    told: list[tuple[str, Notification]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


class MemoryDatabase:
    """`begin` is the port `UnitOfWorkFactory`.

    `tables` is what was committed, `log` what has a number.
    """

    def __init__(self) -> None:
        self.tables = Tables()
        self.log: list[LogEntry] = []
        self.on_change: Callable[[], None] = lambda: None

    def begin(self) -> MemoryUnit:
        return MemoryUnit(self)


class MemoryUnit:
    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self.tables = Tables()

    async def __aenter__(self) -> MemoryUnit:
        self.tables = copy.copy(self._database.tables)
        for name, value in vars(self._database.tables).items():
            setattr(self.tables, name, copy.copy(value))
        self.tables.rows = {name: dict(rows) for name, rows in self._database.tables.rows.items()}
        self.changes = _Changes(self.tables)
        for name, rows in self.tables.rows.items():
            note = self.changes.job if name == "jobs" else str
            setattr(self, name, MemoryStore(name, rows, note))
        self.journal = _Journal(self.tables)
        self.outbox = _Outbox(self.tables)
        self.events = _Events(self.tables, self.changes)
        self.leaves = _Leaves(self.tables, self._database.log)
        self.idempotency = _Answers(self.tables)
        self.queue = _Queue(self.tables)
        self.notifications = _Notifications(self.tables, self.changes)
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def commit(self) -> None:
        noted = self.changes.write()
        self._database.tables = self.tables
        if noted:
            self._database.on_change()

    async def setting(self, name: str) -> Any:
        return self.tables.settings.get(name)

    async def set_setting(self, name: str, value: Any) -> None:
        self.tables.settings[name] = value

    async def lock(self, name: str) -> None:
        return

    async def sweep(self, now: int) -> int:
        total = 0
        for name in ("tokens", "sessions", "families", "devices"):
            rows = self.tables.rows[name]
            gone = [key for key, row in rows.items() if row.expires <= now]
            for key in gone:
                del rows[key]
            total += len(gone)
        return total


class _Journal:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def read(self, job: str, first: int = 0) -> list[Journalled]:
        lines = sorted(self._tables.journal.items())
        return [line for (one, seq), line in lines if one == job and seq >= first]

    async def last(self, job: str) -> int:
        return max((seq for one, seq in self._tables.journal if one == job), default=-1)

    async def append(self, job: str, lines: Sequence[Journalled]) -> None:
        for line in lines:
            if (job, line.seq) in self._tables.journal:
                raise SecureFlowError("fenced", f"{job}/{line.seq} is taken.")
            self._tables.journal[job, line.seq] = line


class _Outbox:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def put(self, job: str, seq: int, verb: str, parties: Sequence[str]) -> None:
        self._tables.outbox[job, seq] = (verb, tuple(parties))

    async def clear(self, job: str, seq: int) -> None:
        for key in [key for key in self._tables.outbox if key[0] == job and key[1] <= seq]:
            del self._tables.outbox[key]

    async def answered(self, job: str, seq: int, party: str) -> None:
        verb, parties = self._tables.outbox[job, seq]
        self._tables.outbox[job, seq] = (verb, tuple(one for one in parties if one != party))

    async def asked(self, verb: str) -> list[tuple[str, str]]:
        rows = self._tables.outbox.items()
        return [(job, party) for (job, _), (said, to) in rows if said == verb for party in to]

    async def open_requests(self, job: str) -> list[tuple[str, str]]:
        rows = self._tables.outbox.items()
        return [(party, verb) for (one, _), (verb, to) in rows if one == job for party in to]


class _Changes:
    """`Changes`: one transaction at a time, so the order is that of the numbers."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._noted: dict[tuple[ChangeKind, str, int], dict[str, Any]] = {}

    def job(self, key: str) -> None:
        self._noted.setdefault((ChangeKind.JOB, key, 0), {})

    def note(
        self, kind: ChangeKind, about: str, ref: int = 0, data: dict[str, Any] | None = None
    ) -> None:
        self._noted[kind, about, ref] = data or {}

    def write(self) -> int:
        noted, self._noted = self._noted, {}
        told = {about for kind, about, _ in noted if kind is ChangeKind.EVENT}
        for (kind, about, ref), data in noted.items():
            if kind is not ChangeKind.JOB or about not in told:
                last = self._tables.changes[-1].position[1] if self._tables.changes else 0
                one = Change((0, last + 1), f"{last:x}", kind, about, ref, data)
                self._tables.changes.append(one)
        return len(noted)

    async def open(self) -> None:
        self.note(ChangeKind.START, "")

    async def newest(self) -> Change | None:
        return self._tables.changes[-1] if self._tables.changes else None

    async def find(self, number: int, mark: str) -> Change | None:
        known = ((one.position[1], one.mark, one) for one in self._tables.changes)
        return next((one for place, said, one in known if (place, said) == (number, mark)), None)

    async def after(self, position: Position, limit: int = 500) -> list[Change]:
        return [one for one in self._tables.changes if one.position > position][:limit]


class _Events:
    def __init__(self, tables: Tables, changes: _Changes) -> None:
        self._tables = tables
        self._changes = changes

    async def append(self, job: str, kind: str, at: int, data: Mapping[str, Any]) -> int:
        event = Event(len(self._tables.events) + 1, job, kind, at, dict(data))
        self._tables.events.append(event)
        self._changes.note(ChangeKind.EVENT, job, event.id)
        return event.id

    async def after(self, job: str, last: int, limit: int = 500) -> list[Event]:
        found = [event for event in self._tables.events if event.job == job and event.id > last]
        return found[:limit]

    async def of(self, ids: Sequence[int]) -> list[Event]:
        return [event for event in self._tables.events if event.id in ids]


class _Leaves:
    def __init__(self, tables: Tables, log: Sequence[LogEntry]) -> None:
        self._tables, self._log = tables, log

    async def submit(self, leaves: Sequence[PendingLeaf]) -> None:
        for leaf in leaves:
            self._tables.pending.setdefault((leaf.job, leaf.seq, leaf.position), leaf)

    async def end(self, job: str, author: str) -> End:
        found = [e for e in self._log if (e.job, e.author) == (job, author)]
        return End(len(found), found[-1].hash.hex() if found else "")


class _Queue:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def add(self, line: QueuedJob) -> None:
        self._tables.queue.setdefault(line.job, line)

    async def every(self) -> list[QueuedJob]:
        return list(self._tables.queue.values())

    async def of(self, job: str) -> QueuedJob | None:
        return self._tables.queue.get(job)

    async def save(self, line: QueuedJob) -> None:
        if line.job in self._tables.queue:
            self._tables.queue[line.job] = line

    async def remove(self, job: str) -> None:
        self._tables.queue.pop(job, None)


class _Answers:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def find(self, user: str, key: str) -> tuple[str, int, Any] | None:
        return self._tables.answers.get((user, key))

    async def remember(
        self, user: str, key: str, request: str, status: int, body: Any, at: int
    ) -> None:
        self._tables.answers.setdefault((user, key), (request, status, body))

    async def forget(self, user: str) -> None:
        for place, kept in list(self._tables.answers.items()):
            if place[0] == user or user in str(kept[2]):
                del self._tables.answers[place]


class _Notifications:
    def __init__(self, tables: Tables, changes: _Changes) -> None:
        self._tables = tables
        self._changes = changes

    def _of(self, user: str) -> list[Notification]:
        return [one for _, one in self._tables.told if one.user == user]

    async def add(self, event: str, notifications: Sequence[Notification]) -> list[str]:
        known = {one.user for told, one in self._tables.told if told == event}
        new = [one for one in notifications if one.user not in known]
        last = max((one.id for _, one in self._tables.told), default=0)
        self._tables.told += [
            (event, replace(one, id=last + number)) for number, one in enumerate(new, 1)
        ]
        for number, one in enumerate(new, 1):
            self._changes.note(ChangeKind.NOTIFICATION, one.user, last + number)
        return [one.user for one in new]

    async def page(
        self, user: str, *, unread: bool = False, cursor: str = "", limit: int = 50
    ) -> tuple[list[Notification], str]:
        def place(one: Notification) -> tuple[int, int]:
            return int(one.read is not None), -one.id

        found = sorted((one for one in self._of(user) if not unread or one.read is None), key=place)
        if cursor:
            part, last = map(int, cursor.split("/"))
            found = [one for one in found if place(one) > (part, -last)]
        more = found[limit - 1] if len(found) > limit else None
        return found[:limit], f"{int(more.read is not None)}/{more.id}" if more else ""

    async def after(self, user: str, last: int, limit: int = 500) -> list[Notification]:
        return [one for one in self._of(user) if one.id > last][:limit]

    async def unread(self, user: str) -> int:
        return sum(one.read is None for one in self._of(user))

    async def newest(self, user: str) -> int:
        return max((one.id for one in self._of(user)), default=0)

    async def mark(self, user: str, at: int, key: int | None = None) -> int:
        marked = 0
        for place, (event, one) in enumerate(self._tables.told):
            if one.user == user and one.read is None and key in (None, one.id):
                self._tables.told[place] = (event, replace(one, read=at))
                marked += 1
        if marked:
            self._changes.note(ChangeKind.READ, user)
        return marked

    async def find(self, user: str, key: int) -> Notification | None:
        return next((one for one in self._of(user) if one.id == key), None)

    async def trim(self, users: Sequence[str], most: int) -> int:
        gone = set()
        for user in users:
            mine = sorted(self._of(user), key=lambda one: (one.read is None, one.id))
            gone |= {one.id for one in mine[: max(0, len(mine) - most)]}
        self._tables.told = [told for told in self._tables.told if told[1].id not in gone]
        return len(gone)


class MemoryLedger:
    """The `Ledger` port over the committed pending leaves of a `MemoryDatabase`."""

    def __init__(
        self, database: MemoryDatabase, key: SigningKey, origin: str, keys: LogKeys | None = None
    ) -> None:
        self._database = database
        self._keys = keys or OneKey(key)
        self.origin = origin
        self._tree = MemoryTree()
        self.log = database.log
        self._placed: dict[tuple[str, int, int], int] = {}
        self._lines: dict[int, list[str]] = {}
        self.hold: Hold | None = None
        self.gone_on: list[tuple[str, int, PendingLeaf]] = []

    async def judge(self, decide: Callable[[Hold | None, int], Hold | None]) -> Hold | None:
        self.hold = decide(self.hold, self._tree.size)
        return self.hold

    @property
    def public(self) -> str:
        return self._keys.signing.public

    async def continue_as(
        self, origin: str, start: int, root: bytes, leaf: PendingLeaf, key: str = ""
    ) -> None:
        if self.origin == origin:
            return
        assert await self.root(start) == root
        self.gone_on.append((origin, start, leaf))
        self.origin, self.hold = origin, None
        if key:
            self._keys.adopt(key)

    async def root(self, size: int) -> bytes:
        if size > self._tree.size:
            raise not_found(f"root of {size}")
        return self._tree.root(size)

    @property
    def kinds(self) -> list[str]:
        """The kinds of all entries, in order."""
        return [entry.kind for entry in self.log]

    async def sequenced(self, job: str, seq: int) -> Recorded:
        await self.caught_up()
        indices = [i for (one, at, _), i in sorted(self._placed.items()) if (one, at) == (job, seq)]
        assert indices, f"nothing was submitted for {job}/{seq}"
        return Recorded(await self.head(), self._tree.size, tuple(indices))

    async def caught_up(self) -> int:
        for place, leaf in list(self._database.tables.pending.items()):  # as they arrived
            if place not in self._placed:
                self._place(place, leaf)
        return self._tree.size

    async def append(self, leaves: Sequence[PendingLeaf]) -> Recorded:
        async with self._database.begin() as work:
            await work.leaves.submit(leaves)
            await work.commit()
        return await self.sequenced(leaves[0].job, leaves[0].seq)

    async def head(self) -> str:
        return await self.note(self._tree.size)

    async def note(self, size: int) -> str:
        if size > self._tree.size:
            raise not_found(f"head of size {size}")
        note = sign_checkpoint(
            Checkpoint(self.origin, size, self._tree.root(size)), self._keys.signing
        )
        return attach(note, self._lines.get(size, []))

    async def witnessed(self, index: int, names: Iterable[str]) -> str | None:
        wanted, counts = set(names), {}
        for size in self._lines:
            signatures = parse_note(await self.note(size)).signatures
            counts[size] = len({one.name for one in signatures} & wanted) if size > index else 0
        best = min(counts, key=lambda size: (-counts[size], size), default=0)
        return await self.note(best) if counts.get(best) else None

    async def cosign(self, size: int, lines: Iterable[str]) -> None:
        self._lines.setdefault(size, []).extend(lines)

    async def entries(
        self, *, job: str | None = None, start: int = 0, limit: int = 500
    ) -> list[LogEntry]:
        found = [e for e in self.log if e.index >= start and job in (None, e.job)]
        return found[:limit]

    async def newest_of(self, author: str, limit: int) -> list[LogEntry]:
        return [e for e in reversed(self.log) if e.author == author][:limit]

    async def search(
        self, *, kind: str = "", author: str = "", job: str = "", since: int = 0, until: int = 0,
        before: int = 0, limit: int = 50,
    ) -> list[LogEntry]:  # fmt: skip
        found = [
            one
            for one in self.log
            if (one.kind.startswith(kind) if kind.endswith(".") else kind in ("", one.kind))
            and author in ("", one.author)
            and job in ("", one.job)
            and since <= one.at < (until or one.at + 1)
            and one.index < (before or one.index + 1)
        ]
        return found[::-1][:limit]

    async def authors(self, job: str, size: int) -> list[tuple[str, str]]:
        return [(e.author, e.hash.hex()) for e in self.log[:size] if e.job == job]

    async def job_leaves(self, job: str) -> list[LogEntry]:
        own = [e.index for e in self.log if e.job == job]
        authors = {e.author for e in self.log if e.job == job} - {"server", "enclave"}
        return [
            e if e.job == job else replace(e, document=None, salt=None)
            for e in self.log
            if own and min(own) <= e.index <= max(own) and (e.job == job or e.author in authors)
        ]

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        if not 0 <= index < size <= self._tree.size:
            raise not_found(f"entry {index} in a tree of {size}")
        return self._tree.inclusion_proof(index, size)

    async def consistency(self, old: int, new: int) -> list[bytes]:
        if not 0 <= old <= new <= self._tree.size:
            raise not_found(f"tree of {new}")
        return self._tree.consistency_proof(old, new)

    async def find(self, hash_: bytes) -> int | None:
        return next((entry.index for entry in self.log if entry.hash == hash_), None)

    def _place(self, place: tuple[str, int, int], leaf: PendingLeaf) -> None:
        index = self._tree.size
        self._tree.append(leaf.data)
        at = parse_leaf(leaf.data).leaf.at
        hash_ = leaf_hash(leaf.data)
        self.log.append(
            LogEntry(
                index,
                hash_,
                leaf.data,
                leaf.job,
                leaf.kind,
                leaf.author,
                at,
                leaf.document,
                leaf.salt,
            )
        )
        self._placed[place] = index


class MemoryBus:
    def __init__(self) -> None:
        self._woken: dict[str, list[asyncio.Event]] = {}
        self.joined = asyncio.Event()
        """Set once somebody listens."""

    async def publish(self, topic: str) -> None:
        for event in self._woken.get(topic, []):
            event.set()

    async def listen(self, topic: str) -> AsyncIterator[None]:
        woken = asyncio.Event()
        self._woken.setdefault(topic, []).append(woken)
        self.joined.set()
        try:
            while True:
                yield
                await woken.wait()
                woken.clear()
        finally:
            self._woken[topic].remove(woken)


class MemoryArtifacts:
    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.old: set[str] = set()

    def demand(self, size: int) -> None:
        del size

    def keep(self, data: bytes) -> str:
        digest = blake3(data).hexdigest()
        self.blobs[digest] = data
        return digest

    async def put(self, chunks: AsyncIterator[bytes], *, limit: int, expect: str = "") -> Artifact:
        data = b"".join([chunk async for chunk in chunks])
        if len(data) > limit:
            raise SecureFlowError("too_large", "The blob is longer than it may be.")
        if expect and blake3(data).hexdigest() != expect:
            raise SecureFlowError("digest_mismatch", "The bytes have another digest.")
        return Artifact(self.keep(data), len(data))

    async def open(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
        data = self._get(digest)[offset:]

        async def stream() -> AsyncIterator[bytes]:
            yield data

        return stream()

    async def stat(self, digest: str) -> Artifact:
        return Artifact(digest, len(self._get(digest)))

    def path(self, digest: str) -> Path | None:
        return None

    async def delete(self, digest: str) -> None:
        self.blobs.pop(digest, None)

    async def older_than(self, seconds: float) -> Sequence[str]:
        """Return those that a test calls old: there is no clock here."""
        del seconds
        return sorted(self.old & self.blobs.keys())

    def _get(self, digest: str) -> bytes:
        if digest not in self.blobs:
            raise not_found(digest)
        return self.blobs[digest]


class SilentCourier:
    """A courier whose parties never connected."""

    async def ask(self, request: Request) -> Any:
        raise SecureFlowError("party_silent", f"{request.party} is not connected.")

    def status(self, party: str) -> PartyStatus:
        return PartyStatus(party, connected=False, last_progress=0.0)

    def note_engines(self, party: str, engines: dict[str, str]) -> None:
        return

    @property
    def connected(self) -> int:
        return 0

    async def withdraw(self, job: str) -> None:
        return


class NotingDriver:
    """A driver that only notes what it was asked to do."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.cancelled: list[tuple[str, str]] = []
        self.reasons: dict[str, Mapping[str, str]] = {}
        self.withdrawn: list[str] = []
        self.claimed: list[str] = []

    async def claim(self, unit: object, job: str) -> None:
        del unit
        self.claimed.append(job)

    def start(self, job: str) -> None:
        self.started.append(job)

    async def cancel(
        self, job: str, by: str, because: Mapping[str, str] | None = None, withdrawn: str = ""
    ) -> None:
        self.cancelled.append((job, by))
        self.reasons[job] = because or {}
        self.withdrawn += [withdrawn] if withdrawn else []

    async def restart(self, job: str) -> None:
        self.started.append(job)

    async def state_to_resume(self, job: str) -> JobState:
        del job
        return JobState.RUNNING


class NotingNotifier:
    """Keeps what it is given, and fails with `failure` if that is set."""

    def __init__(self, delivered: list[Delivery]) -> None:
        self.delivered = delivered
        self.failure: SecureFlowError | None = None

    async def deliver(self, delivery: Delivery) -> None:
        if self.failure is not None:
            raise self.failure
        self.delivered.append(delivery)


class Played:
    """Scripts (`application.running.scripts.Scripts`) of a test's own; old ones are retired."""

    def __init__(self, of: Callable[[Job], Script[Any]]) -> None:
        self.of = of
        self.retired = Scripts(ENGINE_KINDS).retired

    def columns(self, job: Job, party: str) -> Sequence[str]:
        """What a test's spec says that it reads of everybody."""
        del party
        return tuple(job.spec.get("columns", ()))
