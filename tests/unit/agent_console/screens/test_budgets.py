"""Budgets on the page: spent, reserved, left."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.agent.console.screens.budgets import budget_views
from secureflow.agent.console.screens.figures import Share


def row(**more: Any) -> dict[str, Any]:
    return {
        "domain": "patients", "unit": "person", "epsilon": 4.0, "delta": 1e-6, "spent": 3.0,
        "committed": 2.0, "locked": False, "reservations": [], **more,
    }  # fmt: skip


def test_what_is_reserved_is_told_apart_from_what_is_spent() -> None:
    (budget,) = budget_views([row()], None, {"patients": ("scans", "visits")})
    share = budget.share
    assert (share.spent, share.reserved, share.left, share.limit) == (2.0, 1.0, 1.0, 4.0)
    assert budget.datasets == ("scans", "visits")


def test_entries_are_the_newest_first_with_what_the_job_cost_alone() -> None:
    reservations = [
        {"job": "a", "state": "committed", "charge": [{"count": 3}, {"count": 1}]},
        {"job": "b", "state": "reserved", "charge": [{"count": 2}], "of": "a"},
    ]
    usage = [{"job": "a", "epsilon": 0.5}]
    (budget,) = budget_views([row(reservations=reservations)], usage)
    newest, oldest = budget.entries
    assert (newest.job, newest.state, newest.whole, newest.epsilon) == ("b", "reserved", "a", None)
    assert (oldest.releases, oldest.epsilon) == (4, 0.5)


@pytest.mark.parametrize(
    ("used", "level"), [(0.0, "ok"), (3.1, "ok"), (3.3, "low"), (4.0, "over"), (5.0, "over")]
)
def test_little_is_less_than_a_fifth(used: float, level: str) -> None:
    assert Share(used, 4.0).level == level
    assert Share(used, None).level == "none"
