"""The record's room on a full disk, on SQLite's own limit of a file's pages."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from secureflow.agent.record.records import JobRecord
from secureflow.agent.record.store import RecordStore
from secureflow.kit import diskreserve as reserves
from secureflow.kit.diskreserve import DiskReserve
from secureflow.kit.errors import InfrastructureError

JOB = JobRecord("job_1", "d" * 64, {"a": [1]}, b"s" * 32, 10, 20)
SIZE = 1 << 16


class Disk:
    """A record whose disk is full: the reserve's room is what giving it up returns."""

    def __init__(self, directory: Path) -> None:
        self.reserve = DiskReserve(directory / "agent.reserve", SIZE)
        assert self.reserve.keep()
        self.store = RecordStore(directory / "agent.db", self.reserve)
        give_up: Callable[[], bool] = self.reserve.give_up

        def giving_up() -> bool:
            given = give_up()
            if given:
                self.pages(1000)
            return given

        self.reserve.give_up = giving_up  # type: ignore[method-assign]

    def pages(self, more: int = 0) -> None:
        count = self.store._db.execute("PRAGMA page_count").fetchone()[0]
        self.store._db.execute(f"PRAGMA max_page_count = {count + more}")


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    made = Disk(tmp_path)
    made.pages()
    return made


def filled(disk: Disk) -> None:
    with disk.store.transaction():
        disk.store.add_job(JOB)
        disk.store.set_fact("before", 1)
        disk.store.keep_session("job_1", "train", os.urandom(1 << 15))
        disk.store.set_fact("after", [disk.store.fact("before")])


def test_a_transaction_goes_on_over_the_reserve(disk: Disk, tmp_path: Path) -> None:
    filled(disk)
    assert not (tmp_path / "agent.reserve").exists()
    assert disk.reserve.missing == SIZE
    again = RecordStore(tmp_path / "agent.db")
    assert again.job("job_1") == JOB
    assert again.fact("after") == [1]
    assert again.session("job_1", "train") == disk.store.session("job_1", "train")


def test_another_fault_costs_no_reserve(disk: Disk) -> None:
    disk.pages(1000)
    with disk.store.transaction():
        disk.store.add_job(JOB)
    with pytest.raises(sqlite3.IntegrityError), disk.store.transaction():
        disk.store.add_job(JOB)
    assert disk.reserve.missing == 0

    def refusing() -> None:
        raise OSError(errno.EACCES, "Permission denied")

    with pytest.raises(InfrastructureError):
        disk.reserve.run(refusing)
    assert disk.reserve.missing == 0
    none = DiskReserve(disk.store._path.with_name("none"), 0)
    assert not none.give_up()
    assert none.missing == 0


def test_without_one_it_is_a_fault_that_passes_and_nothing_stays(disk: Disk) -> None:
    disk.reserve.give_up()
    disk.pages()
    undone: list[bool] = []
    with pytest.raises(InfrastructureError) as caught, disk.store.transaction():  # noqa: PT012
        disk.store.undo(lambda: undone.append(True))
        disk.store.add_job(JOB)
        disk.store.keep_session("job_1", "train", os.urandom(1 << 15))
    assert caught.value.code == "disk_full"
    assert undone == [True]
    assert disk.store.job("job_1") is None
    disk.pages(1000)
    filled(disk)
    assert disk.store.job("job_1") == JOB


def test_room_that_another_writer_made_meanwhile_is_used(disk: Disk) -> None:
    done: list[str] = []

    def write() -> None:
        if not done:
            done.append("failed")
            disk.reserve.give_up()  # another thread, which found the disk full a moment earlier
            raise OSError(errno.ENOSPC, "No space left on device")
        done.append("written")

    async def write_later() -> None:
        try:
            write()
        except OSError as error:
            raise InfrastructureError("disk_full", "The disk of a is full.") from error

    disk.reserve.run(write)
    assert done == ["failed", "written"]
    assert disk.reserve.keep()
    done.clear()
    asyncio.run(disk.reserve.run_async(write_later))
    assert done == ["failed", "written"]
    done.clear()
    with pytest.raises(InfrastructureError):  # there was none left to anybody
        disk.reserve.run(write)


def test_it_is_held_again_when_there_is_room(disk: Disk, tmp_path: Path) -> None:
    filled(disk)
    assert disk.reserve.keep()
    assert disk.reserve.missing == 0
    path = tmp_path / "agent.reserve"
    assert path.stat().st_size == SIZE
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_blocks * 512 >= SIZE  # no hole: the room is taken


def test_half_a_reserve_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, length: int) -> None:
        os.write(handle, b"x")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(reserves, "preallocate", full)
    reserve = DiskReserve(tmp_path / "agent.reserve", SIZE)
    assert not reserve.keep()
    assert list(tmp_path.iterdir()) == []
    assert not reserve.give_up()


def test_what_a_start_writes_is_written_over_it(tmp_path: Path) -> None:
    reserve = DiskReserve(tmp_path / "agent.reserve", SIZE)
    reserve.keep()
    done: list[bool] = []

    def announce() -> None:
        if (tmp_path / "agent.reserve").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        done.append(True)

    reserve.run(announce)
    assert done == [True]
    reserve.keep()
    with pytest.raises(InfrastructureError, match="disk_failed"):
        reserve.run(lambda: (_ for _ in ()).throw(OSError(errno.EROFS, "Read-only file system")))
    assert (tmp_path / "agent.reserve").exists()  # it is of no use there


def test_another_process_that_holds_the_record_is_named(tmp_path: Path) -> None:
    store = RecordStore(tmp_path / "agent.db")
    store._db.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(tmp_path / "agent.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(InfrastructureError) as caught, store.transaction():
        store.add_job(JOB)
    assert caught.value.code == "database_busy"
    other.execute("ROLLBACK")
    with store.transaction():
        store.add_job(JOB)
