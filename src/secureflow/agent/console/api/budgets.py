"""Privacy budgets: what is spent, reserved and left, and how it came to that."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from secureflow.agent.console.api.operations import Call, Operation
from secureflow.agent.console.screens.budgets import (
    BudgetView,
    Point,
    budget_views,
    course_of,
)
from secureflow.agent.console.visits import Visit
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members, objects
from secureflow.kit.text import Text

_RECKONING: Final = 60.0
SETTLING: Final = 120.0
"""Seconds to wait where the log is read to the end."""


@dataclass(frozen=True)
class Budgets:
    """Every privacy domain's budget."""

    budgets: tuple[BudgetView, ...]


@dataclass(frozen=True)
class Budget:
    """One budget.

    Args:
        budget: with an entry for each job that has some of it.
        course: how much was spent and reserved after each event, the oldest first.
    """

    budget: BudgetView
    course: tuple[Point, ...]


async def listed(call: Call) -> Budgets:
    """Return the budgets."""
    return Budgets(await budgets_of(call.visit))


async def show(call: Call) -> Budget:
    """Return a budget with its course."""
    domain = call.named("domain")
    budget = budget_named(await budgets_of(call.visit, entries=True), domain)
    course = await call.visit.ask("data.course", _RECKONING, domain=domain)
    return Budget(budget, course_of(course))


async def unlock(call: Call) -> Budget:
    """Unlock a restored agent's budget: its owner says that nothing else was spent."""
    domain = call.named("domain")
    await call.visit.ask("data.settle", SETTLING, domain=domain, bundles=[])
    return await show(call)


async def budgets_of(visit: Visit, *, entries: bool = False) -> tuple[BudgetView, ...]:
    """Return every budget; `entries`: with what each job cost alone."""
    asked: list[Any] = [visit.ask("data.budget", exact=False), visit.ask("data.list")]
    if entries:
        asked.append(visit.ask("data.usage"))
    found, listed, *usage = await asyncio.gather(*asked)
    shown = await asyncio.gather(
        *(visit.ask("data.show", name=str(one.get("name"))) for one in objects(listed))
    )
    domains: dict[str, tuple[str, ...]] = {}
    for one in map(members, shown):
        if domain := members(one.get("privacy")).get("domain"):
            domains[str(domain)] = (*domains.get(str(domain), ()), str(one.get("name")))
    return budget_views(found, members(usage[0]).get("uses") if usage else None, domains)


def budget_named(budgets: tuple[BudgetView, ...], domain: str) -> BudgetView:
    """Return the budget of a domain (`not_found`)."""
    found = next((one for one in budgets if one.domain == domain), None)
    if found is None:
        raise SecureFlowError(
            "not_found",
            Text("No dataset here declares the privacy domain {domain!r:.130}.", domain=domain),
            "The page of budgets shows every domain.",
        )
    return found


OPERATIONS: Final = (
    Operation("budgets", "GET", "/budgets", listed, Budgets, about="Every privacy budget."),
    Operation(
        "budget", "GET", "/budgets/{domain}", show, Budget,
        about="One budget with its jobs, and its course.",
    ),
    Operation(
        "unlockBudget", "POST", "/budgets/{domain}/unlock", unlock, Budget, need="owner-admin",
        about="Unlock a restored agent's budget of which nothing was spent since the backup.",
    ),
)  # fmt: skip
