"""The agent's own log in words, a page at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from secureflow.agent.console.api.operations import Call, Operation
from secureflow.agent.console.screens.activity import LogEntry, activity, asked
from secureflow.domain.specs.base import STRICT

Group = Literal["", "decisions", "grants", "people", "data", "jobs", "agent"]


@dataclass(frozen=True)
class PageOfLog:
    """Which entries are wanted.

    Args:
        group: what they are about; empty: anything.
        before: only those with a smaller number; 0: from the newest on.
        limit: how many at most.
        job: of this job only; empty.
    """

    __pydantic_config__ = STRICT
    group: Group = ""
    before: Annotated[int, Field(ge=0, lt=1 << 53)] = 0
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    job: Annotated[str, Field(max_length=128)] = ""


@dataclass(frozen=True)
class Log:
    """Entries, the newest first.

    Args:
        entries: of this page.
        older: the number before which the next page stands; 0 on the last one.
    """

    entries: tuple[LogEntry, ...]
    older: int


async def show(call: Call) -> Log:
    """Return a page of the log."""
    query = call.query
    wanted = asked(query.group, query.before, query.limit)
    log, people = await asyncio.gather(
        call.visit.ask("log", **wanted, job=query.job), call.visit.ask("people.list")
    )
    page = activity(log, people, query.group, query.before, query.limit)
    return Log(page.entries, page.older)


OPERATIONS: Final = (
    Operation(
        "activity", "GET", "/activity", show, Log, query=PageOfLog,
        about="What the agent and its people did, in words, the newest first.",
    ),
)  # fmt: skip
