"""Tests over many seeds: in portions, so that a long run is shared out and can be resumed.

A test says which seeds it takes and how many at once (`portions`); `--seeds A:B` takes others. Its
conftest imports `pytest_generate_tests` from here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def portions(first: int, end: int, portion: int) -> Callable[[Any], Any]:
    """Say which seeds a test takes, and how many at once."""

    def told(test: Any) -> Any:
        test.default, test.portion = (first, end), portion
        return test

    return told


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test its seeds in portions, so that several processes share them."""
    if "seeds" in metafunc.fixturenames:
        first, end = metafunc.function.default
        if asked := metafunc.config.getoption("--seeds"):
            first, end = map(int, asked.split(":"))
        portion = metafunc.function.portion
        found = [range(at, min(at + portion, end)) for at in range(first, end, portion)]
        metafunc.parametrize("seeds", found, ids=[f"{p.start}:{p.stop}" for p in found])
