"""`server restore`: a centre from a backup, verified before it is put in place.

Nothing in the backup is trusted: each file is compared with the manifest, the log is rebuilt from
its leaves and compared with every head that it signed and that members cosigned. Only then are
files moved to their places, the settings of a new folder last, so that an interrupted restore
leaves no centre that starts. The database is marked as restored: a restored log signs nothing until
no member can hold a newer head, or the members have agreed how it continues.

Sessions, access tokens and unused invitations are not restored: some may have been revoked or used
since.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
import yaml

from secureflow.adapters.database.connections import driver_url, held_file, shown_url
from secureflow.adapters.database.dump import Dump, load
from secureflow.adapters.database.emptiness import refuse_password, require_empty
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.faults import typed_faults
from secureflow.adapters.database.log_verification import VerifiedLog, verify_log
from secureflow.adapters.database.summary import IDENTITY, read_summary
from secureflow.adapters.database.tables import (
    DEVICES,
    ENROLMENTS,
    FAMILIES,
    LOG_HEAD,
    PENDING_LOGINS,
    SESSIONS,
    SETTINGS,
    TOKENS,
)
from secureflow.application.membership import CANDIDATE, CURRENT
from secureflow.application.restored import RESTORED
from secureflow.domain.charter import SignedCharter
from secureflow.engines.ledger.setback import read_hold
from secureflow.kit.archive import Backup, BackupManifest, made_at, restore_failed, unreadable
from secureflow.kit.atomic import flush_directory, write_atomically
from secureflow.kit.clock import system_clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.disk import remove
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import file_digest
from secureflow.kit.folder import claim_folder
from secureflow.kit.keyfiles import LOG
from secureflow.kit.pki import parse_certificate, write_private
from secureflow.kit.recordmark import FILE as MARK
from secureflow.kit.recordmark import RecordMark, write_mark
from secureflow.kit.replaced import keep_replaced
from secureflow.kit.settings import anchored
from secureflow.kit.text import Text
from secureflow.server.backup import AUTHORITY, CA_KEY, CONFIG, LOG_KEY, SERVER, UPLOADS
from secureflow.server.record import locked_folder
from secureflow.server.settings import ServerSettings

_STAGING: Final = ".restoring"
_SQLITE: Final = "secureflow.db"
_OWN: Final = ("directory", "ca", "log_key", "tls", "artifacts")
"""Settings with paths: a restored folder has the default ones."""


@dataclass(frozen=True)
class Restored:
    """The result: `keys` are either complete or absent."""

    manifest: BackupManifest
    log: VerifiedLog
    members: tuple[str, ...]
    config: Path
    database: str
    keys: bool
    jobs: Mapping[str, int]
    models: int


def restore(
    backup: Path,
    directory: Path,
    *,
    database: str = "",
    passphrase: str | None = None,
    into_existing: bool = False,
) -> Restored:
    """Create a centre's folder from a backup.

    Args:
        backup: the file.
        directory: new or empty; with `into_existing` a centre's folder whose database is lost: its
            keys and settings stay, everything is put where these say, and its database and mark are
            set aside.
        database: URL of an empty PostgreSQL database, or `sqlite`, which the settings name from now
            on; default: unchanged.
        passphrase: opens the keys.
        into_existing: see `directory`.

    Raises:
        SecureFlowError: `backup_unreadable`, `backup_other_kind`, `passphrase_refused`,
            `folder_not_empty`, `server_running`, `database_in_use`, `database_newer`,
            `log_unproven`, `restore_failed`.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not into_existing:
            refuse_filled(directory)
        with locked_folder(directory):
            staging = directory / _STAGING
            shutil.rmtree(staging, ignore_errors=True)
            try:
                with Backup(backup) as opened:
                    check_kind(opened.manifest, SERVER)
                    keys = opened.keys(passphrase) if passphrase is not None else {}
                    opened.extract(staging)
                return _restore(opened.manifest, directory, staging, database, keys)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise restore_failed(directory, error) from error


def restore_in_place(config: Path) -> Restored:
    """Verify a database restored by other means, and mark it and its folder as restored.

    Raises:
        SecureFlowError: `server_running`, `record_missing`, `log_unproven`, `database_…`,
            `restore_failed`.
    """
    settings = ServerSettings.load(config)
    try:
        with locked_folder(settings.directory):
            found = asyncio.run(_mark_in_place(settings))
            write_mark(settings.directory, found.mark)
    except OSError as error:
        raise restore_failed(settings.directory, error) from error
    held = settings.log_key.exists() and (settings.ca / "ca.key").exists()
    manifest = BackupManifest(SERVER, {"made_at": found.taken_at}, ())
    where = shown_url(driver_url(settings.database_url))
    return Restored(manifest, found.log, found.members, config, where, held, found.jobs, 0)


