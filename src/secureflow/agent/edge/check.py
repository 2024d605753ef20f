"""`agent check`: verifies everything that an agent stores, whether or not the agent runs.

The record is read in one transaction and nothing is changed. The guarantee: every row is read, the
own leaves are a chain with this agent's signatures, the stored heads are signed by the log of the
pinned charter, budgets match their own leaves, models have the digests in their names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from secureflow.adapters.link import CredentialFiles
from secureflow.adapters.policy import CedarPolicies
from secureflow.agent.edge.anchorfilecheck import check_anchors
from secureflow.agent.edge.modelscheck import ModelsCheck
from secureflow.agent.edge.ownidentity import (
    check_certificate,
    check_key,
    key_places,
    read_signing_key,
)
from secureflow.agent.edge.predictionscheck import PART, PredictionsCheck
from secureflow.agent.record.anchorplace import REACHED
from secureflow.agent.record.damage import decoded, fact_named, is_damage, load_json
from secureflow.agent.record.folder import IDENTITY, check_present, compare
from secureflow.agent.record.ownkeys import is_signed_by, own_keys
from secureflow.agent.record.records import (
    AdmittedEnclave,
    InboxItem,
    JobRecord,
    OwnLeaf,
    RoundRecord,
)
from secureflow.agent.record.schema import MIGRATIONS, check_columns
from secureflow.agent.record.store import reached_in
from secureflow.agent.settings import AgentSettings
from secureflow.domain.charter import Charter, SignedCharter
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.engines.ledger.leaves import commitment, leaf_from_json
from secureflow.engines.ledger.notes import parse_note
from secureflow.engines.privacy import BudgetLedger, Limit, check_sums
from secureflow.engines.privacy.probing import PREFIX, ProbingLedger, check_tested
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.findings import Finding, finding, refused, report
from secureflow.kit.folder import check_folder
from secureflow.kit.keywrapping import wrapping_report
from secureflow.kit.plain import shown
from secureflow.kit.recordmark import RecordMark, read_mark
from secureflow.kit.text import Text

RESTORE: Final = "Stop the agent and restore the newest intact backup."
_PAGES: Final = 100
_TABLES: Final = {
    "jobs": ("job", JobRecord),
    "leaves": ("hash", OwnLeaf),
    "admissions": ("job", AdmittedEnclave),
    "rounds": ("number", RoundRecord),
    "inbox": ("id", InboxItem),
}
_VALUES: Final = {
    "facts": ("name", "value"),
    "answers": ("request", "reply"),
    "votes": ("job", "vote"),
    "budget_events": ("number", "event"),
    "deeds": ("id", "facts"),
}


_DENIED: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM})
"""What SQLite says where this user may not open a record, or make a file beside it."""


def check(config: Path, kinds: SpecKinds = SPEC_KINDS) -> Iterator[dict[str, JSON]]:
    """Yield `{check, ok, code, message, hint}` for each part, and for each problem found in it.

    Args:
        config: the agent's file.
        kinds: the kinds of job that policies may refer to.

    Raises:
        SecureFlowError: `invalid_settings`.
    """
    settings = AgentSettings.load(config)
    yield from report("settings", _settings(settings, kinds), "its policies and folder can be read")
    yield from report(
        "keys",
        _keys(settings),
        "they are this agent's, match their certificates, and nobody else can read them",
    )
    yield wrapping_report(settings.key_files, key_places(settings), config)
    yield from check_record(settings)


def check_record(settings: AgentSettings) -> Iterator[dict[str, JSON]]:
    """Yield the findings in the record and the models."""
    try:
        check_present(settings)
        mark = read_mark(settings.directory)  # before the record, which an agent keeps ahead of it
        with opened_record(settings.record) as database:
            yield from _record(database, settings, mark)
    except SecureFlowError as error:
        yield finding("record", error, RESTORE).as_json()
    yield from check_anchors(settings, lambda: stored_fact(settings.record, REACHED))
    models = ModelsCheck(settings.models)
    found = list(models.findings())
    yield from report(
        "models",
        found,
        Text(
            "{count} {count:model matches the digest in its name|"
            "models match the digests in their names}",
            count=models.count,
        ),
    )


def _record(
    database: sqlite3.Connection, settings: AgentSettings, mark: RecordMark | None
) -> Iterator[dict[str, JSON]]:
    check = RecordCheck(database, settings)
    found = [*check.pages(), *check.rows()]
    if mark is not None and not found:
        found = list(refused("record", lambda: check.belongs(mark)))
    yield from report(
        "record",
        found,
        Text(
            "{record} is intact, {count} {count:row|rows} can be read",
            record=settings.record,
            count=check.count,
        ),
    )
    found = list(check.leaves())
    yield from report(
        "leaves", found, Text("{own} own leaves form a chain with valid signatures", own=check.own)
    )
    found = list(check.heads())
    yield from report(
        "heads", found, Text("{held} heads are signed by the pinned charter's log", held=check.held)
    )
    found = list(check.budgets())
    yield from report(
        "budgets", found, Text("{domains} budgets match their leaves", domains=check.domains)
    )
    kept = PredictionsCheck(settings)
    found = list(kept.findings(check.own_leaves))
    yield from report(
        PART, found, Text("{count} files are those that were committed to", count=kept.count)
    )


class RecordCheck:
    """One check of the record.

    Args:
        database: read-only, in one transaction.
        settings: the agent's.
    """

    def __init__(self, database: sqlite3.Connection, settings: AgentSettings) -> None:
        self._database = database
        self._settings = settings
        self.count = self.own = self.held = self.domains = 0
        self._leaves: list[OwnLeaf] = []
        self._facts: dict[str, JSON] = {}
        self._events: dict[str, list[dict[str, JSON]]] = {}

    def belongs(self, mark: RecordMark) -> None:
        """Compare the record with what its folder knows of it.

        Raises:
            SecureFlowError: `record_foreign`, `record_set_back`.
        """

        def one(sql: str, *values: str) -> Any:
            return self._database.execute(sql, values).fetchone()

        def has_leaf(leaf: str) -> bool:
            return one("SELECT 1 FROM leaves WHERE hash = ?", leaf) is not None

        named = one("SELECT value FROM facts WHERE name = ?", IDENTITY)
        identity = None if named is None else load_json(named["value"], "its identity")
        compare(self._settings.record, mark, identity, reached_in(one), has_leaf)

    def pages(self) -> Iterator[Finding]:
        """Yield what SQLite finds in its pages, and an unexpected schema version."""
        for row in self._database.execute(f"PRAGMA integrity_check({_PAGES})"):
            if row[0] != "ok":
                yield Finding(
                    "record",
                    Text("{record} is damaged: {row}.", record=self._settings.record, row=row[0]),
                    RESTORE,
                )
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version != len(MIGRATIONS):
            raise SecureFlowError(
                "store_too_new",
                Text(
                    "{record} has version {version}; this program reads {count}.",
                    record=self._settings.record,
                    version=version,
                    count=len(MIGRATIONS),
                ),
                "Check it with the version that runs on it; an older schema is migrated at the "
                "next secureflow agent start.",
            )
        check_columns(self._database, self._settings.record)

    def rows(self) -> Iterator[Finding]:
        """Yield every row that is malformed or does not match its key."""
        for table, (key, of) in _TABLES.items():
            for row in self._all(table):
                yield from self._value(table, row, key, of)
        for table, (key, column) in _VALUES.items():
            for row in self._all(table):
                yield from self._json(table, row, key, column)
        for table in ("nonces", "sessions", "tallies", "readings", "heads"):
            self.count += sum(1 for _ in self._database.execute(f"SELECT * FROM {table}"))  # noqa: S608

    def leaves(self) -> Iterator[Finding]:
        """Yield every own leaf that is not signed by this agent or not in the chain."""
        keys = self._keys()
        known = {leaf.hash for leaf in self._leaves}
        for at, one in enumerate(self._leaves):
            self.own += 1
            problem = self._leaf(one, keys, known, first=at == 0)
            if problem:
                yield self._bad(
                    "leaves",
                    Text("leaf {hash}… ({kind})", hash=shown(one.hash[:16]), kind=shown(one.kind)),
                    problem,
                )

    @property
    def own_leaves(self) -> Sequence[OwnLeaf]:
        """Those that could be read."""
        return self._leaves

    def heads(self) -> Iterator[Finding]:
        """Yield every stored head that is missing or not signed by the pinned charter's log."""
        charter = self._charter()
        if charter is None:
            if any(one.proved for one in self._leaves):
                yield self._bad(
                    "heads", "facts: charter", "it is missing, although leaves are proved"
                )
            return
        head = self._facts.get("head")
        if not isinstance(head, dict) and any(one.proved for one in self._leaves):
            yield self._bad("heads", "facts: head", "it is missing, although leaves are proved")
        notes = [("facts: head", head.get("note"))] if isinstance(head, dict) else []
        rows = self._database.execute("SELECT size, note FROM heads ORDER BY size")
        notes += [(f"heads: size {row['size']}", row["note"]) for row in rows]
        for where, note in notes:
            self.held += 1
            if note and not _signed(str(note), charter):
                yield self._bad("heads", where, "the log's signature is not valid")

    def budgets(self) -> Iterator[Finding]:
        """Yield every budget whose events do not add up, or differ from the own leaves."""
        told_by = [one.bundle.get("document") for one in self._leaves if one.kind == "budget"]
        named = {str(one.get("domain")) for one in told_by if isinstance(one, dict)}
        for domain in sorted(named - self._events.keys()):
            yield self._bad(
                "budgets", Text("budget {domain}", domain=shown(domain)), "its events are missing"
            )
        for domain, events in sorted(self._events.items()):
            self.domains += 1
            try:
                ledger = _ledger(domain, events)
                ledger.reconcile([one for one in told_by if isinstance(one, dict)])
            except (SecureFlowError, KeyError, TypeError, ValueError) as error:
                reason = error.message if isinstance(error, SecureFlowError) else "it is malformed"
                yield self._bad(
                    "budgets", Text("budget {domain}", domain=shown(domain)), reason.rstrip(".")
                )

    def _leaf(self, one: OwnLeaf, keys: frozenset[str], known: set[str], *, first: bool) -> str:
        """Return what is wrong with an own leaf; empty if nothing is."""
        bundle = one.bundle if isinstance(one.bundle, dict) else {}
        try:
            signed = leaf_from_json(bundle.get("leaf"))
            salt = bytes.fromhex(bundle.get("salt") or "")
            opens = not salt or commitment(salt, bundle.get("document")) == signed.leaf.commitment
        except (SecureFlowError, ValueError, TypeError):
            return "it cannot be read"
        leaf = signed.leaf
        columns = (one.job, one.kind, self._settings.organisation)
        rules = {
            "it does not have the hash that it is stored under": signed.hash() == one.hash,
            "it is not signed by this agent": not keys or is_signed_by(signed, keys),
            "document and salt do not match its commitment": opens,
            "its columns do not match what was signed": (
                (leaf.job, leaf.kind, leaf.author) == columns
            ),
            # Leaves that `record.rollback` read from the log lack their document, and more.
            "the leaf before it is missing": (
                leaf.prev in known or (first and not leaf.prev) or "salt" not in bundle
            ),
        }
        return next((problem for problem, holds in rules.items() if not holds), "")

    def _value(self, table: str, row: Any, key: str, of: Any) -> Iterator[Finding]:
        self.count += 1
        where = f"{table}: {shown(str(row[key]))}"
        try:
            record = of.from_row(row)
            problem = _types(record)
        except (SecureFlowError, ValueError, TypeError, RecursionError):
            problem, record = "it cannot be read", None
        if isinstance(record, JobRecord) and not problem and digest(record.spec) != record.digest:
            problem = "its spec is not the one that was approved"
        if problem:
            yield self._bad("record", where, problem)
        elif isinstance(record, OwnLeaf):
            self._leaves.append(record)

    def _json(self, table: str, row: Any, key: str, column: str) -> Iterator[Finding]:
        self.count += 1
        try:
            value = _loaded(row[column], table)
        except SecureFlowError:
            yield self._bad("record", f"{table}: {shown(str(row[key]))}", "it cannot be read")
            return
        if table == "facts":
            self._facts[str(row["name"])] = value
        elif table == "budget_events":
            self._events.setdefault(str(row["domain"]), []).append(value)

    def _all(self, table: str) -> Iterator[Any]:
        order = {"leaves": "number", "budget_events": "number"}.get(table, "1")
        yield from self._database.execute(f"SELECT * FROM {table} ORDER BY {order}")  # noqa: S608

    def _keys(self) -> frozenset[str]:
        """Return the keys of this agent; none if its signing key cannot be read."""
        try:
            present = read_signing_key(self._settings).public
        except SecureFlowError:
            return frozenset()
        charters = (self._facts.get(name) for name in ("charter", "charters"))
        return own_keys(self._settings.organisation, present, *charters)

    def _charter(self) -> Charter | None:
        kept = self._facts.get("charter")
        try:
            return None if kept is None else SignedCharter.from_json(kept).charter
        except SecureFlowError:
            return None

    @staticmethod
    def _bad(part: str, where: str, problem: str) -> Finding:
        return Finding(part, Text("{where}: {problem}.", where=where, problem=problem), RESTORE)


