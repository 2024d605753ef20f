"""Heads that places keep and what this agent made of them, and what its own deeds there stand for.

Part of `store.RecordStore`, with its rules: writers require an open transaction. A deed at a place
holds digests and salted commitments; the salts stay here, so that the owner alone can open it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from secureflow.agent.record.bundlerows import BundleRows
from secureflow.agent.record.damage import load_json
from secureflow.application.ports.anchor import Happened
from secureflow.engines.anchors.entries import AnchorHead, parse_entry
from secureflow.kit.canonical import JSON

MOST_HEADS: Final = 20_000
"""Anchored heads of one place that stay on record; those that accuse somebody always do."""

Verdict = Literal["waiting", "agrees", "forged", "contradiction", "unknown"]
"""Not judged yet; as this agent saw the log; not signed by the log; another history of it; of a log
that this agent cannot compare."""


@dataclass(frozen=True)
class KeptHead:
    """A head that a place keeps.

    Args:
        number: of the row.
        place: `Anchor.place`.
        head: what is kept.
        sender: charter key of the member, hex.
        transaction: the place's own name of it.
        block: where it stands.
        at: unix seconds by the place's clock.
        verdict: see `Verdict`.
    """

    number: int
    place: str
    head: AnchorHead
    sender: str
    transaction: str
    block: int
    at: int
    verdict: Verdict


class AnchoredHeadRows(BundleRows):
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

    def add_anchored_head(self, place: str, one: Happened) -> None:
        """Store a head that was read at a place; it waits to be judged."""
        self._write(
            "INSERT OR IGNORE INTO anchored_heads (place, sender, entry, tx, block, at, verdict) "
            "VALUES (?, ?, ?, ?, ?, ?, 'waiting')",
            place, one.sender, json.dumps(one.entry.json(), sort_keys=True), one.transaction,
            one.position.block, one.at,
        )  # fmt: skip

    def judge_head(self, number: int, verdict: Verdict) -> None:
        """Store the verdict on an anchored head."""
        self._write("UPDATE anchored_heads SET verdict = ? WHERE number = ?", verdict, number)

    def drop_head(self, number: int) -> None:
        """Delete an anchored head: its sender has enough of that verdict on record."""
        self._write("DELETE FROM anchored_heads WHERE number = ?", number)

    def heads_by_sender(self, place: str, verdict: Verdict) -> dict[str, int]:
        """Return how many heads of a verdict each sender has at a place."""
        rows = self._all(
            "SELECT sender, count(*) AS count FROM anchored_heads WHERE place = ? "
            "AND verdict = ? GROUP BY sender",
            place, verdict,
        )  # fmt: skip
        return {row["sender"]: row["count"] for row in rows}

    def waiting_heads(self, place: str, sender: str, after: int, limit: int) -> list[KeptHead]:
        """Return a sender's heads at a place that wait to be judged, after a number, in order."""
        rows = self._all(
            "SELECT * FROM anchored_heads WHERE place = ? AND verdict = 'waiting' "
            "AND sender = ? AND number > ? ORDER BY number LIMIT ?",
            place, sender, after, limit,
        )  # fmt: skip
        return [one for row in rows if (one := _kept(row)) is not None]

    def trim_anchored_heads(self, place: str, most: int = MOST_HEADS) -> None:
        """Delete a place's oldest heads beyond a number, but none that accuses or waits."""
        self._write(
            "DELETE FROM anchored_heads WHERE place = ?1 AND verdict IN ('agrees', 'unknown') "
            "AND number <= (SELECT max(number) FROM anchored_heads WHERE place = ?1) - ?2",
            place, most,
        )  # fmt: skip

    def anchored_heads(
        self, place: str = "", verdict: str = "", limit: int = 100
    ) -> list[KeptHead]:
        """Return heads that places keep, newest first: of one place, of one verdict, or all."""
        rows = self._all(
            "SELECT * FROM anchored_heads WHERE (?1 = '' OR place = ?1) AND "
            "(?2 = '' OR verdict = ?2) ORDER BY number DESC LIMIT ?3",
            place, verdict, limit,
        )  # fmt: skip
        return [one for row in rows if (one := _kept(row)) is not None]


def _kept(row: Any) -> KeptHead | None:
    entry = parse_entry(load_json(row["entry"], "an anchored head"))
    if not isinstance(entry, AnchorHead):
        return None
    return KeptHead(
        row["number"], row["place"], entry, row["sender"], row["tx"], row["block"], row["at"],
        row["verdict"],
    )  # fmt: skip
