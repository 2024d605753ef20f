"""The first screen: what waits, what little is left of, what runs, what happened."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.responses import Response

from secureflow.agent.console.screens import overview
from secureflow.agent.console.visits import Page, Visit, see

_UNREAD: Final = 10


async def show(visit: Visit) -> Response:
    """Show it."""
    return visit.page("overview", view=await gathered(visit))


async def gathered(visit: Visit) -> overview.Overview:
    """Return the first screen; the agent is asked everything at once."""
    asked = {
        "status": visit.ask("status"),
        "inbox.list": visit.ask("inbox.list"),
        "data.budget": visit.ask("data.budget", exact=False),
        "data.usage": visit.ask("data.usage", running=True),
        "grant.list": visit.ask("grant.list"),
        "notification.list": visit.ask("notification.list", unread=True, limit=_UNREAD),
        "people.list": visit.ask("people.list"),
        "log": visit.ask("log", **overview.asked()),
    }
    answers = dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))
    return overview.overview(answers)


async def read(visit: Visit) -> Response:
    """Mark the notifications that the page showed as read: others may have come since."""
    shown = (await visit.fields()).get("ids", "")
    ids = [int(one) for one in shown.split(",")[:_UNREAD] if one.isdecimal() and len(one) < 16]
    await visit.ask("notification.read", ids=ids)
    return see("/overview")


PAGES: Final = (Page("/overview", show, read, title="Overview"),)
