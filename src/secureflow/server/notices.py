"""Assembles what tells people: notifications, and the channels that carry them out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from secureflow.adapters.notifying.webhook import WebhookNotifier, WebhookPoster
from secureflow.application.delivering import Delivering
from secureflow.application.derivedkeys import derived_key
from secureflow.application.expiring import Expiring
from secureflow.application.mailcodes import MailCodes
from secureflow.application.notifications import Notifications
from secureflow.application.notifying import Notifying
from secureflow.application.outages import Outages
from secureflow.application.ports.bus import Bus
from secureflow.application.ports.courier import Courier
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.notifications import Notifier
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.application.transactions import Transactions
from secureflow.application.webhooks import Webhooks
from secureflow.domain.deliveries import Channel
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.crypto import SigningKey
from secureflow.kit.secretsealing import SecretSealer
from secureflow.server.services import Notices
from secureflow.server.settings import NotificationSettings, ServerSettings

SECRETS = "webhook-secrets"
"""The purpose of the key under which webhooks' secrets are sealed."""


@dataclass(frozen=True)
class NoticeParts:
    """What notifications depend on.

    Args:
        begin, ledger, courier, bus, clock, ticks: as the use cases'.
        sealing_key: seals the secrets of webhooks, makes the codes of mails.
        stopping: set to end long streams.
        others: the names of the other servers of the database.
        settings: the channels.
        link: what links in mails start with.
        notifiers: in place of the channels' own, for tests.
    """

    begin: UnitOfWorkFactory
    ledger: Ledger
    sealing_key: SigningKey
    courier: Courier
    bus: Bus
    clock: Clock
    ticks: Ticks
    stopping: Callable[[], bool]
    others: Callable[[], Collection[str]]
    settings: NotificationSettings = field(default_factory=NotificationSettings)
    link: str = ""
    notifiers: Mapping[Channel, Notifier] | None = None

    @cached_property
    def channels(self) -> Mapping[Channel, Notifier]:
        """The channels that are configured."""
        if self.notifiers is not None:
            return self.notifiers
        found: dict[Channel, Notifier] = {}
        smtp = self.settings.smtp
        if self.settings.webhooks.enabled:
            found["webhook"] = WebhookNotifier(self.begin, self._sealer, self._poster)
        if smtp is not None:
            from secureflow.adapters.notifying.smtp import MailNotifier  # who sends mail loads it

            found["email"] = MailNotifier(
                self.begin, smtp.server(), self.clock, self.link, self._codes
            )
        return found

    @cached_property
    def _sealer(self) -> SecretSealer:
        return SecretSealer(self.sealing_key, SECRETS)

    @cached_property
    def _poster(self) -> WebhookPoster:
        hooks = self.settings.webhooks
        return WebhookPoster(self.clock, hooks.allow, hooks.ca)

    @cached_property
    def _codes(self) -> MailCodes:
        return MailCodes(derived_key(self.sealing_key, "mail codes"))

    def notices(self, transactions: Transactions) -> Notices:
        """Return what tells people."""
        notifying = Notifying(
            self.begin, self.ledger, self.bus, self.clock, frozenset(self.channels)
        )
        minutes = self.settings.agent_minutes
        return Notices(
            self._notifications(),
            self._webhooks(transactions),
            notifying,
            Expiring(notifying, self.clock),
            Outages(notifying, self.courier, self.others, self.clock, minutes),
            Delivering(self.begin, self.channels, notifying, self.clock),
        )

    def _notifications(self) -> Notifications:
        smtp = self.settings.smtp
        return Notifications(
            *(self.begin, self.bus, self.clock, self.ticks, self.stopping),
            frozenset(self.channels),
            smtp.domains if smtp else (),
            codes=self._codes,
        )

    def _webhooks(self, transactions: Transactions) -> Webhooks:
        most = self.settings.webhooks.per_organisation
        notifier = self.channels.get("webhook")
        parts = self.begin, transactions, self._sealer, notifier, self.clock, most, self.ticks
        if self.notifiers is not None:
            return Webhooks(*parts)
        return Webhooks(*parts, judge=self._poster.doubt)


def link_of(settings: ServerSettings) -> str:
    """Return what links in mails start with."""
    if settings.notifications.link:
        return settings.notifications.link.rstrip("/")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"https://{host}:{settings.rest.port}"