def _settings(settings: AgentSettings, kinds: SpecKinds) -> Iterator[Finding]:
    policies = settings.consent.policies
    yield from refused("settings", lambda: CedarPolicies.load(policies, kinds), RESTORE)
    yield from refused("settings", lambda: check_folder(settings.directory), RESTORE)
    for suffix in ("", "-wal"):
        path = settings.record.with_name(settings.record.name + suffix)
        if path.is_file() and path.stat().st_mode & 0o077:
            hint = Text("chmod 600 {path}, and think about who may have read it.", path=path)
            yield Finding(
                "settings", Text("{path} can be read by others.", path=path), hint, "key_exposed"
            )


def _keys(settings: AgentSettings) -> Iterator[Finding]:
    unread = list(refused("keys", lambda: read_signing_key(settings), RESTORE))
    yield from unread or refused("keys", lambda: _own_key(settings))
    broken = list(
        refused("keys", CredentialFiles(settings.directory, settings.key_files).check, RESTORE)
    )
    yield from broken or refused("keys", lambda: check_certificate(settings))


def _own_key(settings: AgentSettings) -> None:
    """Compare the signing key with the record; one that cannot be read has its own check.

    Raises:
        SecureFlowError: `key_foreign`.
    """
    charter = newest = None
    with suppress(SecureFlowError), opened_record(settings.record) as database:
        row = database.execute("SELECT value FROM facts WHERE name = 'charter'").fetchone()
        charter = None if row is None else _loaded(row["value"], fact_named("charter"))
        row = database.execute("SELECT bundle FROM leaves ORDER BY number DESC LIMIT 1").fetchone()
        bundle = None if row is None else _loaded(row["bundle"], "leaves")
        newest = bundle.get("leaf") if isinstance(bundle, dict) else None
    check_key(settings, read_signing_key(settings).public, charter, newest)


