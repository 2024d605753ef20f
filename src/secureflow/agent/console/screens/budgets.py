"""Privacy budgets as the owner's page shows them: spent, reserved and left, and what it went to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secureflow.agent.console.screens.figures import Share, ratio, second, text_of
from secureflow.kit.reading import objects


@dataclass(frozen=True)
class BudgetEntry:
    """What one job has of a budget.

    Args:
        job: its id.
        state: `reserved`, `committed`, `voided` or `unknown`.
        whole: the job that it is a part of; empty.
        releases: how many noised releases it pays for.
        epsilon: of this job alone, as the record knows it; None.
    """

    job: str
    state: str
    whole: str
    releases: int
    epsilon: float | None = None


@dataclass(frozen=True)
class BudgetView:
    """A privacy domain's budget.

    Args:
        domain: its name.
        unit: whose presence is protected.
        delta: δ of the budget.
        share: ε spent and reserved, of the limit.
        locked: whether a restored agent waits for its owner.
        entries: the newest first.
        datasets: those of this domain.
    """

    domain: str
    unit: str
    delta: float
    share: Share
    locked: bool
    entries: tuple[BudgetEntry, ...]
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Point:
    """How a budget stood after an event.

    Args:
        at: when its job was approved here, in unix seconds; 0 where the record has no time.
        job: whose event it is; empty: the limit changed.
        state: of the job's charge then: `reserved`, `committed` (spent) or `voided` (given back).
        spent: ε that is spent and reserved.
        committed: what of it is spent.
        limit: ε of the budget then.
    """

    at: int
    job: str
    state: str
    spent: float
    committed: float
    limit: float


def course_of(value: Any) -> tuple[Point, ...]:
    """Read `data.course`."""
    return tuple(
        Point(
            second(one.get("at")),
            text_of(one, "job"),
            text_of(one, "state"),
            ratio(one.get("spent")),
            ratio(one.get("committed")),
            ratio(one.get("limit")),
        )
        for one in objects(value, 10_000)
    )


def budget_views(
    value: Any, usage: Any = None, domains: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[BudgetView, ...]:
    """Read `data.budget`; with `data.usage` each entry says what the job cost alone.

    Args:
        value: the answer.
        usage: the answer of `data.usage`.
        domains: privacy domain → its datasets.
    """
    costs = {text_of(one, "job"): one.get("epsilon") for one in objects(usage, 10_000)}
    return tuple(_view(one, costs, domains or {}) for one in objects(value))


def _view(
    one: Mapping[str, Any], costs: Mapping[str, Any], domains: Mapping[str, tuple[str, ...]]
) -> BudgetView:
    spent, domain = ratio(one.get("spent")), text_of(one, "domain")
    committed = ratio(one["committed"]) if "committed" in one else spent
    entries = [_entry(each, costs) for each in objects(one.get("reservations"), 10_000)]
    return BudgetView(
        domain=domain,
        unit=text_of(one, "unit"),
        delta=ratio(one.get("delta")),
        share=Share(spent, ratio(one.get("epsilon")), max(0.0, spent - committed)),
        locked=one.get("locked") is True,
        entries=tuple(reversed(entries)),
        datasets=domains.get(domain, ()),
    )


def _entry(one: Mapping[str, Any], costs: Mapping[str, Any]) -> BudgetEntry:
    job = text_of(one, "job")
    releases = sum(max(1, int(ratio(m.get("count", 1)))) for m in objects(one.get("charge")))
    cost = costs.get(job)
    return BudgetEntry(
        job, text_of(one, "state"), text_of(one, "of"), releases,
        None if cost is None else ratio(cost),
    )  # fmt: skip
