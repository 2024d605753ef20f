"""`server backup`: a snapshot of the whole centre in one file, running or stopped.

Included: every table of the database, the models and uploads that they name, `server.yaml` and the
CA's certificate, and, only with a passphrase, the CA's key and the log's key; wrapped ones stay
wrapped, so that a restore needs the wrapping key as well. Not included: what a
restored centre must not have (the server's own certificate, which it issues again) and what is not
needed (vectors of running jobs, the first administrator's password).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, TypeVar

from secureflow.adapters.database.dump import Dump, dump
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.entities import BUNDLES, MODELS, EntityKind
from secureflow.adapters.database.entities import UPLOADS as UPLOADED
from secureflow.adapters.database.faults import typed_faults
from secureflow.adapters.database.tables import LOG_HEAD
from secureflow.domain.models import Model
from secureflow.kit.archive import (
    BackupManifest,
    check_passphrase,
    check_target,
    unwritable,
    write_backup,
)
from secureflow.kit.clock import system_clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folderlock import scratch
from secureflow.kit.keyenvelope import is_wrapped, parse_envelope
from secureflow.kit.privatefiles import read_private
from secureflow.kit.text import Text
from secureflow.kit.version import __version__
from secureflow.server.record import check_record
from secureflow.server.settings import ServerSettings

SERVER: Final = "server"
CONFIG: Final = "config/server.yaml"
AUTHORITY: Final = "config/ca.pem"
LOG_KEY: Final = "log.key"
CA_KEY: Final = "ca/ca.key"
UPLOADS: Final = "uploads"
T = TypeVar("T")
_MISSING: Final = (
    "Mount the disk that they are on, or put them back from an older backup. If they are "
    "lost: --without-missing backs up the rest."
)
NAMED: Final = 5
"""Maximum number of missing models that are named."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def back_up(
    config: Path, target: Path, passphrase: str | None, *, without_missing: bool = False
) -> BackupManifest:
    """Write a backup of the centre of a settings file.

    Args:
        config: its settings file.
        target: the new file.
        passphrase: seals the keys.
        without_missing: leave out models and uploads whose files are missing.

    Raises:
        SecureFlowError: `record_…` if the database is not the folder's newest; `model_missing`,
            `backup_exists`, `backup_unwritable`, `weak_password`, `key_unreadable`, `database_…`.
    """
    settings = ServerSettings.load(config)
    if passphrase is not None:
        check_passphrase(passphrase)
    check_target(target)
    with _gathering(target) as tables:
        database = Database(settings.database_url)
        try:
            facts = asyncio.run(_facts(database, settings))
            with typed_faults():
                dumped = dump(database, tables)
        except OSError as error:
            raise unwritable(target, error) from error
        if not without_missing:
            _check_models(settings, tables)
            _check_uploads(settings, tables)
        files = _files(config, settings, tables, dumped)
        return write_backup(
            target,
            SERVER,
            {**facts, **_contents(tables, dumped)},
            files,
            _keys(settings),
            passphrase,
        )


@contextlib.contextmanager
def _gathering(target: Path) -> Iterator[Path]:
    """Yield a folder for the tables, next to the new file."""
    with contextlib.ExitStack() as stack:
        try:
            place = stack.enter_context(scratch(target.parent, ".secureflow-backup-"))
        except OSError as error:
            raise unwritable(target, error) from error
        yield place


async def _facts(database: Database, settings: ServerSettings) -> dict[str, Any]:
    """Check the database before it is read: a different or older one must not be backed up."""
    try:
        await check_record(database, settings.directory)
    finally:
        await database.close()
    return {"made_at": system_clock(), "version": __version__}


def _contents(tables: Path, dumped: Dump) -> dict[str, Any]:
    with (tables / LOG_HEAD.name).open() as file:
        columns, row = json.loads(file.readline()), json.loads(file.readline())
    head = dict(zip(columns, row, strict=True))
    log = {"origin": head["origin"], "size": head["size"]}
    return {"schema": dumped.revision, "tables": dict(dumped.tables), "log": log}


