"""The code bundles that this owner approved: their names in the record, their bytes in files.

Part of `store.RecordStore`, with its rules: writers require an open transaction.
"""

from __future__ import annotations

from secureflow.agent.record.logstate import LogStateRows
from secureflow.agent.record.records import ApprovedBundle

_ENDLESS = (1 << 53) - 1
"""After every second."""


class BundleRows(LogStateRows):
    """Reads and writes those rows."""

    def approved_bundle(self, digest: str) -> ApprovedBundle | None:
        """Return a bundle by its digest if it was approved."""
        row = self._one("SELECT * FROM bundles WHERE digest = ?", digest)
        return None if row is None else ApprovedBundle.from_row(row)

    def approved_bundles(self, limit: int = 1000) -> list[ApprovedBundle]:
        """Return approved bundles, the one approved last first."""
        rows = self._all("SELECT * FROM bundles ORDER BY approved_at DESC, digest LIMIT ?", limit)
        return list(ApprovedBundle.readable(rows))

    def bundle_before(
        self, digest: str, submitter: str, name: str, until: int | None = None
    ) -> ApprovedBundle | None:
        """Return the bundle approved last of this submitter or name, but not this one itself.

        One of the same submitter goes before one of the same name, and one of both before either.
        `until` leaves out what was approved after that second.
        """
        row = self._one(
            "SELECT * FROM bundles WHERE digest <> ?1 AND (submitter = ?2 OR name = ?3) "
            "AND approved_at <= ?4 "
            "ORDER BY submitter = ?2 DESC, name = ?3 DESC, approved_at DESC, digest LIMIT 1",
            digest, submitter, name, _ENDLESS if until is None else until,
        )  # fmt: skip
        return None if row is None else ApprovedBundle.from_row(row)

    def approve_bundle(self, bundle: ApprovedBundle) -> None:
        """Store an approved bundle; one that was approved before is so anew."""
        self._insert("bundles", bundle.row(), replace=True)
