"""The owner's notifications: told from the agent's own record, and carried out by the agent itself.

What the agent did is in its log of actions, in the transaction in which it did it; a cursor says up
to which of them the owner was told. Mails and webhooks are tried until they succeed, at least once,
under one id. The centre has no part in it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from secureflow.agent.notificationsettings import OwnNotificationSettings
from secureflow.agent.owner.folding import Folding
from secureflow.agent.owner.occurrences import notification_of
from secureflow.agent.record.store import RecordStore
from secureflow.domain.agentnotificationkinds import AGENT_KINDS, SECURITY_KINDS
from secureflow.domain.deliveries import (
    MOST_FAILED,
    MOST_TRIES,
    MOST_WAITING,
    Delivery,
    pause_after,
)
from secureflow.domain.ids import new_id
from secureflow.domain.notifications import MOST_KEPT, Fact, Notification, Severity
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

CURSOR: Final = "notified"
"""Name of the fact with the number of the last action that the owner was told of."""
FOLDED: Final = "notified_often"
"""Name of the fact with what was told how often in the hour that runs."""
REPEATED: Final = "repeated"
ASKING: Final = frozenset({"request_waiting", "question_answered"})
"""Kinds that ask a person to decide a request."""
_RANK: Final = {one: rank for rank, one in enumerate(Severity)}
_MATTERS: Final = tuple(
    name for name, kind in AGENT_KINDS.items() if kind.severity is Severity.CRITICAL
)
INTERVAL: Final = 5.0
"""Seconds between two looks at the record."""

_log = get_logger(__name__)

Send = Callable[[str, Delivery], Awaitable[None]]
"""Carries a delivery out to a receiver: an address, or a webhook's URL. Raises `delivery_failed`"""


