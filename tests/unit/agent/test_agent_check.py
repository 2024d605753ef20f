"""`agent check`, and an agent whose record is damaged: named, and no other row is hidden."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from peers.agent_world import ME, ORIGIN, World
from peers.chinese import in_chinese
from peers.seeds import named_seed
from typer.testing import CliRunner

from secureflow.agent.edge.check import check_record
from secureflow.agent.record.damage import require_head
from secureflow.agent.record.folder import IDENTITY
from secureflow.agent.record.records import InboxItem
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings
from secureflow.cli.main import app
from secureflow.engines.ledger.notes import Checkpoint, sign_checkpoint
from secureflow.engines.privacy import check_sums
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.recordmark import RecordMark, write_mark

BUDGET = {"domain": "customers", "epsilon": 5.0, "delta": 1e-5}
PRIVATE = {
    "plan": {"rounds": 3, "validation": 0.0},
    "privacy": {"delta": 1e-6, "noise_multiplier": 5.0, "rows": 1000},
}
ITEM = InboxItem("ab" * 32, "job_9", "cd" * 32, {"a": 1}, {"b": 2}, ("c",), "waiting", 1, 2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An agent's folder after a round of a private job, all of its record in one file."""
    world = World(tmp_path_factory.mktemp("agent") / "a", privacy=BUDGET, spec_changes=PRIVATE)

    async def play() -> None:
        await world.admitted()
        await world.round(1)
        await world.round(2)

    asyncio.run(play())
    with world.store.transaction():
        world.store.add_inbox_item(ITEM)
    world.all_keys[ME].save(world.directory / "signing.key")
    world.store.close()
    return world.directory


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "a")
    return tmp_path / "a"


def settings(folder: Path) -> AgentSettings:
    return AgentSettings(
        directory=folder,
        organisation=ME,
        server="https://centre.example",
        link="centre.example:1",
        trust_domain="example.org",
    )


def failed(folder: Path) -> dict[str, str]:
    found = list(check_record(settings(folder)))
    for one in found:
        assert one["ok"] or (one["hint"] and one["code"])
    parts = {one["check"] for one in found if not one["ok"]}
    return {
        part: "\n".join(one["message"] for one in found if one["check"] == part) for part in parts
    }


def change(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "agent.db")) as database:
        database.execute(statement)
        database.commit()


def test_a_record_is_sound(folder: Path) -> None:
    found = {one["check"]: one for one in check_record(settings(folder))}
    assert {check for check, one in found.items() if one["ok"]} == set(found)
    assert set(found) == {"record", "leaves", "heads", "budgets", "models", "predictions"}
    assert "1 budgets" in found["budgets"]["message"]
    assert not found["leaves"]["message"].startswith("0 ")
    assert not found["heads"]["message"].startswith("0 ")


def marked(folder: Path) -> RecordMark:
    """Let the folder know of its record."""
    with closing(RecordStore(folder / "agent.db")) as store:
        mark = RecordMark("a" * 32, store.reached())
        with store.transaction():
            store.set_fact(IDENTITY, mark.identity)
    write_mark(folder, mark)
    return mark


def test_an_older_record_is_told_as_a_start_tells_it(folder: Path) -> None:
    mark = marked(folder)
    assert not failed(folder)
    write_mark(folder, RecordMark(mark.identity, {**mark.reached, "leaf": "ff" * 32}))
    told = [one for one in check_record(settings(folder)) if not one["ok"]]
    assert [(one["check"], one["code"]) for one in told] == [("record", "record_set_back")]
    assert "agent restore BACKUP" in told[0]["hint"]


@pytest.mark.parametrize("harm", ["gone", "no bytes"])
def test_an_emptied_record_is_missing(folder: Path, harm: str) -> None:
    marked(folder)
    (folder / "agent.db").unlink()
    if harm == "no bytes":
        (folder / "agent.db").touch()
    told = [one for one in check_record(settings(folder)) if not one["ok"]]
    assert [(one["check"], one["code"]) for one in told] == [("record", "record_missing")]