async def _mark_in_place(settings: ServerSettings) -> _Found:
    database = Database(settings.database_url)
    try:
        if await read_summary(database) is None:
            raise SecureFlowError(
                "record_missing",
                Text("The database {name} is missing or empty.", name=database.name),
                "Put the database there first.",
            )
        await database.start()
        with typed_faults():
            async with database.engine.connect() as connection:
                if database.turn.exclusive:
                    await connection.exec_driver_sql("BEGIN IMMEDIATE")
                found = await connection.run_sync(_mark)
                await connection.commit()
        return found
    finally:
        await database.close()


def check_kind(manifest: BackupManifest, process: str) -> None:
    """Refuse a backup of another kind of process.

    Raises:
        SecureFlowError: `backup_other_kind`.
    """
    if manifest.process != process:
        raise SecureFlowError(
            "backup_other_kind",
            Text(
                "The backup is of a {process}, not of a {wanted}.",
                process=manifest.process,
                wanted=process,
            ),
            Text("Use `secureflow {process} restore`.", process=manifest.process),
        )


def refuse_filled(directory: Path) -> None:
    """Refuse a folder that is not empty; leftovers of an interrupted restore do not count.

    Raises:
        SecureFlowError: `folder_not_empty`.
    """
    if any(path.name != _STAGING for path in directory.iterdir()):
        raise SecureFlowError(
            "folder_not_empty",
            Text("{directory} is not empty.", directory=directory),
            "Name a new folder, or use --into-existing to move this folder's database aside and "
            "put the backup's in its place; stop the process first.",
        )


def _restore(
    manifest: BackupManifest, directory: Path, staging: Path, database: str, keys: dict[str, bytes]
) -> Restored:
    models = _check_models(staging)
    plan = _planned(directory, staging, database)
    settings = plan.settings
    with contextlib.ExitStack() as stack:
        settings.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not settings.directory.samefile(directory):
            stack.enter_context(locked_folder(settings.directory))
        staged = f"sqlite:///{staging / _SQLITE}"
        url = staged if plan.record else settings.database_url
        found = asyncio.run(_load(url, staging, manifest))
        _check_key(settings, keys, found.log)
        _settle(plan, staging, keys, found)
    held = settings.log_key.exists() and (settings.ca / "ca.key").exists()
    named = settings.database.url or "sqlite"
    members, jobs = found.members, found.jobs
    return Restored(manifest, found.log, members, plan.config, named, held, jobs, models)


@dataclass(frozen=True)
class _Plan:
    """Where to put the parts of a restored centre.

    Args:
        config: its settings file.
        before: its old text; None in a new folder.
        text: its new text.
        settings: as the next start reads them.
        record: its SQLite file; None if the database is elsewhere.
    """

    config: Path
    before: bytes | None
    text: bytes
    settings: ServerSettings
    record: Path | None


def _planned(directory: Path, staging: Path, database: str) -> _Plan:
    """Return where everything goes: as existing settings say, else in its default place.

    In existing settings only a requested database is changed.
    """
    if database and not database.startswith("sqlite"):
        refuse_password(database)
    config = (directory / "server.yaml").resolve()
    before = config.read_bytes() if config.exists() else None
    written = _yaml(staging / CONFIG if before is None else config)
    wanted = _settings(written, database) if before is None else _naming(written, database)
    draft = staging / config.name
    write_atomically(draft, yaml.safe_dump(wanted, sort_keys=False).encode(), 0o666)
    ServerSettings.load(draft)  # raises if they are invalid
    settings = anchored(ServerSettings(**wanted), config.parent)
    if (named := settings.database.url) and not named.startswith("sqlite"):
        refuse_password(named)
    text = before if before is not None and wanted == written else draft.read_bytes()
    record = held_file(driver_url(settings.database_url)).path
    return _Plan(config, before, text, settings, record)


