"""The agent's own log in words, a page at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field
from starlette.responses import Response

from secureflow.agent.console.api.operations import Answered, Call, Operation
from secureflow.agent.console.screens.activity import Activity, LogEntry, activity, asked, exported
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


@dataclass(frozen=True)
class Exported:
    """Entries to keep, the newest first.

    Args:
        entries: each as the record has it, with what it says (`told`) and who did it (`who`).
        older: the number before which the next page stands; 0 on the last one.
    """

    entries: tuple[dict[str, Any], ...]
    older: int


async def show(call: Call) -> Log:
    """Return a page of the log."""
    page, _ = await _page(call)
    return Log(page.entries, page.older)


async def export(call: Call) -> Answered:
    """Return the same page to keep, as a file."""
    page, log = await _page(call)
    query, rows = call.query, exported(page, log, call.visit.language)
    name = f"activity-{query.group or 'all'}-{query.before or 'newest'}.json"

    def complete(answer: Response) -> None:
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'

    return Answered(Exported(tuple(rows), page.older), complete)


async def _page(call: Call) -> tuple[Activity, Any]:
    query = call.query
    wanted = asked(query.group, query.before, query.limit)
    log, people = await asyncio.gather(
        call.visit.ask("log", **wanted, job=query.job), call.visit.ask("people.list")
    )
    return activity(log, people, query.limit), log


OPERATIONS: Final = (
    Operation(
        "activity", "GET", "/activity", show, Log, query=PageOfLog,
        about="What the agent and its people did, in words, the newest first.",
    ),
    Operation(
        "exportActivity", "GET", "/activity/export", export, Exported, query=PageOfLog,
        about="The same as a file to keep: what the record has, and what it says.",
    ),
)  # fmt: skip
