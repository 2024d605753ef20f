"""Verifies the log in a database from its leaves: every hash, node and signed head.

A backup's own claims do not count here: the tree is rebuilt from the leaves' bytes, and each head
that the log signed must be the root of that tree at its size. The members' cosignatures show up to
where others have seen this very history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Final

import sqlalchemy as sa

from secureflow.adapters.database.log_store import place
from secureflow.adapters.database.tables import (
    LOG_CHECKPOINTS,
    LOG_COSIGNATURES,
    LOG_HEAD,
    LOG_LEAVES,
    LOG_NODES,
)
from secureflow.engines.ledger.leaves import parse_leaf
from secureflow.engines.ledger.merkle import GrowingTree, leaf_hash
from secureflow.engines.ledger.notes import attach, parse_note
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_ROWS: Final = 1000


@dataclass(frozen=True)
class VerifiedLog:
    """A verified log.

    Args:
        origin: its current name.
        key: its public key.
        size: its entries.
        root: hex.
        seen: member to the size of the newest head that it cosigned.
        newest: unix seconds of its newest entry; 0 for an empty log.
    """

    origin: str
    key: str
    size: int
    root: str
    seen: Mapping[str, int] = field(default_factory=dict)
    newest: int = 0


def verify_log(
    connection: sa.Connection,
    keys: Mapping[str, str],
    log_keys: Mapping[str, str] = MappingProxyType({}),
) -> VerifiedLog:
    """Rebuild the tree and compare everything with it; blocking.

    Args:
        connection: to a migrated database.
        keys: the members' signing keys.
        log_keys: the log's earlier names → the key that signed under each.

    Raises:
        SecureFlowError: `log_unproven` naming the first mismatch.
    """
    head = connection.execute(sa.select(LOG_HEAD.c.origin, LOG_HEAD.c.key, LOG_HEAD.c.size)).first()
    if head is None:
        raise _unproven("there is no log")
    tree, fresh, last = GrowingTree(), dict[int, bytes](), b""
    heads = _heads(connection)
    recorded = next(heads, None)
    key_of = partial(_key_of, log_keys, head.key)
    for number, data, kept in _leaves(connection):
        recorded = _compare(tree, recorded, heads, key_of)
        if number != tree.size or leaf_hash(bytes(data)) != bytes(kept):
            raise _unproven(Text("entry {size} is missing or altered", size=tree.size))
        last = bytes(data)
        fresh |= {place(level, index): node for level, index, node in tree.append(bytes(kept))}
        if len(fresh) >= _ROWS:
            _check_nodes(connection, fresh, tree.size)
            fresh.clear()
    recorded = _compare(tree, recorded, heads, key_of)
    _check_nodes(connection, fresh, tree.size)
    if tree.size != head.size or recorded is not None:
        raise _unproven(
            Text(
                "it has {size} entries, but a head of size {recorded}",
                size=tree.size,
                recorded=recorded[0] if recorded else head.size,
            )
        )
    newest = parse_leaf(last).leaf.at if last else 0
    seen = _seen(connection, keys)
    return VerifiedLog(head.origin, head.key, tree.size, tree.root().hex(), seen, newest)


def _leaves(connection: sa.Connection) -> Iterator[tuple[int, bytes, bytes]]:
    """Return every leaf in order, in pages: other queries run in between."""
    table, start = LOG_LEAVES.c, 0
    while True:
        query = sa.select(table.number, table.data, table.hash).where(table.number >= start)
        page = connection.execute(query.order_by(table.number).limit(_ROWS)).all()
        if not page:
            return
        yield from (tuple(row) for row in page)
        start = page[-1].number + 1


def _heads(connection: sa.Connection) -> Iterator[tuple[int, str]]:
    table, after = LOG_CHECKPOINTS.c, -1
    while True:
        query = sa.select(table.size, table.note).where(table.size > after)
        page = connection.execute(query.order_by(table.size).limit(_ROWS)).all()
        if not page:
            return
        yield from (tuple(row) for row in page)
        after = page[-1].size


def _compare(
    tree: GrowingTree,
    recorded: tuple[int, str] | None,
    heads: Iterator[tuple[int, str]],
    key_of: Callable[[str], str],
) -> tuple[int, str] | None:
    """Compare the head of this size with the tree; return the next head."""
    if recorded is None or recorded[0] != tree.size:
        return recorded
    note = parse_note(recorded[1])
    sound = note.checkpoint.size == tree.size and note.checkpoint.root == tree.root()
    if not sound or not note.verify_log(key_of(note.checkpoint.origin)):
        raise _unproven(
            Text("the signed head of size {size} does not fit its entries", size=tree.size)
        )
    return next(heads, None)


def _key_of(log_keys: Mapping[str, str], key: str, origin: str) -> str:
    return log_keys.get(origin, key)


def _check_nodes(connection: sa.Connection, fresh: Mapping[int, bytes], size: int) -> None:
    """Compare the stored nodes, by place, with those of the leaves up to a size."""
    places = sorted(fresh)
    query = sa.select(LOG_NODES.c.place, LOG_NODES.c.hash)
    kept: dict[int, bytes] = {}
    for start in range(0, len(places), _ROWS // 2):
        some = query.where(LOG_NODES.c.place.in_(places[start : start + _ROWS // 2]))
        kept |= {row.place: bytes(row.hash) for row in connection.execute(some)}
    if kept != fresh:
        raise _unproven(Text("its tree before entry {size} is not that of its entries", size=size))


def _seen(connection: sa.Connection, keys: Mapping[str, str]) -> dict[str, int]:
    """Return how far each member has provably seen this log."""
    table, notes = LOG_COSIGNATURES.c, LOG_CHECKPOINTS.c
    seen = {}
    for name in keys:
        query = sa.select(table.size, table.line, notes.note).join_from(
            LOG_COSIGNATURES, LOG_CHECKPOINTS, table.size == notes.size, isouter=True
        )
        newest = query.where(table.name == name).order_by(table.size.desc()).limit(1)
        row = connection.execute(newest).first()
        if row is None:
            continue
        if row.note is None:
            raise _unproven(
                Text(
                    "{name} cosigned its head of size {size}, which it does not have",
                    name=name,
                    size=row.size,
                )
            )
        if name in parse_note(attach(row.note, [row.line])).cosigners({name: keys[name]}):
            seen[name] = int(row.size)
    return seen


def _unproven(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "log_unproven",
        Text("The log in the database is not valid: {reason}.", reason=reason),
        "Do not start a server on it: restore another backup.",
    )
