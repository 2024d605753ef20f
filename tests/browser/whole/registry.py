"""Every page of both registries, read from where the pages name themselves: a new one is in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from peers.verifiers import WEB

_PATH: Final = re.compile(r"path: '([^']*)'")
_PARAMETER: Final = re.compile(r":([a-z]+)")


def paths(entry: str) -> list[str]:
    """Return the paths of the pages of `console` or `owner`, as they are registered."""
    files = sorted((WEB / "src" / entry).glob("*/pages.tsx"))
    found = [path for file in files for path in _PATH.findall(file.read_text("utf-8"))]
    assert found, f"no page is registered in web/src/{entry}"
    return found


def address(path: str, values: Mapping[str, str]) -> str:
    """Return the address of a page about things: `jobs/job` is the job of the pages under `jobs`.

    Raises:
        KeyError: the page is about something that no test has: say of what it can be shown.
    """
    under = path.split("/", 1)[0]
    return "/" + _PARAMETER.sub(lambda found: values[f"{under}/{found[1]}"], path)
