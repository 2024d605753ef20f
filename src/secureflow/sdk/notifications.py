"""One's own notifications, and webhooks of the organisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Page, Resource, listing, operation, stream
from secureflow.sdk.events import InboxSubscription, Subscription


@dataclass(frozen=True)
class Notification:
    """One notification; times in unix seconds, `link` is the path of what it is about."""

    id: int
    kind: str
    severity: str
    at: int
    text: str
    link: str = ""
    read: int | None = None
    facts: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class NotificationKind:
    """A kind of notification; critical ones cannot be silenced."""

    name: str
    severity: str
    facts: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotificationPreferences:
    """What a person wants to be told; `mailed` is None for everything from warnings on."""

    language: str
    email: str = ""
    confirmed: bool = False
    mailed: tuple[str, ...] | None = None
    silenced: tuple[str, ...] = ()


@dataclass(frozen=True)
class Webhook:
    """An address to which notifications are posted; `secret` is shown only once.

    `warning` says why nothing can be posted there at present, in the answer that creates it.
    """

    id: str
    organisation: str
    url: str
    kinds: tuple[str, ...] = ()
    created: int = 0
    by: str = ""
    disabled: bool = False
    secret: str = field(default="", repr=False)
    warning: str = ""


@dataclass(frozen=True)
class FailedDelivery:
    """A delivery that was given up on."""

    id: str
    channel: str
    target: str
    organisation: str
    kind: str
    at: int
    tries: int
    code: str


class Notifications(Resource[D_co]):
    """The caller's own notifications."""

    @listing
    def list(self, *, unread: bool = False) -> Call[Page[Notification]]:
        """Iterate over the caller's notifications, unread ones first, then newest first."""
        wanted: dict[str, str | int] = {"unread": "true"} if unread else {}
        return verbs.pages("/notifications", Notification, **wanted)

    @operation
    def unread(self) -> Call[int]:
        """Return how many are unread."""
        return verbs.read(
            "/notifications/unread", lambda answer: int(answers.document(answer)["unread"])
        )

    @operation
    def read(self, notification: int) -> Call[None]:
        """Mark one as read."""
        return verbs.post(f"/notifications/{notification}/read", {}, answers.nothing)

    @operation
    def read_all(self) -> Call[int]:
        """Mark all as read; return how many were not."""
        return verbs.post(
            "/notifications/read", {}, lambda answer: int(answers.document(answer)["read"])
        )

    @stream
    def watch(self, after: int = 0) -> Subscription:
        """Iterate over new notifications as they come, until the token ends.

        Their data are the fields of `Notification`. Broken streams are resumed.

        Args:
            after: only those with a larger id; 0: only new ones.
        """
        return InboxSubscription("", after)

    @listing
    def kinds(self) -> Call[Page[NotificationKind]]:
        """Iterate over every kind of notification."""
        return verbs.pages("/notifications/kinds", NotificationKind)

    @operation
    def preferences(self) -> Call[NotificationPreferences]:
        """Return what the caller wants to be told."""
        return verbs.get("/notifications/preferences", NotificationPreferences)

    @operation
    def prefer(self, /, **fields: Any) -> Call[NotificationPreferences]:
        """Change `language`, `email`, `mailed` or `silenced`."""
        return verbs.patch("/notifications/preferences", fields, NotificationPreferences)

    @operation
    def confirm(self, code: str) -> Call[NotificationPreferences]:
        """Confirm the caller's address with the code that was mailed to it."""
        reader = answers.value(NotificationPreferences)
        return verbs.post("/notifications/preferences/confirm", {"code": code}, reader)


class Webhooks(Resource[D_co]):
    """The webhooks of the caller's organisation, and deliveries that were given up on."""

    @operation
    def create(self, url: str, kinds: Sequence[str] = ()) -> Call[Webhook]:
        """Create a webhook; its secret is in this answer only."""
        body = {"url": url, "kinds": [*kinds]}
        return verbs.post_once("/webhooks", body, answers.value(Webhook))

    @operation
    def remove(self, webhook: str) -> Call[None]:
        """Remove a webhook, with what waits for it."""
        return verbs.delete(f"/webhooks/{webhook}")

    @operation
    def test(self, webhook: str) -> Call[str]:
        """Post a test to a webhook now; return the id of its delivery."""

        def delivery(answer: httpx.Response) -> str:
            return str(answers.document(answer)["delivery"])

        return verbs.post_once(f"/webhooks/{webhook}/test", {}, delivery)

    @listing
    def list(self) -> Call[Page[Webhook]]:
        """Iterate over the webhooks, without their secrets."""
        return verbs.pages("/webhooks", Webhook)

    @listing
    def failed(self) -> Call[Page[FailedDelivery]]:
        """Iterate over the deliveries that were given up on."""
        return verbs.pages("/deliveries", FailedDelivery)

    @operation
    def retry(self, delivery: str) -> Call[None]:
        """Try a failed delivery again, under its old id."""
        return verbs.post(f"/deliveries/{delivery}/retry", {}, answers.nothing)