def _files(config: Path, settings: ServerSettings, tables: Path, dumped: Dump) -> dict[str, Path]:
    files = {CONFIG: config, AUTHORITY: settings.ca / "ca.pem"}
    files |= {f"tables/{name}": tables / name for name in dumped.tables}
    for digest in sorted(_named(tables, dumped)):
        for folder, directory in (("artifacts", settings.artifacts), (UPLOADS, settings.uploads)):
            path = directory / digest[:2] / digest
            if path.is_file():
                files[f"{folder}/{digest}"] = path
    return files


def _check_models(settings: ServerSettings, tables: Path) -> None:
    """Refuse to leave out registered models: older backups are deleted in favour of this one.

    Raises:
        SecureFlowError: `model_missing`.
    """
    models = list(_models(tables))
    missing = [
        model.id for model in models if not _blob(settings.artifacts, model.artifact).is_file()
    ]
    if missing:
        named = ", ".join(missing[:NAMED]) + (", …" if len(missing) > NAMED else "")
        raise SecureFlowError(
            "model_missing",
            Text(
                "The files of {count} of {models_count} models are not in {artifacts} ({named}).",
                count=len(missing),
                models_count=len(models),
                artifacts=settings.artifacts,
                named=named,
            ),
            _MISSING,
        )


def _check_uploads(settings: ServerSettings, tables: Path) -> None:
    """Refuse to leave out what people brought: weights, and the code of jobs.

    Raises:
        SecureFlowError: `model_missing`.
    """
    digests = {row.digest for row in _rows(tables, UPLOADED)}
    digests |= {row.digest for row in _rows(tables, BUNDLES)}
    missing = [one for one in sorted(digests) if not _blob(settings.uploads, one).is_file()]
    if missing:
        raise SecureFlowError(
            "model_missing",
            Text(
                "The files of {count} of {uploads_count} uploads are not in {uploads}.",
                count=len(missing),
                uploads_count=len(digests),
                uploads=settings.uploads,
            ),
            _MISSING,
        )


def _models(tables: Path) -> Iterator[Model]:
    return _rows(tables, MODELS)


def _rows(tables: Path, kind: EntityKind[T]) -> Iterator[T]:
    """Yield what a table holds; an unreadable row is left to `server check`."""
    lines = _lines(tables / kind.name)
    columns = json.loads(next(lines))
    for line in lines:
        row = dict(zip(columns, json.loads(line), strict=True))
        with contextlib.suppress(SecureFlowError):
            yield kind.read(SimpleNamespace(**row))


def _blob(directory: Path, digest: str) -> Path:
    return directory / digest[:2] / digest


def _named(tables: Path, dumped: Dump) -> set[str]:
    """Return every digest in the tables; those of models are kept."""
    named: set[str] = set()
    for name in dumped.tables:
        for line in _lines(tables / name):
            named.update(_DIGEST.findall(line))
    return named


def _lines(path: Path) -> Iterator[str]:
    with path.open() as file:
        yield from file


def _keys(settings: ServerSettings) -> dict[str, bytes]:
    try:
        log_key = read_private(settings.log_key)
        if is_wrapped(log_key):  # it stays so: a backup needs no wrapping key
            parse_envelope(log_key, str(settings.log_key))
        else:
            SigningKey.from_text(log_key, str(settings.log_key))
        return {
            LOG_KEY: log_key,
            CA_KEY: (settings.ca / "ca.key").read_bytes(),
        }
    except (OSError, ValueError) as error:
        raise SecureFlowError(
            "key_unreadable",
            Text(
                "The keys of the centre ({log_key}, {ca}) cannot be read.",
                log_key=settings.log_key,
                ca=settings.ca,
            ),
            "Run this as the user of the centre, on its machine.",
        ) from error
