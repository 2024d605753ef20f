"""The order of rows follows from the party's secret, unless the plan has it public."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.domain.specs.base import RosterEntry
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.training import TrainingPlan, TrainingSpec
from secureflow.engines.training.order import public_order, shuffle_seed

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
