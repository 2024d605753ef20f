"""Webhooks: addresses of an organisation to which its notifications are posted, signed.

Administrators of the organisation make them; the secret is shown once, and stored sealed. Where an
address may lead is checked when it is made and again in each try (`adapters.notifying`). What was
given up on is listed for administrators, who may try it again.
"""

from __future__ import annotations

import ipaddress
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol
from urllib.parse import urlsplit

from secureflow.application.access import Principal, missing, require
from secureflow.application.ports.notifications import Notifier
from secureflow.application.ports.storage import Page, UnitOfWork, UnitOfWorkFactory
from secureflow.application.proofs import require_proof
from secureflow.application.throttle import Throttle, too_fast
from secureflow.application.transactions import Transactions, keep_answer
from secureflow.domain.deliveries import Delivery, Webhook
from secureflow.domain.ids import new_id
from secureflow.domain.notificationkinds import KINDS
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MOST_URL: Final = 1000
SECRET_BYTES: Final = 32


class Sealer(Protocol):
    """Seals the signing secrets for the database."""

    def seal(self, secret: str, belongs: str) -> str:
        """Return the sealed secret."""


@dataclass(frozen=True)
class IssuedWebhook:
    """A new webhook and its signing secret, which is shown only now."""

    webhook: Webhook
    secret: str = field(repr=False)
    doubt: SecureFlowError | None = None
    """Why nothing could be posted there at present."""


Judge = Callable[[str], Awaitable[SecureFlowError | None]]
"""Tells why nothing may, or can at present, be posted to an address (URL); None if it can."""


async def _no_judge(_: str) -> SecureFlowError | None:
    return None


class Webhooks:
    """Use cases around webhooks and failed deliveries.

    Args:
        begin, transactions: units of work, and those that are recorded.
        sealer: seals secrets.
        notifier: carries test deliveries out; None: webhooks are off.
        clock: unix seconds.
        most: webhooks of one organisation.
        ticks: paces tests.
        judge: looks at where a new webhook leads.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        sealer: Sealer,
        notifier: Notifier | None,
        clock: Clock,
        most: int,
        ticks: Ticks = time.monotonic,
        judge: Judge = _no_judge,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._sealer = sealer
        self._notifier = notifier
        self._clock = clock
        self._most = most
        self._judge = judge
        self._tests = Throttle(1 / 20, 5, ticks)

    async def create(
        self, principal: Principal, url: str, kinds: Sequence[str] = ()
    ) -> IssuedWebhook:
        """Make a webhook of the caller's organisation.

        An address that is refused for good (an IP address that is not public) makes none; a name
        may lead elsewhere tomorrow, so it makes one with a doubt.

        Raises:
            SecureFlowError: `forbidden`, `invalid_request`, `quota_exceeded`, `channel_off`,
                `address_refused`; `proof_required`: it goes on telling when a session is over.
        """
        require(principal, "webhook.create")
        if self._notifier is None:
            raise _off()
        check_url(url)
        _check_kinds(kinds)
        async with self._begin() as work:
            await require_proof(work, principal, self._clock(), others=True)
        doubt = await self._judge(url)
        if doubt is not None and _is_literal(url):
            raise doubt
        key, secret = new_id("whk"), f"whs_{secrets.token_urlsafe(SECRET_BYTES)}"
        webhook = Webhook(
            id=key,
            organisation=principal.organisation,
            url=url,
            kinds=tuple(sorted(set(kinds))),
            created=self._clock(),
            by=principal.user,
            secret=self._sealer.seal(secret, key),
        )
        async with self._transactions() as transaction:
            await transaction.work.lock(f"webhooks/{principal.organisation}")
            count = await transaction.work.webhooks.count(organisation=principal.organisation)
            if count >= self._most:
                raise SecureFlowError(
                    "quota_exceeded",
                    Text(
                        "{organisation} has {most} webhooks already.",
                        organisation=principal.organisation,
                        most=self._most,
                    ),
                    "Remove one: secureflow notification webhook remove.",
                )
            await transaction.work.webhooks.add(webhook)
            transaction.record("webhook.created", _document(webhook, principal.user))
        return IssuedWebhook(webhook, secret, doubt)

    async def list(self, principal: Principal, *, cursor: str = "", limit: int = 50) -> Page:
        """Return the webhooks of the caller's organisation; the operator sees all."""
        require(principal, "webhook.read")
        equals = {} if principal.operator else {"organisation": principal.organisation}
        async with self._begin() as work:
            return await work.webhooks.list(cursor=cursor, limit=limit, **equals)

    async def remove(self, principal: Principal, key: str) -> None:
        """Remove a webhook with what waits for it; this works while the log is held.

        Raises:
            SecureFlowError: `forbidden`, `not_found`.
        """
        require(principal, "webhook.remove")
        async with self._transactions(held=True) as transaction:
            webhook = await _seen(transaction.work, principal, key)
            await transaction.work.webhooks.remove(key)
            cursor = ""
            while True:
                page = await transaction.work.deliveries.list(cursor=cursor, target=key)
                for one in page.items:
                    await transaction.work.deliveries.remove(one.id)
                if not (cursor := page.next):
                    break
            transaction.record("webhook.removed", _document(webhook, principal.user))
            transaction.answer(None)

    async def test(self, principal: Principal, key: str) -> str:
        """Post a test to a webhook now; return the delivery's id.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `rate_limited`, `address_refused`,
                `delivery_failed`.
        """
        require(principal, "webhook.create")
        async with self._begin() as work:
            webhook = await _seen(work, principal, key)
        if self._notifier is None:
            raise _off()
        if wait := self._tests.take(webhook.organisation):
            raise too_fast(wait)
        now, delivery = self._clock(), new_id("dlv")
        facts = {"webhook": key}
        test = Delivery(
            delivery, f"test/{delivery}", "webhook", key, webhook.organisation, "test", now,
            facts, now, now,
        )  # fmt: skip
        try:
            await self._notifier.deliver(test)
        except SecureFlowError as error:
            if error.code != "delivery_failed":
                raise
            hint = "Check the receiver, then test again: a test is not repeated by itself."
            raise SecureFlowError(error.code, error.message, hint) from None
        return delivery

    async def failed(self, principal: Principal, *, cursor: str = "", limit: int = 50) -> Page:
        """Return the deliveries of the caller's organisation that were given up on.

        The operator sees all.
        """
        require(principal, "delivery.read")
        equals = {} if principal.operator else {"organisation": principal.organisation}
        async with self._begin() as work:
            return await work.deliveries.list(cursor=cursor, limit=limit, state="failed", **equals)

    async def retry(self, principal: Principal, key: str) -> None:
        """Try a failed delivery again, under its old id.

        Raises:
            SecureFlowError: `forbidden`, `not_found`.
        """
        require(principal, "delivery.retry")
        async with self._begin() as work:
            found = await work.deliveries.find(key)
            sees = found is not None and (
                principal.operator or principal.acts_for(found.organisation)
            )
            if found is None or not sees or found.state != "failed":
                raise missing("delivery", key)
            again = replace(found, state="waiting", tries=0, due=self._clock(), code="")
            await work.deliveries.save(again)
            await keep_answer(work, None)
            await work.commit()


