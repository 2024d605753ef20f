"""The one stream of an open page: which of its parts are not any more as it shows them.

Server-sent events (WHATWG HTML, 9.2). Each has the agent's marker as its id: a browser that comes
back brings the last one, and is told what changed since, however long it was away. What changed is
not in the stream: the page asks for it as for anything else.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import StreamingResponse

from secureflow.agent.console.addresses import API, EVENTS
from secureflow.agent.console.api.operations import Call, Operation
from secureflow.agent.console.asking import ENDED
from secureflow.agent.console.screens.actionwords import ACTIONS
from secureflow.agent.console.visits import Visit
from secureflow.agent.console.watching import Watcher
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members

PARTS: Final = ("inbox", "grants", "people", "data", "jobs", "agent")
"""What may have changed."""
BEAT_SECONDS: Final = 15.0
"""Between signs of life: proxies end what is silent."""
CHECKED: Final = 4
"""Signs of life after which the session is shown to the agent again."""
SETTLE_SECONDS: Final = 0.5
"""Between two events at least: many changes at once are one."""
_MARKER: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9}){3}\.(connected|down)")
_MANY: Final = 200
_OF_GROUP: Final = {"decisions": "inbox"}


@dataclass(frozen=True)
class Standing:
    """How things stand at the agent; `marker` is empty while it does not answer."""

    marker: str
    facts: Mapping[str, Any]


async def follow(call: Call) -> StreamingResponse:
    """Answer with the stream, which does not end by itself."""
    visit = call.visit
    given = visit.request.headers.get("last-event-id", "")
    last = given if _MARKER.fullmatch(given) else ""
    visit.site.watching.check(visit.session, str(visit.person["id"]))
    first = await _standing(visit, last)  # an error is a problem, not a stream
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(
        told(visit, first, last), headers=headers, media_type="text/event-stream"
    )


async def told(visit: Visit, first: Standing, last: str) -> AsyncIterator[str]:
    """Yield the events.

    Args:
        visit: whose page it is.
        first: how things stand at its beginning.
        last: the marker of the last event that the browser has; empty.
    """
    async with visit.site.watching.watcher(visit.session, str(visit.person["id"])) as watcher:
        yield "retry: 2000\n\n"
        yield _event("changed" if last else "now", first, parts_between(last, first))
        last, beats, away = first.marker, 0, False
        while True:
            woken = await _woken(watcher)
            beats = 0 if woken else beats + 1
            if not woken and beats % CHECKED:
                yield ": \n\n"
                continue
            try:
                now = await _standing(visit, last)
            except SecureFlowError as error:
                if error.code in ENDED:
                    yield "event: ended\ndata: {}\n\n"
                    return
                yield 'event: away\ndata: {"link": "away"}\n\n'
                away = True
                continue
            if now.marker == last and not away:
                yield ": \n\n"
                continue
            yield _event("changed", now, parts_between(last, now))
            last, away = now.marker, False
            await asyncio.sleep(SETTLE_SECONDS)


async def _woken(watcher: Watcher) -> bool:
    try:
        async with asyncio.timeout(BEAT_SECONDS):
            await watcher.woken.wait()
    except TimeoutError:
        return False
    watcher.woken.clear()
    return True


async def _standing(visit: Visit, known: str) -> Standing:
    facts = members(await visit.ask("changes", known=known))
    return Standing(str(facts.get("marker") or ""), facts)


def parts_between(last: str, now: Standing) -> list[str]:
    """Return what changed between a marker and now, in the order of `PARTS`."""
    if not last:
        return []
    before, after = last.split("."), now.marker.split(".")
    if len(before) != len(after) or not 0 <= int(after[0]) - int(before[0]) < _MANY:
        return list(PARTS)
    found = {_part(str(one)) for one in now.facts.get("actions") or ()}
    for place, part in ((1, "inbox"), (2, "jobs"), (3, "grants"), (4, "agent")):
        if before[place] != after[place]:
            found.add(part)
    return [one for one in PARTS if one in found]


def _part(action: str) -> str:
    kind = ACTIONS.get(action)
    return "agent" if kind is None else _OF_GROUP.get(kind.group, kind.group)


def _event(name: str, now: Standing, parts: list[str]) -> str:
    data: dict[str, JSON] = {name: now.facts.get(name) for name in ("waiting", "running", "link")}
    return f"id: {now.marker}\nevent: {name}\ndata: {json.dumps({**data, 'parts': parts})}\n\n"


OPERATIONS: Final = (
    Operation(
        "events", "GET", EVENTS.removeprefix(API), follow, streams=True,
        about="Which parts of the page changed: events `now`, `changed` (`parts`: inbox, grants, "
        "people, data, jobs, agent; `waiting`, `running`, `link`), `away`, `ended`.",
    ),
)  # fmt: skip
