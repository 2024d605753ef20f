"""Checks every row of every table: that it can be read, and that the rows it refers to exist."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import sqlalchemy as sa

from secureflow.adapters.database import entities, tables
from secureflow.adapters.database.checking import RESTORE, raw
from secureflow.adapters.database.damage import load_json
from secureflow.adapters.database.entities import EntityKind
from secureflow.adapters.database.records import journal_line, journal_of
from secureflow.application.ports.storage import Journalled
from secureflow.domain.charter import SignedCharter
from secureflow.domain.jobs import Job
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.findings import Finding
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

PART: Final = "rows"
KINDS: Final[tuple[EntityKind[Any], ...]] = (
    entities.USERS,
    entities.TOKENS,
    entities.SESSIONS,
    entities.FAMILIES,
    entities.DEVICES,
    entities.LOGIN_PLACES,
    entities.SECOND_FACTORS,
    entities.ORGANISATIONS,
    entities.ENROLMENTS,
    entities.AGENTS,
    entities.PROJECTS,
    entities.DATASETS,
    entities.GRANTS,
    entities.JOBS,
    entities.MODELS,
    entities.BUNDLES,
    entities.UPLOADS,
    entities.IDENTITIES,
    entities.PENDING_LOGINS,
    entities.QUESTIONS,
    entities.REVENUE,
    entities.ANCHOR_STATEMENTS,
    entities.PREFERENCES,
    entities.WEBHOOKS,
    entities.DELIVERIES,
)
_CHARTERS: Final = ("charter", "charter_candidate")
_BATCH: Final = 500
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class RowsCheck:
    """One check of every row.

    Args:
        connection: of the transaction.

    Results kept for later parts: `jobs`, `models`, `bundles`, `uploads`; `keys`, each party's
    signing keys; `log_keys`, the log's key under each of its names.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._members: set[tuple[str, str, str]] = set()
        self._known_jobs: set[str] = set()
        self.rows = 0
        self.jobs: dict[str, Job] = {}
        self.models: dict[str, Any] = {}
        self.bundles: dict[str, Any] = {}
        self.uploads: dict[str, Any] = {}
        self.keys: dict[str, list[str]] = {}
        self.log_keys: dict[str, str] = {}

    def findings(self) -> Iterator[Finding]:
        """Yield every problem in a row."""
        for kind in KINDS:
            yield from self._entities(kind)
        yield from self._memberships()
        yield from self._settings()
        yield from self._journal()
        yield from self._others()

    def lines(self, job: str) -> list[Journalled]:
        """Return a job's journal.

        Raises:
            SecureFlowError: `record_damaged`.
        """
        return [journal_line(row) for row in self._connection.execute(journal_of(job))]

    def _entities(self, kind: EntityKind[Any]) -> Iterator[Finding]:
        query = kind.rows.order_by(kind.table.c.id)
        for row in self._stream(query):
            self.rows += 1
            where = f"{kind.name}: {shown(str(row.id))}"
            if kind is entities.JOBS:
                self._known_jobs.add(row.id)
            try:
                entity = kind.read(row)
            except SecureFlowError as error:
                cause = error.__cause__
                reason = cause.message if isinstance(cause, SecureFlowError) else error.message
                yield self._bad(
                    Text("{where} cannot be read ({reason}).", where=where, reason=shown(reason))
                )
                continue
            columns = kind.columns(entity)
            wrong = [name for name, value in columns.items() if getattr(row, name) != value]
            if wrong or type(row.version) is not int or row.version < 1:
                named = ", ".join(wrong) or "version"
                yield self._bad(
                    Text(
                        "{where}: its column {named} does not match the row.",
                        where=where,
                        named=named,
                    )
                )
            self._keep(kind, entity)

    def _keep(self, kind: EntityKind[Any], entity: Any) -> None:
        if kind is entities.JOBS:
            self.jobs[entity.id] = entity
        elif kind is entities.MODELS:
            self.models[entity.id] = entity
        elif kind is entities.BUNDLES:
            self.bundles[entity.id] = entity
        elif kind is entities.UPLOADS:
            self.uploads[entity.id] = entity
        elif kind is entities.AGENTS and entity.key:
            self.keys.setdefault(entity.party, []).append(entity.key)
        elif kind is entities.PROJECTS:
            self._members |= {(entity.id, one.organisation, one.state) for one in entity.members}

    def _memberships(self) -> Iterator[Finding]:
        rows = self._connection.execute(raw(tables.MEMBERSHIPS))
        there = {(str(row.project), str(row.organisation), str(row.state)) for row in rows}
        self.rows += len(there)
        for project, organisation, _ in sorted(there ^ self._members):
            where = Text(
                "memberships: {organisation} in {project}",
                organisation=shown(organisation),
                project=shown(project),
            )
            yield self._bad(Text("{where} does not match the project.", where=where))

    def _settings(self) -> Iterator[Finding]:
        for row in self._raw(tables.SETTINGS):
            where = Text("settings: {name}", name=shown(str(row.name)))
            value, broken = self._value(row.value)
            if broken:
                yield self._bad(Text("{where} cannot be read.", where=where))
            elif row.name in _CHARTERS and value is not None:
                yield from self._charter(where, value)

    def _charter(self, where: str, value: Any) -> Iterator[Finding]:
        try:
            signed = SignedCharter.from_json(value)
        except SecureFlowError as error:
            yield self._bad(
                Text(
                    "{where} cannot be read ({message}).", where=where, message=shown(error.message)
                )
            )
            return
        keys = signed.charter.keys
        self.log_keys |= signed.charter.log_keys
        for party, key in keys.items():
            self.keys.setdefault(party, []).append(key)
        known = {name: keys.get(name) or self.keys.get(name, [""])[0] for name in signed.signatures}
        for name in sorted(set(signed.signatures) - signed.signers(known)):
            yield self._bad(
                Text(
                    "{where}: the signature of {name} is not valid.", where=where, name=shown(name)
                )
            )

    def _journal(self) -> Iterator[Finding]:
        last: dict[str, int] = {}
        table = tables.JOURNAL
        query = raw(table).order_by(table.c.job, table.c.seq)
        for row in self._stream(query):
            self.rows += 1
            where = Text("journal: job {job}, effect {seq}", job=shown(str(row.job)), seq=row.seq)
            answer, failure = self._value(row.answer), self._value(row.failure)
            if answer[1] or failure[1] or not _DIGEST.fullmatch(str(row.digest)):
                yield self._bad(Text("{where} cannot be read.", where=where))
            if row.job not in self._known_jobs:
                yield self._bad(Text("{where}: there is no such job.", where=where))
            yield from self._follows(row, last.get(row.job, -1), where)
            last[row.job] = row.seq if type(row.seq) is int else -1

    def _follows(self, row: Any, before: int, where: str) -> Iterator[Finding]:
        """A job that ends without its script leaves one number unused before its end."""
        if type(row.seq) is int and row.seq == before + 1:
            return
        job = self.jobs.get(row.job)
        end = job.progress.get("windup") if job is not None else None
        if not (isinstance(end, Mapping) and end.get("first") == row.seq):
            yield self._bad(Text("{where}: the effects before it are missing.", where=where))

    def _others(self) -> Iterator[Finding]:
        for table, column, key in (
            (tables.EVENTS, "data", "id"),
            (tables.NOTIFICATIONS, "facts", "id"),
            (tables.IDEMPOTENCY, "body", "key"),
        ):
            for row in self._raw(table):
                if self._value(getattr(row, column))[1]:
                    where = f"{table.name}: {shown(str(getattr(row, key)))}"
                    yield self._bad(Text("{where} cannot be read.", where=where))
        for row in self._connection.execute(raw(tables.OUTBOX)):
            self.rows += 1
            if row.job not in self._known_jobs:
                yield self._bad(
                    Text(
                        "outbox: effect {seq}: there is no job {job}.",
                        seq=row.seq,
                        job=shown(str(row.job)),
                    )
                )

    def _raw(self, table: sa.Table) -> Iterator[Any]:
        for row in self._stream(raw(table)):
            self.rows += 1
            yield row

    def _stream(self, query: sa.Select[Any]) -> Iterator[Any]:
        yield from self._connection.execution_options(yield_per=_BATCH).execute(query)

    @staticmethod
    def _value(text: Any) -> tuple[Any, bool]:
        """Return a stored JSON value, and whether it is damaged."""
        if text is None:
            return None, False
        try:
            return load_json(text), False
        except (SecureFlowError, AttributeError):  # not a text
            return None, True

    @staticmethod
    def _bad(what: str) -> Finding:
        return Finding(PART, what, RESTORE)
