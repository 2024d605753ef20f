"""Entries on their way to anchors, the tickets that carry them, and events of the places.

Part of `store.RecordStore`, with its rules: writers require an open transaction. `anchoroutbox`
makes the port of it.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

from secureflow.agent.record.bundlerows import BundleRows
from secureflow.agent.record.damage import damaged, load_json
from secureflow.application.anchorverdicts import EARLIER
from secureflow.application.ports.anchor import Happened, Outcome, Position, Ticket
from secureflow.application.ports.anchoroutbox import (
    MOST_DOUBTED,
    MOST_ENDED,
    MOST_EVENTS,
    Carried,
    Queued,
    Sent,
    TicketState,
    Verdict,
    key_of,
)
from secureflow.engines.anchors.entries import Entry, parse_entry

ENDED: Final = ("final", "refused")
CARRIED: Final = "carried"
"""An entry's state while its ticket's state says how far it is."""
UNTOLD: Final = "untold"
"""The result of an event that the place told before it was reorganised, and not since."""


class AnchorRows(BundleRows):
    """Reads and writes those rows."""

    # Entries.

    def add_anchor_entries(
        self, places: Iterable[str], entries: Sequence[Entry], now: int, *, again: bool = False
    ) -> int:
        """Queue entries for each of these places, in the transaction of the deed they tell of.

        Args:
            places: names of the anchors (`Anchor.place`).
            entries: in the order in which they are to be kept.
            now: unix seconds.
            again: queue those anew that are final or refused: a vote that is cast a second time
                on the same, or one that was refused and may now be taken.

        Returns:
            How many were queued; what is on its way or kept is left alone.
        """
        fresh = 0
        for place in places:
            for entry in entries:
                key = key_of(entry)
                kept = self._one(
                    "SELECT state FROM anchor_entries WHERE place = ? AND key = ?", place, key
                )
                if kept is not None and not (again and kept["state"] in ENDED):
                    continue
                self._write("DELETE FROM anchor_entries WHERE place = ? AND key = ?", place, key)
                self._write(
                    "INSERT INTO anchor_entries (place, key, entry, state, at) "
                    "VALUES (?, ?, ?, 'queued', ?)",
                    place, key, json.dumps(entry.json()), now,
                )  # fmt: skip
                fresh += 1
        return fresh

    def retry_anchor_entries(
        self,
        places: Iterable[str],
        entries: Sequence[Entry],
        reasons: Container[str],
        least: int,
        now: int,
    ) -> int:
        """Queue those of these entries again that were refused and may be taken by now.

        Each keeps the time at which it was added first: the pause before the next try is as long
        as all tries so far took.

        Args:
            places: names of the anchors (`Anchor.place`).
            entries: in the order in which they are to be kept.
            reasons: of refusals that may end.
            least: seconds from a refusal to the next try.
            now: unix seconds.

        Returns:
            How many were queued.
        """
        fresh = 0
        for place in places:
            for entry in entries:
                kept = self._one(
                    "SELECT number, at, reason, ended FROM anchor_entries "
                    "WHERE place = ? AND key = ? AND state = 'refused'",
                    place, key_of(entry),
                )  # fmt: skip
                if kept is None or kept["reason"] not in reasons:
                    continue
                if now - kept["ended"] < max(least, kept["ended"] - kept["at"]):
                    continue
                # A number of its own: what became of it this time is told and listed as new.
                self._write("DELETE FROM anchor_entries WHERE number = ?", kept["number"])
                fresh += self.add_anchor_entries([place], [entry], kept["at"])
        return fresh

    def anchor_entries(
        self, place: str, *, ended: bool | None = None, before: int = 0, limit: int = 100
    ) -> list[Sent]:
        """Return entries, newest first.

        Args:
            place: of this place only; empty: of all.
            ended: only those that are final or refused, or only those that are not.
            before: only those with a smaller number; 0: from the newest on.
            limit: how many at most.
        """
        rows = self._all(
            "SELECT e.*, t.state AS going, t.position, t.receipt FROM anchor_entries e "
            "LEFT JOIN anchor_tickets t ON t.place = e.place AND t.id = e.ticket "
            "WHERE (?1 = '' OR e.place = ?1) AND (?2 = 0 OR e.number < ?2) "
            "AND (?3 IS NULL OR (e.ended IS NOT NULL) = ?3) ORDER BY e.number DESC LIMIT ?4",
            place, before, ended, limit,
        )  # fmt: skip
        return [_sent(row) for row in rows]

    def anchor_entry(self, place: str, entry: Entry) -> Sent | None:
        """Return what became of an entry at a place."""
        rows = self._all(
            "SELECT e.*, t.state AS going, t.position, t.receipt FROM anchor_entries e "
            "LEFT JOIN anchor_tickets t ON t.place = e.place AND t.id = e.ticket "
            "WHERE e.place = ? AND e.key = ?",
            place, key_of(entry),
        )  # fmt: skip
        return _sent(rows[0]) if rows else None

    def anchor_entries_of(self, key: str, place: str = "") -> list[Sent]:
        """Return what became of the entry with a natural key, at one place or at each."""
        rows = self._all(
            "SELECT e.*, t.state AS going, t.position, t.receipt FROM anchor_entries e "
            "LEFT JOIN anchor_tickets t ON t.place = e.place AND t.id = e.ticket "
            "WHERE e.key = ?1 AND (?2 = '' OR e.place = ?2) ORDER BY e.number",
            key, place,
        )  # fmt: skip
        return [_sent(row) for row in rows]

    def queued_anchor_entries(self, place: str, limit: int) -> list[Queued]:
        """Return entries that no ticket carries, in their order."""
        rows = self._all(
            "SELECT number, entry, at FROM anchor_entries WHERE place = ? AND state = 'queued' "
            "ORDER BY number LIMIT ?",
            place, limit,
        )  # fmt: skip
        return [Queued(row["number"], _entry(row["entry"]), row["at"]) for row in rows]

    # Tickets.

    def carried_anchor_entries(self, place: str) -> list[Carried]:
        """Return tickets that are neither final nor lost, oldest first."""
        rows = self._all(
            "SELECT * FROM anchor_tickets WHERE place = ? AND state <> 'final' ORDER BY number",
            place,
        )
        return [
            Carried(
                Ticket(row["id"], load_json(row["body"], "a ticket of an anchor")),
                row["state"],
                _position(row["position"]),
            )
            for row in rows
        ]

    def awaiting_anchor_entries(self, place: str, ticket: str) -> list[tuple[int, Entry]]:
        """Return the entries that await a ticket's end, each with its index in the ticket."""
        return [(row["slot"], _entry(row["entry"])) for row in self._carried(place, ticket)]

    def _carried(self, place: str, ticket: str) -> list[Any]:
        return self._all(
            "SELECT number, slot, entry FROM anchor_entries WHERE place = ? AND ticket = ? "
            "AND state = 'carried' ORDER BY slot",
            place, ticket,
        )  # fmt: skip

    def add_anchor_ticket(self, place: str, ticket: Ticket, numbers: Sequence[int]) -> bool:
        """Insert a ticket that carries these entries; tell whether they were all queued."""
        row = self._one(
            "SELECT count(*) AS count FROM anchor_entries WHERE place = ? AND state = 'queued' "
            "AND number IN (SELECT value FROM json_each(?))",
            place, json.dumps(list(numbers)),
        )  # fmt: skip
        if row is None or row["count"] != len(numbers):
            return False
        self._write(
            "INSERT INTO anchor_tickets (place, id, body, state) VALUES (?, ?, ?, 'prepared')",
            place, ticket.id, json.dumps(ticket.body),
        )  # fmt: skip
        for slot, number in enumerate(numbers):
            self._write(
                "UPDATE anchor_entries SET state = 'carried', ticket = ?, slot = ? "
                "WHERE number = ?",
                ticket.id, slot, number,
            )  # fmt: skip
        return True

    def move_anchor_ticket(
        self, place: str, ticket: str, state: TicketState, at: Position | None
    ) -> None:
        """Store how far a ticket is."""
        self._write(
            "UPDATE anchor_tickets SET state = ?, position = ? WHERE place = ? AND id = ? "
            "AND state <> 'final'",
            state, _spelled(at), place, ticket,
        )  # fmt: skip

    def drop_anchor_ticket(self, place: str, ticket: str) -> None:
        """Remove a ticket that is lost; its entries are queued again."""
        self._write(
            "UPDATE anchor_entries SET state = 'queued', ticket = '', slot = 0 "
            "WHERE place = ? AND ticket = ? AND state = 'carried'",
            place, ticket,
        )  # fmt: skip
        self._write("DELETE FROM anchor_tickets WHERE place = ? AND id = ?", place, ticket)

    def finish_anchor_ticket(
        self, place: str, ticket: str, outcome: Outcome, verdicts: Sequence[Verdict], now: int
    ) -> None:
        """Store what became of a ticket's entries; of one that is final already, nothing."""
        carried = self._carried(place, ticket)
        if len(carried) != len(verdicts):
            return
        for row, verdict in zip(carried, verdicts, strict=True):
            self._write(
                "UPDATE anchor_entries SET state = ?, result = ?, reason = ?, ended = ? "
                "WHERE number = ?",
                "refused" if verdict.result == "refused" else "final",
                verdict.result, verdict.reason, now, row["number"],
            )  # fmt: skip
        self._write(
            "UPDATE anchor_tickets SET state = 'final', position = ?, receipt = ? "
            "WHERE place = ? AND id = ?",
            _spelled(outcome.position), json.dumps(outcome.receipt), place, ticket,
        )  # fmt: skip

    # Events.

    def anchor_cursor(self, place: str) -> Position | None:
        """Return up to where events are stored."""
        row = self._one("SELECT cursor FROM anchor_cursors WHERE place = ?", place)
        return None if row is None else _position(row["cursor"])

    def set_anchor_cursor(self, place: str, cursor: Position | None) -> None:
        """Store up to where events are stored."""
        self._write(
            "INSERT INTO anchor_cursors (place, cursor) VALUES (?1, ?2) "
            "ON CONFLICT (place) DO UPDATE SET cursor = ?2",
            place, _spelled(cursor),
        )  # fmt: skip

    def add_anchor_event(self, place: str, one: Happened) -> bool:
        """Store an event; tell whether it was not stored before."""
        key, where = key_of(one.entry), _spelled(one.position)
        known = self._one(
            "SELECT 1 FROM anchor_events WHERE place = ? AND \"transaction\" = ? AND key = ? "
            "AND sender = ?",
            place, one.transaction, key, one.sender,
        )  # fmt: skip
        self._write(
            "INSERT INTO anchor_events (place, key, sender, \"transaction\", result, at, "
            "position, entry) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
            "ON CONFLICT (place, \"transaction\", key, sender) "
            "DO UPDATE SET result = ?5, at = ?6, position = ?7",
            place, key, one.sender, one.transaction, one.result, one.at, where,
            json.dumps(one.entry.json()),
        )  # fmt: skip
        return known is None

    def correct_anchor_entry(self, place: str, one: Happened) -> None:
        """Make an own entry final that counts as refused: the place tells that it is kept."""
        self._write(
            "UPDATE anchor_entries SET state = 'final', result = ?1, "
            "reason = CASE reason WHEN '' THEN ?2 ELSE reason END "
            "WHERE place = ?3 AND key = ?4 AND state = 'refused'",
            one.result, EARLIER, place, key_of(one.entry),
        )  # fmt: skip

    def doubt_anchor_tickets(self, place: str) -> int | None:
        """Have the newest final tickets looked at again; return the first entry's number."""
        rows = self._all(
            "SELECT id FROM anchor_tickets WHERE place = ? AND state = 'final' "
            "ORDER BY number DESC LIMIT ?",
            place, MOST_DOUBTED,
        )  # fmt: skip
        for row in rows:
            self._write(
                "UPDATE anchor_tickets SET state = 'included' WHERE place = ? AND id = ?",
                place, row["id"],
            )  # fmt: skip
            self._write(
                "UPDATE anchor_entries SET state = 'carried', result = '', reason = '', "
                "ended = NULL WHERE place = ? AND ticket = ?",
                place, row["id"],
            )  # fmt: skip
        return self.anchor_backlog(place)[2]

    def doubt_anchor_events(self, place: str) -> None:
        """Have no stored event count until the place tells it again."""
        self._write(
            "UPDATE anchor_events SET result = ? WHERE place = ? AND result <> ?1", UNTOLD, place
        )

    def anchor_tellers(self, place: str, entries: Sequence[Entry]) -> dict[str, frozenset[str]]:
        """Return by natural key whose stored events are of just that entry."""
        spelled = {key_of(one): json.dumps(one.json()) for one in entries}
        same: dict[str, set[str]] = {key: set() for key in spelled}
        rows = self._all(
            "SELECT key, sender, entry FROM anchor_events WHERE place = ?1 AND result <> ?3 "
            "AND key IN (SELECT value FROM json_each(?2))",
            place, json.dumps(list(spelled)), UNTOLD,
        )  # fmt: skip
        for row in rows:
            if row["entry"] == spelled[row["key"]]:  # a head under another signature is another
                same[row["key"]].add(row["sender"])
        return {key: frozenset(who) for key, who in same.items()}

    def anchor_events(self, place: str = "", *, after: int = 0, limit: int = 500) -> list[Any]:
        """Return (number, place, event) of stored events after a number, oldest first."""
        rows = self._all(
            "SELECT * FROM anchor_events WHERE (?1 = '' OR place = ?1) AND number > ?2 "
            "AND result <> ?4 ORDER BY number LIMIT ?3",
            place, after, limit, UNTOLD,
        )  # fmt: skip
        return [(row["number"], row["place"], _happened(row)) for row in rows]

    # What is over.

    def anchor_events_pruned(self, place: str) -> bool:
        """Return whether events were removed."""
        row = self._one("SELECT pruned FROM anchor_cursors WHERE place = ?", place)
        return row is not None and bool(row["pruned"])

    def prune_anchor_rows(
        self, place: str, member: str = "", ended: int = MOST_ENDED, events: int = MOST_EVENTS
    ) -> int:
        """Remove the oldest of what is over beyond these numbers; return of how many sorts."""
        over = self._beyond(
            "SELECT number FROM anchor_entries WHERE place = ? AND ended IS NOT NULL "
            "ORDER BY number DESC LIMIT 1 OFFSET ?",
            place, ended,
        )  # fmt: skip
        if over is not None:
            self._write(
                "DELETE FROM anchor_entries WHERE place = ? AND ended IS NOT NULL AND number <= ?",
                place, over,
            )  # fmt: skip
            self._write(
                "DELETE FROM anchor_tickets WHERE place = ?1 AND state = 'final' AND NOT EXISTS "
                "(SELECT 1 FROM anchor_entries e WHERE e.place = ?1 AND e.ticket = id)",
                place,
            )
        pruned = [self._prune_events(place, member, events, own=own) for own in (False, True)]
        return int(over is not None) + sum(pruned)

    def _prune_events(self, place: str, member: str, most: int, *, own: bool) -> bool:
        """Remove the oldest events of this member, or of all others; tell whether there are."""
        old = self._beyond(
            "SELECT number FROM anchor_events WHERE place = ? AND (sender = ?) = ? "
            "ORDER BY number DESC LIMIT 1 OFFSET ?",
            place, member, own, most,
        )  # fmt: skip
        if old is None:
            return False
        self._write("UPDATE anchor_cursors SET pruned = 1 WHERE place = ?", place)
        self._write(
            "DELETE FROM anchor_events WHERE place = ? AND number <= ? AND (sender = ?) = ?",
            place, old, member, own,
        )  # fmt: skip
        return True

    def _beyond(self, query: str, *values: str | int) -> int | None:
        """Return the newest number beyond the newest rows of a query."""
        row = self._one(query, *values)
        return None if row is None else int(row["number"])

    def anchor_backlog(self, place: str) -> tuple[int, int | None, int | None]:
        """Return how many entries are on their way, since when the oldest, and its number."""
        row = self._one(
            "SELECT count(*) AS count, min(at) AS at, min(number) AS number FROM anchor_entries "
            "WHERE place = ? AND ended IS NULL",
            place,
        )
        return (0, None, None) if row is None else (row["count"], row["at"], row["number"])


def _sent(row: Any) -> Sent:
    carried = row["state"] == CARRIED
    return Sent(
        row["number"],
        row["place"],
        _entry(row["entry"]),
        row["going"] if carried else row["state"],
        row["at"],
        row["ticket"],
        row["result"] or None,
        row["reason"],
        _position(row["position"]),
        load_json(row["receipt"] or "null", "a receipt of an anchor"),
        row["ended"],
    )


def _entry(text: str) -> Entry:
    return parse_entry(load_json(text, "an entry for an anchor"))


def _position(text: str | None) -> Position | None:
    kept = load_json(text or "null", "a position at an anchor")
    return None if kept is None else Position(kept["block"], kept["hash"], kept["index"])


def _spelled(position: Position | None) -> str:
    return json.dumps(None if position is None else asdict(position))


def _happened(row: Any) -> Happened:
    position = _position(row["position"])
    if position is None:
        raise damaged("an event of an anchor has no position")
    return Happened(
        _entry(row["entry"]), row["sender"], row["result"], position, row["transaction"], row["at"]
    )
