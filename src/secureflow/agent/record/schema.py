"""The schema of the agent's record, as migrations: entry n leads from version n to n + 1."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from secureflow.agent.record.damage import damaged
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

_FIRST = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE answers (request TEXT PRIMARY KEY, job TEXT NOT NULL, reply TEXT NOT NULL)
    WITHOUT ROWID;
CREATE TABLE jobs (
    job TEXT PRIMARY KEY, digest TEXT NOT NULL, spec TEXT NOT NULL, secret BLOB NOT NULL,
    approved_at INTEGER NOT NULL, expires INTEGER NOT NULL, outcome TEXT NOT NULL DEFAULT ''
);
CREATE TABLE leaves (
    number INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, job TEXT NOT NULL, kind TEXT NOT NULL,
    bundle TEXT NOT NULL, proved INTEGER NOT NULL DEFAULT 0, missed INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX leaves_by_job ON leaves (job, number);
CREATE INDEX leaves_unproved ON leaves (number) WHERE NOT proved;
CREATE TABLE nonces (
    job TEXT NOT NULL, generation INTEGER NOT NULL, nonce TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (job, generation)
) WITHOUT ROWID;
CREATE TABLE admissions (
    job TEXT NOT NULL, generation INTEGER NOT NULL, evidence TEXT NOT NULL, hpke TEXT NOT NULL,
    release TEXT NOT NULL, tier TEXT NOT NULL, expires INTEGER NOT NULL,
    PRIMARY KEY (job, generation)
) WITHOUT ROWID;
CREATE TABLE rounds (
    number INTEGER PRIMARY KEY, job TEXT NOT NULL, round INTEGER NOT NULL, stage TEXT NOT NULL,
    model TEXT NOT NULL, content TEXT NOT NULL, rows INTEGER NOT NULL, seconds REAL NOT NULL,
    head_size INTEGER NOT NULL, leaf TEXT NOT NULL, UNIQUE (job, round, stage)
);
CREATE INDEX rounds_by_model ON rounds (job, stage, model);
CREATE INDEX rounds_by_number ON rounds (job, number);
CREATE TABLE votes (
    job TEXT NOT NULL, round INTEGER NOT NULL, stage TEXT NOT NULL, vote TEXT NOT NULL,
    PRIMARY KEY (job, round, stage)
) WITHOUT ROWID;
CREATE TABLE inbox (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, job TEXT NOT NULL, digest TEXT NOT NULL,
    request TEXT NOT NULL, spec TEXT NOT NULL, reasons TEXT NOT NULL, state TEXT NOT NULL,
    at INTEGER NOT NULL, expires INTEGER NOT NULL, decided_at INTEGER, reason TEXT NOT NULL
);
CREATE TABLE deeds (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, deed TEXT NOT NULL, job TEXT NOT NULL,
    facts TEXT NOT NULL
);
CREATE INDEX deeds_by_job ON deeds (job, id)
"""

_MASKED = """
CREATE TABLE sessions (
    job TEXT NOT NULL, stage TEXT NOT NULL, state BLOB NOT NULL, PRIMARY KEY (job, stage)
) WITHOUT ROWID
"""

_BUDGETS = """
CREATE TABLE budget_events (
    number INTEGER PRIMARY KEY, domain TEXT NOT NULL, event TEXT NOT NULL
);
CREATE INDEX budget_events_by_domain ON budget_events (domain, number)
"""

_NOISED_SUMS = """
CREATE TABLE tallies (job TEXT PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID
"""

_LONG_IDS = """
UPDATE inbox SET state = 'withdrawn', spec = '{}',
    reason = 'it waited under a short id of an older version, and is asked again under a whole one'
    WHERE state = 'waiting' AND length(id) <> 64;
CREATE INDEX inbox_by_request ON inbox (job, digest) WHERE length(id) = 64
"""
"""Ids of 12 digits could be made to collide: an item waiting under one is closed and requested
again; a decision under one remains readable but has no effect any more."""

_DECLARED = """
ALTER TABLE jobs ADD COLUMN declared TEXT NOT NULL DEFAULT 'null'
"""

_READINGS = """
CREATE TABLE readings (
    job TEXT NOT NULL, round INTEGER NOT NULL, stage TEXT NOT NULL, model TEXT NOT NULL,
    PRIMARY KEY (job, round, stage)
) WITHOUT ROWID
"""