class OwnNotifications:
    """Tells the owner.

    Args:
        store: the agent's record.
        settings: the receivers.
        send: carries deliveries out.
        clock: unix seconds.
    """

    def __init__(
        self,
        store: RecordStore,
        settings: OwnNotificationSettings,
        send: Mapping[str, Send],
        clock: Clock,
    ) -> None:
        self._store = store
        self._settings = settings
        self._send = send
        self._clock = clock

    async def run(self) -> None:
        """Tell and carry out, until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.collect)
                await self.deliver()
            except SecureFlowError as error:  # a full disk; tried again
                _log.warning("notifications_waiting", code=error.code)
            await asyncio.sleep(INTERVAL)

    def collect(self) -> int:
        """Tell the owner of the actions since the last time; return of how many.

        Before the first time nothing is told of: an owner knows what an agent did under an older
        version.
        """
        store, told = self._store, 0
        with store.transaction():
            last = store.fact(CURSOR)
            if not isinstance(last, int):
                store.set_fact(CURSOR, store.newest_action())
                return 0
            folding = Folding(store.fact(FOLDED))
            before = json.dumps(folding.as_json(), sort_keys=True)
            for facts in folding.ended(now := self._clock()):
                one = Notification(0, "", REPEATED, now, AGENT_KINDS[REPEATED].checked(facts))
                told += self._tell(f"repeated/{facts['kind']}/{now}", one)
            actions = store.actions_after(last)
            for action in actions:
                one_of = notification_of(action)
                if one_of and folding.tells(AGENT_KINDS[one_of.kind], one_of.facts, now):
                    told += self._tell(f"action/{action['id']}", one_of)
            if actions:
                store.set_fact(CURSOR, actions[-1]["id"])
            if json.dumps(folding.as_json(), sort_keys=True) != before:
                store.set_fact(FOLDED, folding.as_json())
        return told

    def tell(self, event: str, kind: str, facts: Mapping[str, Fact]) -> bool:
        """Tell the owner of what is no action: a low budget, a certificate; each event once."""
        known = AGENT_KINDS[kind].checked(facts)
        with self._store.transaction():
            return self._tell(event, Notification(0, "", kind, self._clock(), known))

    async def deliver(self) -> None:
        """Carry out what is due."""
        due = await asyncio.to_thread(self._store.outgoing, "waiting", self._clock(), limit=50)
        for one in due:
            try:
                await self._carry(one)
            except SecureFlowError as error:
                await asyncio.to_thread(self._put_back, one, error.code)
            else:
                await asyncio.to_thread(self._remove, one.id)

    async def test(self) -> list[dict[str, JSON]]:
        """Send a test to every receiver now; return what became of it."""
        now, results = self._clock(), list[dict[str, JSON]]()
        kind = AGENT_KINDS["test"]
        for channel, target in self._receivers(None):
            key = new_id("dlv")
            one = Delivery(key, key, channel, target, "", kind.name, now, {}, now, now)
            problem: dict[str, JSON] | None = None
            try:
                await self._carry(one)
            except SecureFlowError as error:
                problem = error.as_json()
            results.append({"channel": channel, "to": _shown(channel, target), "problem": problem})
        return results

    def listed(self, *, unread: bool, limit: int) -> list[Notification]:
        """Return the owner's notifications, unread ones first, then newest first.

        What asks for a decision that was made since, or that nobody waits for any more, is read.
        """
        self._settle()
        return self._store.notifications(unread=unread, limit=limit)

    def failed(self) -> list[Delivery]:
        """Return what was given up on."""
        return self._store.outgoing("failed")

    def read(self, ids: Sequence[int] | None) -> int:
        """Mark notifications as read, or all; return how many were not."""
        with self._store.transaction():
            return self._store.read_notifications(self._clock(), ids)

    def _settle(self) -> None:
        store = self._store
        settled = [
            one.id
            for one in store.notifications(unread=True, limit=MOST_KEPT)
            if one.kind in ASKING and not self._waits(str(one.facts.get("item", "")))
        ]
        if settled:
            with store.transaction():
                store.read_notifications(self._clock(), settled)

    def _waits(self, item: str) -> bool:
        """Return whether a request may still wait; of one that cannot be read nobody knows."""
        try:
            found = self._store.inbox_item(item)
        except SecureFlowError:
            return True
        return found is None or found.state == "waiting"

    def _tell(self, event: str, one: Notification) -> bool:
        """Store a notification and what goes out of it; the caller's transaction."""
        store = self._store
        if not store.add_notification(event, one):
            return False
        store.trim_notifications(MOST_KEPT, _MATTERS)
        now = self._clock()
        for channel, target in self._receivers(one.kind):
            if not self._has_room(target, one.kind):
                _log.warning("delivery_dropped", channel=channel, kind=one.kind)
                continue
            key = new_id("dlv")
            facts: dict[str, Any] = dict(one.facts)
            delivery = Delivery(key, key, channel, target, "", one.kind, one.at, facts, now, now)
            store.add_outgoing(delivery)
        return True

    def _has_room(self, target: str, kind: str) -> bool:
        """Return whether one more delivery may wait for a receiver; what matters less makes room.

        Information may fill three quarters of the queue; for the rest, the oldest one that matters
        less goes.
        """
        waiting = self._store.outgoing("waiting", target=target, limit=MOST_WAITING)
        if len(waiting) < MOST_WAITING * 3 // 4:
            return True
        own = _RANK[AGENT_KINDS[kind].severity]
        if own and len(waiting) < MOST_WAITING:
            return True
        ranks = {one.id: _RANK[_severity(one.kind)] for one in waiting}
        less = [one for one in waiting if ranks[one.id] < own]
        if not less:
            return False
        gone = min(less, key=lambda one: ranks[one.id])  # the first, which is the oldest
        self._store.remove_outgoing(gone.id)
        _log.warning("delivery_dropped", channel=gone.channel, kind=gone.kind)
        return True

    def _receivers(self, kind: str | None) -> list[tuple[Any, str]]:
        """Return the receivers of a kind, or all; of grants and accounts everybody is told."""
        found: list[tuple[Any, str]] = []
        mailed = self._settings.kinds
        info = kind is not None and AGENT_KINDS[kind].severity is Severity.INFO
        always = kind is None or kind in SECURITY_KINDS
        wanted = always or (kind in mailed if mailed else not info)
        if self._settings.smtp is not None and wanted:
            found += [("email", address) for address in self._settings.to]
        for hook in self._settings.webhooks:
            if always or not hook.kinds or kind in hook.kinds:
                found.append(("webhook", hook.url))
        return found

    async def _carry(self, one: Delivery) -> None:
        send = self._send.get(one.channel)
        if send is None:
            raise SecureFlowError("channel_off", "This channel is not configured.")
        await send(one.target, one)

    def _put_back(self, one: Delivery, code: str) -> None:
        tries, now = one.tries + 1, self._clock()
        over = tries >= MOST_TRIES or code in ("address_refused", "channel_off")
        later = replace(
            one, tries=tries, code=code, state="failed" if over else "waiting",
            due=now if over else now + pause_after(tries),
        )  # fmt: skip
        with self._store.transaction():
            self._store.save_outgoing(later)
            for gone in self._store.outgoing("failed")[:-MOST_FAILED]:
                self._store.remove_outgoing(gone.id)
        _log.warning("delivery_failed", id=one.id, channel=one.channel, code=code, tries=tries)

    def _remove(self, key: str) -> None:
        with self._store.transaction():
            self._store.remove_outgoing(key)


def _severity(kind: str) -> Severity:
    """Return how much a kind matters; one of another version counts as information."""
    known = AGENT_KINDS.get(kind)
    return known.severity if known else Severity.INFO


def _shown(channel: str, target: str) -> str:
    """Return a receiver for people: the path of a webhook may hold a secret."""
    return target if channel == "email" else f"https://{urlsplit(target).hostname}"
