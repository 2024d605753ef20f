"""What the agent told its owner, and what of it is on its way out.

Part of `store.RecordStore`, with its rules: writers require an open transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from secureflow.agent.record.bundlerows import BundleRows
from secureflow.agent.record.damage import facts_of
from secureflow.domain.deliveries import Delivery
from secureflow.domain.notifications import Notification


class NotificationRows(BundleRows):
    """Reads and writes those rows."""

    def newest_action(self) -> int:
        """Return the number of the newest of the agent's own actions; 0 before the first."""
        row = self._one("SELECT max(id) AS id FROM deeds")
        return int((row and row["id"]) or 0)

    def count_waiting(self) -> int:
        """Return how many requests wait for a person."""
        row = self._one("SELECT count(*) AS waiting FROM inbox WHERE state = 'waiting'")
        return int((row and row["waiting"]) or 0)

    def actions_after(self, last: int, limit: int = 200) -> list[dict[str, Any]]:
        """Return the agent's own actions after a number, oldest first."""
        rows = self._all(
            "SELECT id, at, deed AS action, job, facts FROM deeds WHERE id > ? ORDER BY id LIMIT ?",
            last, limit,
        )  # fmt: skip
        return [{**dict(row), "facts": facts_of(row["facts"])} for row in rows]

    def add_notification(self, event: str, one: Notification) -> bool:
        """Store a notification; an event is told once: tell whether it was now."""
        if self._one("SELECT 1 FROM notifications WHERE event = ?", event) is not None:
            return False
        self._write(
            "INSERT INTO notifications (event, kind, at, facts) VALUES (?, ?, ?, ?)",
            event, one.kind, one.at, json.dumps(one.facts, sort_keys=True),
        )  # fmt: skip
        return True

    def notifications(self, *, unread: bool = False, limit: int = 100) -> list[Notification]:
        """Return notifications, unread ones first, then newest first."""
        rows = self._all(
            "SELECT id, kind, at, facts, read FROM notifications WHERE ?1 = 0 OR read IS NULL "
            "ORDER BY read IS NOT NULL, id DESC LIMIT ?2",
            int(unread), limit,
        )  # fmt: skip
        return [
            Notification(row["id"], "", row["kind"], row["at"], facts_of(row["facts"]), row["read"])
            for row in rows
        ]

    def read_notifications(self, at: int, ids: Sequence[int] | None) -> int:
        """Mark these notifications as read, or all; return how many were unread."""
        before = self._unread()
        if ids is None:
            self._write("UPDATE notifications SET read = ? WHERE read IS NULL", at)
        for one in ids or ():
            self._write("UPDATE notifications SET read = ? WHERE read IS NULL AND id = ?", at, one)
        return before - self._unread()

    def trim_notifications(self, most: int, last: Sequence[str] = ()) -> None:
        """Delete notifications beyond `most`: read ones first, then the oldest.

        Unread ones of the kinds in `last` go when nothing else is left.
        """
        self._write(
            "DELETE FROM notifications WHERE id IN (SELECT id FROM notifications ORDER BY "
            "read IS NULL AND kind IN (SELECT value FROM json_each(?1)) DESC, "
            "read IS NULL DESC, id DESC LIMIT -1 OFFSET ?2)",
            json.dumps(list(last)), most,
        )  # fmt: skip

    def add_outgoing(self, one: Delivery) -> None:
        """Store what is to be delivered."""
        self._write(
            "INSERT OR IGNORE INTO outgoing VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", *_row(one)
        )

    def save_outgoing(self, one: Delivery) -> None:
        """Replace what is to be delivered."""
        self._write(
            "INSERT OR REPLACE INTO outgoing VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", *_row(one)
        )

    def remove_outgoing(self, key: str) -> None:
        """Forget what was delivered."""
        self._write("DELETE FROM outgoing WHERE id = ?", key)

    def outgoing(
        self, state: str, due: int = (1 << 53) - 1, target: str = "", limit: int = 1000
    ) -> list[Delivery]:
        """Return what waits (or failed) and is due, oldest first; of one receiver, if named."""
        rows = self._all(
            "SELECT * FROM outgoing WHERE state = ?1 AND due <= ?2 AND (?3 = '' OR target = ?3) "
            "ORDER BY created, id LIMIT ?4",
            state, due, target, limit,
        )  # fmt: skip
        return [_delivery(row) for row in rows]

    def _unread(self) -> int:
        row = self._one("SELECT count(*) AS many FROM notifications WHERE read IS NULL")
        return 0 if row is None else int(row["many"])


def _row(one: Delivery) -> tuple[Any, ...]:
    facts = json.dumps(one.facts, sort_keys=True)
    return (
        one.id, one.channel, one.target, one.kind, one.at, facts, one.created, one.due,
        one.tries, one.state, one.code,
    )  # fmt: skip


def _delivery(row: Any) -> Delivery:
    return Delivery(
        row["id"], row["id"], row["channel"], row["target"], "", row["kind"], row["at"],
        facts_of(row["facts"]), row["created"], row["due"], row["tries"], row["state"],
        row["code"],
    )  # fmt: skip
