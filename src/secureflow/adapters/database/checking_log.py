"""Checks the whole log: every leaf hashed into the tree again, every head and cosignature.

Redundant data (a leaf's bytes and its columns, a tree's nodes and its leaves, a checkpoint and the
tree) must agree, and every signature must be valid.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa

from secureflow.adapters.database.checking import RESTORE, in_bytes, raw
from secureflow.adapters.database.log_store import place
from secureflow.adapters.database.restored import stored_hold
from secureflow.adapters.database.tables import (
    LOG_CHECKPOINTS,
    LOG_COSIGNATURES,
    LOG_HEAD,
    LOG_LEAVES,
    LOG_NODES,
    LOG_SUBMISSIONS,
)
from secureflow.domain.origins import continues
from secureflow.engines.ledger.leaves import SignedLeaf, commitment, parse_leaf, verify
from secureflow.engines.ledger.merkle import GrowingTree, leaf_hash
from secureflow.engines.ledger.notes import attach, parse_note
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.findings import Finding
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

PART: Final = "log"
_BATCH: Final = 500


class LogCheck:
    """One check of the log.

    Args:
        connection: of the transaction.
        origin: as in the settings.
        key: the log's public key.
        keys: party → every signing key that it is known to have had.
        log_keys: the log's name → the key that signs under it, as far as another one does.
    """

    def __init__(
        self,
        connection: sa.Connection,
        origin: str,
        key: str,
        keys: Mapping[str, Sequence[str]],
        log_keys: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._connection = connection
        self._first = origin
        self._origin = origin
        self._key = key
        self._keys = keys
        self._log_keys = log_keys
        self.leaves = 0
        self.heads = 0
        self.cosignatures = 0

    def findings(self) -> Iterator[Finding]:
        """Yield every problem."""
        head = self._connection.execute(raw(LOG_HEAD)).first()
        if head is None:
            yield self._bad("the log has no head.")
            return
        if head.key != self._key or not continues(str(head.origin), self._first):
            yield Finding(
                PART,
                Text(
                    "log_head names the log {origin} under another key or name.",
                    origin=shown(str(head.origin)),
                ),
                "Check the server with the settings, log key and database that belong together.",
            )
            return
        try:
            stored_hold(head.hold, head.origin)
        except SecureFlowError:
            yield self._bad("log_head: why the log is held cannot be read.")
        self._origin = head.origin
        yield from self._walk(head.size)
        yield from self._cosignatures()
        yield from self._submissions()

    def _walk(self, size: Any) -> Iterator[Finding]:
        """Iterate over leaves, nodes and heads together, so that a log of any length fits."""
        tree = GrowingTree()
        heads = self._connection.execution_options(yield_per=_BATCH).execute(
            raw(LOG_CHECKPOINTS).order_by(LOG_CHECKPOINTS.c.size)
        )
        coming = iter(heads)
        due = next(coming, None)
        nodes = 0
        while True:
            rows = self._leaves_from(tree.size)
            made: dict[int, bytes] = {}
            for row in rows:
                while due is not None and due.size == tree.size:
                    yield from self._head(due, tree)
                    due = next(coming, None)
                if row.number != tree.size:
                    yield self._bad(Text("log_leaves: leaf {size} is missing.", size=tree.size))
                    return
                yield from self._leaf(row)
                for level, index, node in tree.append(leaf_hash(in_bytes(row.data))):
                    made[place(level, index)] = node
            if not rows:
                break
            nodes += len(made)
            yield from self._nodes(made)
        while due is not None:
            if due.size != tree.size:
                yield self._bad(Text("log_checkpoints: the log has no size {size}.", size=due.size))
            else:
                yield from self._head(due, tree)
            due = next(coming, None)
        yield from self._ends(size, tree.size, nodes)

    def _ends(self, size: Any, leaves: int, nodes: int) -> Iterator[Finding]:
        self.leaves = leaves
        if leaves != size:
            yield self._bad(
                Text("log_head says {size} leaves, there are {leaves}.", size=size, leaves=leaves)
            )
        if not self._one(sa.select(LOG_CHECKPOINTS.c.size).where(LOG_CHECKPOINTS.c.size == leaves)):
            yield self._bad(
                Text("log_checkpoints: the head of size {leaves} is missing.", leaves=leaves)
            )
        count = self._connection.execute(
            sa.select(sa.func.count()).select_from(LOG_NODES)
        ).scalar_one()
        if count > nodes:
            yield self._bad(
                Text("log_nodes: {count} nodes belong to no leaf.", count=count - nodes)
            )

    def _leaves_from(self, number: int) -> Sequence[Any]:
        query = raw(LOG_LEAVES).where(LOG_LEAVES.c.number >= number)
        query = query.order_by(LOG_LEAVES.c.number)
        return self._connection.execute(query.limit(_BATCH)).all()

    def _leaf(self, row: Any) -> Iterator[Finding]:
        where, data = Text("log_leaves: leaf {number}", number=row.number), in_bytes(row.data)
        if leaf_hash(data) != in_bytes(row.hash):
            yield self._bad(
                Text("{where} does not have the hash that it is stored under.", where=where)
            )
            return
        try:
            signed = parse_leaf(data)
        except SecureFlowError:
            yield self._bad(Text("{where} cannot be read.", where=where))
            return
        leaf = signed.leaf
        wrong = leaf.author == "server" and signed.key != self._key_of(leaf.origin)
        if wrong or not verify(signed, signed.key):
            yield self._bad(Text("{where}: its signature is not valid.", where=where))
        if not continues(self._origin, leaf.origin):
            yield self._bad(
                Text("{where} belongs to the log {origin}.", where=where, origin=shown(leaf.origin))
            )
        columns = (row.job, row.kind, row.author, row.at)
        if columns != (leaf.job, leaf.kind, leaf.author, leaf.at):
            yield self._bad(
                Text("{where}: its columns do not match what its author signed.", where=where)
            )
        yield from self._opened(where, row, signed)

    def _opened(self, where: str, row: Any, signed: SignedLeaf) -> Iterator[Finding]:
        if row.salt is None and row.document is None:
            return
        try:
            document = json.loads(row.document) if row.document is not None else None
            opens = commitment(in_bytes(row.salt), document) == signed.leaf.commitment
        except (SecureFlowError, ValueError, TypeError, RecursionError):
            opens = False
        if not opens:
            yield self._bad(
                Text("{where}: document and salt do not match its commitment.", where=where)
            )

    def _nodes(self, made: Mapping[int, bytes]) -> Iterator[Finding]:
        query = raw(LOG_NODES).where(LOG_NODES.c.place.in_(list(made)))
        there = {row.place: in_bytes(row.hash) for row in self._connection.execute(query)}
        for at, node in made.items():
            if there.get(at) != node:
                what = "is missing" if at not in there else "is not the hash of its leaves"
                yield self._bad(Text("log_nodes: the node at place {at} {what}.", at=at, what=what))

    def _head(self, row: Any, tree: GrowingTree) -> Iterator[Finding]:
        self.heads += 1
        where = Text("log_checkpoints: the head of size {size}", size=row.size)
        try:
            note = parse_note(str(row.note))
            signed = note.verify_log(self._key_of(note.checkpoint.origin))
        except SecureFlowError:
            yield self._bad(Text("{where} cannot be read.", where=where))
            return
        checkpoint = note.checkpoint
        if not signed or not continues(self._origin, checkpoint.origin):
            yield self._bad(Text("{where}: its signature is not valid.", where=where))
        elif (checkpoint.size, checkpoint.root) != (tree.size, tree.root()):
            yield self._bad(Text("{where} does not match the stored leaves.", where=where))

    def _key_of(self, origin: str) -> str:
        return self._log_keys.get(origin, self._key)

    def _cosignatures(self) -> Iterator[Finding]:
        note = LOG_CHECKPOINTS.c.note
        query = raw(LOG_COSIGNATURES).add_columns(sa.type_coerce(note, sa.Text).label("note"))
        query = query.outerjoin(LOG_CHECKPOINTS, LOG_CHECKPOINTS.c.size == LOG_COSIGNATURES.c.size)
        for row in self._connection.execute(query.order_by(LOG_COSIGNATURES.c.size)):
            self.cosignatures += 1
            where = Text(
                "log_cosignatures: {name} at size {size}", name=shown(str(row.name)), size=row.size
            )
            if row.note is None:
                yield self._bad(Text("{where}: there is no such head.", where=where))
            elif not self._cosigned(row):
                yield self._bad(Text("{where}: the cosignature is not valid.", where=where))

    def _cosigned(self, row: Any) -> bool:
        try:
            note = parse_note(attach(str(row.note), [str(row.line)]))
        except SecureFlowError:
            return False
        return any(note.cosigners({row.name: key}) for key in self._keys.get(row.name, ()))

    def _submissions(self) -> Iterator[Finding]:
        query = raw(LOG_SUBMISSIONS).order_by(LOG_SUBMISSIONS.c.arrival)
        for row in self._connection.execution_options(yield_per=_BATCH).execute(query):
            where = Text(
                "log_submissions: row {arrival} (job {job})",
                arrival=row.arrival,
                job=shown(str(row.job)),
            )
            if row.number is not None:
                if type(row.number) is not int or not 0 <= row.number < self.leaves:
                    yield self._bad(
                        Text("{where}: there is no leaf {number}.", where=where, number=row.number)
                    )
                continue
            try:
                parse_leaf(in_bytes(row.data))
            except SecureFlowError:
                yield self._bad(Text("{where}: what is stored there is not a leaf.", where=where))

    def _one(self, query: sa.Select[Any]) -> Any:
        return self._connection.execute(query).first()

    @staticmethod
    def _bad(what: str) -> Finding:
        return Finding(PART, what, RESTORE)
