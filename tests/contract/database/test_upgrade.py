"""A database of the first schema is brought to this one, its documents' columns filled in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import secureflow.adapters.database.migrations as migrations
from secureflow.adapters.database.connections import driver_url, sync_engine
from secureflow.adapters.database.engine import Database
from secureflow.domain.datasets import Dataset, Grant
from secureflow.domain.organisations import Enrolment
from secureflow.domain.projects import Membership, Project
from secureflow.domain.schemas import ColumnConfig
from secureflow.domain.specs.base import dump
from secureflow.domain.users import Token

COLUMN = ColumnConfig("age", "number", bounds=(0.0, 1.0))
DATASET = Dataset(
    "dst_1",
    "bank-a",
    "adult",
    "Adult",
    (COLUMN,),
    "1k",
    "ab" * 32,
    5,
)
GRANT = Grant("grt_1", "dst_1", "bank-a", "prj_1", ("age",), (), "usr_1", 5, 900)
MEMBERS = (Membership("bank-a", "active", 5), Membership("bank-b", "invited", 6))
PROJECT = Project("prj_1", "x", "x", "bank-a", MEMBERS, 5)
OLD: list[tuple[str, Any, dict[str, str]]] = [
    ("tokens", Token("tok_1", "usr_1", "cd" * 32, 5, 900), {"user": "usr_1", "digest": "cd" * 32}),
    ("enrolments", Enrolment("enr_1", "agent", "bank-a", "ef" * 32, 5, 900),
     {"organisation": "bank-a", "digest": "ef" * 32}),
    ("projects", PROJECT, {"organisation": "bank-a", "member": " bank-a bank-b "}),
    ("datasets", DATASET, {"organisation": "bank-a"}),
    ("datasets", Dataset("dst_2", "bank-a", "old", "Old", DATASET.columns, "1k", "ab" * 32, 5, 7),
     {"organisation": "bank-a"}),
    ("grants", GRANT, {"project": "prj_1", "dataset": "dst_1", "organisation": "bank-a"}),
]  # fmt: skip


@pytest.fixture
def first_schema(url: str) -> str:
    """A database as the first version left it, with a row of each kind that changed."""
    if url.startswith("sqlite"):
        Path(str(driver_url(url).database)).touch()
    engine = sync_engine(driver_url(url))
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__path__[0])))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, entity, columns in OLD:
            row = {"id": entity.id, "version": 1, "doc": json.dumps(dump(entity)), **columns}
            place = sa.table(table, *(sa.column(name) for name in row))
            connection.execute(sa.insert(place).values(row))
        place = sa.table(
            "idempotency", *(sa.column(name) for name in ("user", "key", "request", "status"))
        )
        values = {"user": "usr_1", "key": "k", "request": "ab", "status": 201}
        connection.execute(sa.insert(place).values(values))
        connection.commit()
    engine.dispose()
    return url


async def test_the_first_schema_becomes_this_one(first_schema: str) -> None:
    database = Database(first_schema)
    await database.start()
    async with database.begin() as unit:
        assert await unit.tokens.count(unexpired=899) == 1
        assert await unit.enrolments.count(unexpired=900) == 0
        assert await unit.projects.count(active="bank-a") == 1
        assert await unit.projects.count(active="bank-b") == 0
        assert await unit.projects.count(member="bank-b") == 1
        assert await unit.datasets.count(name="adult", state="published") == 1
        assert await unit.datasets.count(name="old", state="removed") == 1
        assert await unit.grants.count(state="granted", unexpired=899) == 1
        assert await unit.idempotency.find("usr_1", "k") is not None
        assert await unit.sweep(901 + 30 * 86_400) == 3
        await unit.commit()
    await database.close()
