"""What a submitter asked of this organisation before, from the agent's own record.

The centre names the submitter; the owner cannot verify it. So this tells what came under that name.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from secureflow.agent.record.records import InboxItem
from secureflow.agent.record.store import RecordStore
from secureflow.kit.canonical import JSON

LOOKED_AT: Final = 500
"""Newest requests, and newest approved jobs, that are looked at."""
SHOWN: Final = 10
"""The newest of them that are listed."""


def before(store: RecordStore, item: InboxItem) -> dict[str, JSON]:
    """Return what the submitter of an item asked before it.

    Returns:
        `jobs`: how many; `states`: how many of them are in each state, of which `by policy` needed
        no person; `outcomes`: how those that were approved ended; `newest`: the newest, each with
        `job`, `name`, `kind`, `dataset`, `purpose`, `epsilon`, `state`, `reason`, `outcome`, `at`.
    """
    submitter = item.request.get("submitter")
    asked = {
        one.job: _of_item(one)
        for one in reversed(store.inbox(limit=LOOKED_AT))
        if one.request.get("submitter") == submitter and one.job != item.job
    }
    for job in store.jobs(LOOKED_AT):
        if job.spec.get("submitter") != submitter or job.job == item.job:
            continue
        known = asked.setdefault(job.job, _of_spec(job.spec, job.job, job.approved_at))
        known["outcome"] = job.outcome or "running"
    rows = sorted(
        (one for one in asked.values() if one["at"] <= item.at),
        key=lambda one: (one["at"], one["job"]),
        reverse=True,
    )
    return {
        "jobs": len(rows),
        "states": dict(Counter(str(one["state"]) for one in rows)),
        "outcomes": dict(Counter(str(one["outcome"]) for one in rows if one["outcome"])),
        "newest": rows[:SHOWN],
    }


def _of_item(item: InboxItem) -> dict[str, Any]:
    request = item.request
    return {
        "job": item.job,
        "name": item.spec.get("name"),
        "kind": request.get("kind"),
        "dataset": request.get("dataset"),
        "purpose": request.get("purpose"),
        "epsilon": request.get("epsilon"),
        "state": item.state,
        "reason": item.reason,
        "outcome": "",
        "at": item.at,
    }


def _of_spec(spec: dict[str, Any], job: str, at: int) -> dict[str, Any]:
    return {
        "job": job,
        "name": spec.get("name"),
        "kind": spec.get("kind"),
        "dataset": None,
        "purpose": spec.get("purpose"),
        "epsilon": None,
        "state": "by policy",
        "reason": "",
        "outcome": "",
        "at": at,
    }
