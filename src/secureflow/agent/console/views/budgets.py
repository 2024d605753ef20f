"""Privacy budgets: what is spent, reserved and left, and by which jobs."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.responses import Response

from secureflow.agent.console.screens.budgets import BudgetView, budget_views
from secureflow.agent.console.views.permitted import holders
from secureflow.agent.console.visits import Page, Visit, see
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members, objects
from secureflow.kit.text import Text

SETTLING: Final = 120.0
"""Seconds to wait where the log is read to the end."""


async def show(visit: Visit) -> Response:
    """List the budgets."""
    return visit.page("budgets", budgets=await budgets_of(visit))


async def show_one(visit: Visit) -> Response:
    """Show one budget with its entries."""
    budget = budget_named(await budgets_of(visit, entries=True), _domain(visit))
    return visit.page("budget", budget=budget, who=await holders(visit, "owner-admin"))


async def ask_unlock(visit: Visit) -> Response:
    """Ask whether nothing was spent since the backup."""
    budget = budget_named(await budgets_of(visit), _domain(visit))
    return visit.page("budget_unlock", budget=budget, who=await holders(visit, "owner-admin"))


async def unlock(visit: Visit) -> Response:
    """Unlock a restored agent's budget: its owner says that nothing else was spent."""
    await visit.fields()
    domain = str(visit.request.path_params["domain"])
    await visit.ask("data.settle", SETTLING, domain=domain, bundles=[])
    return see(f"/budgets/{domain}")


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


def _domain(visit: Visit) -> str:
    return str(visit.request.path_params["domain"])


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


PAGES: Final = (
    Page("/budgets", show, title="Budgets"),
    Page("/budgets/{domain}", show_one),
    Page("/budgets/{domain}/unlock", ask_unlock, unlock),
)
