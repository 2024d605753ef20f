"""The log's tables, written by one transaction per batch.

A writer locks the one row of `log_head` first: several replicas may run a sequencer, and the lock
makes them take turns (the fence). A batch stores leaves, tree nodes and the signed checkpoint
together, so that a crash leaves either all of it or nothing. This module is blocking; it runs in
the sequencer's own thread, so that a batch takes one thread switch instead of one per statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy.engine import URL

from secureflow.adapters.database.connections import forget_rows, roll_back, sync_engine
from secureflow.adapters.database.damage import DamageLog, damaged_log
from secureflow.adapters.database.log_batch import (
    Batch,
    Candidate,
    landed_of,
    row_of,
    signed_again,
)
from secureflow.adapters.database.log_cache import LogCache
from secureflow.adapters.database.log_statements import compiled
from secureflow.adapters.database.restored import hold_if_restored, stored_hold
from secureflow.adapters.database.tables import JsonText
from secureflow.application.ports.logkeys import LogKeys
from secureflow.application.ports.storage import PendingLeaf
from secureflow.application.restored import RESTORED
from secureflow.domain.origins import continues, following
from secureflow.engines.ledger import merkle
from secureflow.engines.ledger.leaves import parse_leaf
from secureflow.engines.ledger.notes import Checkpoint, parse_note, sign_checkpoint
from secureflow.engines.ledger.setback import Hold, not_set_back, set_back, start_differs
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.heldfile import HeldFile
from secureflow.kit.text import Text

MAX_BATCH = 2000
"""Leaves per transaction: bounds memory and how long the write lock is held."""


def place(level: int, index: int) -> int:
    """Return a node's place in an in-order walk of the infinite tree: one integer per node."""
    return (index << (level + 1)) + (1 << level) - 1


