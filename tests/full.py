"""What `make full` adds to `make test`: further forms of what that shows, marked `full`.

`make test` shows every guarantee once, in the form that is dearest to break; more pairings, seeds,
families and variants of the same guarantee are run before a release, not at each change. A file
that has nothing for a run is not imported for it: imports are a large part of a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest
from _pytest.mark import ParameterSet

WRITTEN: Final = "pytest.mark.full"
WHOLE: Final = re.compile(rf"^pytestmark = .*{re.escape(WRITTEN)}\b", re.MULTILINE)
"""A file with this line has nothing for `make test`."""


def thinned(cases: Iterable[Any], every: int, rest: pytest.MarkDecorator) -> list[ParameterSet]:
    """Return a test's cases for `parametrize`: each `every`th as it is, the rest with a mark."""
    listed = [
        case if isinstance(case, ParameterSet)
        else pytest.param(*case) if isinstance(case, tuple)
        else pytest.param(case)
        for case in cases
    ]  # fmt: skip
    return [
        case if place % every == 0 else case._replace(marks=[*case.marks, rest])
        for place, case in enumerate(listed)
    ]


class Full:
    """Leaves out files that have nothing for the marks that are asked for."""

    def __init__(self, marks: str) -> None:
        self._only = marks == "full"
        self._without = "not full" in marks

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Tell it from the file's text; a file named in the command is imported all the same."""
        if not (collection_path.name.startswith("test_") and collection_path.suffix == ".py"):
            return None
        if self._only and WRITTEN not in collection_path.read_text():
            return True
        if self._without and WHOLE.search(collection_path.read_text()):
            return True
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item], config: pytest.Config
    ) -> None:
        """A further form may have a long version of its own: that is left to `make soak`."""
        if not self._only:
            return
        long = [item for item in items if item.get_closest_marker("soak")]
        if long:
            config.hook.pytest_deselected(items=long)
            items[:] = [item for item in items if not item.get_closest_marker("soak")]


def registered(config: pytest.Config) -> Full:
    """Return it for the marks of this run."""
    return Full(config.getoption("-m"))
