"""`agent backup` and `agent restore`: one organisation's agent in one file.

A backup holds: the record, without what a restored agent must never use again (the secrets of jobs,
masked sessions, nonces, noised sums: a restored agent takes part in no older job); the file of
anchors that it keeps for others (`keptanchors`); `agent.yaml`, the files inside the folder that it
names, evidence, and, only under a passphrase, the signing key and the link certificate, wrapped if
they are. Datasets are not in it.

A restored record is marked as such (`agent.record.restored`), and is verified before it is trusted:
its schema is exactly this program's, and each of its own leaves has the organisation's signature,
under its present key or an earlier one (`ownkeys`). Otherwise the file is not accepted as a backup.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from secureflow.adapters.keyvault import KeySettings, given_keys, key_files
from secureflow.agent.owner.keptanchors import copy_lines, mark_lines
from secureflow.agent.owner.restoredschema import check_schema
from secureflow.agent.record.anchorplace import FILE
from secureflow.agent.record.damage import damaged, decoded, fact_named, load_json
from secureflow.agent.record.folder import IDENTITY, LOCK, check_present, compare, locked_folder
from secureflow.agent.record.ownkeys import is_signed_by, own_keys
from secureflow.agent.record.restored import CODE, FACT, OUTCOME
from secureflow.agent.record.store import RecordStore, reached_in
from secureflow.agent.settings import ENVIRONMENT, AgentSettings
from secureflow.engines.ledger.leaves import leaf_from_json
from secureflow.engines.ledger.notes import parse_note
from secureflow.kit.archive import (
    Backup,
    BackupManifest,
    check_passphrase,
    check_target,
    made_at,
    restore_failed,
    unreadable,
    unwritable,
    write_backup,
)
from secureflow.kit.atomic import flush_directory, write_atomically
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import system_clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folder import FILE as VERSION
from secureflow.kit.folder import claim_folder
from secureflow.kit.folderlock import scratch
from secureflow.kit.keyfiles import SIGNING, KeyFiles
from secureflow.kit.oserrors import reason_of
from secureflow.kit.pki import write_private
from secureflow.kit.plain import shown
from secureflow.kit.recordmark import FILE as MARK
from secureflow.kit.recordmark import RecordMark, read_mark, write_mark
from secureflow.kit.replaced import keep_replaced
from secureflow.kit.text import Text
from secureflow.kit.version import __version__

AGENT: Final = "agent"
RECORD: Final = "record/agent.db"
ANCHORS: Final = f"record/{FILE}"
CONFIG: Final = "config/agent.yaml"
AUTHORITY: Final = "config/ca.pem"
KEYS: Final = ("signing.key", "link.pem")
_STAGING: Final = ".restoring"
_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,89}")
_NAMED: Final = re.compile(r"config/named[0-9]{1,9}")
_DEEPEST: Final = 8
_RECORD_FILES: Final = ("agent.db", "agent.db-wal", "agent.db-shm")
_RESERVED: Final = {*KEYS, *_RECORD_FILES, MARK, VERSION, FILE}
_SCRUB: Final = (
    "UPDATE jobs SET secret = x''",
    "DELETE FROM sessions",
    "DELETE FROM nonces",
    "DELETE FROM tallies",
    "DELETE FROM answers WHERE request NOT LIKE 'consent/%' AND request NOT LIKE 'finish/%'",
)


@dataclass(frozen=True)
class RestoredAgent:
    """The contents of a backup."""

    manifest: BackupManifest
    config: Path
    party: str
    size: int
    leaves: int
    ended: tuple[str, ...]
    domains: tuple[str, ...]
    keys: bool


def back_up(config: Path, target: Path, passphrase: str | None) -> BackupManifest:
    """Write a backup of the agent that a settings file names, running or not.

    Raises:
        SecureFlowError: `record_missing`, `not_enrolled`, `key_unreadable`, `key_exposed`,
            `backup_exists`, `backup_unwritable`, `weak_password`, `store_unreadable`,
            `record_foreign`, `record_set_back`, `record_damaged`: an agent would not start with
                such a record and a restore would refuse it, so it is not backed up.
    """
    settings = AgentSettings.load(config)
    if passphrase is not None:
        check_passphrase(passphrase)
    check_target(target)
    check_present(settings)
    if not settings.record.exists():
        raise _nothing(settings)
    mark = read_mark(settings.directory)  # before the record, which an agent keeps ahead of it
    try:
        # In the agent's own folder: the copy must not be on another disk before it is scrubbed.
        with scratch(settings.directory, ".backup-") as place:
            copy = place / "agent.db"
            keys = {} if passphrase is None else _keys(settings)
            who = {"party": settings.organisation, "key": _signing_key(settings).public}
            facts = {**who, **_copy_record(settings.record, copy)}
            _check_newest(settings.record, copy, mark)
            if problem := _foreign_leaf(copy, who["party"], who["key"]):
                raise damaged(problem)
            files, named = _files(config, settings, copy)
            if copy_lines(settings.directory / FILE, place / FILE):
                files[ANCHORS] = place / FILE
            description = {
                "made_at": system_clock(),
                "version": __version__,
                "named": named,
                **facts,
            }
            return write_backup(target, AGENT, description, files, keys, passphrase)
    except OSError as error:
        raise unwritable(target, error) from error


def restore(
    backup: Path, directory: Path, *, passphrase: str | None = None, into_existing: bool = False
) -> RestoredAgent:
    """Make an agent's folder from a backup.

    Args:
        backup: the file.
        directory: new or empty; with `into_existing` an agent's folder whose record is lost: keys
            and settings stay, files are put where these settings name them, and what is left of the
            record is moved aside.
        passphrase: opens the keys.
        into_existing: see `directory`.

    Raises:
        SecureFlowError: `backup_unreadable`, `backup_other_kind`, `passphrase_refused`,
            `folder_not_empty`, `agent_running`, `store_too_new`, `restore_failed`.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        left = {_STAGING, LOCK}  # of an earlier attempt
        if not into_existing and any(path.name not in left for path in directory.iterdir()):
            raise _filled(directory)
        config = directory / "agent.yaml"
        data = AgentSettings.load(config).directory if config.exists() else directory
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked_folder(data):
            shutil.rmtree(data / _STAGING, ignore_errors=True)
            try:
                return _restore(backup, data, config, passphrase)
            finally:
                shutil.rmtree(data / _STAGING, ignore_errors=True)
    except OSError as error:
        raise restore_failed(directory, error) from error


