"""SPU's libraries are imported without its compiler where a program needs no more."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from secureflow.adapters.mpcengines.spu_programs.libraries import libraries_alone


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of that name which may not be imported as a whole."""
    (tmp_path / "spu").mkdir()
    (tmp_path / "spu" / "__init__.py").write_text("raise RuntimeError('JAX is imported')")
    (tmp_path / "spu" / "psi.py").write_text("from .libpsi import psi_execute")
    (tmp_path / "spu" / "libpsi.py").write_text("psi_execute = len")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name in ("spu", "spu.psi", "spu.libpsi"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setitem(sys.modules, name, None)  # put back when the test ends
        del sys.modules[name]
    importlib.invalidate_caches()


def test_its_libraries_are_there_without_what_it_imports() -> None:
    with pytest.raises(RuntimeError, match="JAX"):
        importlib.import_module("spu.psi")
    libraries_alone()
    assert importlib.import_module("spu.psi").psi_execute is len


def test_one_that_is_imported_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = object()
    monkeypatch.setitem(sys.modules, "spu", whole)
    libraries_alone()
    assert sys.modules["spu"] is whole


def test_one_that_is_absent_is_missed_by_whoever_imports_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", [])
    libraries_alone()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("spu.psi")
