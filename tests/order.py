"""Which file is run when: whole files, the long ones first, or shuffled by a seed.

A file is the unit that a worker takes (`--dist loadfile`): what its tests share is made once. Some
files are such a unit together. Workers end together when the long files come first.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from xdist.scheduler import LoadFileScheduling

TOGETHER = {
    **{
        folder: (folder,)
        for folder in (
            *("tests/security/operator/", "tests/scenarios/composed/", "tests/kinds/"),
            *("tests/browser/asked/", "tests/browser/console/", "tests/browser/owner/"),
        )
    },
    "tests/chaos/test_in_process.py": (
        "tests/chaos/test_oracle.py",
        "tests/chaos/test_full_store.py",
    ),
    "tests/unit/law/test_law.py": (
        "tests/unit/law/test_law.py",
        "tests/unit/law/test_kinds.py",
        "tests/unit/law/test_secrets.py",
        "tests/unit/texts/test_catalogue.py",
        "tests/unit/cli/test_cli_chinese.py",
    ),
}
"""Unit → beginnings of files that are in it too: they share what is dear, made once a process."""
LONGEST_FIRST = (
    *("chaos", "survival", "scenarios", "upgrade", "browser", "security", "contract", "fuzz"),
    "unit",
)
"""Folders: whole platforms take minutes, units seconds."""


def unit(nodeid: str) -> str:
    """Return what a test belongs to: its file, or the folder that is kept together."""
    file = nodeid.split("::", maxsplit=1)[0]
    return next((one for one, files in TOGETHER.items() if file.startswith(files)), file)


class Units(LoadFileScheduling):
    """Gives a worker whole units."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


class Order:
    """Sorts the files; tests keep their order within a file."""

    def __init__(self, seed: str | None) -> None:
        self._seed = seed

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Sort them."""
        files: dict[str, list[pytest.Item]] = {}
        for item in items:
            files.setdefault(unit(item.nodeid), []).append(item)
        if self._seed is None:
            names = sorted(files, key=_place)
        else:
            names = sorted(files)
            random.Random(self._seed).shuffle(names)
        items[:] = [item for name in names for item in files[name]]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(
        self, config: pytest.Config, log: Callable[..., None]
    ) -> Units | None:
        """Keep units together where files are."""
        return Units(config, log) if config.getoption("dist") == "loadfile" else None

    def pytest_report_header(self) -> str | None:
        """Name the seed: a failure needs it to be seen again."""
        return None if self._seed is None else f"Files shuffled: --shuffle {self._seed}"


def _place(name: str) -> int:
    folder = name.split("/")[1] if name.count("/") else ""
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)
