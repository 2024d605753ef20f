"""A database whose driver is an extra that is not installed: an error with the next step."""

from __future__ import annotations

import sys

import pytest

from secureflow.adapters.database.engine import Database
from secureflow.kit.errors import SecureFlowError


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SecureFlowError) as refused:
        Database("postgresql://centre@db.example/secureflow")
    assert refused.value.code == "library_missing"
    assert "[postgres]" in refused.value.hint
