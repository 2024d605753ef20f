"""The unit of work: one transaction over every store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from secureflow.adapters.database import entities
from secureflow.adapters.database.changes import SqlChanges
from secureflow.adapters.database.claims import SqlClaims
from secureflow.adapters.database.connections import WriteTurn
from secureflow.adapters.database.damage import DamageLog
from secureflow.adapters.database.entities import EntityStore
from secureflow.adapters.database.noted import forgotten
from secureflow.adapters.database.notifications import SqlNotifications
from secureflow.adapters.database.queue import SqlQueue
from secureflow.adapters.database.records import (
    SqlEvents,
    SqlIdempotency,
    SqlJournal,
    SqlOutbox,
    SqlPendingLeaves,
)
from secureflow.adapters.database.tables import (
    DEVICES,
    ENROLMENTS,
    FAMILIES,
    IDEMPOTENCY,
    PENDING_LOGINS,
    SESSIONS,
    SETTINGS,
    TOKENS,
)
from secureflow.adapters.database.transaction import SqlTransaction
from secureflow.application.ports.changes import Changes
from secureflow.application.ports.notifications import NotificationStore
from secureflow.application.ports.storage import (
    ClaimStore,
    Events,
    Idempotency,
    Journal,
    Outbox,
    PendingLeaves,
    QueueStore,
    Store,
)
from secureflow.domain.anchorstatements import AnchorRecord
from secureflow.domain.bundles import StoredBundle
from secureflow.domain.datasets import Dataset, Grant
from secureflow.domain.deliveries import Delivery, Webhook
from secureflow.domain.jobs import Job
from secureflow.domain.logins import Device, LoginPlaces, SecondFactor, TokenFamily
from secureflow.domain.models import Model, Upload
from secureflow.domain.notifications import Preferences
from secureflow.domain.oidc import Identity, PendingLogin
from secureflow.domain.organisations import Agent, Enrolment, Organisation
from secureflow.domain.projects import Project
from secureflow.domain.questions import Question
from secureflow.domain.revenue import RevenueRecord
from secureflow.domain.sessions import Session
from secureflow.domain.users import Token, User
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.heldfile import HeldFile
from secureflow.kit.text import Text

ENROLMENT_KEPT: Final = 30 * 86_400
"""Seconds that an expired enrolment is kept: lists still show why an agent cannot join."""
ANSWERS_KEPT: Final = 86_400
"""Seconds during which a repeated POST gets its first answer."""


class SqlUnitOfWork(SqlTransaction):
    """`application.ports.storage.UnitOfWork` on SQLAlchemy; made by `Database.begin`."""

    def __init__(
        self,
        engine: AsyncEngine,
        turn: WriteTurn,
        damage: DamageLog | None = None,
        file: HeldFile | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(engine, turn, damage, file, on_change)
        self._settings: dict[str, int] = {}
        self.users: Store[User] = EntityStore(self, entities.USERS)
        self.tokens: Store[Token] = EntityStore(self, entities.TOKENS)
        self.sessions: Store[Session] = EntityStore(self, entities.SESSIONS)
        self.families: Store[TokenFamily] = EntityStore(self, entities.FAMILIES)
        self.devices: Store[Device] = EntityStore(self, entities.DEVICES)
        self.second_factors: Store[SecondFactor] = EntityStore(self, entities.SECOND_FACTORS)
        self.login_places: Store[LoginPlaces] = EntityStore(self, entities.LOGIN_PLACES)
        self.organisations: Store[Organisation] = EntityStore(self, entities.ORGANISATIONS)
        self.enrolments: Store[Enrolment] = EntityStore(self, entities.ENROLMENTS)
        self.agents: Store[Agent] = EntityStore(self, entities.AGENTS)
        self.projects: Store[Project] = EntityStore(self, entities.PROJECTS)
        self.datasets: Store[Dataset] = EntityStore(self, entities.DATASETS)
        self.grants: Store[Grant] = EntityStore(self, entities.GRANTS)
        self.jobs: Store[Job] = EntityStore(self, entities.JOBS)
        self.models: Store[Model] = EntityStore(self, entities.MODELS)
        self.bundles: Store[StoredBundle] = EntityStore(self, entities.BUNDLES)
        self.uploads: Store[Upload] = EntityStore(self, entities.UPLOADS)
        self.identities: Store[Identity] = EntityStore(self, entities.IDENTITIES)
        self.questions: Store[Question] = EntityStore(self, entities.QUESTIONS)
        self.revenue: Store[RevenueRecord] = EntityStore(self, entities.REVENUE)
        self.pending_logins: Store[PendingLogin] = EntityStore(self, entities.PENDING_LOGINS)
        self.anchor_statements: Store[AnchorRecord] = EntityStore(self, entities.ANCHOR_STATEMENTS)
        self.preferences: Store[Preferences] = EntityStore(self, entities.PREFERENCES)
        self.webhooks: Store[Webhook] = EntityStore(self, entities.WEBHOOKS)
        self.deliveries: Store[Delivery] = EntityStore(self, entities.DELIVERIES)
        self.notifications: NotificationStore = SqlNotifications(self)
        self.journal: Journal = SqlJournal(self)
        self.outbox: Outbox = SqlOutbox(self)
        self.events: Events = SqlEvents(self)
        self.leaves: PendingLeaves = SqlPendingLeaves(self)
        self.idempotency: Idempotency = SqlIdempotency(self)
        self.claims: ClaimStore = SqlClaims(self)
        self.queue: QueueStore = SqlQueue(self)
        self.changes: Changes = SqlChanges(self)

    async def setting(self, name: str) -> Any:
        """Return a platform-wide JSON value or None."""
        row = (await self.read(sa.select(SETTINGS).where(SETTINGS.c.name == name))).first()
        self._settings[name] = 0 if row is None else row.version
        return None if row is None else row.value

    async def set_setting(self, name: str, value: Any) -> None:
        """Store a platform-wide JSON value.

        Raises:
            SecureFlowError: `stale_version` if it changed since this unit of work read it.
        """
        first = {"name": name, "version": 1, "value": value}
        known = self._settings.get(name)
        if not known and await self.insert_once(SETTINGS, first):
            self._settings[name] = 1
            return
        change = sa.update(SETTINGS).where(SETTINGS.c.name == name)
        if known is not None:
            change = change.where(SETTINGS.c.version == known)
        changed = await self.write(change.values(version=SETTINGS.c.version + 1, value=value))
        if not changed.rowcount:
            raise self.fail(
                SecureFlowError(
                    "stale_version",
                    Text(
                        "The setting {name} was changed by someone else in the meantime.", name=name
                    ),
                    "Read it again and repeat the change.",
                )
            )
        if known is not None:
            self._settings[name] = known + 1

    async def sweep(self, now: int) -> int:
        """Delete expired rows; return how many there were."""
        gone = 0
        for column, since in (
            (TOKENS.c.expires, now),
            (PENDING_LOGINS.c.expires, now),
            (SESSIONS.c.expires, now),
            (FAMILIES.c.expires, now),
            (DEVICES.c.expires, now),
            (ENROLMENTS.c.expires, now - ENROLMENT_KEPT),
            (IDEMPOTENCY.c.at, now - ANSWERS_KEPT),
        ):
            gone += (await self.write(sa.delete(column.table).where(column <= since))).rowcount
        return gone + (await self.write(forgotten())).rowcount