def _types(record: Any) -> str:
    """Return a problem if a value has another type than its column."""
    for name in ("job", "digest", "hash", "kind", "id", "state", "model", "content"):
        if not isinstance(getattr(record, name, ""), str):
            return Text("its {name} must be a string", name=name)
    for name in ("approved_at", "expires", "at", "round", "rows", "generation", "proved"):
        if not isinstance(getattr(record, name, 0), int):
            return Text("its {name} must be a number", name=name)
    return ""


def _signed(note: str, charter: Charter) -> bool:
    try:
        head = parse_note(note)
        key = charter.log_keys.get(head.checkpoint.origin, charter.log_key)
        return head.verify_log(key)
    except SecureFlowError:
        return False


def _ledger(domain: str, events: list[dict[str, JSON]]) -> BudgetLedger | ProbingLedger:
    """Read a chain of events, and verify its sums again."""
    if domain.startswith(PREFIX):
        return check_tested(domain, events)
    check_sums(events)
    return BudgetLedger(_limit(domain, events), events, _refuse)


def _limit(domain: str, events: list[dict[str, JSON]]) -> Limit:
    last = [one for one in events if one["kind"] == "limit"][-1:]
    if not last:
        raise KeyError(domain)
    return Limit(domain, last[0]["unit"], last[0]["epsilon"], last[0]["delta"])


