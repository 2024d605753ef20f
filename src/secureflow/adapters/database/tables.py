"""The tables. Entities are JSON documents with extra columns for filters.

A new database's schema is created from them, an older one's by migrations; a test compares both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

from secureflow.adapters.database.damage import load_json

METADATA = sa.MetaData()

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""64 bits, for every integer: SQLite's INTEGER always has them, and so hides a column that is
narrower in PostgreSQL. SQLite's INTEGER PRIMARY KEY needs exactly this name."""


class JsonText(TypeDecorator[Any]):
    """JSON stored as the text that was written.

    PostgreSQL's JSONB would rewrite numbers (1e300 becomes an integer of 300 digits) and refuse NUL
    in strings; signed documents must be returned unchanged.
    """

    impl = sa.Text
    cache_ok = True

    @staticmethod
    def dump(value: Any) -> str | None:
        """Return the stored text."""
        return None if value is None else json.dumps(value, separators=(",", ":"), allow_nan=False)

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Write compact ASCII JSON; None stays NULL."""
        del dialect
        return value.text if isinstance(value, Written) else self.dump(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        """Read it back; raises `record_damaged`."""
        del dialect
        return None if value is None else load_json(value)


@dataclass(frozen=True)
class Written:
    """A JSON value that was serialised beforehand.

    The answers of hundreds of parties make a text of megabytes. It is serialised in a thread, piece
    by piece: a single call of the C encoder would hold the interpreter lock all that time.
    """

    text: str | None

    @classmethod
    def of(cls, value: Any, depth: int = 2) -> Written:
        """Serialise a value, member by member for objects down to this depth."""
        return cls(_pieces(value, depth))


def _pieces(value: Any, depth: int) -> str | None:
    if not depth or not isinstance(value, dict):
        return JsonText.dump(value)
    members = (
        f"{json.dumps(str(key))}:{'null' if one is None else _pieces(one, depth - 1)}"
        for key, one in value.items()
    )
    return "{" + ",".join(members) + "}"


def _entity(
    name: str,
    *indexed: str,
    unique: tuple[str, ...] = (),
    expiring: bool = False,
    due: bool = False,
    plain: tuple[str, ...] = (),
    listed: tuple[str, ...] = (),
) -> sa.Table:
    """Return an entity's table; each named column can be filtered on.

    `plain` ones have no index of their own. With `listed` there are `created` and `words` (what a
    search looks at), and indexes that answer a list's query alone, of an owner or of all, since
    documents are large.
    """
    columns: list[Any] = [
        sa.Column(column, sa.Text, nullable=False, index=True) for column in indexed
    ]
    columns += [sa.Column(column, sa.Text, nullable=False, unique=True) for column in unique]
    columns += [sa.Column(column, sa.Text, nullable=False) for column in plain]
    if listed:
        columns += [
            sa.Column("created", BIG, nullable=False),
            sa.Column("words", sa.Text, nullable=False),
        ]
        columns.append(sa.Index(f"ix_{name}_list", *listed, "created", "words"))
        everywhere = listed[listed.index("id") :]
        columns.append(sa.Index(f"ix_{name}_all", *everywhere, "created", "words"))
    for column, wanted in (("expires", expiring), ("due", due)):
        if wanted:
            columns.append(sa.Column(column, BIG, nullable=False, index=True))
    return sa.Table(
        name,
        METADATA,
        sa.Column("id", sa.Text, primary_key=True),
        *columns,
        sa.Column("version", BIG, nullable=False),
        sa.Column("doc", JsonText, nullable=False),
    )


USERS = _entity("users", "organisation", unique=("name",), listed=("organisation", "id"))
TOKENS = _entity("tokens", "user", unique=("digest",), expiring=True)
SESSIONS = _entity("sessions", "user", unique=("digest",), expiring=True)
FAMILIES = _entity("families", "user", expiring=True)
DEVICES = _entity("devices", "code", "user", "block", unique=("digest",), expiring=True)
SECOND_FACTORS = _entity("second_factors")
LOGIN_PLACES = _entity("login_places")
ORGANISATIONS = _entity("organisations")
ENROLMENTS = _entity("enrolments", "organisation", unique=("digest",), expiring=True)
AGENTS = _entity("agents", "organisation", "party", "kind", "key")
PROJECTS = _entity("projects", "organisation")
DATASETS = _entity(
    "datasets", "organisation", "name", "state", listed=("organisation", "id", "state")
)
GRANTS = _entity("grants", "project", "dataset", "organisation", "state", expiring=True)
JOBS = _entity(
    "jobs", "project", "organisation", "state", "digest", "kind", plain=("submitter",),
    listed=("project", "id", "state", "kind", "submitter"),
)  # fmt: skip
MODELS = _entity("models", "project", "job", "name", listed=("project", "id", "job", "name"))
BUNDLES = _entity("bundles", "project", "organisation", "digest", expiring=True)
UPLOADS = _entity("uploads", "project", "organisation", "digest", expiring=True)
IDENTITIES = _entity("identities", "user")
PENDING_LOGINS = _entity("pending_logins", "block", expiring=True)
QUESTIONS = _entity("questions", "job", "organisation")
REVENUE = _entity("revenue", "project", "kind", "settlement", "organisation")
ANCHOR_STATEMENTS = _entity(
    "anchor_statements", "organisation", "place", "kind", "job", unique=("digest",)
)
PREFERENCES = _entity("preferences")
WEBHOOKS = _entity("webhooks", "organisation")
DELIVERIES = _entity(
    "deliveries", "channel", "target", "organisation", "state", unique=("key",), due=True
)

NOTIFICATIONS = sa.Table(
    "notifications",
    METADATA,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", BIG, nullable=False),
    sa.Column("read", BIG),
    sa.Column("facts", JsonText, nullable=False),
    sa.UniqueConstraint("event", "user"),
    sa.Index("ix_notifications_user_id", "user", "id"),
    sqlite_autoincrement=True,  # an id is never reused, or a watcher would miss a notification
)

MEMBERSHIPS = sa.Table(
    "memberships",
    METADATA,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Index("ix_memberships_organisation", "organisation", "state", "project"),
)
"""Memberships from the projects' documents, for lists by organisation."""

