"""The datasets of this organisation, their budgets, and who used them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from secureflow.agent.console.api.operations import Call, Operation
from secureflow.agent.console.screens.budgets import BudgetView, budget_views
from secureflow.agent.console.screens.datasets import (
    DatasetView,
    Usage,
    dataset_view,
    published_word,
    usage_view,
)
from secureflow.agent.console.screens.grants import OVER, GrantRow, groups
from secureflow.agent.console.screens.spoken import Spoken
from secureflow.domain.specs.base import STRICT
from secureflow.kit.reading import members, objects

READING: Final = 600.0
"""Seconds that publishing may take: the agent reads the whole file first."""


@dataclass(frozen=True)
class Datasets:
    """The declared datasets.

    Args:
        datasets: those, without their columns.
        usage: who used what, and where record and ledger differ.
        granted: dataset → how many grants for it are in force.
    """

    datasets: tuple[DatasetView, ...]
    usage: Usage
    granted: dict[str, int]


@dataclass(frozen=True)
class Dataset:
    """One dataset.

    Args:
        dataset: what it declares.
        published: what its state means, in words.
        usage: who used it, from the record as reconciled with the signed ledger entries.
        grants: for it, which are not over.
        budget: of its privacy domain; None without one.
    """

    dataset: DatasetView
    published: Spoken
    usage: Usage
    grants: tuple[GrantRow, ...]
    budget: BudgetView | None


@dataclass(frozen=True)
class Publication:
    """What others read above the published description: a title; empty: none."""

    __pydantic_config__ = STRICT
    title: Annotated[str, Field(max_length=200)] = ""


async def listed(call: Call) -> Datasets:
    """Return the declared datasets."""
    visit = call.visit
    found, usage, grants = await asyncio.gather(
        visit.ask("data.list"), visit.ask("data.usage"), visit.ask("grant.list")
    )
    granted: dict[str, int] = {}
    for group in groups(grants):
        for row in group.rows if group.state == "in force" else ():
            granted[row.dataset] = granted.get(row.dataset, 0) + 1
    return Datasets(tuple(map(dataset_view, objects(found))), usage_view(usage), granted)


async def show(call: Call) -> Dataset:
    """Return one of them."""
    visit, name = call.visit, call.named("name")
    found, usage, grants, budgets = await asyncio.gather(
        visit.ask("data.show", name=name),
        visit.ask("data.usage", dataset=name),
        visit.ask("grant.list"),
        visit.ask("data.budget", exact=False),
    )
    dataset = dataset_view(members(found))
    domain = (dataset.privacy or {}).get("domain")
    rows = (row for group in groups(grants) if group.state not in OVER for row in group.rows)
    return Dataset(
        dataset,
        published_word(dataset),
        usage_view(usage, name),
        tuple(row for row in rows if row.dataset == name),
        next((one for one in budget_views(budgets) if one.domain == domain), None),
    )


async def publish(call: Call) -> Dataset:
    """Check a dataset's file against its schema, and publish its description at the centre."""
    title = " ".join(call.body.title.split())
    await call.visit.ask("data.publish", READING, name=call.named("name"), title=title)
    return await show(call)


OPERATIONS: Final = (
    Operation(
        "datasets", "GET", "/datasets", listed, Datasets,
        about="The declared datasets, who used them, and where record and ledger differ.",
    ),
    Operation(
        "dataset", "GET", "/datasets/{name}", show, Dataset,
        about="One dataset: schema, usage, grants, budget.",
    ),
    Operation(
        "publishDataset", "POST", "/datasets/{name}/publish", publish, Dataset,
        body=Publication, need="decider",
        about="Check a dataset's file, and publish its description: columns and about how many "
        "rows. No row leaves.",
    ),
)  # fmt: skip
