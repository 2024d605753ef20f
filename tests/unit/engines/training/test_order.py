"""The order of rows follows from the party's secret, unless the plan has it public."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from secureflow.agent.compute.derivation import training_seed
from secureflow.agent.kinds.training.updates import Updates
from secureflow.domain.specs.base import RosterEntry
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.training import TrainingPlan, TrainingSpec
from secureflow.engines.training.order import orders, public_order, shuffle_seed

SPEC = TrainingSpec(
    project="prj_0123456789", name="n", purpose="p", submitter="s",
    roster=tuple(RosterEntry(name, name * 44) for name in ("a", "b", "c")),
)  # fmt: skip
MODEL = "ab" * 32


def test_a_seed_is_that_of_plan_place_stage_and_model_alone() -> None:
    seed = shuffle_seed(SPEC, "b", "train", MODEL)
    roster = tuple(replace(one, party=f"x{one.party}") for one in SPEC.roster)
    others = replace(SPEC, name="other", purpose="other", roster=roster)
    assert shuffle_seed(others, "xb", "train", MODEL) == seed
    assert seed.hex() == shuffle_seed(SPEC, "b", "train", MODEL).hex()
    different: list[Any] = [
        shuffle_seed(SPEC, "a", "train", MODEL),
        shuffle_seed(SPEC, "b", "evaluate", MODEL),
        shuffle_seed(SPEC, "b", "train", "cd" * 32),
        shuffle_seed(replace(SPEC, plan=TrainingPlan(seed=8)), "b", "train", MODEL),
    ]
    assert len({seed, *different}) == 5


def test_the_bytes_of_a_seed_never_change() -> None:
    """Two agents of different versions must go through their rows as before."""
    assert shuffle_seed(SPEC, "a", "train", MODEL).hex() == PINNED


PINNED = "7c8b3f047f306f7b2c74537f73f885ee7a10e5169f6bb229c59bc411693fa923"


@pytest.mark.parametrize(
    ("changes", "public"),
    [
        ({}, False),
        ({"plan": TrainingPlan(order="public")}, True),
        (
            {
                "plan": TrainingPlan(order="public"),
                "privacy": Privacy(delta=1e-6, noise_multiplier=1.0),
            },
            False,
        ),
    ],
)
def test_it_is_public_only_where_the_plan_says_so_and_nothing_is_noised(
    changes: dict[str, Any], public: bool
) -> None:
    assert public_order(replace(SPEC, **changes)) == public


def test_orders_are_permutations_another_one_for_each_epoch_and_never_change() -> None:
    plan = TrainingPlan(local_epochs=3, draws="words")
    first, second, third = (one.tolist() for one in orders(plan, bytes(32), 8))
    assert sorted(first) == sorted(second) == sorted(third) == list(range(8))
    assert [first, second] == PINNED_ORDERS


def test_orders_come_from_raw_words_alone_but_in_jobs_of_0_2_0(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NumPy promises only the words: what it makes of them may change with its version."""
    old = [one.tolist() for one in orders(TrainingPlan(local_epochs=2), bytes(32), 8)]
    assert old == PINNED_OLD_ORDERS
    monkeypatch.setattr(np.random, "Generator", lambda words: None)
    (found,) = orders(TrainingPlan(draws="words"), bytes(32), 8)
    assert found.tolist() == PINNED_ORDERS[0]


PINNED_ORDERS = [[3, 2, 1, 6, 0, 7, 4, 5], [3, 5, 7, 0, 6, 2, 4, 1]]
PINNED_OLD_ORDERS = [[2, 4, 3, 6, 5, 0, 1, 7], [6, 2, 7, 4, 5, 1, 0, 3]]


def test_an_agent_goes_through_its_rows_in_an_order_that_follows_from_its_secret() -> None:
    """A public order is drawn without data, so that a round could be aimed at a named row."""
    agent: Any = SimpleNamespace(_context=SimpleNamespace(party="a"))
    secret, other = (SimpleNamespace(secret=bytes([one]) * 32) for one in (1, 2))
    seeds = [Updates._seed(agent, one, SPEC, "train", MODEL) for one in (secret, other)]  # type: ignore[arg-type]
    assert seeds[0] == training_seed(secret.secret, "train", MODEL) != seeds[1]
    public = replace(SPEC, plan=TrainingPlan(order="public"))
    told = {Updates._seed(agent, one, public, "train", MODEL) for one in (secret, other)}  # type: ignore[arg-type]
    assert told == {shuffle_seed(public, "a", "train", MODEL).hex()}
