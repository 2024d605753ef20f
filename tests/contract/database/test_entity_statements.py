"""The statements that are made once for each kind of entity fit its table."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql, sqlite

from secureflow.adapters.database import entities
from secureflow.adapters.database.entities import EntityKind

KINDS = [one for one in vars(entities).values() if isinstance(one, EntityKind)]
DIALECTS: list[Dialect] = [sqlite.dialect(), postgresql.dialect()]  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: str(dialect.name))
def test_a_change_sets_every_column_of_the_row_that_was_read(
    kind: EntityKind[Any], dialect: Dialect
) -> None:
    given = [c.name for c in kind.table.columns if c.name not in ("id", "version")]
    made = kind.change_of_seen.compile(dialect=dialect, column_keys=[*given, "id_is", "version_is"])
    assert {"id_is", "version_is", *given} <= set(made.binds)
    before, _, condition = str(made).partition(" WHERE ")
    assert all(f"{name}=" in before.replace('"', "") for name in given)
    assert "version" in condition
    assert "id" in condition
