"""`make full` runs what `make test` leaves out, and nothing falls between the two."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.full import WRITTEN, Full, thinned

ROOT = Path(__file__).parents[3]
OF_TEST, OF_FULL = "not soak and not full", "full"


@pytest.mark.parametrize(
    ("text", "in_test", "in_full"),
    [
        ("def test_it() -> None: ...", True, False),
        ("pytestmark = pytest.mark.full\ndef test_it() -> None: ...", False, True),
        ("pytestmark = [pytest.mark.full, pytest.mark.slow]", False, True),
        ("@pytest.mark.full\ndef test_it() -> None: ...", True, True),
        ("ONE = pytest.param(1, marks=pytest.mark.full)", True, True),
    ],
)
def test_a_file_is_imported_for_a_run_that_it_has_something_for(
    text: str, in_test: bool, in_full: bool, tmp_path: Path
) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(text)
    assert (Full(OF_TEST).pytest_ignore_collect(file) is None) == in_test
    assert (Full(OF_FULL).pytest_ignore_collect(file) is None) == in_full
    assert Full("soak").pytest_ignore_collect(file) is None


def test_of_thinned_cases_each_few_are_for_make_test_and_none_is_lost() -> None:
    soaked = pytest.param(3, marks=pytest.mark.soak, id="three")
    cases = thinned([1, (2, 2), soaked, 4, 5], 2, pytest.mark.full)
    assert [case.values for case in cases] == [(1,), (2, 2), (3,), (4,), (5,)]
    names = [[mark.name for mark in case.marks] for case in cases]
    assert names == [[], ["full"], ["soak"], ["full"], []]
    assert cases[2].id == "three"


def test_the_mark_stands_in_the_file_of_the_test_itself() -> None:
    """One that a test inherits from elsewhere would be in neither run."""
    for file in (ROOT / "tests").rglob("*.py"):
        named = "mark.full" in file.read_text()
        assert not named or file.name.startswith("test_") or file.name == "full.py", file
    assert WRITTEN == "pytest.mark.full"


def test_the_commands_ask_for_these_marks() -> None:
    assert f"-m '{OF_TEST}'" in (ROOT / "pyproject.toml").read_text()
    assert f"-m {OF_FULL} " in (ROOT / "Makefile").read_text()
