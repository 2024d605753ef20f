"""Long files first; a seed draws another order, the same one each time; files stay whole."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.order import TOGETHER, Order, Units, unit

FILES = [
    "tests/unit/kit/test_a.py",
    "tests/contract/link/test_b.py",
    "tests/survival/test_c.py",
    "tests/scenarios/test_d.py",
    "tests/unit/kit/test_e.py",
]
TESTS = [f"{name}::test_{number}[::]" for name in FILES for number in (2, 1)]


def ordered(seed: str | None) -> list[str]:
    items: list[Any] = [SimpleNamespace(nodeid=name) for name in TESTS]
    Order(seed).pytest_collection_modifyitems(items)
    return [item.nodeid for item in items]


def files(names: list[str]) -> list[str]:
    return list(dict.fromkeys(name.split("::")[0] for name in names))


def test_whole_platforms_come_first() -> None:
    kit, link, survival, scenarios, other = FILES
    assert files(ordered(None)) == [survival, scenarios, link, kit, other]


def test_a_seed_draws_the_order_of_files_and_of_nothing_else() -> None:
    drawn = {tuple(ordered(str(seed))) for seed in range(20)}
    assert len(drawn) > 5
    for names in drawn:
        assert sorted(names) == sorted(TESTS)
        whole = [test for file in files(list(names)) for test in TESTS if test.startswith(file)]
        assert list(names) == whole
    assert ordered("7") == ordered("7")


def test_files_that_are_kept_together_go_to_one_worker() -> None:
    """What they share is made once in a process: another worker would make it again."""
    scheduler: Any = Units.__new__(Units)
    for one, beginnings in TOGETHER.items():
        whole = [name if name.endswith(".py") else f"{name}test_a.py" for name in beginnings]
        names = [f"{name}::test_it[a::b]" for name in (one, *whole)]
        assert {scheduler._split_scope(name) for name in names} == {one}
    assert unit(TESTS[0]) == scheduler._split_scope(TESTS[0]) == FILES[0]


def test_what_is_kept_together_is_there() -> None:
    root = Path(__file__).parents[3]
    for one, beginnings in TOGETHER.items():
        assert all((root / name).exists() for name in (one, *beginnings))