class LogStore:
    """Numbers leaves under the log's key. One instance per process, used by one thread.

    Statements are compiled once and run by the driver: SQLAlchemy's work per statement would cost
    more than the durable commit itself.
    """

    def __init__(
        self,
        url: URL,
        keys: LogKeys,
        origin: str,
        clock: Callable[[], float],
        file: HeldFile,
    ) -> None:
        self._file = file
        self._engine = sync_engine(url, file)
        self._sql = compiled(self._engine)
        # Two clauses that are the same in both databases but missing from SQLAlchemy's core.
        self._sql["add_leaf"] += " ON CONFLICT DO NOTHING"
        self._sql["waiting"] += f" LIMIT {MAX_BATCH}"
        self._keys = keys
        self._key = keys.find(keys.signing.public) or keys.signing
        self._ended = ""  # the key before this one, if it ended while this process ran
        self._first = origin
        self.origin = origin
        """The log's current name, as last read from the database."""
        self.hold: Hold | None = None
        """Why the log signs nothing, as last read."""
        self._signed = (-1, "", origin)
        self._stood = self._standing()  # exactly as in the database
        self._clock = clock
        self._size = -1
        self._note = ""
        self._frontier: dict[tuple[int, int], bytes] = {}
        self._fresh_nodes: list[tuple[int, bytes]] = []
        self._damage = DamageLog()
        self.cache = LogCache()

    def open(self) -> None:
        """Create the log if there is none; the end of an existing one must match its head.

        Raises:
            SecureFlowError: `fenced` if the database holds another log; `record_damaged`.
        """
        with self._transaction() as cursor:
            size = self._locked_size(cursor)
            if size is None:
                if self._one(cursor, "newest", {})[0] is not None:
                    raise damaged_log("it has checkpoints and no head")
                head = {"one": 1, "origin": self.origin, "key": self._key.public, "size": 0}
                self._run(cursor, "make_head", {**head, "hold": None})
                self._write_checkpoint(cursor, 0)
                return
            self._check_end(cursor, size)
            if self.hold is None:
                restored = self._one(cursor, "setting", {"name": RESTORED})
                self._keep_hold(cursor, hold_if_restored(restored, size, int(self._clock())))

    def _check_end(self, cursor: Any, size: int) -> None:
        """Compare the head with the newest leaf, the newest checkpoint and the tree."""
        last, newest = (self._one(cursor, name, {})[0] for name in ("last", "newest"))
        if last != (size - 1 if size else None):
            raise damaged_log(
                Text("its head says {size} leaves, the last one is {last}", size=size, last=last)
            )
        if newest != size:
            raise damaged_log(
                Text(
                    "its head says {size} leaves, its newest checkpoint {newest}",
                    size=size,
                    newest=newest,
                )
            )
        self._follow(cursor, size)
        try:
            note = parse_note(self._note)
            signed = note.verify_log(self._key.public)
        except SecureFlowError as error:
            raise damaged_log(
                Text("its checkpoint of size {size} cannot be read", size=size)
            ) from error
        named, root = note.checkpoint, merkle.root(size, self._read)
        ours = continues(self.origin, named.origin) and (named.size, named.root) == (size, root)
        if not signed or not ours:
            raise damaged_log(
                Text("its checkpoint of size {size} is not of this tree and key", size=size)
            )

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def number(self, direct: Sequence[Candidate], *, waiting: bool) -> Batch:
        """Append direct leaves and, if `waiting`, what jobs have submitted, in order of arrival.

        A leaf that the log holds already is not appended again and keeps its number.

        Raises:
            InfrastructureError: `log_set_back` if there is something to number and the log is held,
                or smaller than what this process signed: then nothing is signed.
        """
        try:
            return self._number(direct, waiting=waiting, look_up=False)
        except _StandsAlreadyError:
            return self._number(direct, waiting=waiting, look_up=True)
        except _ShrunkError:
            self.judge(self._shrunk)
            return self._number(direct, waiting=waiting, look_up=False)

    def judge(self, decide: Callable[[Hold | None, int], Hold | None]) -> Hold | None:
        """Decide under the lock whether the log is held: from what is known and the log's size."""
        with self._transaction() as cursor:
            size = self._locked_size(cursor)
            if size is None:
                raise self._fenced("no log at all")
            self._keep_hold(cursor, decide(self.hold, size))
        return self.hold

    def continue_as(
        self, origin: str, start: int, root: bytes, leaf: PendingLeaf, key: str = ""
    ) -> None:
        """Continue under a new origin after the first `start` leaves, with this leaf as the next.

        Existing leaves after them were not seen by the members: they follow this leaf, so that no
        action is without a record. Repeating it changes nothing.

        Args:
            origin: the new name.
            start: how many leaves stay in their places.
            root: over those.
            leaf: the next one.
            key: the public key that signs from now on; empty if it stays.

        Raises:
            SecureFlowError: `log_not_set_back` if it is not held for this; `continuation_refused`
                if the first `start` leaves do not have this root; `fenced` if the key is not here.
        """
        with self._transaction() as cursor:
            size = self._locked_size(cursor)
            if self.origin == origin:
                return
            if size is None or self.hold is None or origin != following(self.origin):
                raise not_set_back(self.origin)
            grown = bool(key) and (self.hold.cause != "key" or start != size)
            if grown or start > size or merkle.root(start, partial(self._stored, cursor)) != root:
                raise start_differs(start)
            cut = self._cut(cursor, start, size)
            if key:
                self._change_key(key)
            named = {"origin": origin, "key": self._key.public, "size": start}
            self._run(cursor, "rename", named)
            self.origin, self.hold = origin, None
            self._follow(cursor, start)
            rows = [row_of(one) for one in (Candidate.direct(leaf), *cut)]
            for number, row in enumerate(rows, start=start):
                row["number"] = number
            self._append(cursor, rows)
            if key:  # what waits is signed by the old key: in the same transaction or never
                rows += self._number_waiting(cursor)
        self._forget(origin)  # numbers and nodes after the start have changed
        self._remember(rows)
        self._keys.adopt(self._key.public)

    def _change_key(self, public: str) -> None:
        """Sign by another key; the caller's transaction stores which."""
        key = self._keys.find(public)
        if key is None:
            raise self._fenced(
                Text("the log {origin} under another key or name", origin=self.origin)
            )
        self._ended, self._key = self._key.public, key

    def _number_waiting(self, cursor: Any) -> list[dict[str, Any]]:
        """Number all that jobs have submitted, the centre's own under the new key."""
        rows: list[dict[str, Any]] = []
        while submitted := [self._own(one) for one in self._waiting(cursor)]:
            numbers, fresh = self._assign(cursor, submitted, look_up=True)
            if fresh:
                self._append(cursor, fresh)
            self._mark(cursor, submitted, numbers)
            rows += fresh
        return rows

    def _own(self, candidate: Candidate) -> Candidate:
        return signed_again(candidate, self._ended, self._key, self.origin)

    def _cut(self, cursor: Any, start: int, size: int) -> list[Candidate]:
        """Remove everything after the first `start` leaves, and return it."""
        self._run(cursor, "beyond", {"start": start})
        cut = [
            Candidate(parse_leaf(bytes(data)), document, salt)
            for data, document, salt in cursor.fetchall()
        ]
        nodes = [
            {"place": place(level, index)}
            for level in range(size.bit_length())
            for index in range(start >> level, (size >> level) + 1)
        ]
        if size > start:
            self._run_many(cursor, "drop_node", nodes)
            for name in ("drop_leaves", "drop_checkpoints", "drop_cosignatures"):
                self._run(cursor, name, {"start": start})
        return cut

    def _stored(self, cursor: Any, level: int, index: int) -> bytes:
        return bytes(self._one(cursor, "node", {"place": place(level, index)})[0])

    def _number(self, direct: Sequence[Candidate], *, waiting: bool, look_up: bool) -> Batch:
        with self._transaction() as cursor:
            size = self._locked_size(cursor)
            if size is None:
                raise self._fenced("no log at all")
            if self.hold is None and self._is_less(size):
                raise _ShrunkError
            self._follow(cursor, size)
            submitted = self._waiting(cursor) if waiting else []
            candidates = [*direct, *submitted]
            if self._ended:  # what was signed before the key ended, and arrives now
                candidates = [self._own(one) for one in candidates]
            if self.hold is not None and candidates:
                raise set_back(self.hold, self.origin)
            numbers, fresh = self._assign(cursor, candidates, look_up=look_up)
            if fresh:
                self._append(cursor, fresh)
            self._mark(cursor, candidates, numbers)
        self._remember(fresh)
        more = len(submitted) == MAX_BATCH
        return Batch(
            self._size,
            self._note,
            tuple(numbers[: len(direct)]),
            more,
            landed_of(submitted, numbers[len(direct) :], cut=more),
        )

    def _remember(self, fresh: Sequence[dict[str, Any]]) -> None:
        """Add a committed batch to the cache."""
        self.cache.nodes.add(self._fresh_nodes)
        self.cache.numbers.add([(row["hash"], row["number"]) for row in fresh])
        self.cache.notes.add([(self._size, self._note)])
        self.cache.size = max(self.cache.size, self._size)
        self._signed = max(self._signed, (self._size, self._note, self.origin))
        self._fresh_nodes = []

    def _assign(
        self, cursor: Any, candidates: Sequence[Candidate], *, look_up: bool
    ) -> tuple[list[int], list[dict[str, Any]]]:
        """Give each candidate a number; return the numbers and the new rows.

        With `look_up` each hash is queried first. Nearly always all are new, so the first attempt
        skips that and relies on the unique index.
        """
        numbers: list[int] = []
        fresh: dict[bytes, dict[str, Any]] = {}
        for candidate in candidates:
            row = row_of(candidate)
            known = self._known(cursor, row["hash"]) if look_up else None
            if known is None:
                row = fresh.setdefault(row["hash"], row)
                known = row.setdefault("number", self._size + len(fresh) - 1)
            numbers.append(known)
        return numbers, list(fresh.values())

    def _append(self, cursor: Any, rows: list[dict[str, Any]]) -> None:
        nodes = merkle.new_nodes(self._size, self._read, [row["hash"] for row in rows])
        self._run_many(cursor, "add_leaf", rows)
        if cursor.rowcount != len(rows):
            raise _StandsAlreadyError
        places = [{"place": place(level, index), "hash": node} for level, index, node in nodes]
        self._run_many(cursor, "add_node", places)
        self._fresh_nodes += [(place(level, index), node) for level, index, node in nodes]
        size = self._size + len(rows)
        self._run(cursor, "grow", {"size": size})
        made = {(level, index): node for level, index, node in nodes}
        frontier = merkle.frontier(size)
        self._frontier = {at: made[at] if at in made else self._frontier[at] for at in frontier}
        self._size = size
        self._note = self._write_checkpoint(cursor, size)

    def _follow(self, cursor: Any, size: int) -> None:
        """Read the frontier again if another replica has appended, or a batch was rolled back."""
        if size == self._size:
            return
        self._frontier = {
            (level, index): self._required(
                cursor,
                "node",
                {"place": place(level, index)},
                Text("node {index} of level {level}", index=index, level=level),
            )
            for level, index in merkle.frontier(size)
        }
        self._note = self._required(
            cursor, "checkpoint", {"size": size}, Text("the checkpoint of size {size}", size=size)
        )
        self._size = size

    def _waiting(self, cursor: Any) -> list[Candidate]:
        """Return what jobs have submitted; damaged leaves stay, without blocking others."""
        self._run(cursor, "waiting", {})
        found = []
        for arrival, data, document, salt, job, seq, position in cursor.fetchall():
            try:
                signed = parse_leaf(bytes(data or b""))
            except SecureFlowError:
                self._damage.note("submitted leaf", str(arrival))
                continue
            found.append(Candidate(signed, document, salt, arrival, (job, seq), position))
        return found

    def _mark(self, cursor: Any, candidates: Sequence[Candidate], numbers: Sequence[int]) -> None:
        """Store each submission's number and drop its bytes, which are in the log now."""
        rows = [
            {"of": candidate.arrival, "as_number": number}
            for candidate, number in zip(candidates, numbers, strict=True)
            if candidate.arrival is not None
        ]
        if rows:
            self._run_many(cursor, "mark", rows)

    def _known(self, cursor: Any, leaf_hash: bytes) -> int | None:
        row = self._one(cursor, "known", {"hash": leaf_hash})
        return None if row is None else int(row[0])

    def _read(self, level: int, index: int) -> bytes:
        return bytes(self._frontier[level, index])

    def _write_checkpoint(self, cursor: Any, size: int) -> str:
        root = merkle.root(size, self._read)
        note = sign_checkpoint(Checkpoint(self.origin, size, root), self._key)
        row = {"size": size, "note": note, "at": int(self._clock())}
        self._run(cursor, "add_checkpoint", row)
        return note

    def _locked_size(self, cursor: Any) -> int | None:
        head = self._one(cursor, "lock_head", {})
        if head is None:
            return None
        origin, key, size, hold = head
        if not continues(origin, self._first):
            raise self._fenced(Text("the log {origin} under another key or name", origin=origin))
        if key != self._key.public:  # another server changed it, or this one before it was killed
            self._change_key(key)
            self._keys.adopt(key)
        if origin != self.origin:  # it continued, by whichever server
            self._forget(origin)
            self._size = -1
        self.origin = origin
        self.hold = stored_hold(hold, origin)
        self._stood = self._standing()
        return int(size)

    def _forget(self, origin: str) -> None:
        """What was signed and cached under the previous origin is no longer in this log.

        A database from before a continuation lacks what was signed after it: that is remembered.
        """
        self.cache = LogCache()
        if continues(origin, self.origin):
            self._signed = (-1, "", origin)

    def _keep_hold(self, cursor: Any, hold: Hold | None) -> None:
        """Store why the log is held; the caller holds the lock."""
        if hold == self.hold:
            return
        text = None if hold is None else JsonText.dump(hold.json())
        self._run(cursor, "hold", {"hold": text})
        self.hold = hold

    def _shrunk(self, hold: Hold | None, size: int) -> Hold | None:
        """Hold a log that was made smaller than this process has signed."""
        less, note = self._is_less(size), self._signed[1]
        self.cache = LogCache()  # what it has cached is no longer in the database
        self._signed = (size, "", self.origin)
        if hold is not None or not less:
            return hold
        return Hold("shrunk", int(self._clock()), size, head=note)

    def _is_less(self, size: int) -> bool:
        """Tell whether the log is shorter than this process has signed, or has an earlier name."""
        signed, _, origin = self._signed
        return size < signed or not continues(self.origin, origin)

    def _run(self, cursor: Any, name: str, row: dict[str, Any]) -> None:
        cursor.execute(self._sql[name], row)

    def _run_many(self, cursor: Any, name: str, rows: Sequence[dict[str, Any]]) -> None:
        cursor.executemany(self._sql[name], rows)

    def _one(self, cursor: Any, name: str, row: dict[str, Any]) -> Any:
        self._run(cursor, name, row)
        return cursor.fetchone()

    def _required(self, cursor: Any, name: str, row: dict[str, Any], what: str) -> Any:
        """Return the value of a query whose row must exist."""
        found = self._one(cursor, name, row)
        if found is None:
            raise damaged_log(Text("{what} is missing", what=what))
        return found[0]

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        connection = self._engine.raw_connection()
        self._stood = self._standing()
        try:
            cursor = connection.cursor()
            if self._engine.dialect.name == "sqlite":
                cursor.execute("BEGIN IMMEDIATE")
            self._file.check()
            yield cursor
            connection.commit()
        except BaseException as error:  # whatever the error, half a batch must not stay
            forget_rows(error)
            # This batch is treated as failed; if it was committed (an answer lost), the next read
            # of the database shows it.
            self.origin, self.hold, self._signed, self._key, self._ended = self._stood
            self._size = -1
            self._fresh_nodes = []
            roll_back(self._engine, connection)
            raise
        finally:
            connection.close()

    def _standing(self) -> tuple[str, Hold | None, tuple[int, str, str], SigningKey, str]:
        return self.origin, self.hold, self._signed, self._key, self._ended

    def _fenced(self, what: str) -> SecureFlowError:
        return SecureFlowError(
            "fenced",
            Text(
                "The database holds {what}, not the log {origin} of this server's key.",
                what=what,
                origin=self._first,
            ),
            "Start the server with the database, origin and log key that belong together.",
        )


class _StandsAlreadyError(Exception):
    """A leaf of the batch is in the log already, or twice in the batch."""


class _ShrunkError(Exception):
    """The log is smaller than this process has signed."""
