"""The centre's SQLite file, removed or replaced under it: noticed, and nothing is lost or mixed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.kit import recordmark
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.heldfile import RECOVERED, HeldFile
from secureflow.kit.recordmark import read_mark
from secureflow.server.centre import open_ledger
from secureflow.server.settings import ServerSettings
from tests.contract.database.conftest import LOG_KEY, ORIGIN
from tests.contract.database.test_log import notes
from tests.peers.links import until

FILES = ("", "-wal", "-shm")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordmark.RecordKeeper.__init__, "__defaults__", (0.01,))


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    (tmp_path / "centre").mkdir()
    return ServerSettings(directory=tmp_path / "centre", origin=ORIGIN)


@pytest.fixture
async def older(settings: ServerSettings, tmp_path: Path) -> Path:
    """A copy of the database with three entries."""
    async with AsyncExitStack() as stack:
        _, ledger = await open_ledger(settings, LOG_KEY, stack, new=True)
        await ledger.append(notes(3))
    return Path(shutil.copy(settings.directory / "secureflow.db", tmp_path / "older.db"))


def reached(settings: ServerSettings) -> int:
    mark = read_mark(settings.directory)
    assert mark is not None
    return int(mark.reached["size"])


def remove(settings: ServerSettings) -> Path:
    path = settings.directory / "secureflow.db"
    for suffix in FILES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return path


async def code_of(call: Callable[[], Awaitable[object]]) -> str:
    with pytest.raises(InfrastructureError) as refused:
        await call()
    return refused.value.code


async def refused_all(database: Database, ledger: SqlLedger) -> None:
    """Nothing is read or written, over connections that are open and over new ones."""

    async def read() -> None:
        async with database.begin() as work:
            await work.setting("charter")

    async def connect() -> None:
        async with AsyncExitStack() as stack:
            for _ in range(8):  # more than the pool has
                await stack.enter_async_context(database.engine.connect())

    assert await code_of(read) == "record_replaced"
    assert await code_of(database.try_writing) == "record_replaced"
    assert await code_of(lambda: ledger.append(notes(1, first=90))) == "record_replaced"
    assert await code_of(connect) == "record_replaced"


@pytest.mark.parametrize("harm", ["removed", "replaced", "emptied by another"])
async def test_nothing_is_served_or_lost_when_the_file_goes(
    settings: ServerSettings, older: Path, harm: str
) -> None:
    async with AsyncExitStack() as stack:
        database, ledger = await open_ledger(settings, LOG_KEY, stack)
        await ledger.append(notes(4, first=3))
        await until(lambda: reached(settings) == 7)
        path = remove(settings)
        if harm == "replaced":
            shutil.copy(older, path)
        elif harm == "emptied by another":
            path.touch()
        before = path.stat().st_size if path.exists() else None
        await refused_all(database, ledger)
        copy = path.with_name(path.name + RECOVERED)
        await until(copy.exists)
        assert (path.stat().st_size if path.exists() else None) == before, "it was touched"
        assert copy.stat().st_mode & 0o777 == 0o600
    assert reached(settings) == 7
    with pytest.raises(SecureFlowError) as refused:
        await grown(settings)
    assert refused.value.code == ("record_set_back" if harm == "replaced" else "record_missing")
    assert f"mv {copy} {path}" in refused.value.hint
    remove(settings)
    copy.rename(path)
    assert await grown(settings) == 7


async def grown(settings: ServerSettings) -> int:
    async with AsyncExitStack() as stack:
        _, ledger = await open_ledger(settings, LOG_KEY, stack)
        return await ledger.caught_up()


async def test_no_copy_is_made_of_what_is_damaged(
    settings: ServerSettings, older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was emptied where it lay: a copy would be taken for what there was."""
    del older
    told: list[str] = []
    monkeypatch.setattr(HeldFile, "_log_once", lambda _, event, **__: told.append(event))
    async with AsyncExitStack() as stack:
        database, _ = await open_ledger(settings, LOG_KEY, stack)
        os.truncate(settings.directory / "secureflow.db", 0)
        assert await code_of(database.try_writing) == "record_replaced"
        await until(lambda: "record_unsaved" in told)
    assert "record_recovered" not in told
    assert not [one for one in settings.directory.iterdir() if one.suffix in {".tmp", RECOVERED}]


async def test_the_very_same_file_put_back_goes_on(settings: ServerSettings, older: Path) -> None:
    del older
    path = settings.directory / "secureflow.db"
    async with AsyncExitStack() as stack:
        database, ledger = await open_ledger(settings, LOG_KEY, stack)
        path.rename(path.with_name("away"))
        await refused_all(database, ledger)
        path.with_name("away").rename(path)
        assert (await ledger.append(notes(2, first=3))).size == 5
        await database.try_writing()


async def test_a_copy_overwrites_none(settings: ServerSettings, older: Path) -> None:
    del older
    first = settings.directory / f"secureflow.db{RECOVERED}"
    first.write_bytes(b"somebody's")
    async with AsyncExitStack() as stack:
        await open_ledger(settings, LOG_KEY, stack)
        remove(settings)
        await until(first.with_name(f"{first.name}-2").exists)
    assert first.read_bytes() == b"somebody's"
    assert not list(settings.directory.glob("*.tmp*"))
    assert len(list(settings.directory.glob(f"secureflow.db{RECOVERED}*"))) == 2
