"""One place moves a model on, and everybody who calls it comes to the same bits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureflow.agent.kinds.training.modelfiles import _Read, _Written
from secureflow.domain.specs.training import TrainingPlan
from secureflow.engines.sealing import FixedPointAccumulator, tensor_digest
from secureflow.engines.training.strategies import BLOCK, STRATEGIES, next_state
from secureflow.kit.errors import SecureFlowError

FLOAT = st.floats(-(2.0**100), 2.0**100, width=32)


def spec_of(size: int) -> Any:
    return SimpleNamespace(privacy=None, parameters=size, plan=TrainingPlan())


@given(st.lists(st.tuples(FLOAT, FLOAT), min_size=1, max_size=50))
def test_a_sum_in_float64_rounds_to_the_float32_sum(pairs: list[tuple[float, float]]) -> None:
    state, mean = np.array(pairs, np.float32).T.copy()
    moved = np.empty_like(state)
    next_state(spec_of(len(state)), state, mean, moved)
    assert moved.tobytes() == (state + mean).tobytes()


def test_file_array_and_fold_come_to_the_same_bits(tmp_path: Path) -> None:
    size = 2 * BLOCK + 77
    draw = np.random.default_rng(7)
    state, update = draw.normal(size=(2, size)).astype(np.float32)
    base, part = tmp_path / "base", tmp_path / "part"
    base.write_bytes(state.data.cast("B"))
    with base.open("rb", 0) as source, part.open("wb") as file:
        written = _Written(file)
        next_state(spec_of(size), _Read(source), update, written)
    in_memory = state.copy()
    next_state(spec_of(size), in_memory, update, in_memory)
    assert written.digest == tensor_digest(in_memory)
    assert part.read_bytes() == in_memory.tobytes()
    total = FixedPointAccumulator(
        size, 1, max_weight=1.0, total_weight_cap=1.0, clip_norm=None, max_abs=8.0
    )
    total.fold(update, np.ones(1))
    folded = state.copy()
    next_state(spec_of(size), folded, total.mean(), folded)
    assert np.abs(folded - in_memory).max() <= 2.0**-23


def test_a_state_that_is_not_finite_is_refused() -> None:
    huge = np.full(3, 3e38, np.float32)
    with pytest.raises(SecureFlowError) as caught:
        next_state(spec_of(3), huge, huge, huge.copy())
    assert caught.value.code == "model_not_finite"


def test_every_strategy_that_a_plan_may_name_is_here() -> None:
    hints = get_type_hints(TrainingPlan)
    assert set(STRATEGIES) == set(get_args(hints["strategy"]))
