"""Owners' floors count what a release hides a contribution among, not who took part in a round."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from secureflow.agent.owner.consent import _check_settings
from secureflow.agent.owner.grants import grant_request
from secureflow.domain.specs.base import RosterEntry, parse
from secureflow.domain.specs.contributors import hidden_among
from secureflow.domain.specs.training import TrainingPlan, TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.kit.errors import SecureFlowError

PARTIES = tuple(RosterEntry(f"bank-{n}", f"{n:044}") for n in range(7))
ASKED = {"dataset": "customers", "columns": ()}


def settings(least: int | None = None) -> Any:
    return SimpleNamespace(consent=SimpleNamespace(protections=("sealed",), min_contributors=least))


def spec(plan: dict[str, Any], contributors: int) -> TrainingSpec:
    made = TrainingSpec("", "", "", "", PARTIES, min_contributors=contributors)
    return replace(made, plan=parse(TrainingPlan, plan, "training"))


@pytest.mark.parametrize("mode", ["bagging", "cyclic"])
def test_trees_of_one_party_take_a_term_and_the_sums_beside_them_the_floor(mode: str) -> None:
    made = replace(spec({}, 3), model=XgboostModel("xgboost", mode=mode))  # type: ignore[arg-type]
    asked = grant_request("bank-0", made, {**ASKED, **made.facts()})
    assert (asked.group, asked.own_trees, asked.by_name) == (3, made.plan.rounds, True)
    assert hidden_among(made) == 1  # what policies decide by
    _check_settings(made, "bank-0", settings())
    with pytest.raises(SecureFlowError) as caught:
        _check_settings(made, "bank-0", settings(4))
    assert "allows 3" in caught.value.message


def test_rounds_of_other_parties_hide_nobody_and_each_sum_keeps_its_floor() -> None:
    made = spec({"parties_per_round": 6}, 5)
    assert hidden_among(made) == 1  # what policies decide by: sums of N sets are N equations
    assert made.facts()["parties_per_round"] == 6
    assert grant_request("bank-0", made, ASKED).group == 5
    _check_settings(made, "bank-0", settings(5))
    assert hidden_among(spec({}, 5)) == 5


@pytest.mark.parametrize(
    ("plan", "contributors", "hidden"),
    [
        ({}, 3, 3),
        ({"strategy": "fedadam"}, 3, 3),
        ({"aggregation": {"rule": "geometric_median"}}, 3, 3),
        ({"aggregation": {"rule": "krum"}}, 7, 3),
        ({"aggregation": {"rule": "krum", "select": 1}}, 7, 1),
        ({"aggregation": {"rule": "krum", "select": 4}}, 7, 4),
        ({"strategy": "scaffold"}, 3, 2),
        ({"strategy": "scaffold"}, 4, 3),
    ],
)
def test_what_a_release_hides_among_is_what_floors_count(
    plan: dict[str, Any], contributors: int, hidden: int
) -> None:
    made = spec(plan, contributors)
    assert grant_request("bank-0", made, ASKED).group == hidden
    _check_settings(made, "bank-0", settings(hidden))
    for own, floor in ((settings(hidden + 1), hidden + 1), (settings(), 3)):
        if hidden < floor:
            with pytest.raises(SecureFlowError) as caught:
                _check_settings(made, "bank-0", own)
            assert caught.value.code == "too_few_parties"
            assert f"allows {hidden}" in caught.value.message
            assert ("krum" in caught.value.hint) == (hidden < contributors)
        else:
            _check_settings(made, "bank-0", own)
