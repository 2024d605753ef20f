"""A centre's folder and its database: what is missing, emptied, older or foreign is refused."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from secureflow.adapters.database import checking
from secureflow.adapters.database.dump import dump
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.adapters.database.summary import IDENTITY
from secureflow.adapters.database.tables import METADATA, SETTINGS
from secureflow.kit import recordmark
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.recordmark import FILE, RecordMark, read_mark, write_mark
from secureflow.server.centre import open_ledger
from secureflow.server.restore import restore_in_place
from secureflow.server.settings import DatabaseSettings, ServerSettings
from tests.contract.database.conftest import LOG_KEY, ORIGIN
from tests.contract.database.test_log import notes
from tests.peers.setback import set_back


@pytest.fixture
def settings(url: str, tmp_path: Path) -> ServerSettings:
    (tmp_path / "centre").mkdir()
    return named(url, tmp_path / "centre")


def named(url: str, directory: Path, origin: str = ORIGIN) -> ServerSettings:
    return ServerSettings(directory=directory, origin=origin, database=DatabaseSettings(url=url))


async def grow(settings: ServerSettings, leaves: int = 0, *, new: bool = False) -> int:
    """Open the log, append so many leaves, close it; return its size."""
    async with AsyncExitStack() as stack:
        _, ledger = await open_ledger(settings, LOG_KEY, stack, new=new)
        size = await ledger.caught_up()
        if leaves:
            size = (await ledger.append(notes(leaves, first=size))).size
        return size


async def refusal(settings: ServerSettings) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as refused:
        await grow(settings)
    return refused.value


def reached(directory: Path) -> dict[str, Any]:
    mark = read_mark(directory)
    assert mark is not None
    return dict(mark.reached)


def marked(directory: Path, origin: str, size: int, root: str) -> None:
    """Let the folder's mark say that its log stood elsewhere."""
    mark = read_mark(directory)
    assert mark is not None
    write_mark(directory, RecordMark(mark.identity, {"origin": origin, "size": size, "root": root}))


async def emptied(url: str) -> None:
    """Take every table away."""
    database = Database(url)
    async with database.engine.begin() as connection:
        for name in [*METADATA.tables, "alembic_version"]:
            await connection.exec_driver_sql(f'DROP TABLE "{name}"')
    await database.close()


async def test_a_folder_and_its_database_go_on_together(settings: ServerSettings) -> None:
    assert await grow(settings, 3, new=True) == 3
    first = read_mark(settings.directory)
    assert reached(settings.directory)["size"] == 3
    assert await grow(settings, 2) == 5
    assert await grow(settings) == 5
    again = read_mark(settings.directory)
    assert first
    assert again
    assert first.identity == again.identity
    assert reached(settings.directory)["size"] == 5


async def test_only_a_new_centre_makes_a_log(settings: ServerSettings) -> None:
    """Also where the folder is of a version that left no mark: `init` has filled it always."""
    assert (await refusal(settings)).code == "record_missing"
    await grow(settings, 2, new=True)
    (settings.directory / FILE).unlink()
    await emptied(settings.database.url)
    assert (await refusal(settings)).code == "record_missing"


async def test_an_emptied_database_is_refused_and_stays_so(settings: ServerSettings) -> None:
    await grow(settings, 3, new=True)
    await emptied(settings.database.url)
    error = await refusal(settings)
    assert (error.code, error.details["known"]) == ("record_missing", 3)
    assert "secureflow server restore BACKUP" in error.hint
    assert (await refusal(settings)).code == "record_missing"  # the first try made nothing
    with pytest.raises(SecureFlowError, match="record_missing"):
        await grow(settings, new=True)


async def test_an_older_one_is_refused_with_the_way_back(settings: ServerSettings) -> None:
    await grow(settings, 3, new=True)
    await grow(settings, 4)
    database = Database(settings.database.url)
    await set_back(database, 3)
    await database.close()
    error = await refusal(settings)
    assert (error.code, error.details) == ("record_set_back", {"size": 3, "known": 7})
    assert "secureflow server restored" in error.hint
    assert reached(settings.directory)["size"] == 7


async def test_another_platforms_is_refused(settings: ServerSettings, tmp_path: Path) -> None:
    await grow(settings, 3, new=True)
    database = Database(settings.database.url)
    async with database.engine.begin() as connection:
        other = sa.update(SETTINGS).where(SETTINGS.c.name == IDENTITY).values(value="b" * 32)
        await connection.execute(other)
    await database.close()
    assert (await refusal(settings)).code == "record_foreign"


async def test_another_history_of_the_same_log_is_refused(settings: ServerSettings) -> None:
    await grow(settings, 3, new=True)
    marked(settings.directory, ORIGIN, 2, "ab" * 32)
    assert (await refusal(settings)).code == "record_foreign"


async def test_data_of_an_older_version_gets_its_mark(settings: ServerSettings) -> None:
    database = Database(settings.database.url)
    await database.start()
    ledger = SqlLedger(database, LOG_KEY, ORIGIN)
    await ledger.start()
    await ledger.append(notes(3))
    await ledger.stop()
    await database.close()
    assert await grow(settings, 1) == 4
    assert reached(settings.directory)["size"] == 4


