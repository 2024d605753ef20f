"""One's own notifications, and what one wants to be told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import Header, Path, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

from secureflow.application.ports.storage import Page
from secureflow.domain.notificationkinds import KINDS
from secureflow.domain.notifications import Notification, Preferences, Severity
from secureflow.domain.texts import ONE_LINE
from secureflow.server.rest.callers import Caller, Use, lets_in
from secureflow.server.rest.idempotency import OnceRoute, shown_as
from secureflow.server.rest.languages import Spoken
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import (
    LIMIT,
    Cursor,
    Limit,
    Listed,
    RequestBody,
    decode_cursor,
    listed,
)
from secureflow.server.rest.streams import Counted, while_let_in
from secureflow.texts import Language, told

router = router_of("notifications", OnceRoute, f"{PREFIX}/notifications")

Number = Annotated[int, Path(ge=1, lt=1 << 53, description="The notification's id")]
KindName = Annotated[str, Field(max_length=64, pattern=r"^[a-z_]+$")]
KindNames = Annotated[list[KindName], Field(max_length=100)]


class NotificationShown(BaseModel):
    """A notification: its text, and the path of the object that it is about."""

    id: int
    kind: str = Field(examples=["job_failed"])
    severity: Severity
    at: int = Field(description="Unix seconds")
    read: int | None = Field(description="Unix seconds; null while it is unread")
    text: str
    link: str = Field(examples=["/jobs/job_01jf2k"])
    facts: dict[str, str | int]


class KindShown(BaseModel):
    """A kind of notification; critical ones cannot be silenced."""

    name: str
    severity: Severity
    facts: list[str]


class Unread(BaseModel):
    """How many notifications are unread."""

    unread: int


class Marked(BaseModel):
    """How many notifications were marked as read."""

    read: int


class PreferencesShown(BaseModel):
    """What a person wants to be told, and where."""

    language: Literal["en", "zh"]
    email: str
    confirmed: bool
    mailed: list[str] | None
    silenced: list[str]


class PreferencesChange(RequestBody):
    """What to change; fields that are absent stay as they are. An empty address ends mails."""

    language: Literal["en", "zh"] | None = None
    email: Annotated[str, Field(max_length=254), ONE_LINE] | None = None
    mailed: KindNames | None = None
    silenced: KindNames | None = None


class Code(RequestBody):
    """The code that was mailed to the address."""

    code: Annotated[str, Field(pattern=r"^[0-9]{8}$")] = Field(repr=False)


def _shown(one: Notification, language: Language) -> NotificationShown:
    kind = KINDS.get(one.kind)
    return NotificationShown(
        id=one.id,
        kind=one.kind,
        severity=kind.severity if kind else Severity.INFO,
        at=one.at,
        read=one.read,
        text=told(kind.text(one.facts), language) if kind else one.kind,
        link=kind.link(one.facts) if kind else "",
        facts=one.facts,
    )


def _preferences(one: Preferences) -> PreferencesShown:
    return PreferencesShown(
        language="zh" if one.language == "zh" else "en",
        email=one.email,
        confirmed=one.confirmed,
        mailed=None if one.mailed is None else list(one.mailed),
        silenced=list(one.silenced),
    )


def _marked(count: int) -> Marked:
    return Marked(read=count)


@router.get("", summary="List my notifications")
async def list_notifications(
    use: Use,
    caller: Caller,
    language: Spoken,
    unread: Annotated[bool, Query(description="Only those that are unread")] = False,
    cursor: Cursor = "",
    limit: Limit = LIMIT,
) -> Listed[NotificationShown]:
    """Return the caller's notifications, unread ones first, then newest first."""
    page = await use.notifications.list(
        caller, unread=unread, cursor=decode_cursor(cursor), limit=limit
    )
    items = [_shown(one, language) for one in page.items]
    return Listed[NotificationShown](**listed(Page(items, page.next)))


@router.get("/unread", summary="Count my unread notifications")
async def count_unread(use: Use, caller: Caller) -> Unread:
    """Return how many of the caller's notifications are unread."""
    return Unread(unread=await use.notifications.unread(caller))


@router.get("/kinds", summary="List the kinds of notifications")
async def list_notification_kinds(caller: Caller) -> Listed[KindShown]:
    """Return every kind with its severity and the names of its facts."""
    del caller
    kinds = [
        KindShown(name=one.name, severity=one.severity, facts=list(one.facts))
        for one in KINDS.values()
    ]
    return Listed[KindShown](**listed(Page(kinds)))


@router.post("/read", summary="Mark all my notifications as read")
@shown_as(_marked)
async def read_all_notifications(use: Use, caller: Caller) -> Marked:
    """Mark all of the caller's notifications as read."""
    return _marked(await use.notifications.read_all(caller))


@router.post("/{key}/read", summary="Mark a notification as read", status_code=204)
async def read_notification(key: Number, use: Use, caller: Caller) -> None:
    """Mark one of the caller's notifications as read; one that is already is not an error."""
    await use.notifications.read(caller, key)


@router.get("/preferences", summary="Get what I want to be told")
async def get_preferences(use: Use, caller: Caller) -> PreferencesShown:
    """Return what the caller wants to be told, and where."""
    return _preferences(await use.notifications.preferences(caller))


@router.patch("/preferences", summary="Choose what I want to be told")
@shown_as(_preferences)
async def update_preferences(body: PreferencesChange, use: Use, caller: Caller) -> PreferencesShown:
    """Change what the caller wants to be told; a new address is mailed a code to confirm it."""
    return _preferences(
        await use.notifications.prefer(
            caller,
            language=body.language,
            silenced=body.silenced,
            mailed=body.mailed,
            email=body.email,
        )
    )


@router.post("/preferences/confirm", summary="Confirm my address")
@shown_as(_preferences)
async def confirm_address(body: Code, use: Use, caller: Caller) -> PreferencesShown:
    """Confirm the caller's address with the code that was mailed to it."""
    return _preferences(await use.notifications.confirm(caller, body.code))


@router.get(
    "/events",
    summary="Watch my notifications",
    response_class=EventSourceResponse,
    operation_id="watch_notifications",
)
async def watch_notifications(
    use: Use,
    caller: Counted,
    request: Request,
    language: Spoken,
    after: Annotated[
        int | None, Query(ge=0, lt=1 << 53, description="Only those with id > this; absent: new")
    ] = None,
    last: Annotated[str, Header(alias="Last-Event-ID", pattern=r"^[0-9]{0,15}$")] = "",
) -> AsyncIterator[ServerSentEvent]:
    """Stream the caller's new notifications (`notification`).

    A broken stream is resumed with `Last-Event-ID`. It ends soon after the caller's token
    or session.
    """
    since = max(after or 0, int(last)) if last else after
    events = use.notifications.events(caller, since)
    async for one in while_let_in(events, lambda: lets_in(request, caller)):
        yield ServerSentEvent(
            id=str(one.id), event="notification", data=notification_shown(one, language)
        )


def notification_shown(one: Notification, language: Language) -> dict[str, Any]:
    """Return a notification as JSON, told in a language."""
    return _shown(one, language).model_dump(mode="json")
