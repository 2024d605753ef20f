"""How a privacy budget came to where it stands: ε after each event, for a curve over time."""

from __future__ import annotations

import asyncio
from typing import Final

from secureflow.agent.owner.budgets import Budgets
from secureflow.agent.record.store import RecordStore
from secureflow.engines.privacy import Charge, epsilon
from secureflow.engines.privacy.budget import FILTER, Standing, standings
from secureflow.kit.canonical import JSON

MOST: Final = 400
"""Events that are told, the newest: with more, each would be a pixel."""


async def course(budgets: Budgets, store: RecordStore, domain: str) -> list[dict[str, JSON]]:
    """Return `{at, job, state, spent, committed, limit}` after each event, the oldest first.

    `at` is when the job was approved here: events have no time of their own, and a limit none.

    Raises:
        SecureFlowError: `budget_undeclared`, `budget_corrupt`.
    """
    budgets.declared_policy(domain)
    events = await asyncio.to_thread(store.budget_events, domain)
    found = (await asyncio.to_thread(standings, events))[-MOST:]
    every = {one for standing in found for one in standing.charges}
    await budgets.precompute_curves(domain, (), tuple(every))
    return await asyncio.to_thread(lambda: [_point(store, one) for one in found])


def _point(store: RecordStore, one: Standing) -> dict[str, JSON]:
    job = store.job(one.job) if one.job else None
    return {
        "at": 0 if job is None else job.approved_at,
        "job": one.job,
        "state": one.state,
        "spent": _epsilon(one, one.charges),
        "committed": _epsilon(one, one.committed),
        "limit": one.limit.epsilon,
    }


def _epsilon(one: Standing, charges: Charge) -> float:
    return epsilon(charges, one.limit.delta, FILTER) if charges else 0.0
