"""What is damaged is named, and everything beside it works, over every database."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from peers.seeds import named_seed

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.application.listing import (
    list_complete,
    list_first,
    list_readable,
    list_with_damaged,
)
from secureflow.application.ports.storage import Journalled
from secureflow.kit.errors import SecureFlowError
from tests.contract.database.conftest import LOG_KEY, ORIGIN
from tests.contract.database.test_log import notes, pending, signed, submit
from tests.contract.database.test_stores import ENTITIES, JOB, kept

BROKEN = ("", "{", "null", "[]", '{"id": "other"}', "{}\u00e4", '{"a": \ufffd}')
UNIQUE = {
    "users": "name",
    "tokens": "digest",
    "sessions": "digest",
    "enrolments": "digest",
    "devices": "digest",
    "deliveries": "key",
    "anchor_statements": "digest",
}


async def change(database: Database, statement: str, **values: Any) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(sa.text(statement), values)


NO_CAUSE = '{"cause": 7, "at": 1, "own": 5, "seen": []}'
"""A hold whose cause is none; `:7` would be a parameter of the statement."""


SQLITE_FIRST = pytest.mark.parametrize(
    "url",
    ["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.full])],
    indirect=True,
)
"""What other tests here show over both databases: over PostgreSQL with `make full`."""


@SQLITE_FIRST
@pytest.mark.parametrize(("name", "entity"), [one[:2] for one in ENTITIES])
async def test_a_broken_row_hides_no_other(database: Database, name: str, entity: Any) -> None:
    await kept(database, name, entity)
    keys = [f"{entity.id}{n}" for n in range(len(BROKEN))]
    for key, doc in zip(keys, BROKEN, strict=True):
        unique = {UNIQUE[name]: key} if name in UNIQUE else {}
        await kept(database, name, dataclasses.replace(entity, id=key, **unique))
        await change(database, f"UPDATE {name} SET doc = :doc WHERE id = :id", doc=doc, id=key)
    async with database.begin() as unit:
        store = getattr(unit, name)
        page = await store.list()
        named = {"id": keys[0]}
        assert (page.items, page.damaged) == ([entity], tuple(keys))
        assert await list_readable(store) == [entity]
        assert await list_with_damaged(store) == ([entity], keys)
        assert await store.get(entity.id) == entity
        for ask in (
            store.get(keys[0]),
            store.find(keys[0]),
            list_complete(store),
            list_first(store, **named),
        ):
            with pytest.raises(SecureFlowError) as caught:
                await ask
            assert caught.value.code == "record_damaged"
            assert keys[0] in caught.value.message
            assert "secureflow server check" in caught.value.hint


async def test_bytes_that_are_no_text_hide_no_other_row(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    await database.start()
    await kept(database, "jobs", JOB)
    await kept(database, "jobs", dataclasses.replace(JOB, id="job_2"))
    await change(database, "UPDATE jobs SET doc = CAST(x'7bff7d' AS TEXT) WHERE id = 'job_1'")
    async with database.begin() as unit:
        page = await unit.jobs.list()
    assert ([job.id for job in page.items], page.damaged) == (["job_2"], ("job_1",))
    await database.close()


async def test_other_stored_values_are_named_as_damaged(database: Database) -> None:
    async with database.begin() as unit:
        await unit.set_setting("charter", {"a": 1})
        await unit.journal.append("job_1", [Journalled(0, "ab" * 32, {"a": 1}, None)])
        await unit.events.append("job_1", "state", 1, {"a": 1})
        await unit.commit()
    for table, column in (("settings", "value"), ("journal", "answer"), ("events", "data")):
        await change(database, f"UPDATE {table} SET {column} = '{{'")
    async with database.begin() as unit:
        asked = (unit.setting("charter"), unit.journal.read("job_1"), unit.events.after("job_1", 0))
        for ask in asked:
            with pytest.raises(SecureFlowError) as caught:
                await ask
            assert caught.value.code == "record_damaged"


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM log_checkpoints WHERE size = 5", "newest checkpoint"),
        ("UPDATE log_checkpoints SET note = 'x' WHERE size = 5", "cannot be read"),
        ("UPDATE log_checkpoints SET note = replace(note, '5', '6') WHERE size = 5", "checkpoint"),
        ("DELETE FROM log_nodes WHERE place = 3", "is missing"),
        ("UPDATE log_nodes SET hash = :other WHERE place = 3", "not of this tree"),
        ("DELETE FROM log_leaves WHERE number = 4", "the last one is 3"),
        ("DELETE FROM log_head", "no head"),
        ("UPDATE log_head SET size = 4", "4 leaves"),
        ("UPDATE log_head SET size = 9", "9 leaves"),
        ("UPDATE log_head SET hold = '{'", "damaged"),
        ("UPDATE log_head SET hold = '[]'", "why it is held"),
        ("UPDATE log_head SET hold = '{\"cause\": \"shown\", \"seen\": []}'", "why it is held"),
        (f"UPDATE log_head SET hold = '{NO_CAUSE}'", "is held"),
        ("INSERT INTO settings VALUES ('restored', 1, '{')", "damaged"),
        ("INSERT INTO settings VALUES ('restored', 1, '[]')", "when it was restored"),
    ],
)  # fmt: skip
async def test_a_log_that_lacks_a_part_of_itself_is_not_opened(
    database: Database, ledger: SqlLedger, statement: str, told: str
) -> None:
    await ledger.append(notes(5))
    await change(database, statement, **({"other": b"x" * 32} if ":other" in statement else {}))
    again = SqlLedger(database, LOG_KEY, ORIGIN)
    with pytest.raises(SecureFlowError) as caught:
        async with database.reached():
            await again.start()
    await again.stop()
    assert caught.value.code == "record_damaged"
    assert told in caught.value.message
    assert database.name in caught.value.message


async def test_a_submitted_leaf_that_is_none_stops_no_other(
    database: Database, ledger: SqlLedger
) -> None:
    await submit(database, [pending(signed(1, job="job_1"), 1)])
    await submit(database, [pending(signed(2, job="job_2"), 1)])
    await change(database, "UPDATE log_submissions SET data = :data WHERE job = 'job_1'", data=b"{")
    assert (await ledger.sequenced("job_2", 1)).indices == (0,)
    with pytest.raises(SecureFlowError) as caught:
        await ledger.sequenced("job_1", 1)
    assert caught.value.code == "record_damaged"
    assert await ledger.caught_up() == 1


@pytest.mark.parametrize(
    "statement", ["DELETE FROM alembic_version", "DROP TABLE alembic_version", "DROP TABLE jobs"]
)
async def test_a_database_that_lacks_a_table_is_not_made_anew(
    database: Database, statement: str
) -> None:
    await kept(database, "jobs", JOB)
    await change(database, statement)
    with pytest.raises(SecureFlowError) as caught:
        await database.start()
    assert caught.value.code == "record_damaged"
    assert database.name in caught.value.message


def _damages() -> list[tuple[str, Any]]:
    return [
        ("header", lambda data: b"\xff" * 16 + data[16:]),
        ("format", lambda data: data[:18] + b"\x09\x09" + data[20:]),
        ("page size", lambda data: data[:16] + b"\x00\x07" + data[18:]),
        ("truncated", lambda data: data[: len(data) // 2]),
        ("short", lambda data: data[:50]),
        ("schema page", lambda data: data[:100] + b"\xff" * 3000 + data[3100:]),
    ]


@pytest.mark.parametrize(("what", "damage"), _damages(), ids=[one[0] for one in _damages()])
async def test_a_damaged_file_is_refused_by_name(tmp_path: Path, what: str, damage: Any) -> None:
    del what
    path = tmp_path / "a.db"
    await _filled(path)
    path.write_bytes(damage(path.read_bytes()))
    database = Database(f"sqlite:///{path}")
    with pytest.raises(SecureFlowError) as caught:
        await _opened(database)
    await database.close()
    assert caught.value.code == "record_damaged"
    assert str(path) in caught.value.message
    assert "secureflow server check" in caught.value.hint


@pytest.mark.parametrize("seed", range(6))
async def test_flipped_bytes_end_in_an_error_of_ours(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "a.db"
    await _filled(path)
    await _read(_flipped(path, path.read_bytes(), seed))


@pytest.mark.soak
async def test_flipped_bytes_of_many_seeds_end_in_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await _filled(path)
    intact = path.read_bytes()
    for seed in range(6, 1000):
        with named_seed(seed):
            await _read(_flipped(path, intact, seed))


def _flipped(path: Path, intact: bytes, seed: int) -> Database:
    """Return the database of a file with flipped bytes."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    drawn, data = random.Random(seed), bytearray(intact)
    for _ in range(drawn.choice((1, 8, 200))):
        data[drawn.randrange(len(data))] = drawn.randrange(256)
    path.write_bytes(data)
    return Database(f"sqlite:///{path}")


