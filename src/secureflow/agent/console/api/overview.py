"""The first screen, and what runs now."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from secureflow.agent.console.api.operations import Call, Operation
from secureflow.agent.console.screens import overview
from secureflow.agent.console.screens.datasets import UseRow, usage_view
from secureflow.domain.specs.base import STRICT
from secureflow.kit.reading import members

_UNREAD: Final = 10


@dataclass(frozen=True)
class Running:
    """The jobs that use data of this organisation now.

    Args:
        uses: those that run.
        link: `connected` or `down`: the agent's link to the centre.
    """

    uses: tuple[UseRow, ...]
    link: str


@dataclass(frozen=True)
class Read:
    """The numbers of the notifications that were shown."""

    __pydantic_config__ = STRICT
    ids: Annotated[tuple[Annotated[int, Field(ge=0, lt=1 << 53)], ...], Field(max_length=100)]


async def show(call: Call) -> overview.Overview:
    """Return the first screen; the agent is asked everything at once."""
    visit = call.visit
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


async def running(call: Call) -> Running:
    """Return what runs."""
    usage, status = await asyncio.gather(
        call.visit.ask("data.usage", running=True), call.visit.ask("status")
    )
    return Running(usage_view(usage).uses, str(members(status).get("link", "")))


async def read(call: Call) -> None:
    """Mark notifications as read: others may have come since."""
    await call.visit.ask("notification.read", ids=list(call.body.ids))


OPERATIONS: Final = (
    Operation(
        "overview", "GET", "/overview", show, overview.Overview,
        about="What waits, what little is left of, what runs, what happened last, what is wrong.",
    ),
    Operation("running", "GET", "/running", running, Running, about="The jobs that run now."),
    Operation(
        "readNotices", "POST", "/notices/read", read, None, Read,
        about="Mark notifications as read.",
    ),
)  # fmt: skip
