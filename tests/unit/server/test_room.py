"""The centre's record has room on a full disk, and its operator sees what lies where."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from secureflow.adapters.database.faults import fault, fault_of
from secureflow.adapters.database.openerrors import open_error
from secureflow.application.running import driving
from secureflow.cli.main import app
from secureflow.domain.jobs import JobState
from secureflow.kit.disk import Place
from secureflow.kit.diskreserve import DiskReserve
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.server import main
from secureflow.server.initialise import initialise
from secureflow.server.room import RecordRoom, figures, reserve_of
from secureflow.server.settings import ServerSettings
from tests.unit.application.test_driving import JOB, Faults, World, script, world

SIZE = 1 << 16
FULL = SecureFlowError("disk_full", "Full.")


def accepting(size: int) -> None:
    del size


async def test_a_job_is_recorded_to_its_end_from_the_reserve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is never freed: what the job still writes has the room that was held."""
    monkeypatch.setattr(driving, "FIRST", 0.001)
    monkeypatch.setattr(driving, "LONGEST", 0.01)
    reserve = DiskReserve(tmp_path / "server.reserve", SIZE)
    room = RecordRoom(tmp_path, reserve, accepting)
    assert reserve.keep()
    async with world(tmp_path, Faults(), played=large) as one:
        fill_beside(one, reserve)
        one.runner._waits = room.given_up_for(lambda *_: None)
        await one.add()
        one.runner.start(JOB.id)
        assert (await one.ended()).state is JobState.SUCCEEDED
    assert not (tmp_path / "server.reserve").exists()


def large(job: Any) -> Any:
    from secureflow.engines.script import Tell

    yield Tell("progress", {"text": "x" * 50_000})  # more than the pages at hand have room for
    return (yield from script(job))


