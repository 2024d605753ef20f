"""`server check`: what a centre stores is found sound, and whatever is changed in it is named."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import shutil
import sqlite3
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from peers.seeds import named_seed
from typer.testing import CliRunner

from secureflow.adapters.artifacts import FileArtifacts
from secureflow.adapters.database.checking import unreadable
from secureflow.adapters.database.connections import sync_engine
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.tables import METADATA
from secureflow.application.ports.storage import Journalled, PendingLeaf
from secureflow.application.running.recording import server_leaf
from secureflow.application.running.scripts import Scripts
from secureflow.cli.main import app
from secureflow.domain.bundles import StoredBundle
from secureflow.domain.jobs import Job
from secureflow.domain.models import Model, Upload
from secureflow.engines.ledger.notes import cosign
from secureflow.engines.script import Record, Script, effect_digest
from secureflow.kit.crypto import SigningKey
from secureflow.kit.recordmark import RecordMark, read_mark, write_mark
from secureflow.server.centre import open_ledger
from secureflow.server.check import check
from secureflow.server.initialise import initialise
from secureflow.server.keyfiles import read_log_key
from secureflow.server.settings import ServerSettings
from tests.contract.database.test_stores import ENTITIES

pytestmark = pytest.mark.slow

BANK = SigningKey.from_seed(b"a" * 32)
BLOB = b"parameters of a model"


def make(directory: Path, database: str = "") -> Path:
    """Make a centre with a row of every kind, a log of nine leaves and a blob."""
    initialise(directory, trust_domain="test.example", database=database)
    asyncio.run(_fill(ServerSettings.load(directory / "server.yaml")))
    return directory / "server.yaml"


async def _fill(settings: ServerSettings) -> None:
    key = read_log_key(settings)
    stores = [FileArtifacts(place) for place in (settings.artifacts, settings.uploads)]

    async def chunks() -> Any:
        yield BLOB

    for one in stores:
        digest = (await one.put(chunks(), limit=100)).digest
    async with AsyncExitStack() as stack:
        database, ledger = await open_ledger(settings, key, stack)
        async with database.begin() as unit:
            for name, entity, _ in ENTITIES:
                await getattr(unit, name).add(_fitting(entity, digest))
            await unit.journal.append("job_1", [Journalled(0, "ab" * 32, {"a": 1})])
            await unit.outbox.put("job_1", 1, "train", ["bank-a"])
            await unit.events.append("job_1", "state", 1, {"state": "draft"})
            await unit.idempotency.remember("usr_1", "k", "ab" * 32, 200, {"a": 1}, 1)
            await unit.leaves.submit([_leaf(key, settings.origin, 9, job="job_1", seq=1)])
            await unit.commit()
        for n in range(6):
            await ledger.append([_leaf(key, settings.origin, n)])
        await ledger.sequenced("job_1", 1)
        note = await ledger.head()
        await ledger.cosign(9, [cosign(note, "bank-a", BANK, 1_700_000_000)])
        async with database.begin() as unit:
            await unit.leaves.submit([_leaf(key, settings.origin, 10, job="job_1", seq=2)])
            await unit.commit()
        await database.checkpoint("TRUNCATE")


def _fitting(entity: Any, digest: str) -> Any:
    if isinstance(entity, Model):
        return replace(entity, artifact=digest)
    if isinstance(entity, StoredBundle | Upload):
        return replace(entity, digest=digest)
    return replace(entity, key=BANK.public) if hasattr(entity, "serial") else entity


def _leaf(key: SigningKey, origin: str, n: int, job: str = "", seq: int = 0) -> PendingLeaf:
    return server_leaf("noted", {"n": n}, origin, key, 1000 + n, job=job, seq=seq)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("centre") / "c").parent


@pytest.fixture
def config(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "c")
    return tmp_path / "c" / "server.yaml"


def failed(config: Path) -> dict[str, str]:
    """Return the messages of what is not as it must be, by part."""
    found = list(check(config))
    for one in found:
        assert one["message"]
        assert one["ok"] or (one["hint"] and one["code"])
    parts = {one["check"] for one in found if not one["ok"]}
    return {
        part: "\n".join(one["message"] for one in found if one["check"] == part) for part in parts
    }


def change(config: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(config.parent / "secureflow.db")) as database:
        database.execute(statement, values)
        database.commit()


def _noting(job: Job) -> Script[dict[str, Any]]:
    del job
    return {"size": (yield Record(()))["size"]}


@pytest.mark.parametrize("answer", ['{"size":9}', '{"sive":9}', "null", "[9]"])
def test_a_journal_that_its_script_cannot_take_hides_nothing(
    config: Path, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a job that ended, all of whose lines are replayed."""
    monkeypatch.setattr(Scripts, "of", lambda _, job: _noting(job))
    monkeypatch.setattr(Scripts, "retired", lambda _, __: None)
    change(config, "UPDATE jobs SET state = 'succeeded', doc = replace(doc, 'draft', 'succeeded')")
    change(config, "UPDATE journal SET digest = ?", effect_digest(Record(())))
    change(config, "UPDATE journal SET answer = ?", answer)
    blob = next(path for path in (config.parent / "artifacts").rglob("*") if path.is_file())
    blob.unlink()
    found = failed(config)
    assert ("job_1" in found.pop("jobs", "")) == ("size" not in answer)
    assert set(found) == {"artefacts"}