@dataclass(frozen=True)
class _Found:
    log: VerifiedLog
    identity: str
    members: tuple[str, ...]
    jobs: Mapping[str, int]
    taken_at: int

    @property
    def mark(self) -> RecordMark:
        """The mark of a folder with this database."""
        return RecordMark(self.identity, _reached(self.log))


def _reached(log: VerifiedLog) -> dict[str, Any]:
    return {"origin": log.origin, "size": log.size, "root": log.root}


async def _load(url: str, staging: Path, manifest: BackupManifest) -> _Found:
    """Fill the database, verify it, and mark it, in one transaction."""
    try:
        await require_empty(url)
    except SecureFlowError as error:
        if error.code == "database_in_use":
            error.hint = (
                "Name an empty database (createdb NAME). If an interrupted restore has filled "
                "this one: dropdb NAME, createdb NAME, and restore again."
            )
        raise
    facts = manifest.facts
    try:
        dump = Dump(str(facts["schema"]), {str(k): int(v) for k, v in facts["tables"].items()})
        taken_at = made_at(manifest)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise unreadable(staging, "its manifest says nothing about its database") from error
    if {f"tables/{name}" for name in dump.tables} - {one.name for one in manifest.files}:
        raise unreadable(staging, "a table of its database is missing")

    def mark(connection: sa.Connection) -> _Found:
        return _mark(connection, taken_at)

    database = Database(url)
    try:
        with typed_faults():
            found = await load(database, staging / "tables", dump, mark)
            # Only this file is moved: nothing of it may be left in its write-ahead log.
            await database.checkpoint("TRUNCATE")
            return found
    finally:
        await database.close()


def _mark(connection: sa.Connection, taken_at: int | None = None) -> _Found:
    """Verify the log and mark the database; without a time, that of its newest entry counts."""
    keys = _member_keys(connection)
    log = verify_log(connection, keys, _log_keys(connection))
    taken_at = min(log.newest or system_clock(), system_clock()) if taken_at is None else taken_at
    identity = str(_setting(connection, IDENTITY) or RecordMark.fresh_identity())
    for ended in (TOKENS, FAMILIES, DEVICES, PENDING_LOGINS, SESSIONS, ENROLMENTS):
        connection.execute(sa.delete(ended))
    _forget_seen_heads(connection)
    _set(connection, IDENTITY, identity)
    times = {"restored_at": system_clock(), "taken_at": taken_at}
    _set(connection, RESTORED, {**times, "identity": identity, **_reached(log)})
    query = sa.text("SELECT state, count(*) FROM jobs GROUP BY state")
    jobs = {str(state): int(count) for state, count in connection.execute(query)}
    return _Found(log, identity, tuple(keys), jobs, taken_at)


def _forget_seen_heads(connection: sa.Connection) -> None:
    """Forget the members' known heads: since the backup they may hold newer ones."""
    found = connection.execute(sa.select(LOG_HEAD.c.hold)).scalar()
    hold = None if found is None else read_hold(found)
    kept = None if hold is None or not hold.head else replace(hold, seen=()).json()
    connection.execute(sa.update(LOG_HEAD).values(hold=sa.null() if kept is None else kept))


def _member_keys(connection: sa.Connection) -> dict[str, str]:
    stored = _setting(connection, CURRENT)
    return {} if stored is None else dict(SignedCharter.from_json(stored).charter.keys)


def _log_keys(connection: sa.Connection) -> dict[str, str]:
    found = [_setting(connection, name) for name in (CURRENT, CANDIDATE)]
    known = dict[str, str]()
    for one in found:  # the candidate's too: a change of the log's key may have been interrupted
        known |= {} if one is None else SignedCharter.from_json(one).charter.log_keys
    return known


def _setting(connection: sa.Connection, name: str) -> Any:
    return connection.execute(sa.select(SETTINGS.c.value).where(SETTINGS.c.name == name)).scalar()


def _set(connection: sa.Connection, name: str, value: Any) -> None:
    connection.execute(sa.delete(SETTINGS).where(SETTINGS.c.name == name))
    connection.execute(sa.insert(SETTINGS).values(name=name, version=1, value=value))


def _check_models(staging: Path) -> int:
    """Compare each model and each upload with its digest; return the number of models."""
    models, uploads = ([*(staging / name).glob("*")] for name in ("artifacts", UPLOADS))
    for path in (*models, *uploads):
        if file_digest(path).hex() != path.name:
            raise unreadable(path, "a model does not match its name")
    return len(models)


