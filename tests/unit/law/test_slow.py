"""`make check` leaves out files that exist, each once, without importing them; `make test` none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.slow import ROOT, Slow, files


def modified(*, fast: bool) -> tuple[list[Any], list[Any]]:
    left: list[Any] = []

    def pytest_deselected(items: list[Any]) -> None:
        left.extend(items)

    hook = SimpleNamespace(pytest_deselected=pytest_deselected)
    config: Any = SimpleNamespace(hook=hook, getoption=lambda name: name == "--fast" and fast)
    marked = SimpleNamespace(get_closest_marker=lambda name: name == "slow")
    items: list[Any] = [marked, SimpleNamespace(get_closest_marker=lambda name: False)]
    Slow(fast=fast).pytest_collection_modifyitems(items, config)
    return items, left


def test_the_list_names_files_of_units_each_once_and_in_order() -> None:
    assert files() == sorted(set(files()))
    for file in files():
        assert (ROOT / file).is_file(), f"{file} is gone: take it out of tests/slow.txt"
        assert file.startswith("tests/unit/")


def test_what_is_listed_is_left_out_where_that_is_asked_for_only() -> None:
    listed, other = ROOT / files()[0], ROOT / "tests/unit/law/test_slow.py"
    assert Slow(fast=True).pytest_ignore_collect(listed) is True
    assert Slow(fast=True).pytest_ignore_collect(other) is None
    assert Slow(fast=False).pytest_ignore_collect(listed) is None


def test_what_is_slow_as_a_whole_is_not_imported_either(tmp_path: Path) -> None:
    file = tmp_path / "test_it.py"
    for text, out in (
        ("pytestmark = pytest.mark.slow", True),
        ("pytestmark = [pytest.mark.full, pytest.mark.slow]", True),
        ("@pytest.mark.slow\ndef test_it() -> None: ...", None),
    ):
        file.write_text(f"import pytest\n{text}\n")
        assert Slow(fast=True).pytest_ignore_collect(file) is out
        assert Slow(fast=False).pytest_ignore_collect(file) is None


def test_what_is_marked_is_left_out_alike() -> None:
    kept, left = modified(fast=True)
    assert (len(kept), len(left)) == (1, 1)
    assert len(modified(fast=False)[0]) == 2
