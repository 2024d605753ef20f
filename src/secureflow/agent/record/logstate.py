"""An agent's record of the log that it watches: heads, and the indexes of its own leaves.

Part of `store.RecordStore`, with its rules: writers require an open transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from secureflow.agent.record.recordfile import RecordFile
from secureflow.agent.record.records import OwnLeaf

MAX_HEADS: Final = 4096


class LogStateRows(RecordFile):
    """Reads and writes those rows."""

    def placed_leaves(self, limit: int) -> list[tuple[str, int]]:
        """Return hash and index of the own leaves with the greatest indexes in the log."""
        rows = self._all(
            "SELECT hash, place FROM leaves WHERE place >= 0 ORDER BY place DESC LIMIT ?",
            limit,
        )
        return [(str(row["hash"]), int(row["place"])) for row in rows]

    def miss_leaves(self, leaves: Mapping[str, int]) -> None:
        """Add these weights to own leaves for a round that passed without a proof."""
        for leaf, weight in leaves.items():
            self._write("UPDATE leaves SET missed = missed + ? WHERE hash = ?", weight, leaf)

    def received_by_centre(self, job: str, proved: Iterable[str]) -> frozenset[str]:
        """Return the job's leaves, sent in a reply, that the centre has certainly received.

        Those are the ones up to the newest that is in the log.

        Args:
            job: job id.
            proved: leaves that are proved to be in the log, and not yet recorded as such.
        """
        rows = self._all(
            "SELECT hash FROM leaves WHERE job = ?1 AND number <= (SELECT max(number) FROM leaves "
            "WHERE job = ?1 AND (proved OR hash IN (SELECT value FROM json_each(?2))))",
            job, json.dumps(list(proved)),
        )  # fmt: skip
        return frozenset(str(row["hash"]) for row in rows)

    def lose_leaves(self, start: int) -> int:
        """Mark own leaves from an index on as lost by the log; return how many of them it had."""
        row = self._one(
            "SELECT count(*) AS count FROM leaves WHERE proved AND (place IS NULL OR place >= ?)",
            start,
        )
        self._write(
            "UPDATE leaves SET proved = 0, missed = 0, place = -1 "
            "WHERE NOT proved OR place IS NULL OR place >= ?",
            start,
        )
        return 0 if row is None else int(row["count"])

    def lost_leaves(self, limit: int) -> list[OwnLeaf]:
        """Return own leaves that are to be resubmitted, oldest first."""
        rows = self._all("SELECT * FROM leaves WHERE place = -1 ORDER BY number LIMIT ?", limit)
        return [OwnLeaf.from_row(row) for row in rows]

    def mark_resubmitted(self, leaf: str) -> None:
        """Record that the centre accepted an own leaf again; its proof comes with a later head."""
        self._write("UPDATE leaves SET place = NULL WHERE hash = ? AND place = -1", leaf)

    def add_head(self, origin: str, size: int, note: str) -> None:
        """Store a head; beyond `MAX_HEADS` every second one of the older half is removed."""
        self._write("INSERT OR IGNORE INTO heads VALUES (?, ?, ?)", origin, size, note)
        row = self._one("SELECT count(*) AS count FROM heads WHERE origin = ?", origin)
        if row is not None and row["count"] > MAX_HEADS:
            self._write(
                "DELETE FROM heads WHERE origin = ?1 AND size IN (SELECT size FROM (SELECT size, "
                "row_number() OVER (ORDER BY size) AS at FROM heads WHERE origin = ?1) "
                "WHERE at % 2 = 0 AND at < ?2)",
                origin, MAX_HEADS // 2,
            )  # fmt: skip

    def heads(self, origin: str, at_most: int, limit: int = 1) -> list[str]:
        """Return the greatest heads of at most this size, as the log signed them."""
        rows = self._all(
            "SELECT note FROM heads WHERE origin = ? AND size <= ? ORDER BY size DESC LIMIT ?",
            origin, at_most, limit,
        )  # fmt: skip
        return [str(row["note"]) for row in rows]
