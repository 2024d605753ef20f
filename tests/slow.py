"""Which files of unit tests `make check` leaves to `make test`: those of `slow.txt`.

A file that is left out is not imported either, for imports are a large part of a short run. A
single test in another file is left out by its mark, `slow`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
WHOLE: Final = re.compile(r"^pytestmark = .*pytest\.mark\.slow\b", re.MULTILINE)
LIST: Final = Path(__file__).with_name("slow.txt")


def files() -> list[str]:
    """Return the list: paths from the root."""
    lines = LIST.read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


class Slow:
    """Leaves them out where `--fast` asks for that."""

    def __init__(self, *, fast: bool) -> None:
        self._fast = fast
        self._left = {ROOT / file for file in files()}

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Do not import what is in the list, nor what is slow as a whole."""
        if not self._fast or collection_path.suffix != ".py":
            return None
        slow = collection_path in self._left or WHOLE.search(collection_path.read_text())
        return True if slow else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item], config: pytest.Config
    ) -> None:
        """Leave out single tests too."""
        if not config.getoption("--fast"):
            return
        left = [item for item in items if item.get_closest_marker("slow")]
        if left:
            config.hook.pytest_deselected(items=left)
            items[:] = [item for item in items if not item.get_closest_marker("slow")]