@pytest.mark.parametrize(
    ("statement", "part", "told"),
    [
        ("UPDATE jobs SET spec = '{'", "record", "jobs: "),
        ("UPDATE jobs SET spec = '{}'", "record", "not the one that was approved"),
        ("UPDATE inbox SET request = '{'", "record", "inbox: abab"),
        ("UPDATE facts SET value = '{' WHERE name = 'charter'", "record", "facts: charter"),
        ("UPDATE deeds SET facts = 'x' WHERE id = 1", "record", "deeds: 1"),
        ("UPDATE leaves SET bundle = '{' WHERE number = 1", "record", "leaves: "),
        ("UPDATE jobs SET digest = x'00'", "record", "its digest must be a string"),
        ("UPDATE jobs SET expires = 'soon'", "record", "its expires must be a number"),
        ("DELETE FROM leaves WHERE number = 1", "leaves", "before it is missing"),
        ("DELETE FROM leaves WHERE number = 2", "leaves", "before it is missing"),
        ("UPDATE leaves SET hash = 'ab' WHERE number = 2", "leaves", "the hash"),
        ("UPDATE leaves SET kind = 'update' WHERE number = 1", "leaves", "columns"),
        ("UPDATE leaves SET bundle = replace(bundle, '\"at\": 1', '\"at\": 2')", "leaves", "hash"),
        ("DELETE FROM facts WHERE name = 'head'", "heads", "facts: head: it is missing"),
        ("DELETE FROM facts WHERE name = 'charter'", "heads", "facts: charter: it is missing"),
        ("UPDATE facts SET value = replace(value, '1', '2') WHERE name = 'head'", "heads", "log"),
        ("DELETE FROM budget_events WHERE number = 2", "budgets", "customers"),
        ("DELETE FROM budget_events WHERE number > 1", "budgets", "customers"),
        ("UPDATE budget_events SET event = replace(event, '5.0', '9.0')", "budgets", "customers"),
        ("DELETE FROM budget_events", "budgets", "budget customers: its events are missing"),
        ("PRAGMA user_version = 99", "record", "version 99"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, statement: str, part: str, told: str) -> None:
    change(folder, statement)
    assert told in failed(folder)[part]


def test_leaves_of_before_a_change_of_the_key_are_this_agents(folder: Path) -> None:
    """The pinned charter still names the key that signed them."""
    (folder / "signing.key").unlink()
    SigningKey.generate().save(folder / "signing.key")
    assert failed(folder) == {}
    change(folder, "DELETE FROM facts WHERE name = 'charter'")
    assert "not signed by this agent" in failed(folder)["leaves"]


def test_a_fact_that_is_no_text_is_named(folder: Path) -> None:
    change(folder, "INSERT INTO facts VALUES ('alarm', CAST(x'22c322' AS TEXT))")
    assert "facts: alarm: it cannot be read" in failed(folder)["record"]


def test_a_folder_may_have_any_name(folder: Path) -> None:
    odd = folder.with_name("a ?%20#b")
    folder.rename(odd)
    assert failed(odd) == {}


def test_a_head_that_another_key_signed_is_named(folder: Path) -> None:
    forged = sign_checkpoint(Checkpoint(ORIGIN, 2, b"\x05" * 32), SigningKey.generate())
    change(folder, f"INSERT OR REPLACE INTO heads VALUES ('{ORIGIN}', 2, '{forged}')")
    assert "heads: size 2: the log's signature is not valid" in failed(folder)["heads"]


def test_a_record_that_is_gone_is_named(folder: Path) -> None:
    (folder / "agent.db").unlink()
    assert "is missing" in failed(folder)["record"]
    assert not (folder / "agent.db").exists()


@pytest.mark.parametrize("head", [None, [], {}, {"note": ""}, {"note": None}, 7, "x"])
def test_a_head_that_is_none_is_refused_only_where_proofs_were_seen(head: Any) -> None:
    require_head(head, proved=False)
    with pytest.raises(SecureFlowError, match="record_damaged"):
        require_head(head, proved=True)


def test_a_sum_above_the_limit_is_named_though_the_leaves_fit(folder: Path) -> None:
    """A chain that was made anew with a charge that no agent would have reserved."""
    with closing(sqlite3.connect(folder / "agent.db")) as database:
        rows = database.execute("SELECT event FROM budget_events ORDER BY number").fetchall()
        events = [json.loads(row[0]) for row in rows]
        (reserve,) = [one for one in events if one["kind"] == "reserve"]
    check_sums(events)
    reserve["charge"][0]["noise"] = 0.5
    with pytest.raises(SecureFlowError) as caught:
        check_sums(events)
    assert caught.value.code == "budget_exceeded"
    assert "Event 2 brings customers to ε = " in caught.value.message
    change(folder, "DELETE FROM leaves WHERE kind = 'budget'")
    changed = json.dumps(reserve).replace("'", "''")
    change(folder, f"UPDATE budget_events SET event = '{changed}' WHERE number = 2")
    assert "the limit of that time is 5" in failed(folder)["budgets"]


def test_a_record_that_may_not_be_opened_is_not_called_damaged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restored agent is barred from its jobs: nobody is sent there for a file's mode."""

    def denied(*_: Any, **__: Any) -> Any:
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    monkeypatch.setattr(sqlite3, "connect", denied)
    (found,) = (one for one in check_record(settings(folder)) if one["check"] == "record")
    assert found["code"] == "store_unreadable"
    assert "Nothing needs to be restored" in str(found["hint"])


def test_a_model_that_is_not_what_its_name_says(folder: Path) -> None:
    path = folder / "models" / "job_x" / f"{'a' * 64}.model"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert str(path) in failed(folder)["models"]
    path.unlink()
    path.mkdir()
    assert f"{path} cannot be read: Is a directory" in failed(folder)["models"]


@pytest.mark.parametrize("seed", range(15))
def test_no_flipped_byte_is_passed_over(folder: Path, seed: int) -> None:
    _flip(folder, seed)


@pytest.mark.soak
def test_no_flipped_byte_of_many_is_passed_over(folder: Path) -> None:
    path = folder / "agent.db"
    intact = path.read_bytes()
    for seed in range(15, 2000):
        path.write_bytes(intact)
        with named_seed(seed):
            _flip(folder, seed)


def _flip(folder: Path, seed: int) -> None:
    drawn, path = random.Random(seed), folder / "agent.db"
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    before, data = _promised(path), bytearray(path.read_bytes())
    for _ in range(drawn.choice((1, 30, 500))):
        data[drawn.randrange(100, len(data))] = drawn.randrange(256)
    path.write_bytes(data)
    found = failed(folder)
    if _promised(path) != before:
        assert found
    try:
        store = RecordStore(path)
        for read in (store.inbox, store.jobs, store.actions, store.unproved, store.damaged_inbox):
            read()
        store.fact("charter")
        store.budget_events("customers")
        store.close()
    except SecureFlowError as error:
        assert error.code in {"record_damaged", "store_unreadable", "store_too_new"}  # noqa: PT017


def _promised(path: Path) -> Any:
    try:
        with closing(sqlite3.connect(path)) as database:
            database.text_factory = bytes
            leaves = "SELECT hash, job, kind, bundle FROM leaves ORDER BY number"
            return [
                database.execute(leaves).fetchall(),
                database.execute(
                    "SELECT domain, event FROM budget_events ORDER BY number"
                ).fetchall(),
            ]
    except (sqlite3.Error, UnicodeDecodeError):
        return None


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"\xff" * 16 + data[16:],
        lambda data: data[: len(data) // 2],
        lambda data: data[:100] + b"\xff" * 3000 + data[3100:],
    ],
    ids=["header", "truncated", "schema"],
)
def test_a_damaged_file_is_refused_by_name(folder: Path, damage: Any) -> None:
    path = folder / "agent.db"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SecureFlowError) as caught:
        _read_all(path)
    assert caught.value.code == "record_damaged"
    assert str(path) in caught.value.message
    assert "secureflow agent check" in caught.value.hint
    assert failed(folder)["record"]