def test_a_centre_is_sound(config: Path) -> None:
    found = list(check(config))
    assert [one["check"] for one in found if one["ok"]] == [
        *("folder", "keys", "wrapping", "database", "rows", "jobs", "log", "record", "artefacts"),
    ]
    (log,) = (one["message"] for one in found if one["check"] == "log")
    assert "9 leaves make" in log
    assert "with 1 cosignatures" in log


FREE = {
    ("alembic_version", "version_num"),
    ("settings", "version"),
    ("settings", "name"),
    ("outbox", "party"),
    ("outbox", "seq"),
    ("outbox", "verb"),
    ("events", "id"),
    ("events", "job"),
    ("events", "kind"),
    ("events", "at"),
    ("idempotency", "user"),
    ("idempotency", "key"),
    ("idempotency", "request"),
    ("idempotency", "status"),
    ("idempotency", "at"),
    ("log_head", "one"),
    ("log_checkpoints", "at"),
    *(("claims", name) for name in ("job", "server", "called")),
    *(("servers", name) for name in ("id", "name", "beats")),
    *(("queue", one.name) for one in METADATA.tables["queue"].c),
    *(("changes", one.name) for one in METADATA.tables["changes"].c),
    *(("notifications", one.name) for one in METADATA.tables["notifications"].c),
    *(("log_submissions", name) for name in ("arrival", "job", "seq", "position")),
    *(("log_submissions", name) for name in ("document", "salt")),
}
"""Columns that nothing else says, so that a changed value is as good as the old one."""


def _cells() -> list[tuple[str, str]]:
    cells = {(table.name, c.name) for table in METADATA.sorted_tables for c in table.c}
    return sorted(cells - FREE)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        pytest.param(*cell, id=".".join(cell), marks=() if place % 3 == 0 else pytest.mark.full)
        for place, cell in enumerate(_cells())
    ],
)
def test_whatever_is_changed_is_found(config: Path, table: str, column: str) -> None:
    place = f"{table} SET {column} ="
    where = f"WHERE rowid = (SELECT max(rowid) FROM {table})"
    try:
        change(config, f"UPDATE {place} x'ff00ff' {where}")
    except sqlite3.IntegrityError:  # what is a row's number holds numbers only
        change(config, f"UPDATE {place} 1000 {where}")
    found = failed(config)
    assert found
    assert set(found) <= {"database", "rows", "jobs", "log", "artefacts"}


