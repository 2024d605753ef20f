"""Every operation of the API: one table, to which each module adds its own."""

from __future__ import annotations

from typing import Final

from secureflow.agent.console.api import (
    account,
    activity,
    anchors,
    budgets,
    datasets,
    events,
    evidence,
    grants,
    inbox,
    jobs,
    overview,
    people,
    policies,
    revenue,
    session,
)
from secureflow.agent.console.api.operations import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    *session.OPERATIONS,
    *account.OPERATIONS,
    *overview.OPERATIONS,
    *inbox.OPERATIONS,
    *datasets.OPERATIONS,
    *grants.OPERATIONS,
    *budgets.OPERATIONS,
    *jobs.OPERATIONS,
    *activity.OPERATIONS,
    *people.OPERATIONS,
    *policies.OPERATIONS,
    *evidence.OPERATIONS,
    *anchors.OPERATIONS,
    *revenue.OPERATIONS,
    *events.OPERATIONS,
)
