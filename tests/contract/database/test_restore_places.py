"""A centre comes back where the settings of its own folder look for it, or they are changed."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from blake3 import blake3

from secureflow.adapters.database import engine
from secureflow.adapters.database.engine import Database
from secureflow.domain.bundles import FOR_EVER, StoredBundle
from secureflow.domain.models import Model, Upload
from secureflow.kit.recordmark import read_mark
from secureflow.server.backup import back_up
from secureflow.server.check import check
from secureflow.server.record import serving
from secureflow.server.restore import restore
from secureflow.server.settings import ServerSettings
from tests.contract.database.test_restore import (  # noqa: F401
    MODEL,
    PHRASE,
    centre,
    grow,
    new_centre,
    refusal,
    template,
)

pytestmark = pytest.mark.usefixtures("quick_passphrases")


def told(config: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(config.read_text())
    return read


@pytest.mark.postgres
def test_the_folder_goes_by_the_database_that_was_filled(
    tmp_path: Path, empty_postgres: Callable[[], str]
) -> None:
    """The lost one may still be there: its centre would go on, and nobody would hear of it."""
    old, fresh = empty_postgres(), empty_postgres()
    config = new_centre(tmp_path / "centre", old)
    there = told(config)
    config.write_text(yaml.safe_dump({**there, "database": {"url": old, "wait_seconds": 7}}))
    back_up(config, tmp_path / "b.tar", PHRASE)
    size = grow(config, 4)
    found = restore(tmp_path / "b.tar", config.parent, database=fresh, into_existing=True)
    assert found.database == fresh
    assert told(config) == {**there, "database": {"url": fresh, "wait_seconds": 7}}
    assert grow(config) == size - 4
    (aside,) = config.parent.glob("before-restore-*")
    assert told(aside / "server.yaml")["database"]["url"] == old


def test_a_folder_of_another_database_gets_its_own_file(
    centre: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    back_up(centre, tmp_path / "b.tar", PHRASE)
    there = told(centre)
    centre.write_text(yaml.safe_dump({**there, "database": {"url": "postgresql://a@host/lost"}}))
    found = restore(tmp_path / "b.tar", centre.parent, database="sqlite", into_existing=True)
    assert (found.database, told(centre)) == ("sqlite", there)
    assert grow(centre) == found.log.size


@pytest.mark.parametrize("disks", ["one", "several"])
def test_everything_comes_back_where_the_folder_looks_for_it(
    centre: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    disks: str,
) -> None:
    """docs/deploy.md sends the models to a disk of their own; the settings stay as they are."""
    back_up(centre, tmp_path / "b.tar", PHRASE)
    folder, data = centre.parent, tmp_path / "data"
    data.mkdir()
    (folder / "secureflow.db").rename(data / "centre.db")
    for name in ("log.key", "ca"):
        (folder / name).rename(data / name)
    text = yaml.safe_dump(
        {
            **told(centre),
            "directory": str(data),
            "artifacts": "../models",
            "ca": str(data / "ca"),
            "log_key": str(data / "log.key"),
            "database": {"url": f"sqlite:///{data}/centre.db"},
        }
    )
    centre.write_text(text)
    if disks == "several":
        apart(monkeypatch, folder)
    with serving(data):
        error = refusal(restore, tmp_path / "b.tar", folder, into_existing=True)
        assert error.code == "server_running"
    found = restore(tmp_path / "b.tar", folder, into_existing=True)
    assert (found.keys, found.models, centre.read_text()) == (True, 1, text)
    digest = blake3(MODEL).hexdigest()
    place = ServerSettings.load(centre).artifacts / digest[:2]
    assert [path.name for path in place.iterdir()] == [digest]
    assert place.resolve() == tmp_path / "models" / digest[:2]
    assert (data / "centre.db").stat().st_mode & 0o777 == 0o600
    mark = read_mark(data)
    assert mark is not None
    assert mark.reached["size"] == found.log.size
    (aside,) = data.glob("before-restore-*")
    assert (aside / "centre.db").exists()
    assert not (folder / "secureflow.db").exists()
    assert not (folder / "log.key").exists()
    assert grow(centre) == found.log.size


def test_what_was_there_stays_together_where_it_is_cut_off(
    centre: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    back_up(centre, tmp_path / "b.tar", PHRASE)
    log = centre.parent / "secureflow.db-wal"
    log.write_bytes(b"the last hours")
    replace = Path.replace

    def cut_off(path: Path, place: Path) -> Path:
        if path == log:
            raise OSError(errno.EIO, "Input/output error")
        return replace(path, place)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", cut_off)
        error = refusal(restore, tmp_path / "b.tar", centre.parent, into_existing=True)
        assert error.code == "restore_failed"
    restore(tmp_path / "b.tar", centre.parent, into_existing=True)
    (aside,) = centre.parent.glob("before-restore*")
    had = {"record.json", "secureflow.db", "secureflow.db-wal"}
    assert {path.name for path in aside.iterdir()} - {"secureflow.db-shm"} == had
    assert (aside / log.name).read_bytes() == b"the last hours"


def apart(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let a folder be a disk of its own."""
    replace = Path.replace

    def on_its_own(path: Path, place: Path) -> Path:
        if path.is_relative_to(folder) != Path(place).is_relative_to(folder):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(path, place)

    monkeypatch.setattr(Path, "replace", on_its_own)


