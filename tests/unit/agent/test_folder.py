"""An agent's folder knows that it had a record: an emptied or older one is refused."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from secureflow.agent.edge.main import open_record
from secureflow.agent.record.folder import IDENTITY
from secureflow.agent.record.records import OwnLeaf
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.recordmark import FILE, RecordKeeper, read_mark
from tests.peers.links import until


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    (tmp_path / "agent").mkdir()
    return AgentSettings(
        directory=tmp_path / "agent",
        organisation="bank-a",
        server="https://centre.example",
        link="centre.example:8444",
        trust_domain="bank.example",
    )


async def run(settings: AgentSettings, *leaves: str, actions: int = 0) -> RecordStore:
    """Open the record, sign leaves, note actions, close it."""
    async with AsyncExitStack() as stack:
        store = await open_record(settings, stack)
        with store.transaction():
            for leaf in leaves:
                store.add_leaf(OwnLeaf(leaf, "job_1", "approval", {}))
            for _ in range(actions):
                store.note(1, "noted")
    return store


async def refusal(settings: AgentSettings) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as refused:
        await run(settings)
    return refused.value


async def test_the_mark_follows_the_record(settings: AgentSettings) -> None:
    await run(settings)
    first = read_mark(settings.directory)
    await run(settings, "aa", "bb", actions=3)
    mark = read_mark(settings.directory)
    assert first
    assert mark
    assert first.identity == mark.identity
    assert mark.reached == {"leaves": 2, "leaf": "bb", "deeds": 3}
    names = {one.name for one in settings.directory.iterdir()}
    assert names == {FILE, "agent.db", "agent.reserve"}


@pytest.mark.parametrize("harm", ["gone", "no bytes", "no tables"])
async def test_an_emptied_record_does_not_start_as_new(settings: AgentSettings, harm: str) -> None:
    await run(settings, "aa")
    settings.record.unlink()
    if harm == "no bytes":
        settings.record.touch()
    elif harm == "no tables":
        shutil.copy(_bare(settings.directory.parent / "bare.db"), settings.record)
    error = await refusal(settings)
    assert (error.code, error.details) == ("record_missing", {"known": 1})
    assert "restore" in error.hint
    assert (await refusal(settings)).code == "record_missing"  # the first try made nothing


def _bare(path: Path) -> Path:
    database = sqlite3.connect(path)
    database.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t (x); DROP TABLE t;")
    database.close()
    return path


@pytest.mark.parametrize("more", [{"leaves": ["bb"]}, {"actions": 1}])
async def test_an_older_record_is_refused(
    settings: AgentSettings, tmp_path: Path, more: dict[str, object]
) -> None:
    await run(settings, "aa", actions=1)
    shutil.copy(settings.record, tmp_path / "older.db")
    leaves = more.get("leaves", ())
    await run(settings, *leaves, actions=int(str(more.get("actions", 0))))  # type: ignore[misc]
    shutil.copy(tmp_path / "older.db", settings.record)
    error = await refusal(settings)
    assert error.code == "record_set_back"
    assert "restore" in error.hint


@pytest.mark.parametrize("older", [False, True])
async def test_a_record_that_goes_while_its_agent_runs(
    settings: AgentSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, older: bool
) -> None:
    """Nothing is promised beside it, the mark stays, and what was promised is put beside it."""
    monkeypatch.setattr(RecordKeeper.__init__, "__defaults__", (0.01,))
    await run(settings, "aa")
    shutil.copy(settings.record, tmp_path / "older.db")
    copy = settings.record.with_name("agent.db.recovered")
    async with AsyncExitStack() as stack:
        store = await open_record(settings, stack)
        with store.transaction():
            store.add_leaf(OwnLeaf("bb", "job_1", "approval", {}))
        for suffix in ("", "-wal", "-shm"):
            settings.record.with_name(f"agent.db{suffix}").unlink()
        if older:
            shutil.copy(tmp_path / "older.db", settings.record)
        with pytest.raises(SecureFlowError, match="record_replaced"), store.transaction():
            store.add_leaf(OwnLeaf("cc", "job_1", "approval", {}))
        await until(copy.exists)
    assert settings.record.exists() == older
    if not older:
        error = await refusal(settings)
        assert error.code == "record_missing"
        assert f"mv {copy} {settings.record}" in error.hint
    copy.replace(settings.record)
    store = await run(settings)
    mark = read_mark(settings.directory)
    assert mark is not None
    assert mark.reached["leaf"] == "bb"


async def test_another_agents_record_and_another_history_are_refused(
    settings: AgentSettings, tmp_path: Path
) -> None:
    await run(settings, "aa")
    kept = tmp_path / "kept.db"
    shutil.copy(settings.record, kept)
    store = RecordStore(settings.record)
    with store.transaction():
        store.set_fact(IDENTITY, "b" * 32)
    store.close()
    assert (await refusal(settings)).code == "record_foreign"
    shutil.copy(kept, settings.record)
    await run(settings, "bb")
    shutil.copy(kept, settings.record)
    store = RecordStore(settings.record)
    with store.transaction():
        store.add_leaf(OwnLeaf("cc", "job_1", "approval", {}))
    store.close()
    assert (await refusal(settings)).code == "record_set_back"


async def test_a_record_of_an_older_version_gets_its_mark(settings: AgentSettings) -> None:
    store = RecordStore(settings.record)
    with store.transaction():
        store.add_leaf(OwnLeaf("aa", "job_1", "approval", {}))
    store.close()
    await run(settings)
    mark = read_mark(settings.directory)
    assert mark is not None
    assert mark.reached["leaf"] == "aa"


async def test_the_record_alone_holds_everything_after_a_stop(
    settings: AgentSettings, tmp_path: Path
) -> None:
    await run(settings, *(f"{n:064x}" for n in range(500)))
    shutil.copy(settings.record, tmp_path / "copy.db")
    store = RecordStore(tmp_path / "copy.db")
    assert store.reached()["leaves"] == 500
    store.close()
