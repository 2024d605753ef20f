"""The statements of the log's sequencer, compiled once and run by the driver."""

from __future__ import annotations

import sqlalchemy as sa

from secureflow.adapters.database.tables import (
    LOG_CHECKPOINTS,
    LOG_COSIGNATURES,
    LOG_HEAD,
    LOG_LEAVES,
    LOG_NODES,
    LOG_SUBMISSIONS,
    SETTINGS,
)


def compiled(engine: sa.Engine) -> dict[str, str]:
    """Return every statement by name, in this database's dialect."""
    return {name: _compiled(engine, statement) for name, statement in _STATEMENTS.items()}


def _compiled(engine: sa.Engine, statement: sa.ClauseElement) -> str:
    options = {"render_postcompile": True, "literal_binds": False}
    return str(statement.compile(engine, compile_kwargs=options))


def _add(table: sa.Table) -> sa.Insert:
    return sa.insert(table).values({column.name: sa.bindparam(column.name) for column in table.c})


_WAITING = LOG_SUBMISSIONS.c
_STATEMENTS: dict[str, sa.ClauseElement] = {
    "make_head": _add(LOG_HEAD),
    "lock_head": sa.select(
        LOG_HEAD.c.origin, LOG_HEAD.c.key, LOG_HEAD.c.size, LOG_HEAD.c.hold
    ).with_for_update(),
    "grow": sa.update(LOG_HEAD).values(size=sa.bindparam("size")),
    "hold": sa.update(LOG_HEAD).values(hold=sa.bindparam("hold", type_=sa.Text)),
    "rename": sa.update(LOG_HEAD).values(
        origin=sa.bindparam("origin"),
        key=sa.bindparam("key"),
        size=sa.bindparam("size"),
        hold=sa.null(),
    ),
    "beyond": sa.select(LOG_LEAVES.c.data, LOG_LEAVES.c.document, LOG_LEAVES.c.salt)
    .where(LOG_LEAVES.c.number >= sa.bindparam("start"))
    .order_by(LOG_LEAVES.c.number),
    "drop_node": sa.delete(LOG_NODES).where(LOG_NODES.c.place == sa.bindparam("place")),
    "drop_leaves": sa.delete(LOG_LEAVES).where(LOG_LEAVES.c.number >= sa.bindparam("start")),
    "drop_checkpoints": sa.delete(LOG_CHECKPOINTS).where(
        LOG_CHECKPOINTS.c.size > sa.bindparam("start")
    ),
    "drop_cosignatures": sa.delete(LOG_COSIGNATURES).where(
        LOG_COSIGNATURES.c.size > sa.bindparam("start")
    ),
    "setting": sa.select(SETTINGS.c.value).where(SETTINGS.c.name == sa.bindparam("name")),
    "add_leaf": _add(LOG_LEAVES),
    "add_node": _add(LOG_NODES),
    "add_checkpoint": _add(LOG_CHECKPOINTS),
    "node": sa.select(LOG_NODES.c.hash).where(LOG_NODES.c.place == sa.bindparam("place")),
    "last": sa.select(sa.func.max(LOG_LEAVES.c.number)),
    "newest": sa.select(sa.func.max(LOG_CHECKPOINTS.c.size)),
    "known": sa.select(LOG_LEAVES.c.number).where(LOG_LEAVES.c.hash == sa.bindparam("hash")),
    "checkpoint": sa.select(LOG_CHECKPOINTS.c.note).where(
        LOG_CHECKPOINTS.c.size == sa.bindparam("size")
    ),
    "waiting": sa.select(
        _WAITING.arrival,
        _WAITING.data,
        _WAITING.document,
        _WAITING.salt,
        _WAITING.job,
        _WAITING.seq,
        _WAITING.position,
    )
    .where(_WAITING.number.is_(None))
    .order_by(_WAITING.arrival),
    "mark": sa.update(LOG_SUBMISSIONS)
    .where(_WAITING.arrival == sa.bindparam("of"))
    .values(number=sa.bindparam("as_number"), data=sa.null(), document=sa.null(), salt=sa.null()),
}