def _yaml(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(path.read_text())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise unreadable(path, "its settings cannot be read") from error
    return value if isinstance(value, dict) else {}


def _settings(values: dict[str, Any], database: str) -> dict[str, Any]:
    """Return the settings of a new folder: everything in its default place."""
    named = values.get("database")
    before = named.get("url") if isinstance(named, dict) else None
    url = database or (before if isinstance(before, str) else "")
    kept = {name: value for name, value in values.items() if name not in {*_OWN, "database"}}
    settings = {"directory": ".", **kept}
    return (
        settings if url.startswith("sqlite") or not url else {**settings, "database": {"url": url}}
    )


def _naming(values: dict[str, Any], database: str) -> dict[str, Any]:
    """Return the existing settings with the requested database."""
    if not database:
        return values
    named = values.get("database")
    section = {**named} if isinstance(named, dict) else {}
    section.pop("url", None)
    if not database.startswith("sqlite"):
        section["url"] = database
    rest = {name: value for name, value in values.items() if name != "database"}
    return {**rest, "database": section} if section else rest


def _check_key(settings: ServerSettings, keys: Mapping[str, bytes], log: VerifiedLog) -> None:
    """Refuse a key that is not the log's: nobody would accept its signatures.

    A wrapped one needs the wrapping key that the settings name: a restored centre would not start
    without it.
    """
    path = settings.log_key
    if path.exists():
        public = SigningKey.load(path, settings.key_files, LOG).public
    elif LOG_KEY in keys:
        place = f"{LOG_KEY} of the backup"
        plain = settings.key_files.unwrapped(keys[LOG_KEY], LOG, place)
        public = SigningKey.from_text(plain, place).public
    else:
        return
    if public != log.key:
        raise SecureFlowError(
            "fenced",
            Text("The log in the backup does not belong to the key {path}.", path=path),
            "Restore a backup of this centre, or restore into a new folder.",
        )


def _settle(plan: _Plan, staging: Path, keys: Mapping[str, bytes], found: _Found) -> None:
    """Move everything to its place: settings first in an existing folder, last in a new one."""
    settings = plan.settings
    _keep_replaced(plan)
    if plan.before is not None:
        write_atomically(plan.config, plan.text)  # or a start would use the old database
    settings.ca.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_certificate(settings.ca / "ca.pem"):
        write_atomically(settings.ca / "ca.pem", (staging / AUTHORITY).read_bytes(), 0o666)
    for name, path in ((LOG_KEY, settings.log_key), (CA_KEY, settings.ca / "ca.key")):
        if name in keys and not path.exists():
            write_private(path, keys[name])
    for name, directory in (("artifacts", settings.artifacts), (UPLOADS, settings.uploads)):
        for path in sorted((staging / name).glob("*")):
            place = directory / path.name[:2]
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            _move(path, place / path.name)
    if plan.record is not None:
        plan.record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _move(staging / _SQLITE, plan.record)
        flush_directory(plan.record.parent)
    write_mark(settings.directory, found.mark)
    claim_folder(settings.directory)
    flush_directory(settings.directory)
    if plan.before is None:
        write_atomically(plan.config, plan.text)


def _is_certificate(path: Path) -> bool:
    """Tell whether a complete certificate is there, not one truncated by a full disk."""
    try:
        parse_certificate(path.read_text())
    except (FileNotFoundError, UnicodeDecodeError, SecureFlowError):
        return False
    return True


def _move(path: Path, place: Path) -> None:
    """Move a file to its place atomically, also across file systems."""
    try:
        path.replace(place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        near = place.with_name(f"{place.name}{_STAGING}")
        try:
            shutil.copy(path, near)
            with near.open("rb") as copied:
                os.fsync(copied.fileno())
            near.replace(place)
        except OSError:
            remove(near)
            raise


def _keep_replaced(plan: _Plan) -> None:
    """Keep the old files: they may be all that is left of the time since the backup."""
    settings = plan.settings
    records = {settings.directory / _SQLITE, plan.record or settings.directory / _SQLITE}
    files = [path.with_name(path.name + end) for path in records for end in ("", "-wal", "-shm")]
    files.append(settings.directory / MARK)
    rewritten = [] if plan.before in {None, plan.text} else [plan.config]
    for folder in {path.parent for path in (*files, *rewritten)}:
        moved, copied = (
            [path for path in paths if path.parent == folder] for paths in (files, rewritten)
        )
        keep_replaced(folder, moved, copied)
