"""Everybody's notifications: list, mark as read, watch, and choose what one is told and where.

A person sees their own and nobody else's; an administrator has no way to another's.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import Final

from secureflow.application.access import Principal, missing, require_own
from secureflow.application.mailcodes import CONFIRM, MailCodes
from secureflow.application.notifying import topic
from secureflow.application.ports.bus import Bus
from secureflow.application.ports.storage import Page, UnitOfWork, UnitOfWorkFactory
from secureflow.application.proofs import require_proof
from secureflow.application.throttle import Throttle, too_fast
from secureflow.application.transactions import keep_answer
from secureflow.domain.deliveries import Channel, Delivery
from secureflow.domain.ids import new_id
from secureflow.domain.notificationkinds import ENTERED, KINDS
from secureflow.domain.notifications import Notification, Preferences
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

PAGE: Final = 200
CODE_TRIES: Final = 5
_ADDRESS: Final = re.compile(r"[A-Za-z0-9._%+-]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}")


class Notifications:
    """Use cases around one's own notifications.

    Args:
        begin: starts units of work.
        bus: wakes watchers.
        clock: unix seconds.
        ticks: paces mails with codes.
        stopping: set to end long streams.
        channels: the channels beside the inbox that are configured.
        domains: of addresses that may be used; empty: any.
        codes: makes the codes that confirm addresses.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        bus: Bus,
        clock: Clock,
        ticks: Ticks,
        stopping: Callable[[], bool],
        channels: frozenset[Channel] = frozenset(),
        domains: Sequence[str] = (),
        *,
        codes: MailCodes,
    ) -> None:
        self._begin = begin
        self._bus = bus
        self._clock = clock
        self._stopping = stopping
        self._channels = channels
        self._domains = frozenset(domain.lower() for domain in domains)
        self._paced = Throttle(1 / 600, 3, ticks)
        self._codes = codes

    async def list(
        self, principal: Principal, *, unread: bool = False, cursor: str = "", limit: int = 50
    ) -> Page:
        """Return the caller's notifications, unread ones first, then newest first.

        Raises:
            SecureFlowError: `invalid_cursor`.
        """
        async with self._begin() as work:
            found, following = await work.notifications.page(
                principal.user, unread=unread, cursor=cursor, limit=limit
            )
        return Page(found, following)

    async def unread(self, principal: Principal) -> int:
        """Return how many the caller has not read."""
        async with self._begin() as work:
            return await work.notifications.unread(principal.user)

    async def read(self, principal: Principal, key: int) -> Notification:
        """Mark one of the caller's notifications as read, and return it.

        Raises:
            SecureFlowError: `not_found`.
        """
        async with self._begin() as work:
            if await work.notifications.mark(principal.user, self._clock(), key):
                await keep_answer(work, None)
                await work.commit()
            found = await work.notifications.find(principal.user, key)
        if found is None:
            raise missing("notification", str(key))
        return found

    async def read_all(self, principal: Principal) -> int:
        """Mark all of the caller's notifications as read; return how many were not."""
        async with self._begin() as work:
            count = await work.notifications.mark(principal.user, self._clock())
            await keep_answer(work, count)
            await work.commit()
        return count

    async def events(
        self, principal: Principal, after: int | None
    ) -> AsyncGenerator[Notification, None]:
        """Yield the caller's notifications with id > `after`, then new ones; None: new ones only.

        It ends when the server stops.
        """
        if after is None:
            async with self._begin() as work:
                after = await work.notifications.newest(principal.user)
        async for _ in self._bus.listen(topic(principal.user)):
            while not self._stopping():
                async with self._begin() as work:
                    found = await work.notifications.after(principal.user, after, PAGE)
                for one in found:
                    after = one.id
                    yield one
                if len(found) < PAGE:
                    break
            if self._stopping():
                return

    async def preferences(self, principal: Principal) -> Preferences:
        """Return what the caller wants to be told."""
        async with self._begin() as work:
            return await _stored(work, principal.user)

    async def prefer(
        self,
        principal: Principal,
        *,
        language: str | None = None,
        silenced: Sequence[str] | None = None,
        mailed: Sequence[str] | None = None,
        email: str | None = None,
    ) -> Preferences:
        """Change what the caller wants to be told; what is None stays.

        A new address gets a mail with a code, and nothing else until it is confirmed.

        Raises:
            SecureFlowError: `invalid_request` for an unknown kind or a malformed address,
                `channel_off` without a mail server, `rate_limited`, `scope_too_narrow`;
                `proof_required` for another address.
        """
        require_own(principal, "account.preferences")
        for names in (silenced, mailed):
            _check_kinds(names or ())
        async with self._begin() as work:
            await work.lock(f"preferences/{principal.user}")
            old = await _stored(work, principal.user)
            new = replace(
                old,
                language=old.language if language is None else language,
                silenced=old.silenced if silenced is None else tuple(sorted(set(silenced))),
                mailed=old.mailed if mailed is None else tuple(sorted(set(mailed))),
            )
            if email is not None and email != old.email:
                await require_proof(work, principal, self._clock())
                if old.email and old.confirmed:
                    await self._tell_old(work, principal, old)
                new = await self._readdressed(work, principal, new, email)
            await _save(work, new)
            await keep_answer(work, new)
            await work.commit()
        if new.email != old.email:
            await self._bus.publish(topic(principal.user))
        return new

    async def confirm(self, principal: Principal, code: str) -> Preferences:
        """Confirm the caller's address with the code that was mailed to it.

        Raises:
            SecureFlowError: `code_refused`; after five wrong ones the address is forgotten;
                `scope_too_narrow`.
        """
        require_own(principal, "account.preferences")
        async with self._begin() as work:
            await work.lock(f"preferences/{principal.user}")
            old = await _stored(work, principal.user)
            right = bool(old.code) and hmac.compare_digest(
                self._codes.digest(principal.user, code), old.code
            )
            if right:
                new = replace(old, confirmed=True, code="", tries=0)
            elif old.code and old.tries > 1:
                new = replace(old, tries=old.tries - 1)
            else:
                new = replace(old, email="", confirmed=False, code="", tries=0)
            await _save(work, new)
            if right:
                await keep_answer(work, new)
            await work.commit()
        if not right:
            raise SecureFlowError(
                "code_refused",
                "This is not the code that was mailed to your address.",
                "Copy it from the newest mail; after five wrong ones set the address again.",
            )
        return new

    async def _readdressed(
        self, work: UnitOfWork, principal: Principal, old: Preferences, email: str
    ) -> Preferences:
        if not email:
            return replace(old, email="", confirmed=False, code="", tries=0)
        if "email" not in self._channels:
            raise SecureFlowError(
                "channel_off",
                "This centre sends no e-mail.",
                "The operator sets notifications.smtp in server.yaml.",
            )
        self._check_address(email)
        if wait := self._paced.take(principal.user):
            raise too_fast(wait)
        key, now = new_id("dlv"), self._clock()
        digest = self._codes.digest(principal.user, self._codes.code(key))
        await work.deliveries.add(
            Delivery(
                key, f"{CONFIRM}/{key}", "email", principal.user, principal.organisation,
                CONFIRM, now, {}, now, now,
            )
        )  # fmt: skip
        return replace(old, email=email, confirmed=False, code=digest, tries=CODE_TRIES)

    async def _tell_old(self, work: UnitOfWork, principal: Principal, old: Preferences) -> None:
        """Tell the person that their address changes, in the inbox and at the address until now."""
        key, now, kind = new_id("dlv"), self._clock(), KINDS[ENTERED]
        event, facts = (
            f"email/{key}",
            kind.checked({"user": principal.user, "what": "email", "by": principal.user}),
        )
        told = Notification(0, principal.user, kind.name, now, facts)
        await work.notifications.add(event, [told])
        if "email" in self._channels:
            row = Delivery(
                key, event, "email", principal.user, principal.organisation, kind.name, now,
                dict(facts), now, now, address=old.email,
            )  # fmt: skip
            await work.deliveries.add(row)

    def _check_address(self, email: str) -> None:
        if len(email) > 254 or not _ADDRESS.fullmatch(email):
            raise SecureFlowError(
                "invalid_request",
                "This is not an e-mail address that can be used.",
                "Use ASCII letters, digits and . _ % + - before the @.",
            )
        domain = email.rpartition("@")[2].lower()
        if self._domains and domain not in self._domains:
            raise SecureFlowError(
                "invalid_request",
                Text("Mail goes to these domains only: {domains}.",
                     domains=", ".join(sorted(self._domains))),
                "Use an address of your organisation.",
            )  # fmt: skip


def _check_kinds(names: Sequence[str]) -> None:
    for name in names:
        if name not in KINDS:
            raise SecureFlowError(
                "invalid_request",
                Text("There is no kind of notification {name!r:.80}.", name=name),
                "secureflow notification kinds",
            )


async def _stored(work: UnitOfWork, user: str) -> Preferences:
    return await work.preferences.find(user) or Preferences(user)


async def _save(work: UnitOfWork, new: Preferences) -> None:
    if await work.preferences.find(new.id) is None:
        await work.preferences.add(new)
    else:
        await work.preferences.save(new)