def _read_all(path: Path) -> None:
    store = RecordStore(path)
    store.jobs()
    store.actions()
    store.inbox()


def test_a_record_without_its_version_is_not_begun_anew(folder: Path) -> None:
    change(folder, "PRAGMA user_version = 0")
    with pytest.raises(SecureFlowError) as caught:
        RecordStore(folder / "agent.db")
    assert caught.value.code == "record_damaged"
    assert in_chinese(caught.value)


@pytest.mark.parametrize(
    "statement",
    ["ALTER TABLE jobs RENAME COLUMN outcome TO putcome", "ALTER TABLE readings DROP COLUMN model",
     "ALTER TABLE heads RENAME TO headz"],
)  # fmt: skip
def test_a_record_of_other_columns_is_refused_by_name(folder: Path, statement: str) -> None:
    """Flipped bytes in the schema: a row that lacks a field ended in a trace."""
    change(folder, statement)
    with pytest.raises(SecureFlowError) as caught:
        RecordStore(folder / "agent.db")
    assert caught.value.code == "record_damaged"
    assert "does not have its columns" in caught.value.message
    assert in_chinese(caught.value)
    assert "does not have its columns" in failed(folder)["record"]


def test_a_record_that_lost_its_head_believes_no_other(folder: Path) -> None:
    change(folder, "DELETE FROM facts WHERE name = 'head'")
    store = RecordStore(folder / "agent.db")
    assert store.proved_any()
    with pytest.raises(SecureFlowError) as caught:
        require_head(store.fact("head"), proved=store.proved_any())
    assert caught.value.code == "record_damaged"
    assert in_chinese(caught.value)
    require_head(None, proved=False)
    store.close()


def test_one_broken_row_hides_no_other(folder: Path) -> None:
    store = RecordStore(folder / "agent.db")
    with store.transaction():
        store.add_inbox_item(InboxItem(**{**vars(ITEM), "id": "ef" * 32, "job": "job_8"}))
    change(folder, f"UPDATE inbox SET reasons = '{{' WHERE id = '{ITEM.id}'")
    change(folder, "UPDATE deeds SET facts = '{' WHERE id = 1")
    assert [item.job for item in store.inbox(waiting=True)] == ["job_8"]
    assert store.damaged_inbox() == [(ITEM.id, "job_9")]
    assert {"damaged": True} in [one["facts"] for one in store.actions()]
    with pytest.raises(SecureFlowError) as caught:
        store.inbox_item(ITEM.id)
    assert caught.value.code == "record_damaged"
    store.close()


def test_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = settings(folder).model_dump(mode="json", include={"organisation", "server", "link",
                                                              "trust_domain"})  # fmt: skip
    config = folder / "agent.yaml"
    config.write_text(yaml.safe_dump({"directory": ".", **known}))
    runner, arguments = CliRunner(), ["agent", "check", "--config", str(config)]
    told = json.loads(runner.invoke(app, [*arguments, "--output", "json"]).stdout)
    assert {one["check"] for one in told if not one["ok"]} == {"keys"}  # nothing was enrolled here
    change(folder, "DELETE FROM facts WHERE name = 'head'")
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    chinese = runner.invoke(app, arguments)
    assert chinese.exit_code != 0
    assert "✗ 账本头" in chinese.stdout
