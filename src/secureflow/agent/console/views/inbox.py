"""The inbox: who waits for a decision, the overdue ones first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

from secureflow.agent.console.visits import Page, Visit
from secureflow.kit.reading import objects

MOST: Final = 300
"""Requests that a page lists; at most 256 wait at once, and what is decided is found at the CLI."""

_ABSENT: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("name", "kind", "submitter", "purpose", "dataset", "reason"), ""),
    **{"sensitive": (), "epsilon": None, "overdue": False, "approved_by": 0, "expires": None},
    "two_people": False,
}
"""What a request that was decided, or whose record is damaged, does not have."""


async def show(visit: Visit) -> Response:
    """List the requests that wait, or all that the agent tells of."""
    every = visit.request.query_params.get("all") == "1"
    found = objects(await visit.ask("inbox.list", waiting=not every))
    rows = [{**_ABSENT, **one} for one in ordered(found)[:MOST]]
    return visit.page("inbox", rows=rows, every=every, left=max(0, len(found) - MOST))


def ordered(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return requests by their urgency: the overdue, those that wait by their ends, the others."""

    def urgency(one: Mapping[str, Any]) -> tuple[int, int]:
        if one.get("state") != "waiting":
            return 2, -int(one.get("at") or 0)
        return int(not one.get("overdue")), int(one.get("expires") or 0)

    return sorted(items, key=urgency)


PAGES: Final = (Page("/inbox", show, title="Inbox"),)