async def test_a_log_that_goes_on_elsewhere_is_followed_but_not_back(
    settings: ServerSettings,
) -> None:
    await grow(settings, 3, new=True)
    marked(settings.directory, f"{ORIGIN}~2", 3, reached(settings.directory)["root"])
    assert (await refusal(settings)).code == "record_set_back"
    marked(settings.directory, ORIGIN, 9, "ab" * 32)
    database = Database(settings.database.url)
    async with database.engine.begin() as connection:
        await connection.exec_driver_sql(f"UPDATE log_head SET origin = '{ORIGIN}~2'")
    await database.close()
    going_on = named(settings.database.url, settings.directory, f"{ORIGIN}~2")
    assert await grow(going_on) == 3
    assert reached(settings.directory)["size"] == 3


@pytest.mark.postgres
async def test_a_password_in_the_urls_query_is_in_no_error(
    tmp_path: Path, empty_postgres: Callable[[], str]
) -> None:
    url, config = f"{empty_postgres()}&password=hunter2", tmp_path / "server.yaml"
    config.write_text(json.dumps({"directory": ".", "database": {"url": url}}))
    told = [str(await refusal(named(url, tmp_path))), checking.named(url)]
    with pytest.raises(SecureFlowError, match="holds no centre") as refused:
        dump(Database(url), tmp_path)
    told.append(str(refused.value))
    with pytest.raises(SecureFlowError, match="is missing or empty") as refused:
        await asyncio.to_thread(restore_in_place, config)
    told.append(str(refused.value))
    assert not [one for one in told if "hunter2" in one]


# SQLite's files.


@pytest.fixture
async def centre(tmp_path: Path) -> ServerSettings:
    """A folder with seven entries, and a copy `older.db` of its database with three."""
    (tmp_path / "centre").mkdir()
    settings = named("", tmp_path / "centre")
    await grow(settings, 3, new=True)
    shutil.copy(tmp_path / "centre/secureflow.db", tmp_path / "older.db")
    await grow(settings, 4)
    return settings


async def test_after_an_orderly_stop_the_file_alone_holds_everything(
    centre: ServerSettings, tmp_path: Path
) -> None:
    path = centre.directory / "secureflow.db"
    assert {one.name for one in centre.directory.iterdir()} == {path.name, FILE}
    (tmp_path / "moved").mkdir()
    shutil.copy(path, tmp_path / "moved")
    shutil.copy(centre.directory / FILE, tmp_path / "moved")
    assert await grow(named("", tmp_path / "moved")) == 7


async def test_a_checkpoint_brings_the_file_up_while_the_platform_runs(
    centre: ServerSettings, tmp_path: Path
) -> None:
    (tmp_path / "copy").mkdir()
    async with AsyncExitStack() as stack:
        database, ledger = await open_ledger(centre, LOG_KEY, stack)
        await ledger.append(notes(1, first=7))
        await database.checkpoint()
        shutil.copy(centre.directory / "secureflow.db", tmp_path / "copy")
    assert await grow(named("", tmp_path / "copy")) == 8


@pytest.mark.parametrize(
    ("harm", "code"),
    [("gone", "record_missing"), ("no bytes", "record_missing"), ("older", "record_set_back")],
)
async def test_a_file_that_is_not_the_newest(
    centre: ServerSettings, tmp_path: Path, harm: str, code: str
) -> None:
    path = centre.directory / "secureflow.db"
    if harm == "gone":
        path.unlink()
    elif harm == "no bytes":
        path.write_bytes(b"")
    else:
        shutil.copy(tmp_path / "older.db", path)
    before = {one.name: one.stat().st_size for one in centre.directory.iterdir()}
    assert (await refusal(centre)).code == code
    after = {one.name: one.stat().st_size for one in centre.directory.iterdir()}
    assert {name: after[name] for name in before} == before
    assert json.loads((centre.directory / FILE).read_text())["reached"]["size"] == 7
    if harm == "gone":
        assert not path.exists(), "a refusal makes no database"


async def test_a_lost_write_ahead_log_is_noticed(centre: ServerSettings, tmp_path: Path) -> None:
    """A copy of the file alone, made while the log beside it held the rest."""
    (tmp_path / "torn").mkdir()
    async with AsyncExitStack() as stack:
        _, ledger = await open_ledger(centre, LOG_KEY, stack)
        await ledger.append(notes(5, first=7))
        shutil.copy(centre.directory / "secureflow.db", tmp_path / "torn")
    shutil.copy(centre.directory / FILE, tmp_path / "torn")
    assert (await refusal(named("", tmp_path / "torn"))).code == "record_set_back"


async def test_another_process_on_the_file_does_not_take_it_from_the_platform(
    centre: ServerSettings,
) -> None:
    """A process that closes any handle on a file drops all its POSIX locks on it: whoever comes
    and goes then removes the write-ahead log from under the platform.
    """
    path = centre.directory / "secureflow.db"
    look = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('SELECT * FROM jobs')"
    async with AsyncExitStack() as stack:
        _, ledger = await open_ledger(centre, LOG_KEY, stack)
        await ledger.append(notes(1, first=7))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", f"{look}; d.close()", str(path)
        )
        assert await process.wait() == 0
        assert path.with_name(f"{path.name}-wal").exists()
        assert (await ledger.append(notes(1, first=8))).size == 9
    assert await grow(centre) == 9


async def test_a_full_disk_does_not_keep_a_centre_from_starting(
    centre: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (centre.directory / FILE).read_bytes()
    really = recordmark.write_mark

    def full(directory: Path, mark: recordmark.RecordMark) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recordmark, "write_mark", full)
    async with AsyncExitStack() as stack:
        _, ledger = await open_ledger(centre, LOG_KEY, stack)
        await ledger.append(notes(1, first=7))
        assert (centre.directory / FILE).read_bytes() == before
        monkeypatch.setattr(recordmark, "write_mark", really)
    assert reached(centre.directory)["size"] == 8
