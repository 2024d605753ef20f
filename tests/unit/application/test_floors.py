"""How many contributors a request has where it names no number."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.application.jobs.rosters import contributors_floor
from secureflow.kit.errors import SecureFlowError

FIVE = ("a", "b", "c", "d", "e")


@pytest.mark.parametrize(
    ("parts", "everybody", "count"),
    [
        ({}, False, 3),
        ({}, True, 5),
        ({"privacy": None}, True, 5),
        ({"privacy": {"delta": 1e-6}}, True, 3),  # noise hides a party's rows in each of its sums
        ({"min_contributors": 4}, True, 4),  # the spec is refused by name
        ({"min_contributors": 4}, False, 4),
    ],
)
def test_sums_of_the_same_rows_are_over_all_parties_unless_they_are_noised(
    parts: dict[str, Any], everybody: bool, count: int
) -> None:
    assert contributors_floor(FIVE, parts, everybody=everybody) == {"min_contributors": count}


def test_two_are_both_needed() -> None:
    assert contributors_floor(FIVE[:2], {}) == {"min_contributors": 2}


@pytest.mark.parametrize(("count", "asked", "hint"), [
    (1, None, "Use datasets of at least three organisations."),
    (3, 2, "Leave min_contributors out, or write 3 at least."),
])  # fmt: skip
def test_what_helps_against_too_few_depends_on_what_was_named(
    count: int, asked: int | None, hint: str
) -> None:
    parts = {} if asked is None else {"min_contributors": asked}
    with pytest.raises(SecureFlowError) as refused:
        contributors_floor(FIVE[:count], parts)
    assert (refused.value.code, refused.value.hint) == ("contradictory_spec", hint)
