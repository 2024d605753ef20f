"""The owner's grants, what jobs used of them, and the owner's local stops.

Part of `store.RecordStore`, with its rules: writers require an open transaction.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from secureflow.agent.record.bundlerows import BundleRows
from secureflow.agent.record.records import RowRecord

GrantState = Literal["granted", "revoked"]
StopKind = Literal["project", "requester"]


@dataclass(frozen=True)
class KeptGrant(RowRecord):
    """A grant that a person of this organisation made or confirmed here.

    Args:
        id: 64 hex digits over what the organisation signed (`agent.owner.grants.grant_id`).
        body: what it signed (`domain.grants.statement`), and a nonce.
        signature: under the organisation's key, of kind `grant`.
        state: `granted` or `revoked`; a revoked one never comes back.
        proposal: id of the grant at the centre that it confirms, or by which the centre knows it;
            "" until the centre was told.
        at: unix seconds.
        revoked_at: unix seconds; None while in force.
        reason: of the revocation.
        told: how much the centre was told: 0 nothing, 1 that it is granted, 2 that it is revoked.
    """

    _json = ("body",)
    id: str
    body: dict[str, Any]
    signature: str
    state: GrantState
    proposal: str
    at: int
    revoked_at: int | None = None
    reason: str = ""
    told: int = 0


@dataclass(frozen=True)
class GrantUse(RowRecord):
    """One approval under a grant.

    Args:
        job: the approved job.
        grant: the grant's id.
        epsilon: what is reserved or spent of its ceiling; 0 once given back.
        counted: approvals: 1; of a timetable, its runs that are still to come; 0 for a part of a
            sweep that was approved under the grant.
        at: unix seconds of the approval.
    """

    job: str
    grant: str
    epsilon: float
    counted: int
    at: int


@dataclass(frozen=True)
class Stop(RowRecord):
    """A project or requester that this owner, or the centre, has stopped here.

    Args:
        kind: `project` or `requester`.
        name: the project's id, or the submitter as the centre names them.
        by: `owner` or `centre`.
        reason: given with it.
        at: unix seconds.
    """

    kind: StopKind
    name: str
    by: str
    reason: str
    at: int


class GrantRows(BundleRows):
    """Reads and writes those rows."""

    def grants(self) -> list[KeptGrant]:
        """Return every grant, oldest first; one that cannot be read is an error, not left out."""
        return [
            KeptGrant.from_row(row) for row in self._all("SELECT * FROM grants ORDER BY at, id")
        ]

    def grant(self, grant: str) -> KeptGrant | None:
        """Return a grant."""
        row = self._one("SELECT * FROM grants WHERE id = ?", grant)
        return None if row is None else KeptGrant.from_row(row)

    def keep_grant(self, grant: KeptGrant) -> None:
        """Store a grant, replacing its earlier state."""
        self._insert("grants", grant.row(), replace=True)

    def grant_use(self, job: str) -> GrantUse | None:
        """Return under which grant a job was approved; None for none."""
        row = self._one("SELECT * FROM grant_uses WHERE job = ?", job)
        return None if row is None else GrantUse.from_row(row)

    def grant_uses(self, grant: str = "") -> list[GrantUse]:
        """Return the approvals under a grant, or under any, oldest first."""
        rows = self._all(
            "SELECT * FROM grant_uses WHERE ?1 = '' OR \"grant\" = ?1 ORDER BY at, job", grant
        )
        return [GrantUse.from_row(row) for row in rows]

    def keep_grant_use(self, use: GrantUse) -> None:
        """Store an approval under a grant, replacing what the job used before."""
        self._write(
            "INSERT OR REPLACE INTO grant_uses VALUES (?, ?, ?, ?, ?)",
            use.job, use.grant, use.epsilon, use.counted, use.at,
        )  # fmt: skip

    def stops(self) -> list[Stop]:
        """Return what is stopped here, oldest first."""
        return [Stop.from_row(row) for row in self._all("SELECT * FROM stops ORDER BY at, name")]

    def stop(self, kind: StopKind, name: str) -> Stop | None:
        """Return whether a project or requester is stopped."""
        row = self._one("SELECT * FROM stops WHERE kind = ? AND name = ?", kind, name)
        return None if row is None else Stop.from_row(row)

    def keep_stop(self, stop: Stop) -> None:
        """Store a stop; the first one stays."""
        if self.stop(stop.kind, stop.name) is None:
            self._insert("stops", stop.row())

    def lift_stop(self, kind: StopKind, name: str) -> None:
        """Remove a stop."""
        self._write("DELETE FROM stops WHERE kind = ? AND name = ?", kind, name)

    def untold_stops(
        self, codes: Collection[str], until: int, limit: int = 100
    ) -> list[tuple[str, str]]:
        """Return (job, outcome) of stopped jobs whose end the centre has not asked for.

        Args:
            codes: the outcomes of stopped jobs.
            until: unix seconds: jobs that were stopped later are left out.
            limit: at most so many, the newest.
        """
        rows = self._all(
            "SELECT job, outcome FROM jobs WHERE outcome IN (SELECT value FROM json_each(?1)) AND "
            "NOT EXISTS (SELECT 1 FROM answers WHERE request IN ('withdrawn/' || jobs.job, "
            "'finish/' || jobs.job)) AND NOT EXISTS (SELECT 1 FROM deeds WHERE deeds.job = "
            "jobs.job AND deed = 'job.stopped' AND at > ?2) ORDER BY approved_at DESC LIMIT ?3",
            json.dumps(sorted(codes)), until, limit,
        )  # fmt: skip
        return [(str(row["job"]), str(row["outcome"])) for row in rows]

    def open_jobs(self) -> list[str]:
        """Return the approved jobs that are not over here, oldest first."""
        rows = self._all("SELECT job FROM jobs WHERE outcome = '' ORDER BY approved_at, job")
        return [str(row["job"]) for row in rows]