@pytest.mark.parametrize(
    ("statement", "part", "told"),
    [
        ("UPDATE jobs SET doc = '{' WHERE id = 'job_1'", "rows", "jobs: job_1 cannot be read"),
        ("UPDATE jobs SET state = 'failed'", "rows", "jobs: job_1: its column state"),
        ("DELETE FROM jobs", "rows", "job_1"),
        ("DELETE FROM memberships WHERE organisation = 'bank-b'", "rows", "bank-b in prj_1"),
        ("DELETE FROM log_leaves WHERE number = 4", "log", "leaf 4 is missing"),
        ("DELETE FROM log_nodes WHERE place = 3", "log", "place 3 is missing"),
        ("DELETE FROM log_checkpoints WHERE size = 9", "log", "size 9"),
        ("UPDATE log_head SET size = 8", "log", "log_head says 8 leaves, there are 9"),
        ("UPDATE log_leaves SET document = '{\"n\":7}' WHERE number = 3", "log", "its commitment"),
        ("UPDATE log_cosignatures SET name = 'bank-b'", "log", "bank-b at size 9"),
        ("UPDATE log_submissions SET data = x'7b' WHERE number IS NULL", "log", "is not a leaf"),
        ("UPDATE models SET doc = replace(doc, '\"artifact\":\"', '\"artifact\":\"0')",
         "artefacts", "mdl_1: its blob"),
        ("UPDATE journal SET seq = 3", "rows", "the effects before it are missing"),
        ("DROP TABLE grants", "database", "it lacks the tables grants"),
        ("DELETE FROM alembic_version", "database", "no history"),
        ("UPDATE alembic_version SET version_num = '9999'", "database", "schema version 9999"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(config: Path, statement: str, part: str, told: str) -> None:
    change(config, statement)
    found = failed(config)
    assert told in found[part]


def test_files_are_named(config: Path) -> None:
    folder = config.parent
    blob = next(path for path in (folder / "artifacts").glob("??/*"))
    blob.write_bytes(BLOB[:-1] + b"x")
    (folder / "artifacts" / "zz").mkdir()
    (folder / "artifacts" / "zz" / "stranger").touch()
    (folder / "admin.password").chmod(0o644)
    (folder / "secureflow.db").chmod(0o640)
    (folder / "log.key").chmod(0o604)
    SigningKey.generate().save(folder / "other.key")
    (folder / "ca" / "ca.key").write_text("no key")
    found = [one["message"] for one in check(config) if not one["ok"]]
    for path in (blob, folder / "artifacts/zz/stranger", folder / "admin.password",
                 folder / "secureflow.db", folder / "log.key", folder / "ca"):  # fmt: skip
        assert any(str(path) in message for message in found), path


def test_a_folder_of_blobs_that_may_not_be_read_is_named_and_hides_no_database(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read everything: the refusal is made."""
    closed, iterdir = config.parent / "artifacts", Path.iterdir

    def refusing(folder: Path) -> Any:
        if folder == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", refusing)
    (only,) = (one for one in check(config) if not one["ok"])
    assert (only["check"], only["code"]) == ("artefacts", "disk_failed")
    assert only["message"] == f"{closed} cannot be read: Permission denied."


def test_a_folder_in_the_place_of_the_links_certificate_is_named(config: Path) -> None:
    path = ServerSettings.load(config).directory / "tls" / "link.pem"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.mkdir()
    found = [one["message"] for one in check(config) if not one["ok"]]
    assert found == [f"The link credentials in {path} cannot be read: Is a directory."]


def test_a_database_whose_folder_may_not_be_written_in_says_so() -> None:
    error = sqlite3.OperationalError("attempt to write a readonly database")
    error.sqlite_errorcode = sqlite3.SQLITE_READONLY
    told = unreadable("x.db", sa.exc.OperationalError("BEGIN", {}, error))
    end = "cannot be opened: attempt to write a readonly database"
    assert told.message == f"The database x.db {end}"
    assert "beside" in told.hint


def test_another_key_and_no_database(config: Path) -> None:
    (config.parent / "log.key").unlink()
    SigningKey.generate().save(config.parent / "log.key")
    assert "another key or name" in failed(config)["log"]
    (config.parent / "secureflow.db").unlink()
    assert "secureflow.db is missing" in failed(config)["database"]
    assert not (config.parent / "secureflow.db").exists()


@pytest.mark.parametrize("harm", ["gone", "no bytes", "no tables"])
def test_an_emptied_database_is_missing_and_has_its_way_back(config: Path, harm: str) -> None:
    path = config.parent / "secureflow.db"
    path.unlink()
    if harm != "gone":
        path.touch(0o600)
    if harm == "no tables":
        change(config, "CREATE TABLE t (x)")
    told = [one for one in check(config) if not one["ok"]]
    assert [(one["check"], one["code"]) for one in told] == [("database", "record_missing")]
    assert "secureflow server restore BACKUP" in told[0]["hint"]
    assert "sqlite" not in str(told).lower()


def test_an_older_database_is_told_as_a_start_tells_it(config: Path) -> None:
    mark = read_mark(config.parent)
    assert mark is not None
    further = {**mark.reached, "size": mark.reached["size"] + 3}
    write_mark(config.parent, RecordMark(mark.identity, further))
    told = [one for one in check(config) if not one["ok"]]
    assert [(one["check"], one["code"]) for one in told] == [("record", "record_set_back")]
    copy = config.parent / "secureflow.db.recovered"
    copy.touch()
    told = [one for one in check(config) if not one["ok"]]
    assert f"mv {copy} " in told[0]["hint"]
    write_mark(config.parent, RecordMark("b" * 32, mark.reached))
    assert {one["code"] for one in check(config) if not one["ok"]} == {"record_foreign"}
    (config.parent / "record.json").write_text("{")
    assert {one["code"] for one in check(config) if not one["ok"]} == {"record_mark_malformed"}


@pytest.mark.parametrize("seed", range(25))
def test_no_flipped_byte_is_passed_over(config: Path, seed: int) -> None:
    """Whatever the log says after it is verified, and nothing ends in a trace."""
    _flip(config, seed)


@pytest.mark.soak
def test_no_flipped_byte_of_many_is_passed_over(config: Path) -> None:
    path = config.parent / "secureflow.db"
    intact = path.read_bytes()
    for seed in range(25, 1000):
        path.write_bytes(intact)
        with named_seed(seed):
            _flip(config, seed)


def _flip(config: Path, seed: int) -> None:
    drawn, path = random.Random(seed), config.parent / "secureflow.db"
    before, data = _log_of(path), bytearray(path.read_bytes())
    for _ in range(drawn.choice((1, 30, 1000))):
        data[drawn.randrange(100, len(data))] = drawn.randrange(256)
    path.write_bytes(data)
    for name in ("secureflow.db-wal", "secureflow.db-shm"):
        (config.parent / name).unlink(missing_ok=True)
    found = failed(config)
    if _log_of(path) != before:
        assert found


def _log_of(path: Path) -> Any:
    try:
        with closing(sqlite3.connect(path)) as database:
            database.text_factory = bytes
            return [
                database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
                for table in ("log_leaves", "log_nodes", "log_head", "log_cosignatures")
            ]
    except (sqlite3.Error, UnicodeDecodeError):
        return None


def test_beside_a_running_writer(config: Path) -> None:
    with closing(sqlite3.connect(config.parent / "secureflow.db")) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM jobs")
        assert not failed(config)


@pytest.mark.postgres
def test_over_postgresql(tmp_path: Path, empty_postgres: Any) -> None:
    url = empty_postgres()
    config = make(tmp_path / "c", url)
    assert not failed(config)
    for statement, part in (
        ("UPDATE log_leaves SET data = 'x'::bytea WHERE number = 3", "log"),
        ("UPDATE grants SET doc = '{'", "rows"),
    ):
        engine = sync_engine(Database(url).url)
        with engine.begin() as connection:
            connection.execute(sa.text(statement))
        engine.dispose()
        assert part in failed(config)


def test_the_command(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, arguments = CliRunner(), ["server", "check", "--config", str(config)]
    sound = runner.invoke(app, [*arguments, "--output", "json"])
    assert (sound.exit_code, {one["ok"] for one in json.loads(sound.stdout)}) == (0, {True})
    change(config, "UPDATE jobs SET doc = '{'")
    broken = runner.invoke(app, arguments)
    assert broken.exit_code != 0
    assert "✗ rows" in broken.stdout
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    chinese = runner.invoke(app, arguments).stdout
    assert "jobs: job_1 无法读取" in chinese
    assert not [line for line in chinese.splitlines() if " are " in line or " is " in line]