@pytest.mark.parametrize("left", [b"", b"-----BEGIN CERT", b"\xff"])
def test_what_a_full_disk_left_of_a_certificate_is_none(
    centre: Path,  # noqa: F811
    tmp_path: Path,
    left: bytes,
) -> None:
    back_up(centre, tmp_path / "b.tar", PHRASE)
    folder = tmp_path / "new"
    (folder / "ca").mkdir(parents=True)
    (folder / "ca" / "ca.pem").write_bytes(left)
    found = restore(tmp_path / "b.tar", folder, passphrase=PHRASE, into_existing=True)
    assert found.keys
    assert [one["message"] for one in check(found.config) if not one["ok"]] == []


def test_a_disk_that_is_full_leaves_the_certificate_complete_or_away(
    centre: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    back_up(centre, tmp_path / "b.tar", PHRASE)
    folder = tmp_path / "new"
    fsync = os.fsync

    def full(handle: int) -> None:
        """Say so of the certificate, whose bytes were taken before."""
        path = Path(f"/proc/self/fd/{handle}").readlink()
        if path.parent == folder / "ca" and path.name.startswith("ca.pem"):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        error = refusal(restore, tmp_path / "b.tar", folder, passphrase=PHRASE)
        assert error.code == "restore_failed"
    assert not (folder / "ca" / "ca.pem").exists()
    found = restore(tmp_path / "b.tar", folder, passphrase=PHRASE, into_existing=True)
    assert [one["message"] for one in check(found.config) if not one["ok"]] == []


def test_no_part_of_the_database_stays_behind_on_a_full_disk(
    centre: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everything is committed, but the disk has no room for it outside the write-ahead log."""
    back_up(centre, tmp_path / "b.tar", PHRASE)
    checkpoint = engine._checkpoint

    def full(connection: sa.Connection, mode: str) -> None:
        if ".restoring" in str(connection.engine.url):
            said = sqlite3.OperationalError("database or disk is full")
            said.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise sa.exc.OperationalError("PRAGMA", {}, said)
        checkpoint(connection, mode)

    before = grow(centre, 1)
    with monkeypatch.context() as patched:
        patched.setattr(engine, "_checkpoint", full)
        error = refusal(restore, tmp_path / "b.tar", centre.parent, into_existing=True)
        assert error.code == "disk_full"
    assert not list(centre.parent.glob("before-restore*"))
    assert grow(centre) == before


async def _register(config: Path, *models: Model) -> None:
    database = Database(ServerSettings.load(config).database_url)
    await database.start()
    async with database.begin() as unit:
        for model in models:
            await unit.models.add(model)
        await unit.commit()
    await database.close()


@pytest.mark.parametrize("database", ["sqlite", pytest.param("pg", marks=pytest.mark.postgres)])
def test_a_backup_leaves_out_no_registered_model(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The disk of `artifacts` is not mounted: good backups would be cleared away for this one."""
    url = "" if database == "sqlite" else request.getfixturevalue("empty_postgres")()
    config = new_centre(tmp_path / "centre", url)
    weights, other = blake3(MODEL).hexdigest(), blake3(b"other").hexdigest()
    model = Model("mdl_1", "prj_1", "job_1", "m", 1, weights, weights, "linear_regression", {}, 1)
    lost = replace(model, id="mdl_2", version=2, artifact=other)
    asyncio.run(_register(config, model, lost))
    blobs = ServerSettings.load(config).artifacts
    error = refusal(back_up, config, tmp_path / "b.tar", PHRASE)
    assert (error.code, "1 of 2 models" in error.message) == ("model_missing", True)
    assert "mdl_2" in error.message
    assert not (tmp_path / "b.tar").exists()
    (blobs / other[:2]).mkdir(exist_ok=True)
    (blobs / other[:2] / other).write_bytes(b"other")
    back_up(config, tmp_path / "b.tar", PHRASE)
    (blobs / weights[:2] / weights).unlink()
    assert refusal(back_up, config, tmp_path / "c.tar", PHRASE).code == "model_missing"
    back_up(config, tmp_path / "c.tar", PHRASE, without_missing=True)
    assert restore(tmp_path / "b.tar", tmp_path / "b", database="sqlite").models == 2
    assert restore(tmp_path / "c.tar", tmp_path / "c", database="sqlite").models == 1


@pytest.mark.parametrize("kind", ["weights", "code"])
def test_a_backup_leaves_out_nothing_that_people_brought(tmp_path: Path, kind: str) -> None:
    """The disk of the uploads is not mounted: the job that names them could not go on after it."""
    config = new_centre(tmp_path / "centre", "")
    content = f"of people: {kind}".encode()
    brought = blake3(content).hexdigest()
    facts: Any = ("prj_1", brought)
    row: Any = (
        Upload("upl_1", *facts, "ab" * 32, "bank-a", "ada", 7, 1, FOR_EVER)
        if kind == "weights"
        else StoredBundle("prj_1.b", *facts, "bank-a", "ada", "net", 4, 1, 1, 1, FOR_EVER)
    )
    asyncio.run(_bring(config, row))
    error = refusal(back_up, config, tmp_path / "b.tar", PHRASE)
    assert (error.code, "1 of 1 uploads" in error.message) == ("model_missing", True)
    back_up(config, tmp_path / "c.tar", PHRASE, without_missing=True)
    place = ServerSettings.load(config).uploads / brought[:2] / brought
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    back_up(config, tmp_path / "b.tar", PHRASE)
    restore(tmp_path / "b.tar", tmp_path / "b")
    back = ServerSettings.load(tmp_path / "b" / "server.yaml").uploads / brought[:2] / brought
    assert back.read_bytes() == content


async def _bring(config: Path, row: Upload | StoredBundle) -> None:
    database = Database(ServerSettings.load(config).database_url)
    await database.start()
    async with database.begin() as unit:
        await (unit.uploads.add(row) if isinstance(row, Upload) else unit.bundles.add(row))
        await unit.commit()
    await database.close()