async def _read(database: Database) -> None:
    codes = []
    try:
        await _opened(database)
        for name, _, _ in ENTITIES:
            async with database.begin() as unit:
                await getattr(unit, name).list()
        async with database.begin() as unit:
            await unit.journal.read("job_1")
    except SecureFlowError as error:
        codes.append(error.code)
    await database.close()
    assert set(codes) <= {"record_damaged", "database_newer", "fenced", "database_unavailable"}


async def _filled(path: Path) -> None:
    """Make a database with a row of each kind and a log, all of it in the one file."""
    database = Database(f"sqlite:///{path}")
    await database.start()
    ledger = SqlLedger(database, LOG_KEY, ORIGIN)
    await ledger.start()
    for name, entity, _ in ENTITIES:
        await kept(database, name, entity)
    async with database.begin() as unit:
        await unit.journal.append("job_1", [Journalled(0, "ab" * 32, {"a": 1}, None)])
        await unit.commit()
    await ledger.append(notes(5))
    await ledger.stop()
    async with database.engine.connect() as connection:
        await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    await database.close()


async def _opened(database: Database) -> None:
    await database.start()
    ledger = SqlLedger(database, LOG_KEY, ORIGIN)
    try:
        async with database.reached():
            await ledger.start()
    finally:
        await ledger.stop()
