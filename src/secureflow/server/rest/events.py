"""The one event stream of an open page: jobs, notifications, agents' links, timetables."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from secureflow.application.access import Principal
from secureflow.application.live import MOST_FOLLOWED, Message
from secureflow.domain.jobs import JobSummary
from secureflow.domain.notifications import Notification
from secureflow.server.rest.callers import Use, lets_in
from secureflow.server.rest.idempotency import OnceRoute
from secureflow.server.rest.languages import Spoken, spoken
from secureflow.server.rest.notifications import notification_shown
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import Reference
from secureflow.server.rest.streams import Counted, while_let_in
from secureflow.texts import Language

router = router_of("events", OnceRoute, f"{PREFIX}/events")

LOOK_AGAIN_SECONDS: Final = 5.0
"""How often a page's stream checks whether its session or token still lasts."""
RETRY_MILLISECONDS: Final = 2000
"""How long a browser waits before it opens a broken stream again."""
Place = r"^([0-9]{1,15}-[0-9a-f]{1,20})?$"


async def _permitted(use: Use, caller: Counted) -> Principal:
    """Refuse before the stream begins: afterwards the status is sent already."""
    use.live.check(caller)
    return caller


@router.get(
    "",
    summary="Watch everything that one may see",
    response_class=EventSourceResponse,
    operation_id="watch_events",
)
async def watch_events(
    use: Use,
    caller: Annotated[Principal, Depends(_permitted)],
    request: Request,
    language: Spoken,
    jobs: Annotated[
        list[Reference],
        Query(max_length=MOST_FOLLOWED, description="Jobs of which every event is sent"),
    ] = [],  # noqa: B006  FastAPI copies it
    after: Annotated[str, Query(pattern=Place, description="As `Last-Event-ID`")] = "",
    last: Annotated[str, Header(alias="Last-Event-ID", pattern=Place)] = "",
) -> AsyncIterator[ServerSentEvent]:
    """Stream what changes, until the caller's session or token ends.

    - `hello`: the stream begins at its id; `unread` notifications.
    - `job`, `timetable`: `job` is its row as in the list, as it is now; for `jobs` that are
      followed each `event` (`id`, `kind`, `at`, `data`) too. Jobs that the caller may not see
      yield nothing.
    - `notification`: a new one, and how many are `unread`; `inbox`: only the count changed.
    - `link`: a `party` is `connected` or not, `at` unix seconds.
    - `reset`: the id was too old, or from before a backup was restored: reload what you show.

    A broken stream goes on after `Last-Event-ID`, at any server of the database; a new one goes on
    after `after`. Without both it begins now.
    """
    messages = use.live.messages(caller, last or after, jobs)
    async for one in while_let_in(messages, lambda: lets_in(request, caller), LOOK_AGAIN_SECONDS):
        yield _sent(one, language)


def _sent(one: Message, language: Language) -> ServerSentEvent:
    key = one.cursor or None
    if not one.kind:
        return ServerSentEvent(id=key, comment="here")
    begins = one.kind in {"hello", "reset"}
    data = {name: _told(value, language) for name, value in one.data.items()}
    retry = RETRY_MILLISECONDS if begins else None
    return ServerSentEvent(id=key, event=one.kind, data=data, retry=retry)


def _told(value: Any, language: Language) -> Any:
    if isinstance(value, JobSummary):
        return asdict(value) | {"error": spoken(value.error, language)}
    if isinstance(value, Notification):
        return notification_shown(value, language)
    return spoken(value, language) if isinstance(value, dict) else value