def fill_beside(one: World, reserve: DiskReserve) -> None:
    """Let the database grow only once the reserve was given up."""

    def limit(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={1 if not reserve.missing else 1 << 30}")

    for engine in (one.database.engine.sync_engine, one.ledger._store._engine):
        sa.event.listen(engine, "checkout", limit)


def test_no_job_is_taken_while_the_reserve_is_not_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = DiskReserve(tmp_path / "server.reserve", SIZE)
    asked: list[int] = []
    room = RecordRoom(tmp_path, reserve, asked.append)
    room.for_job(7)
    assert reserve.missing == 0
    assert asked == [7]
    noted: list[Any] = []
    note = room.given_up_for(lambda *facts: noted.append(facts))
    note("job_1", "server", None)
    note("job_1", "server", SecureFlowError("database_busy", "Busy."))
    assert reserve.missing == 0
    note("job_1", "server", FULL)
    assert reserve.missing == SIZE
    assert [facts[2] and facts[2].code for facts in noted] == [None, "database_busy", "disk_full"]
    monkeypatch.setattr(Place, "free", lambda _: SIZE - 1)
    monkeypatch.setattr(DiskReserve, "keep", lambda _: False)
    with pytest.raises(InfrastructureError) as caught:
        room.for_job(7)
    assert caught.value.message.startswith("The disk of the centre is full: its own record need")
    assert asked == [7]


@pytest.fixture
def centre(tmp_path: Path) -> Path:
    initialise(tmp_path / "centre", trust_domain="bank.example", host="127.0.0.1",
               rest_port=1, link_port=2, database="")  # fmt: skip
    return tmp_path / "centre" / "server.yaml"


def test_the_operator_sees_what_lies_where_and_what_is_free(centre: Path) -> None:
    settings = ServerSettings.load(centre)
    (settings.artifacts / "ab").mkdir(parents=True)
    (settings.artifacts / "ab" / ("ab" * 32)).write_bytes(bytes(3000))
    (settings.artifacts / "vectors" / "job_1").mkdir(parents=True)
    (settings.artifacts / "vectors" / "job_1" / ("cd" * 32)).write_bytes(bytes(500))
    reserve_of(settings).keep()
    (settings.uploads / "ef").mkdir(parents=True)
    (settings.uploads / "ef" / ("ef" * 32)).write_bytes(bytes(70))
    record, models, uploads, vectors = figures(settings)
    assert (uploads["part"], uploads["holds"]) == ("uploads", 70)
    assert (models["part"], models["holds"]) == ("stored models", 3000)
    assert (vectors["part"], vectors["holds"]) == ("masked vectors", 500)
    assert record["part"] == "own record"
    assert record["holds"] > 10_000
    assert record["reserve"] == 8 << 20
    assert models["reserve"] == 64 << 20
    assert all(one["free"] > 0 for one in (record, models, uploads, vectors))
    told = CliRunner().invoke(app, ["server", "room", "--config", str(centre), "-o", "json"])
    assert [one["holds"] for one in json.loads(told.stdout)] == [record["holds"], 3000, 70, 500]
    table = CliRunner().invoke(app, ["server", "room", "--config", str(centre)]).stdout
    assert "3.0 kB" in table
    assert "stored models" in table


def test_a_record_elsewhere_has_no_reserve_here(
    centre: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_SERVER__DATABASE__URL", "postgresql://a@host/name")
    settings = ServerSettings.load(centre)
    assert reserve_of(settings).size == 0
    assert [one["part"] for one in figures(settings)] == [
        "stored models",
        "uploads",
        "masked vectors",
    ]


def test_shared_memory_without_room_is_a_full_disk_for_whoever_waits_and_for_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite calls it an I/O error, and one that may make no more files: cannot open."""
    lacking = sqlite3.OperationalError("disk I/O error")
    lacking.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    lacking.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
    known = fault_of(sa.exc.OperationalError("INSERT", {}, lacking))
    assert known is not None
    assert known.code == "disk_full"  # so that a job's driver gives the reserve up
    shut = sqlite3.OperationalError("unable to open database file")
    shut.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
    shut.sqlite_errorname = "SQLITE_CANTOPEN"
    met = sa.exc.OperationalError("PRAGMA", {}, shut)
    assert open_error("x.db", met, tmp_path).code == "database_unavailable"
    monkeypatch.setattr(Place, "free", lambda _: 0)
    for error in (sa.exc.OperationalError("PRAGMA", {}, lacking), met):
        told = open_error("x.db", error, tmp_path)
        assert isinstance(told, InfrastructureError)
        assert told.code == "disk_full"
    assert open_error("x.db", met, tmp_path / "none").code == "database_unavailable"


async def test_what_a_start_does_is_done_again_over_the_reserve(tmp_path: Path) -> None:
    reserve = DiskReserve(tmp_path / "server.reserve", SIZE)
    reserve.keep()

    async def grow() -> str:
        if (tmp_path / "server.reserve").exists():
            raise fault("disk_full")
        return "grown"

    async def in_vain() -> None:
        raise fault(code)

    assert await reserve.run_async(grow) == "grown"
    reserve.keep()
    code = "database_busy"
    with pytest.raises(InfrastructureError, match=code):
        await reserve.run_async(in_vain)
    assert reserve.missing == 0
    code = "disk_full"
    with pytest.raises(InfrastructureError, match=code):
        await reserve.run_async(in_vain)
    assert reserve.missing == SIZE


def test_a_centre_serves_though_there_is_no_room_to_say_so(
    centre: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record may lie elsewhere; who waits for the file learns of no earlier process."""
    (centre.parent / "ready.json").write_text("{}")
    fails = errno.ENOSPC

    def refuse(path: Path, *_: object) -> None:
        raise OSError(fails, os.strerror(fails), str(path))

    monkeypatch.setattr(Path, "write_text", refuse)
    main._announce(ServerSettings.load(centre), {"rest": "https://127.0.0.1:1"})
    assert not (centre.parent / "ready.json").exists()
    fails = errno.EROFS
    with pytest.raises(InfrastructureError, match="The disk of the centre refuses"):
        main._announce(ServerSettings.load(centre), {})
