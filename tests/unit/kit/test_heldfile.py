"""A file that is held: what is noticed of it, and which copies of it are kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.heldfile import HeldFile, recovered_hint


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a record%20?").mkdir()
    path = tmp_path / "a record%20?" / "r.db"
    fill(path)
    return path


def fill(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (x)")


def replace(path: Path) -> None:
    fill(path.with_name("other"))
    path.with_name("other").replace(path)


async def nothing(target: sqlite3.Connection) -> None:
    del target


async def one_table(target: sqlite3.Connection) -> None:
    target.execute("CREATE TABLE t (x)")
    target.commit()


def test_no_file_is_made_where_it_was(path: Path) -> None:
    held = HeldFile(path, SecureFlowError)
    held.hold()
    with closing(sqlite3.connect(str(held.uri), uri=True)) as database:
        assert not database.execute("SELECT * FROM t").fetchall()
    path.unlink()
    with pytest.raises(sqlite3.OperationalError):
        sqlite3.connect(str(held.uri), uri=True)
    assert not path.exists()


def test_a_record_elsewhere_is_not_looked_at() -> None:
    held = HeldFile(None, SecureFlowError)
    held.hold()
    held.check()
    assert held.uri is None
    assert recovered_hint(None) == ""


async def test_a_copy_that_holds_nothing_is_not_kept(path: Path) -> None:
    """Whoever puts it in the file's place would lose what is still open."""
    held = HeldFile(path, SecureFlowError)
    held.hold()
    assert not await held.lost(one_table)
    replace(path)
    with pytest.raises(SecureFlowError, match="record_replaced"):
        held.check()
    assert await held.lost(nothing)
    assert recovered_hint(path) == ""
    assert await held.lost(one_table)  # there is something to save now
    assert f"mv {path}.recovered {path}" in recovered_hint(path)
    assert await held.lost(one_table)  # once
    assert sorted(one.name for one in path.parent.iterdir()) == ["r.db", "r.db.recovered"]
