"""The list of strategies says what the rules of a spec say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.domain.specs.base import RosterEntry, parse
from secureflow.domain.specs.robust import Aggregation
from secureflow.domain.specs.strategies import NAMES, ChosenStrategy
from secureflow.domain.specs.strategylist import RULE, StrategyEntry, entries, entry_of
from secureflow.domain.specs.torch_families import TorchMlpModel
from secureflow.domain.specs.training import TrainingPlan
from secureflow.domain.specs.training_rules import check
from secureflow.kit.errors import SecureFlowError
from tests.unit.domain.test_plan_rules import SPEC

ENTRIES = {one.name: one for one in entries()}
LETTERS = "abcdefg"


def given(one: StrategyEntry, **more: Any) -> dict[str, Any]:
    return {"rule" if one.member == RULE else "name": one.name, **more}


def refusal(one: StrategyEntry, **changes: Any) -> str:
    """Return why a job of enough parties may not name it, or nothing."""
    roster = tuple(RosterEntry(f"bank-{n}", n * 44, "clients") for n in LETTERS)
    named = {one.member: given(one), "validation": 0.2}
    if one.name == "fedbn":  # it keeps normalisation layers
        changes["model"] = TorchMlpModel("torch_mlp", norm="layer")
    spec = replace(
        SPEC, roster=roster, min_contributors=len(LETTERS),
        plan=parse(TrainingPlan, named, "plan"), **changes,
    )  # fmt: skip
    try:
        check(spec)
    except SecureFlowError as error:
        return f"{error.code} {error.message}"
    return ""


def test_every_strategy_and_rule_is_listed_once() -> None:
    found = [one.name for one in entries()]
    rules = {one for one in found if ENTRIES[one].member == RULE}
    assert found[: len(NAMES)] == list(NAMES)
    assert len(set(found)) == len(found)
    assert rules == set(found) - set(NAMES)
    assert all(one.paper and one.sentence for one in entries())


@pytest.mark.parametrize("one", ENTRIES.values(), ids=ENTRIES)
def test_protections_are_those_under_which_a_spec_may_name_it(one: StrategyEntry) -> None:
    every = ("sealed", "secagg", "sealed+secagg")
    told = {name: refusal(one, protection=name) for name in every}
    assert tuple(name for name in every if not told[name]) == one.protections
    assert all(
        said.startswith(f"contradictory_spec plan.{one.member}") for said in told.values() if said
    )


@pytest.mark.parametrize("one", ENTRIES.values(), ids=ENTRIES)
def test_ranges_are_those_that_are_taken(one: StrategyEntry) -> None:
    for parameter in one.parameters:
        step = 1 if parameter.type == "integer" else 1e-3
        sides = [
            (parameter.least, -step, True), (parameter.most, step, True),
            (parameter.above, 0, False), (parameter.below, 0, False),
        ]  # fmt: skip
        for edge, beyond, taken in sides:
            if edge is None:
                continue
            assert accepted(one, parameter.name, edge) == taken
            assert not accepted(one, parameter.name, edge + beyond)
        assert accepted(one, parameter.name, parameter.default)


def accepted(one: StrategyEntry, name: str, value: float) -> bool:
    kind: Any = Aggregation if one.member == RULE else ChosenStrategy
    try:
        parse(kind, given(one, **{name: value}), "plan")
    except SecureFlowError:
        return False
    return True


def test_one_that_there_is_none_of_is_named() -> None:
    with pytest.raises(SecureFlowError) as caught:
        entry_of("swarm")
    assert caught.value.code == "not_found"
    assert "swarm" in caught.value.message
    with pytest.raises(SecureFlowError) as caught:
        entry_of("trimed_mean")
    assert "trimmed_mean may be meant" in str(caught.value.hint)
