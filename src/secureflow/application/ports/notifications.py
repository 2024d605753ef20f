"""Inboxes of notifications, and the channels that carry them out of the centre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from secureflow.domain.deliveries import Delivery
from secureflow.domain.notifications import Notification


class NotificationStore(Protocol):
    """Everyone's notifications, inside a unit of work. Units that add commit one after another."""

    async def add(self, event: str, notifications: Sequence[Notification]) -> list[str]:
        """Insert what one event tells to whom; return the users who did not have it yet.

        Their ids are given here, in the order of commits.
        """

    async def page(
        self, user: str, *, unread: bool = False, cursor: str = "", limit: int = 50
    ) -> tuple[list[Notification], str]:
        """Return a person's notifications, unread ones first, then newest first; and a cursor.

        Raises:
            SecureFlowError: `invalid_cursor`.
        """

    async def after(self, user: str, last: int, limit: int = 500) -> list[Notification]:
        """Return a person's notifications with id > last, oldest first."""

    async def unread(self, user: str) -> int:
        """Return how many a person has not read."""

    async def newest(self, user: str) -> int:
        """Return the id of a person's newest notification, or 0."""

    async def mark(self, user: str, at: int, key: int | None = None) -> int:
        """Mark one of a person's notifications as read, or all; return how many were unread."""

    async def find(self, user: str, key: int) -> Notification | None:
        """Return one of a person's notifications."""

    async def trim(self, users: Sequence[str], most: int) -> int:
        """Delete what these people have beyond `most`: read ones first, then the oldest."""


class Notifier(Protocol):
    """One channel that carries deliveries out."""

    async def deliver(self, delivery: Delivery) -> None:
        """Carry one delivery out; a repetition carries the same id.

        Raises:
            SecureFlowError: it was not delivered; the code says why.
        """