def _refuse(event: object) -> None:
    """Store nothing: a check changes nothing."""
    raise TypeError(event)


def stored_fact(record: Path, name: str) -> JSON:
    """Return one fact of a record, None if it has none; the agent may be running.

    Raises:
        SecureFlowError: `record_damaged`.
    """
    if not record.exists():
        return None
    with opened_record(record) as database:
        row = database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return None if row is None else _loaded(row["value"], fact_named(name))


def _loaded(text: Any, what: str) -> JSON:
    """Return a stored JSON value; bytes that `decoded` accepted count as damage as well."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return load_json(data, what)


@contextmanager
def opened_record(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a record to read it as it is now; its agent may run.

    Raises:
        SecureFlowError: `record_missing`, `record_damaged`, `store_unreadable`.
    """
    if not path.is_file():
        raise SecureFlowError(
            "record_missing", Text("The record {path} is missing.", path=path), RESTORE
        )
    where = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(where, uri=True, isolation_level=None)) as database:
            database.row_factory = sqlite3.Row
            database.text_factory = decoded
            database.execute("BEGIN")
            yield database
    except UnicodeDecodeError as error:  # the driver quotes a damaged schema
        message = Text("{path} is damaged: its schema cannot be read.", path=path)
        raise SecureFlowError("record_damaged", message, RESTORE) from error
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DENIED:
            raise SecureFlowError(
                "store_unreadable",
                Text("{path} {what}: {error}.", path=path, what="cannot be read", error=error),
                "Check who owns the file and its folder: SQLite makes files beside a record that "
                "it reads. Nothing needs to be restored.",
            ) from error
        what = "is damaged" if is_damage(error) else "cannot be read"
        raise SecureFlowError(
            "record_damaged",
            Text("{path} {what}: {error}.", path=path, what=what, error=error),
            RESTORE,
        ) from error
