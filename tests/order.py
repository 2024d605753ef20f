"""Which file is run when: whole files, the long ones first, or shuffled by a seed.

A file is the unit that a worker takes (`--dist loadfile`): what its tests share is made once. Two
workers end together when the long files come first.
"""

from __future__ import annotations

import random

import pytest

LONGEST_FIRST = ("survival", "scenarios", "upgrade", "chaos", "security", "contract", "unit")
"""Folders: whole platforms take minutes, units seconds."""


class Order:
    """Sorts the files; tests keep their order within a file."""

    def __init__(self, seed: str | None) -> None:
        self._seed = seed

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Sort them."""
        files: dict[str, list[pytest.Item]] = {}
        for item in items:
            files.setdefault(item.nodeid.split("::")[0], []).append(item)
        if self._seed is None:
            names = sorted(files, key=_place)
        else:
            names = sorted(files)
            random.Random(self._seed).shuffle(names)
        items[:] = [item for name in names for item in files[name]]

    def pytest_report_header(self) -> str | None:
        """Name the seed: a failure needs it to be seen again."""
        return None if self._seed is None else f"Files shuffled: --shuffle {self._seed}"


def _place(name: str) -> int:
    folder = name.split("/")[1] if name.count("/") else ""
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)