# The backup's parts.


def _copy_record(record: Path, copy: Path) -> dict[str, JSON]:
    """Copy the record as of one moment, and remove what must never be used again."""
    try:
        with closing(sqlite3.connect(record)) as database:
            database.execute("VACUUM INTO ?", (str(copy),))
        copy.chmod(0o600)
        with closing(sqlite3.connect(copy, isolation_level=None)) as database:
            database.execute("PRAGMA secure_delete=ON")
            for statement in _SCRUB:
                database.execute(statement)
            database.execute("VACUUM")
            version = database.execute("PRAGMA user_version").fetchone()[0]
            leaves = database.execute("SELECT count(*) FROM leaves").fetchone()[0]
            return {"schema": version, "leaves": leaves}
    except sqlite3.DatabaseError as error:
        raise SecureFlowError(
            "store_unreadable",
            Text(
                "The agent's record {record} cannot be copied: {error}.", record=record, error=error
            ),
            "Check the free space, and that the agent has this version.",
        ) from error


def _check_newest(record: Path, copy: Path, mark: RecordMark | None) -> None:
    """Refuse a copy of a record that, by its folder or the log, is known to be an older one.

    The backup would have today's date: after a restore, only what was spent from today on would be
    settled, and earlier backups would be removed in favour of it.

    Raises:
        SecureFlowError: `record_foreign`, `record_set_back`.
    """
    with closing(sqlite3.connect(copy)) as database:
        database.row_factory = sqlite3.Row

        def one(sql: str, *values: str) -> Any:
            return database.execute(sql, values).fetchone()

        def fact(name: str) -> JSON:
            row = one("SELECT value FROM facts WHERE name = ?", name)
            return None if row is None else load_json(row["value"], fact_named(name))

        def has_leaf(leaf: str) -> bool:
            return one("SELECT 1 FROM leaves WHERE hash = ?", leaf) is not None

        if mark is not None:
            compare(record, mark, fact(IDENTITY), reached_in(one), has_leaf)
        alarm = fact("alarm")
    if isinstance(alarm, dict) and alarm.get("code") == CODE:
        raise SecureFlowError.from_json(alarm)


