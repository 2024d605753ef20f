"""The datasets of this organisation: what they declare, who may use them, and who did."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.responses import Response

from secureflow.agent.console.screens.budgets import budget_views
from secureflow.agent.console.screens.datasets import dataset_view, published_word, usage_view
from secureflow.agent.console.screens.grants import OVER, groups
from secureflow.agent.console.visits import Page, Visit
from secureflow.kit.reading import members, objects


async def show(visit: Visit) -> Response:
    """List the declared datasets, and what record and ledger do not agree on."""
    listed, usage, grants = await asyncio.gather(
        visit.ask("data.list"), visit.ask("data.usage"), visit.ask("grant.list")
    )
    rows = [row for group in groups(grants) if group.state == "in force" for row in group.rows]
    return visit.page(
        "datasets",
        datasets=[dataset_view(one) for one in objects(listed)],
        usage=usage_view(usage),
        granted={
            name: sum(row.dataset == name for row in rows) for name in {row.dataset for row in rows}
        },
    )


async def show_one(visit: Visit) -> Response:
    """Show a dataset: schema, budget, grants, uses."""
    name = visit.request.path_params["name"]
    found, usage, grants, budgets = await asyncio.gather(
        visit.ask("data.show", name=name),
        visit.ask("data.usage", dataset=name),
        visit.ask("grant.list"),
        visit.ask("data.budget", exact=False),
    )
    dataset = dataset_view(members(found))
    domain = (dataset.privacy or {}).get("domain")
    used = usage_view(usage, name)
    return visit.page(
        "dataset",
        dataset=dataset,
        published=published_word(dataset),
        usage=used,
        differences=used.differences,
        grants=[
            row
            for group in groups(grants)
            if group.state not in OVER
            for row in group.rows
            if row.dataset == name
        ],
        budgets=[one for one in budget_views(budgets) if one.domain == domain],
    )


PAGES: Final = (Page("/data", show, title="Data"), Page("/data/{name}", show_one))
