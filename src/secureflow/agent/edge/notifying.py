"""The agent's notifications at work: its own mail server and webhooks, and what only time tells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from secureflow.adapters.notifying.settings import SmtpSettings
from secureflow.agent.edge.control import Command
from secureflow.agent.job.context import AgentContext
from secureflow.agent.notificationsettings import OwnNotificationSettings, OwnWebhook
from secureflow.agent.owner.notifications import OwnNotifications, Send
from secureflow.domain.agentnotificationkinds import AGENT_KINDS
from secureflow.domain.deliveries import Delivery
from secureflow.domain.notifications import Fact, Notification
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.privatefiles import read_private
from secureflow.kit.text import Text, with_texts

WATCH_SECONDS: Final = 600.0
DAY: Final = 86_400
CERTIFICATE_SECONDS: Final = 6 * 3600
"""A link certificate lasts 24 hours and is renewed long before: one with less left was not."""
GRANT_DAYS: Final = 7
"""Days before the end of a grant in which its owner is told of it."""
SHORTEST_SECRET: Final = 16

_log = get_logger(__name__)

Budgets = Callable[[], Awaitable[list[dict[str, JSON]]]]
"""Returns every privacy domain's limit and what of it is spent."""


def senders(settings: OwnNotificationSettings, clock: Clock) -> Mapping[str, Send]:
    """Return what carries out the deliveries of each channel that is configured."""
    found: dict[str, Send] = {}
    if settings.smtp is not None:
        found["email"] = _mailing(settings.smtp, settings, clock)
    if settings.webhooks:
        found["webhook"] = _posting(settings, clock)
    return found


def _mailing(smtp: SmtpSettings, settings: OwnNotificationSettings, clock: Clock) -> Send:
    server = smtp.server()

    async def send(to: str, delivery: Delivery) -> None:
        from secureflow.adapters.notifying.smtp import composed, written

        kind = AGENT_KINDS[delivery.kind]
        subject, text = written(kind, delivery, settings.language, "")
        message = composed(subject, text, server.sender, to, delivery.id, clock())
        await asyncio.to_thread(server.send, message)

    return send


def _posting(settings: OwnNotificationSettings, clock: Clock) -> Send:
    from secureflow.adapters.notifying.webhook import WebhookPoster, body_of

    poster = WebhookPoster(clock, settings.allow, settings.ca)
    hooks = {one.url: one for one in settings.webhooks}

    async def send(url: str, delivery: Delivery) -> None:
        if url not in hooks:
            raise SecureFlowError("channel_off", "This channel is not configured.")
        secret = await asyncio.to_thread(_secret, hooks[url])
        body = body_of(delivery, AGENT_KINDS[delivery.kind])
        await poster.post(url, secret, delivery.id, body)

    return send


def _secret(hook: OwnWebhook) -> str:
    try:
        text = read_private(hook.secret_file).decode("utf-8").split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if len(text) < SHORTEST_SECRET:
        raise SecureFlowError(
            "key_unreadable",
            Text("The secret of a webhook in {path} cannot be read.", path=hook.secret_file),
            "Put at least 16 characters into its first line, and correct secret_file.",
        )
    return text