_HEADS = """
CREATE TABLE heads (
    origin TEXT NOT NULL, size INTEGER NOT NULL, note TEXT NOT NULL, PRIMARY KEY (origin, size)
) WITHOUT ROWID;
ALTER TABLE leaves ADD COLUMN place INTEGER
"""
"""Accepted heads, and the proven indexes of own leaves: after a rollback of the log they show what
it still holds."""

_OPEN = """
CREATE INDEX jobs_open ON jobs (job) WHERE outcome = ''
"""
"""Open jobs are queried often, and a spec is long."""

_BUNDLES = """
CREATE TABLE bundles (
    digest TEXT PRIMARY KEY, entry TEXT NOT NULL, environment TEXT NOT NULL,
    submitter TEXT NOT NULL, name TEXT NOT NULL, job TEXT NOT NULL, approved_at INTEGER NOT NULL
) WITHOUT ROWID
"""
"""Code that this owner approved; its bytes are files."""

_PEOPLE = """
CREATE TABLE people (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, password TEXT NOT NULL,
    initial INTEGER NOT NULL, roles TEXT NOT NULL, totp TEXT NOT NULL, confirmed INTEGER NOT NULL,
    step INTEGER NOT NULL, recovery TEXT NOT NULL, disabled INTEGER NOT NULL,
    absent INTEGER NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE person_sessions (
    token TEXT PRIMARY KEY, person TEXT NOT NULL REFERENCES people, begun INTEGER NOT NULL,
    used INTEGER NOT NULL, user INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX person_sessions_by_person ON person_sessions (person);
CREATE TABLE delegations (
    giver TEXT NOT NULL REFERENCES people, taker TEXT NOT NULL REFERENCES people,
    until INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (giver, taker)
) WITHOUT ROWID;
CREATE TABLE item_approvals (
    number INTEGER PRIMARY KEY, item TEXT NOT NULL, person TEXT NOT NULL, authority TEXT NOT NULL,
    user INTEGER NOT NULL, at INTEGER NOT NULL, reason TEXT NOT NULL, UNIQUE (item, person)
)
"""
"""People of this organisation, and which of them approved a request."""

_NOTIFICATIONS = """
CREATE TABLE notifications (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
    at INTEGER NOT NULL, facts TEXT NOT NULL, read INTEGER
);
CREATE TABLE outgoing (
    id TEXT PRIMARY KEY, channel TEXT NOT NULL, target TEXT NOT NULL, kind TEXT NOT NULL,
    at INTEGER NOT NULL, facts TEXT NOT NULL, created INTEGER NOT NULL, due INTEGER NOT NULL,
    tries INTEGER NOT NULL, state TEXT NOT NULL, code TEXT NOT NULL
) WITHOUT ROWID
"""
"""What the owner was told, from the log of actions, and what of it is on its way out."""

_GRANTS = """
CREATE TABLE grants (
    id TEXT PRIMARY KEY, body TEXT NOT NULL, signature TEXT NOT NULL, state TEXT NOT NULL,
    proposal TEXT NOT NULL, at INTEGER NOT NULL, revoked_at INTEGER, reason TEXT NOT NULL,
    told INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE grant_uses (
    job TEXT PRIMARY KEY, "grant" TEXT NOT NULL, epsilon REAL NOT NULL, counted INTEGER NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX grant_uses_by_grant ON grant_uses ("grant");
CREATE TABLE stops (
    kind TEXT NOT NULL, name TEXT NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL,
    at INTEGER NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID
"""
"""What this owner granted, what of it was used, and which projects and requesters it stopped."""

_IDENTITIES = """
CREATE TABLE person_identities (
    id TEXT PRIMARY KEY, person TEXT NOT NULL REFERENCES people, provider TEXT NOT NULL,
    issuer TEXT NOT NULL, subject TEXT NOT NULL, made INTEGER NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX person_identities_by_person ON person_identities (person);
ALTER TABLE person_sessions ADD COLUMN method TEXT NOT NULL DEFAULT 'password';
ALTER TABLE person_sessions ADD COLUMN factor INTEGER NOT NULL DEFAULT 0
"""
"""Who people are at the organisation's identity providers, and how sessions were begun."""

