"""One place moves a model on, and everybody who calls it comes to the same bits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureflow.agent.kinds.training.statefiles import Read, Written, state_in
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.strategies import MAX_KEPT, NAMES, kept_vectors
from secureflow.domain.specs.training import TrainingPlan
from secureflow.engines.sealing import FixedPointAccumulator, tensor_digest
from secureflow.engines.training.models import with_kept
from secureflow.engines.training.strategies import STRATEGIES, next_state
from secureflow.engines.training.strategies.strategy import BLOCK
from secureflow.kit.errors import SecureFlowError

FLOAT = st.floats(-(2.0**100), 2.0**100, width=32)


def spec_of(size: int, strategy: Any = "fedavg") -> Any:
    plan = parse(TrainingPlan, {"strategy": strategy}, "plan")
    return SimpleNamespace(
        model=None,
        privacy=None,
        parameters=size * (1 + kept_vectors(plan.strategy)),
        update_parameters=size,
        start_parameters=size,
        model_parameters=size,
        model_and_bound=size,
        adapts_clipping=False,
        plan=plan,
    )


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
        written = Written(file)
        next_state(spec_of(size), Read(source), update, written)
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
    assert set(STRATEGIES) == set(NAMES)
    for name in NAMES:
        chosen = parse(TrainingPlan, {"strategy": name}, "plan").strategy
        assert kept_vectors(chosen) == getattr(STRATEGIES[name], "kept", 0)
        assert kept_vectors(chosen) <= MAX_KEPT


def references(name: str, own: dict[str, float]) -> Any:
    """Return the papers' next state of one coordinate in plain Python: (model, kept, change)."""
    rate = own.get("server_learning_rate", 1.0)

    def fedavgm(w: float, kept: list[float], change: float) -> tuple[float, list[float]]:
        v = own["momentum"] * kept[0] + change
        return w + rate * v, [v]

    def adaptive(w: float, kept: list[float], change: float) -> tuple[float, list[float]]:
        m = own["beta1"] * kept[0] + (1 - own["beta1"]) * change
        square, v = change**2, kept[1]
        if name == "fedadam":
            v = own["beta2"] * v + (1 - own["beta2"]) * square
        else:
            v = v - (1 - own["beta2"]) * square * float(np.sign(v - square))
        return w + rate * m / (v**0.5 + own["tau"]), [m, v]

    def fedadagrad(w: float, kept: list[float], change: float) -> tuple[float, list[float]]:
        v = kept[0] + change**2
        return w + rate * change / (v**0.5 + own["tau"]), [v]

    return {"fedavgm": fedavgm, "fedadagrad": fedadagrad}.get(name, adaptive)


OWN: list[dict[str, Any]] = [
    {"name": "fedavgm", "momentum": 0.7, "server_learning_rate": 0.5},
    {"name": "fedadam", "server_learning_rate": 0.05, "beta1": 0.8, "beta2": 0.95, "tau": 1e-2},
    {"name": "fedyogi", "server_learning_rate": 0.05, "beta1": 0.8, "beta2": 0.95, "tau": 1e-2},
    {"name": "fedadagrad", "server_learning_rate": 0.05, "tau": 1e-2},
]


@pytest.mark.parametrize("own", OWN, ids=lambda own: str(own["name"]))
def test_rounds_go_as_in_the_paper(own: dict[str, Any]) -> None:
    size, draw = 40, np.random.default_rng(3)
    spec, step = spec_of(size, own), references(own["name"], own)
    model = draw.normal(size=size).astype(np.float32)
    state = with_kept(spec, model)
    first = [float(one) for one in spec.plan.strategy.first]
    expected = [(float(one), list(first)) for one in model]
    for _ in range(6):
        change = draw.normal(scale=0.3, size=size).astype(np.float32)
        next_state(spec, state, change, state)
        expected = [
            step(w, kept, float(one)) for (w, kept), one in zip(expected, change, strict=True)
        ]
    found = state.reshape(-1, size)
    np.testing.assert_allclose(found[0], [w for w, _ in expected], rtol=2e-5, atol=1e-6)
    for place, vector in enumerate(found[1:]):
        np.testing.assert_allclose(
            vector, [kept[place] for _, kept in expected], rtol=2e-5, atol=1e-7
        )


@pytest.mark.parametrize("own", OWN, ids=lambda own: str(own["name"]))
def test_a_file_and_the_state_itself_come_to_the_same_bits(
    tmp_path: Path, own: dict[str, Any]
) -> None:
    size, draw = BLOCK + 77, np.random.default_rng(7)
    spec = spec_of(size, own)
    model, change = draw.normal(scale=0.1, size=(2, size)).astype(np.float32)
    state = with_kept(spec, model)
    next_state(spec, state, change, state)  # something is kept now
    base, part = tmp_path / "base", tmp_path / "part"
    base.write_bytes(state.data.cast("B"))
    with base.open("rb", 0) as source, part.open("wb") as file:
        written = Written(file)
        next_state(spec, state_in(spec, source), change, written)
    aside = np.empty_like(state)
    next_state(spec, state, change, aside)
    next_state(spec, state, change, state)
    assert written.digest == tensor_digest(state) == tensor_digest(aside)
    assert part.read_bytes() == state.tobytes()


@pytest.mark.parametrize("own", OWN, ids=lambda own: str(own["name"]))
def test_uploaded_weights_start_what_a_strategy_keeps(tmp_path: Path, own: dict[str, Any]) -> None:
    spec, draw = spec_of(9, own), np.random.default_rng(1)
    model, change = draw.normal(size=(2, 9)).astype(np.float32)
    base = tmp_path / "base"
    base.write_bytes(model.tobytes())  # as it was uploaded: nothing is behind the model
    moved, expected = np.empty((2, spec.parameters), np.float32)
    with base.open("rb", 0) as source:
        next_state(spec, state_in(spec, source), change, moved)
    next_state(spec, with_kept(spec, model), change, expected)
    assert moved.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("fedprx", "fedprox"),
        ({"name": "fedadm"}, "fedadam"),
        ("swarm", "there is no strategy 'swarm'"),
        ({"name": "fedprox", "mu": 0}, "mu"),
        ({"name": "fedavg", "mu": 1}, "strategy"),
        ({"name": "fedadam", "beta1": 1.0}, "beta1"),
        ({"mu": 1.0}, "strategy: it does not say which strategy it is"),
        (["fedprox"], "strategy: it does not say which strategy it is"),
        (7, "strategy: it does not say which strategy it is"),
    ],
)
def test_another_strategy_or_parameter_is_refused_by_name(given: Any, told: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        parse(TrainingPlan, {"strategy": given}, "plan")
    assert told in str(caught.value)


def test_a_bare_name_is_the_strategy_with_its_defaults() -> None:
    named = parse(TrainingPlan, {"strategy": "fedprox"}, "plan")
    assert named == parse(TrainingPlan, {"strategy": {"name": "fedprox"}}, "plan")
    assert parse(TrainingPlan, {"strategy": {"name": "fedavg"}}, "plan") == TrainingPlan()
    assert dump(TrainingPlan())["strategy"] == "fedavg"  # as every spec of 0.2.0 has it
