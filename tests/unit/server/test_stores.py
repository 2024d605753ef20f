"""A server whose stores are not there: who starts it hears where to look."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secureflow.kit.errors import SecureFlowError
from secureflow.server.centre import _stores


def test_a_file_in_the_place_of_the_store_is_named_to_who_starts_the_server(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    folder.write_text("")
    storage = SimpleNamespace(reserve_mb=0)
    settings: Any = SimpleNamespace(storage=storage, artifacts=folder, uploads=folder / "uploads")
    with pytest.raises(SecureFlowError) as refused:
        _stores(settings)
    assert refused.value.code == "disk_failed"
    assert str(folder) in refused.value.hint