@dataclass(frozen=True)
class OwnWatch:
    """Tells the owner of what no action of the agent's says: low budgets, an old certificate.

    Args:
        notifications: the owner's.
        budgets: reports privacy budgets.
        ends: returns when the link certificate ends, in unix seconds.
        percent: what is left of a budget when it is low.
        clock: unix seconds.
        grants: returns when each grant that holds ends, by its id, in unix seconds.
    """

    notifications: OwnNotifications
    budgets: Budgets
    ends: Callable[[], int]
    percent: int
    clock: Clock
    grants: Callable[[], Mapping[str, int]] = dict

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            try:
                await self.look()
            except SecureFlowError as error:
                _log.warning("watch_failed", code=error.code)
            await asyncio.sleep(WATCH_SECONDS)

    async def look(self) -> None:
        """Tell of what is low or ends soon; each once."""
        for row in await self.budgets():
            await self._look_at(row)
        for grant, until in (await asyncio.to_thread(self.grants)).items():
            await self._look_at_grant(grant, until)
        ends = await asyncio.to_thread(self.ends)
        left = ends - self.clock()
        if left <= CERTIFICATE_SECONDS:
            facts = {"days": max(-(-left // DAY), 0)}
            await asyncio.to_thread(
                self.notifications.tell, f"certificate/{ends}", "certificate_expiring", facts
            )

    async def _look_at_grant(self, grant: str, until: int) -> None:
        days = -(-(until - self.clock()) // DAY)
        if 0 < days <= GRANT_DAYS:
            facts: dict[str, Fact] = {"grant": grant, "days": days}
            event = f"grant/{grant}"
            await asyncio.to_thread(self.notifications.tell, event, "grant_expiring", facts)

    async def _look_at(self, row: Mapping[str, Any]) -> None:
        limit, spent = row.get("epsilon"), row.get("spent")
        if not isinstance(limit, int | float) or not isinstance(spent, int | float) or limit <= 0:
            return
        left = max(0, int(100 * (1 - spent / limit)))
        if left < self.percent:
            event = f"budget/{row['domain']}/{limit}/{self.percent}"
            facts: dict[str, Fact] = {"domain": str(row["domain"]), "percent": left}
            await asyncio.to_thread(self.notifications.tell, event, "budget_low", facts)


@dataclass(frozen=True)
class NotificationCommands:
    """The owner's commands about notifications, over the control socket."""

    notifications: OwnNotifications

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {
            "notification.list": self.every,
            "notification.read": self.read,
            "notification.failed": self.failed,
            "notification.test": self.test,
        }

    async def every(self, unread: bool = False, limit: int = 100) -> list[dict[str, JSON]]:
        """Return the owner's notifications, unread ones first, then newest first."""
        await asyncio.to_thread(self.notifications.collect)
        found = await asyncio.to_thread(
            lambda: self.notifications.listed(unread=unread, limit=max(1, min(limit, 1000)))
        )
        return [_shown(one) for one in found]

    async def read(self, ids: list[int] | None = None) -> dict[str, JSON]:
        """Mark notifications as read, or all."""
        return {"read": await asyncio.to_thread(self.notifications.read, ids)}

    async def failed(self) -> list[dict[str, JSON]]:
        """Return the deliveries that were given up on."""
        found = await asyncio.to_thread(self.notifications.failed)
        names = ("id", "channel", "kind", "at", "tries", "code")
        return [{name: getattr(one, name) for name in names} for one in found]

    async def test(self) -> list[dict[str, JSON]]:
        """Send a test to every receiver now."""
        return await self.notifications.test()


def _shown(one: Notification) -> dict[str, JSON]:
    kind = AGENT_KINDS.get(one.kind)
    plain: dict[str, JSON] = {
        "id": one.id,
        "kind": one.kind,
        "severity": kind.severity.value if kind else "info",
        "at": one.at,
        "read": one.read,
        "facts": dict(one.facts),
        "message": kind.text(one.facts) if kind else one.kind,
    }
    return with_texts(plain)


def _grant_ends(context: AgentContext) -> dict[str, int]:
    """Return when each grant that was not revoked ends; one that is damaged is left out."""
    kept = [one for one in context.store.grants() if one.state == "granted"]
    terms = {one.id: one.body.get("terms") for one in kept}
    until = {key: one.get("expires") for key, one in terms.items() if isinstance(one, dict)}
    return {key: end for key, end in until.items() if type(end) is int}


def own_notifications(
    context: AgentContext, ends: Callable[[], int]
) -> tuple[OwnNotifications, OwnWatch]:
    """Return the owner's notifications of an agent, and what watches what only time tells.

    Args:
        context: of the agent.
        ends: returns when the link certificate ends, in unix seconds.
    """
    settings, clock = context.settings.notifications, context.clock
    notifications = OwnNotifications(context.store, settings, senders(settings, clock), clock)
    budgets = partial(context.budgets.report, exact=False)
    watch = OwnWatch(
        notifications, budgets, ends, settings.budget_percent, clock, partial(_grant_ends, context)
    )
    return notifications, watch