def _files(
    config: Path, settings: AgentSettings, copy: Path
) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the members, and the places in the folder of those that the settings name."""
    files = {CONFIG: config, AUTHORITY: settings.authority, RECORD: copy}
    named: dict[str, str] = {}
    for number, path in enumerate([*settings.consent.policies, *settings.attestation.roots]):
        inside = _inside(path, settings.directory)
        if inside and path.is_file():
            files[f"config/named{number}"] = path
            named[f"config/named{number}"] = inside
    # All of it: accusations, which can be provoked, must not crowd out the proof of a fraud.
    for path in sorted(settings.evidence.glob("*")):
        if path.is_file() and not path.is_symlink() and _PART.fullmatch(path.name):
            files[f"evidence/{path.name}"] = path
    return files, named


def _inside(path: Path, directory: Path) -> str:
    """Return a path relative to the folder; empty if it is outside or not a plain path."""
    try:
        parts = path.resolve().relative_to(directory.resolve()).parts
    except ValueError:
        return ""
    return "/".join(parts) if _plain(parts) else ""


def _plain(parts: Sequence[str]) -> bool:
    """Return whether a path stays in the folder and is not reserved for another file."""
    plain = all(map(_PART.fullmatch, parts)) and 0 < len(parts) <= _DEEPEST
    return plain and parts[0] not in _RESERVED


def _keys(settings: AgentSettings) -> dict[str, bytes]:
    try:
        return {name: (settings.directory / name).read_bytes() for name in KEYS}
    except OSError as error:
        raise SecureFlowError(
            "not_enrolled",
            Text(
                "{filename} cannot be read: {strerror}.",
                filename=error.filename,
                strerror=reason_of(error),
            ),
            "Restore it, or enrol the agent again. A backup without a passphrase needs no "
            "link.pem, and has no keys.",
        ) from error


def _signing_key(settings: AgentSettings) -> SigningKey:
    try:
        return SigningKey.load(settings.signing_key, settings.key_files)
    except OSError as error:
        raise _nothing(settings) from error


def _nothing(settings: AgentSettings) -> SecureFlowError:
    return SecureFlowError(
        "not_enrolled",
        Text("{directory} holds no agent that has run.", directory=settings.directory),
        "Name its agent.yaml with --config, as the user of the agent.",
    )


# The restore.


def _restore(backup: Path, directory: Path, config: Path, passphrase: str | None) -> RestoredAgent:
    staging = directory / _STAGING
    with Backup(backup) as opened:
        manifest = opened.manifest
        if (kind := manifest.process) != AGENT:
            raise SecureFlowError(
                "backup_other_kind",
                Text("The backup is of a {process}, not of a {agent}.", process=kind, agent=AGENT),
                Text("Use `secureflow {process} restore`.", process=kind),
            )
        keys = opened.keys(passphrase) if passphrase is not None else {}
        opened.extract(staging)
    record, facts = staging / RECORD, manifest.facts
    for needed in (record, staging / CONFIG, staging / AUTHORITY):
        if not needed.exists():
            raise unreadable(backup, Text("{name} is not in the backup", name=needed.name))
    public, party = str(facts.get("key", "")), str(facts.get("party", ""))
    told = config if config.exists() else staging / CONFIG
    try:
        wrapping = given_keys(KeySettings, ENVIRONMENT, told, base=config.absolute().parent)
    except SecureFlowError as error:
        if told == config:
            raise
        raise unreadable(backup, "its settings cannot be read") from error
    _check_same(key_files(wrapping, party, [directory]), directory, keys, public)
    check_schema(record)
    store = RecordStore(record)
    with closing(store):
        if problem := _foreign_leaf(record, party, public):
            raise unreadable(backup, problem)
        found = _mark(store, made_at(manifest))
        identity = store.fact(IDENTITY)
        mark = RecordMark(identity, store.reached())
    named = _named(facts, {one.name for one in manifest.files})
    _settle(directory, staging, keys, named, mark)
    claim_folder(directory)
    if not config.exists():
        write_atomically(config, _usual(staging / CONFIG, config))
    held = all((directory / name).exists() for name in KEYS)
    leaves = mark.reached["leaves"]
    return RestoredAgent(
        manifest, config, party, found.size, leaves, found.ended, found.domains, held
    )


@dataclass(frozen=True)
class _Found:
    size: int
    ended: tuple[str, ...]
    domains: tuple[str, ...]


def _check_same(files: KeyFiles, directory: Path, keys: Mapping[str, bytes], public: str) -> None:
    """Refuse a folder with another key: the record's commitments belong to this one."""
    path = directory / KEYS[0]
    if path.exists() and SigningKey.load(path, files).public != public:
        raise SecureFlowError(
            "record_foreign",
            Text("The backup is not of the agent that has the key {path}.", path=path),
            "Restore a backup of this agent, or restore into a new folder.",
        )
    if path.exists() or KEYS[0] not in keys:
        return
    place = f"{KEYS[0]} of the backup"
    plain = files.unwrapped(keys[KEYS[0]], SIGNING, place)
    if SigningKey.from_text(plain, place).public != public:
        raise unreadable(directory, ("its signing key is not the one that its manifest names"))


