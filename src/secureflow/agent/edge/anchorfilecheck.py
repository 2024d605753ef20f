"""Checks the file of anchors that this agent keeps for others, without changing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from secureflow.agent.edge.ownidentity import read_signing_key
from secureflow.agent.keeper.anchorfile import AnchorLines
from secureflow.agent.keeper.place import FiledPlace
from secureflow.agent.record.anchorplace import FILE
from secureflow.agent.settings import AgentSettings
from secureflow.engines.anchors.filed import place_of
from secureflow.kit.canonical import JSON, b64decode
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.findings import refused, report
from secureflow.kit.text import Text

PART: Final = "anchors"


def check_anchors(
    settings: AgentSettings, reached: Callable[[], JSON]
) -> Iterator[dict[str, JSON]]:
    """Yield what is wrong with the file, if this agent keeps one, or did.

    Args:
        settings: the agent's.
        reached: returns how far it goes by the agent's record; read before the file, which the
            keeper keeps ahead of it.
    """
    path, count = settings.directory / FILE, 0

    def read() -> None:
        nonlocal count
        key = b64decode(read_signing_key(settings).public, 64)
        place, lines = FiledPlace(place_of(key)), AnchorLines(path)
        for line in lines.look(known):
            count = lines.lines
            place.replay(line, count)

    try:
        known = reached()
    except SecureFlowError:  # the record's own finding says so
        return
    if known is None and not path.exists():
        return
    found = list(refused(PART, read))
    yield from report(
        PART, found, Text("{count} lines of anchors come out as they were answered", count=count)
    )