_QUESTIONS = """
CREATE TABLE questions (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, job TEXT NOT NULL, item TEXT NOT NULL,
    question TEXT NOT NULL, person TEXT NOT NULL, asked INTEGER NOT NULL, told INTEGER NOT NULL,
    answer TEXT NOT NULL, by TEXT NOT NULL, answered INTEGER
);
CREATE INDEX questions_by_job ON questions (job, number)
"""
"""Questions of people here to a job's submitter, and the answers that the centre told."""

_ANCHORED = """
CREATE TABLE anchor_openings (entry TEXT PRIMARY KEY, opening TEXT NOT NULL, at INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE anchored_heads (
    number INTEGER PRIMARY KEY, place TEXT NOT NULL, sender TEXT NOT NULL, entry TEXT NOT NULL,
    tx TEXT NOT NULL, block INTEGER NOT NULL, at INTEGER NOT NULL, verdict TEXT NOT NULL,
    UNIQUE (place, tx, sender, entry)
);
CREATE INDEX anchored_heads_by_place ON anchored_heads (place, verdict, number)
"""
"""What own deeds at places stand for, and heads that places keep."""
_ANCHORS = """
CREATE TABLE anchor_entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT, place TEXT NOT NULL, key TEXT NOT NULL,
    entry TEXT NOT NULL, state TEXT NOT NULL, at INTEGER NOT NULL, ticket TEXT NOT NULL DEFAULT '',
    slot INTEGER NOT NULL DEFAULT 0, result TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '', ended INTEGER, UNIQUE (place, key)
);
CREATE INDEX anchor_entries_by_state ON anchor_entries (place, state, number);
CREATE INDEX anchor_entries_by_ticket ON anchor_entries (place, ticket, slot);
CREATE TABLE anchor_tickets (
    number INTEGER PRIMARY KEY AUTOINCREMENT, place TEXT NOT NULL, id TEXT NOT NULL,
    body TEXT NOT NULL, state TEXT NOT NULL, position TEXT NOT NULL DEFAULT 'null',
    receipt TEXT NOT NULL DEFAULT 'null', UNIQUE (place, id)
);
CREATE INDEX anchor_tickets_by_state ON anchor_tickets (place, state, number);
CREATE TABLE anchor_cursors (
    place TEXT PRIMARY KEY, cursor TEXT NOT NULL, pruned INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE anchor_events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, place TEXT NOT NULL, key TEXT NOT NULL,
    sender TEXT NOT NULL, "transaction" TEXT NOT NULL, result TEXT NOT NULL, at INTEGER NOT NULL,
    position TEXT NOT NULL, entry TEXT NOT NULL, UNIQUE (place, "transaction", key, sender)
);
CREATE INDEX anchor_events_by_key ON anchor_events (place, key)
"""
"""Entries on their way to anchors (`application.ports.anchoroutbox`), and what was kept there."""

MIGRATIONS: Final[tuple[str, ...]] = (
    _FIRST,
    _MASKED,
    _BUDGETS,
    _NOISED_SUMS,
    _LONG_IDS,
    _DECLARED,
    _READINGS,
    _HEADS,
    _OPEN,
    _BUNDLES,
    _PEOPLE,
    _NOTIFICATIONS,
    _GRANTS,
    _IDENTITIES,
    _QUESTIONS,
    _ANCHORS,
    _ANCHORED,
)


def check_columns(database: sqlite3.Connection, path: Path) -> None:
    """Refuse a record whose tables have other columns than this version's: bytes were flipped.

    Raises:
        SecureFlowError: `record_damaged`.
    """
    found = _columns(database)
    for table, columns in _expected().items():
        if found.get(table) != columns:
            raise damaged(
                Text(
                    "{path}: the table {table} does not have its columns",
                    path=shown(str(path)),
                    table=table,
                )
            )


@functools.cache
def _expected() -> Mapping[str, tuple[str, ...]]:
    with closing(sqlite3.connect(":memory:")) as fresh:
        for script in MIGRATIONS:
            fresh.executescript(script)
        return _columns(fresh)


def _columns(database: sqlite3.Connection) -> Mapping[str, tuple[str, ...]]:
    tables: dict[str, tuple[str, ...]] = {}
    query = (
        "SELECT m.name, i.name FROM sqlite_master m JOIN pragma_table_info(m.name) i "
        "WHERE m.type = 'table' ORDER BY m.name, i.cid"
    )
    for table, column in database.execute(query):
        tables[table] = (*tables.get(table, ()), column)
    return tables
