"""`server backup`: the whole centre of one moment in one file, while it runs or stands still.

In it: every table of the database, the models that they name, `server.yaml` and the CA's
certificate, and, only under a passphrase, the CA's key and the log's key. Not in it: what a
restored centre must not have (the server's own certificate, which it makes anew) and what nobody
needs (vectors of running jobs, the first administrator's password).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from secureflow.adapters.database.dump import Dump, dump
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.faults import typed_faults
from secureflow.adapters.database.tables import LOG_HEAD
from secureflow.kit.archive import (
    Manifest,
    check_passphrase,
    check_target,
    unwritable,
    write_backup,
)
from secureflow.kit.clock import system_clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.tenancy import scratch
from secureflow.kit.version import __version__
from secureflow.server.record import check_record
from secureflow.server.settings import ServerSettings

SERVER: Final = "server"
CONFIG: Final = "config/server.yaml"
AUTHORITY: Final = "config/ca.pem"
LOG_KEY: Final = "log.key"
CA_KEY: Final = "ca/ca.key"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def back_up(config: Path, target: Path, passphrase: str | None) -> Manifest:
    """Write a backup of the centre that a settings file names.

    Raises:
        SecureFlowError: `record_…` for a database that is not the folder's newest;
            `backup_exists`, `backup_unwritable`, `weak_password`, `key_unreadable`,
            `database_…`.
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
        files = _files(config, settings, tables, dumped)
        return write_backup(
            target, SERVER, {**facts, **_told(tables, dumped)}, files, _keys(settings), passphrase
        )


@contextlib.contextmanager
def _gathering(target: Path) -> Iterator[Path]:
    """Yield a folder for the tables beside the new file."""
    with contextlib.ExitStack() as stack:
        try:
            place = stack.enter_context(scratch(target.parent, ".secureflow-backup-"))
        except OSError as error:
            raise unwritable(target, error) from error
        yield place


async def _facts(database: Database, settings: ServerSettings) -> dict[str, Any]:
    """Look at the database before it is read: another one or an older one is no backup."""
    try:
        await check_record(database, settings.directory)
    finally:
        await database.close()
    return {"made_at": system_clock(), "version": __version__}


def _told(tables: Path, dumped: Dump) -> dict[str, Any]:
    with (tables / LOG_HEAD.name).open() as file:
        columns, row = json.loads(file.readline()), json.loads(file.readline())
    head = dict(zip(columns, row, strict=True))
    log = {"origin": head["origin"], "size": head["size"]}
    return {"schema": dumped.revision, "tables": dict(dumped.tables), "log": log}


def _files(config: Path, settings: ServerSettings, tables: Path, dumped: Dump) -> dict[str, Path]:
    files = {CONFIG: config, AUTHORITY: settings.ca / "ca.pem"}
    files |= {f"tables/{name}": tables / name for name in dumped.tables}
    for digest in sorted(_named(tables, dumped)):
        path = settings.artifacts / digest[:2] / digest
        if path.is_file():
            files[f"artifacts/{digest}"] = path
    return files


def _named(tables: Path, dumped: Dump) -> set[str]:
    """Return every digest that the tables name: some are of models, and those are kept."""
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
        SigningKey.load(settings.log_key)
        return {
            LOG_KEY: settings.log_key.read_bytes(),
            CA_KEY: (settings.ca / "ca.key").read_bytes(),
        }
    except (OSError, ValueError) as error:
        raise SecureFlowError(
            "key_unreadable",
            f"The keys of the centre ({settings.log_key}, {settings.ca}) cannot be read.",
            "Run this as the user of the centre, on its machine.",
        ) from error