SETTINGS = sa.Table(
    "settings",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", BIG, nullable=False),
    sa.Column("value", JsonText),
)

JOURNAL = sa.Table(
    "journal",
    METADATA,
    sa.Column("job", sa.Text, primary_key=True),
    sa.Column("seq", BIG, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("answer", JsonText),
    sa.Column("failure", JsonText),
)

OUTBOX = sa.Table(
    "outbox",
    METADATA,
    sa.Column("job", sa.Text, primary_key=True),
    sa.Column("seq", BIG, primary_key=True, autoincrement=False),
    sa.Column("party", sa.Text, primary_key=True),
    sa.Column("verb", sa.Text, nullable=False),
)

CLAIMS = sa.Table(
    "claims",
    METADATA,
    sa.Column("job", sa.Text, primary_key=True),
    sa.Column("server", sa.Text, nullable=False),
    sa.Column("called", BIG, nullable=False),
)

SERVERS = sa.Table(
    "servers",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("beats", BIG, nullable=False),
)

QUEUE = sa.Table(
    "queue",
    METADATA,
    sa.Column("job", sa.Text, primary_key=True),
    sa.Column("organisation", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("priority", BIG, nullable=False),
    sa.Column("since", BIG, nullable=False),
    sa.Column("not_before", BIG, nullable=False),
    sa.Column("started", BIG, nullable=False),
)

CHANGES = sa.Table(
    "changes",
    METADATA,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("tx", BIG, nullable=False),
    sa.Column("mark", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("about", sa.Text, nullable=False),
    sa.Column("ref", BIG, nullable=False),
    sa.Column("data", JsonText, nullable=False),
    sa.Index("ix_changes_tx_id", "tx", "id"),
    sqlite_autoincrement=True,
)
"""What happened lately, for open pages (`changes`)."""

PASSING = {CLAIMS.name, SERVERS.name, QUEUE.name, CHANGES.name}
"""State of running processes, which is not in backups."""

EVENTS = sa.Table(
    "events",
    METADATA,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("job", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", BIG, nullable=False),
    sa.Column("data", JsonText, nullable=False),
    sa.Index("ix_events_job_id", "job", "id"),
    sqlite_autoincrement=True,  # an id is never reused, or a watcher would miss an event
)

IDEMPOTENCY = sa.Table(
    "idempotency",
    METADATA,
    sa.Column("user", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("status", BIG, nullable=False),
    sa.Column("body", JsonText),
    sa.Column("at", BIG, nullable=False, index=True),
)

LOG_HEAD = sa.Table(
    "log_head",
    METADATA,
    sa.Column("one", BIG, primary_key=True, autoincrement=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("size", BIG, nullable=False),
    sa.Column("hold", JsonText),
)
"""The fence: one row, locked to number leaves. If `hold` is set, nobody may."""

LOG_SUBMISSIONS = sa.Table(
    "log_submissions",
    METADATA,
    sa.Column("arrival", BIG, primary_key=True),
    sa.Column("job", sa.Text, nullable=False),
    sa.Column("seq", BIG, nullable=False),  # 53 random bits for actions outside jobs
    sa.Column("position", BIG, nullable=False),
    sa.Column("number", BIG),
    sa.Column("data", sa.LargeBinary),
    sa.Column("document", JsonText),
    sa.Column("salt", sa.LargeBinary),
    sa.UniqueConstraint("job", "seq", "position"),
    sa.Index(
        "ix_log_submissions_waiting",
        "arrival",
        sqlite_where=sa.text("number IS NULL"),
        postgresql_where=sa.text("number IS NULL"),
    ),
)
"""Leaves submitted with a job's transaction; `number` is NULL until they are in the log."""

LOG_LEAVES = sa.Table(
    "log_leaves",
    METADATA,
    sa.Column("number", BIG, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("job", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("at", BIG, nullable=False),
    sa.Column("document", JsonText),
    sa.Column("salt", sa.LargeBinary),
    sa.Index("ix_log_leaves_job_number", "job", "number"),
    sa.Index("ix_log_leaves_kind_number", "kind", "number"),
    sa.Index("ix_log_leaves_author_number", "author", "number"),
    sa.Index("ix_log_leaves_at_number", "at", "number"),
)

LOG_NODES = sa.Table(
    "log_nodes",
    METADATA,
    sa.Column("place", BIG, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)
"""Perfect subtrees at their place in an in-order walk of the tree (`log_store.place`)."""

LOG_CHECKPOINTS = sa.Table(
    "log_checkpoints",
    METADATA,
    sa.Column("size", BIG, primary_key=True, autoincrement=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("at", BIG, nullable=False),
)

LOG_COSIGNATURES = sa.Table(
    "log_cosignatures",
    METADATA,
    sa.Column("size", BIG, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("line", sa.Text, nullable=False),
)

_LEFT: Final = {
    "users": {"created": "0", "words": ""},
    "tokens": {"expires": "0"},
    "devices": {"block": ""},
    "enrolments": {"expires": "0"},
    "datasets": {"name": "", "state": "", "created": "0", "words": ""},
    "grants": {"state": "", "expires": "0"},
    "jobs": {"kind": "training", "submitter": "", "created": "0", "words": ""},
    "models": {"created": "0", "words": ""},
    "pending_logins": {"block": ""},
    "idempotency": {"at": "0"},
}
"""By table and column: the default that its migration gave it for the rows of the time. Nothing
uses them; a new database has them so that there is one schema."""
for _table, _defaults in _LEFT.items():
    for _column, _default in _defaults.items():
        METADATA.tables[_table].c[_column].server_default = sa.DefaultClause(_default)
