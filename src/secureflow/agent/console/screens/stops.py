"""Projects and requesters that are stopped here, whatever grants allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secureflow.agent.console.screens.figures import second, text_of
from secureflow.kit.reading import objects


@dataclass(frozen=True)
class Stop:
    """A project, or a requester, that gets nothing here.

    Args:
        kind: `project` or `requester`.
        name: its id.
        by: who stopped it.
        reason: why.
        at: when.
    """

    kind: str
    name: str
    by: str
    reason: str
    at: int


def stops(value: Any) -> tuple[Stop, ...]:
    """Read `stop.list`."""
    return tuple(
        Stop(
            text_of(one, "kind"),
            text_of(one, "name"),
            text_of(one, "by"),
            text_of(one, "reason"),
            second(one.get("at")),
        )
        for one in objects(value)
    )