def _foreign_leaf(record: Path, party: str, public: str) -> str:
    """Check every own leaf against the keys that the organisation had; tell the first that fails.

    Raises:
        SecureFlowError: `record_damaged` for a charter that cannot be read.
    """
    with closing(sqlite3.connect(record)) as database:
        database.text_factory = decoded
        rows = database.execute("SELECT * FROM facts WHERE name IN ('charter', 'charters')")
        facts = {name: load_json(value, fact_named(name)) for name, value in rows}
        keys = own_keys(party, public, facts.get("charter"), facts.get("charters"))
        for leaf, bundle in database.execute("SELECT hash, bundle FROM leaves ORDER BY number"):
            try:
                signed = leaf_from_json(load_json(bundle, "a leaf")["leaf"])
                sound = signed.hash() == leaf and signed.leaf.author == party
            except (SecureFlowError, KeyError, TypeError):
                sound = False
            if not sound or not is_signed_by(signed, keys):
                named = shown(str(leaf)[:64])
                return Text("its own leaf {leaf} does not have its signature", leaf=named)
    return ""


def _mark(store: RecordStore, taken_at: int) -> _Found:
    """Mark the record as restored, and end what it cannot continue with."""
    now = system_clock()
    size = _head_size(store.fact("head"))
    with store.transaction():
        ended = store.end_all(OUTCOME)
        domains = store.budget_domains()
        restoration = {"restored_at": now, "taken_at": taken_at, "size": size, "settled": []}
        store.set_fact(FACT, restoration)
        mark_lines(store)
        if store.fact(IDENTITY) is None:
            store.set_fact(IDENTITY, RecordMark.fresh_identity())
        store.note(now, "agent.restored", "", taken_at=taken_at, jobs=len(ended))
    return _Found(size, ended, domains)


def _head_size(head: JSON) -> int:
    note = "" if head is None else head.get("note") if isinstance(head, dict) else None
    if not isinstance(note, str):
        raise unreadable(Path(RECORD), "its head of the log cannot be read")
    return parse_note(note).checkpoint.size if note else 0


def _named(facts: Mapping[str, JSON], members: Collection[str]) -> dict[str, str]:
    """Return the places of the files that the settings name; nothing outside of the folder."""
    named = facts.get("named", {})
    if not isinstance(named, dict):
        raise unreadable(Path("manifest.json"), "it names files in a form that no agent uses")
    # A file at a path of this machine would be moved away.
    if not all(name in members and _NAMED.fullmatch(name) for name in named):
        raise unreadable(Path("manifest.json"), "it names files that are not in it")
    for inside in named.values():
        if not isinstance(inside, str) or not _plain(inside.split("/")):
            raise unreadable(Path("manifest.json"), "it names a file outside of its folder")
    return named


def _settle(
    directory: Path,
    staging: Path,
    keys: Mapping[str, bytes],
    named: Mapping[str, str],
    mark: RecordMark,
) -> None:
    """Move everything to its place; existing files stay, except the record.

    The mark is written before the first file moves: after an interrupted restore, the folder has no
    record, or one that does not match the mark, and no agent starts in it as a new one.
    """
    had = [directory / name for name in _RECORD_FILES]
    keep_replaced(directory, had, [directory / MARK], lambda: write_mark(directory, mark))
    moves = {AUTHORITY: "ca.pem", ANCHORS: FILE, **named}
    moves |= {
        f"evidence/{path.name}": f"evidence/{path.name}"
        for path in sorted((staging / "evidence").glob("*"))
    }
    for member, inside in moves.items():
        source, target = staging / member, directory / inside
        if source.exists() and not target.exists():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            source.replace(target)
    for name in KEYS:
        if name in keys and not (directory / name).exists():
            write_private(directory / name, keys[name])
    (staging / RECORD).replace(directory / "agent.db")
    flush_directory(directory)


def _usual(source: Path, config: Path) -> bytes:
    """Return the settings, with the folder that they are now in."""
    text = source.read_bytes()
    try:
        settings = yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise unreadable(config, "its settings cannot be read") from error
    if not isinstance(settings, dict) or str(settings.get("directory", ".")) == ".":
        return text
    return yaml.safe_dump({**settings, "directory": "."}, sort_keys=False).encode()


def _filled(directory: Path) -> SecureFlowError:
    return SecureFlowError(
        "folder_not_empty",
        Text("{directory} is not empty.", directory=directory),
        "Name a new folder, or use --into-existing to move this folder's record aside and put "
        "the backup's in its place; stop the process first.",
    )
