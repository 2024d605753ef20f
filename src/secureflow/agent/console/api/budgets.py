"""Privacy budgets: what is spent, reserved and left, and how it came to that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from secureflow.agent.console.api.operations import Call, Operation
from secureflow.agent.console.screens.budgets import BudgetView, Point, course_of
from secureflow.agent.console.views.budgets import SETTLING, budget_named, budgets_of

_RECKONING: Final = 60.0


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
