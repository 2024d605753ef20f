"""A database whose driver is an extra that is not installed: an error with the next step."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from secureflow.adapters.database.engine import Database
from secureflow.kit.errors import SecureFlowError


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SecureFlowError) as refused:
        Database("postgresql://centre@db.example/secureflow")
    assert refused.value.code == "library_missing"
    assert "[postgres]" in refused.value.hint


def test_a_file_is_called_by_its_path_and_no_password_is_shown(tmp_path: Path) -> None:
    """An operator who is told that it is missing looks for a file, not for a driver's URL."""
    file = tmp_path / "secureflow.db"
    assert Database(f"sqlite:///{file}").name == str(file)
    shown = Database("postgresql://centre:secret@db.example/secureflow").name
    assert "db.example/secureflow" in shown
    assert "secret" not in shown


@pytest.mark.parametrize("there", [True, False])
async def test_what_is_no_file_is_named_and_leaves_no_thread(tmp_path: Path, there: bool) -> None:
    """A thread that told a closed loop of its failure printed a trace."""
    place = tmp_path / "secureflow.db" if there else tmp_path / "away" / "secureflow.db"
    if there:
        place.mkdir()
    database = Database(f"sqlite:///{place}")
    with pytest.raises(SecureFlowError) as refused:
        async with database.reached(), database.engine.connect():
            pass
    assert refused.value.code == "database_unavailable"
    said = "Is a directory" if there else "unable to open database file"
    assert refused.value.message == f"The database {place} cannot be opened: {said}"
    workers = [one.name for one in threading.enumerate() if "_connection_worker" in one.name]
    assert workers == []
