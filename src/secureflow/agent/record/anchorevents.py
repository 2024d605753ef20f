"""What places keep, as this agent read it, and what its own deeds there stand for.

Part of `store.RecordStore`, with its rules: writers require an open transaction. A deed at a place
holds digests and salted commitments; the salts stay here, so that the owner alone can open it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from secureflow.agent.record.damage import load_json
from secureflow.agent.record.peoplerows import PeopleRows
from secureflow.kit.canonical import JSON

MAX_EVENTS: Final = 20_000
"""Events of one place that stay on record; the oldest go first, but none that accuses."""

Verdict = Literal["", "agrees", "waiting", "forged", "contradiction", "unknown"]
"""Of an anchored head: as this agent saw it; not judged yet; not the log's; another history of the
log; of a log that this agent cannot compare. Empty for other deeds."""


@dataclass(frozen=True)
class ReadEvent:
    """A deed that a place keeps.

    Args:
        number: of the row here; 0 before it is stored.
        place: `Anchor.place`.
        entry: its JSON.
        sender: charter key of the member, hex.
        result: `kept` or `fork`.
        transaction: the place's own name of the transaction.
        block: where it stands.
        at: unix seconds by the place's clock.
        verdict: see `Verdict`.
    """

    number: int
    place: str
    entry: Mapping[str, JSON]
    sender: str
    result: str
    transaction: str
    block: int
    at: int
    verdict: Verdict = ""

    def json(self) -> dict[str, JSON]:
        """Return it for people and programs."""
        return {name: one for name, one in vars(self).items() if name != "number"}


class AnchorEventRows(PeopleRows):
    """Reads and writes those rows."""

    def add_opening(self, entry: str, opening: Mapping[str, JSON], at: int) -> bool:
        """Store what an own deed stands for, once; tell whether it is new."""
        if self.opening(entry) is not None:
            return False
        text = json.dumps(dict(opening), sort_keys=True)
        self._write("INSERT INTO anchor_openings VALUES (?, ?, ?)", entry, text, at)
        return True

    def opening(self, entry: str) -> JSON:
        """Return what the own deed of this digest stands for, or None."""
        row = self._one("SELECT opening FROM anchor_openings WHERE entry = ?", entry)
        return None if row is None else load_json(row["opening"], "an anchored deed")

    def add_event(self, one: ReadEvent) -> bool:
        """Store what was read at a place, once; tell whether it is new."""
        body = json.dumps(dict(one.entry), sort_keys=True)
        known = self._one(
            "SELECT 1 FROM anchor_events WHERE place = ? AND sender = ? AND entry = ? AND tx = ?",
            one.place, one.sender, body, one.transaction,
        )  # fmt: skip
        if known is not None:
            return False
        self._write(
            "INSERT INTO anchor_events (place, sender, entry, tx, result, block, at, verdict) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            one.place, one.sender, body, one.transaction, one.result, one.block, one.at,
            one.verdict,
        )  # fmt: skip
        return True

    def judge_event(self, number: int, verdict: Verdict) -> None:
        """Store the verdict on an anchored head."""
        self._write("UPDATE anchor_events SET verdict = ? WHERE number = ?", verdict, number)

    def trim_events(self, place: str, most: int = MAX_EVENTS) -> None:
        """Delete a place's oldest events beyond a number, but none that accuses somebody."""
        self._write(
            "DELETE FROM anchor_events WHERE place = ?1 AND verdict NOT IN ('forged', "
            "'contradiction', 'waiting') AND number <= (SELECT max(number) FROM anchor_events "
            "WHERE place = ?1) - ?2",
            place, most,
        )  # fmt: skip

    def anchor_events(
        self, place: str = "", verdict: str = "", limit: int = 100
    ) -> list[ReadEvent]:
        """Return what was read, newest first: of one place, of one verdict, or all."""
        rows = self._all(
            "SELECT * FROM anchor_events WHERE (?1 = '' OR place = ?1) AND "
            "(?2 = '' OR verdict = ?2) ORDER BY number DESC LIMIT ?3",
            place, verdict, limit,
        )  # fmt: skip
        return [_event(row) for row in rows]


def _event(row: Any) -> ReadEvent:
    entry = load_json(row["entry"], "an anchored deed")
    return ReadEvent(
        row["number"], row["place"], entry, row["sender"], row["result"], row["tx"],
        row["block"], row["at"], row["verdict"],
    )  # fmt: skip