def check_url(url: str) -> None:
    """Refuse what is no plain https address; where it leads is checked when it is dialled.

    Raises:
        SecureFlowError: `invalid_request`.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise _malformed() from None
    plain = len(url) <= MOST_URL and url.isascii() and url.isprintable() and " " not in url
    if not plain or parts.scheme != "https" or not host or parts.fragment:
        raise _malformed()
    if parts.username is not None or parts.password is not None or "\\" in url:
        raise _malformed()


def _is_literal(url: str) -> bool:
    """Tell whether a URL's host is an IP address."""
    try:
        ipaddress.ip_address(urlsplit(url).hostname or "")
    except ValueError:
        return False
    return True


def _malformed() -> SecureFlowError:
    return SecureFlowError(
        "invalid_request",
        "This is not an address to which a webhook can be posted.",
        "Use https://HOST[:PORT]/PATH, without a name, a password or a fragment.",
    )


def _check_kinds(kinds: Sequence[str]) -> None:
    for name in kinds:
        if name not in KINDS:
            raise SecureFlowError(
                "invalid_request",
                Text("There is no kind of notification {name!r:.80}.", name=name),
                "secureflow notification kinds",
            )


def _off() -> SecureFlowError:
    return SecureFlowError(
        "channel_off",
        "This centre posts to no webhooks.",
        "The operator sets notifications.webhooks in server.yaml.",
    )


async def _seen(work: UnitOfWork, principal: Principal, key: str) -> Webhook:
    webhook = await work.webhooks.find(key)
    if webhook is None or not (principal.operator or principal.acts_for(webhook.organisation)):
        raise missing("webhook", key)
    return webhook


def _document(webhook: Webhook, by: str) -> dict[str, str]:
    """Return the ledger's document: an address may hold a secret in its path."""
    return {"webhook": webhook.id, "organisation": webhook.organisation, "by": by}
