"""PyTorch's families under strategies that correct local steps, and keep a vector at each party."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.pytorch import demand_torch
from unit.engines.training.beside_world import shares, spec

from secureflow.adapters.frameworks import TorchRunner
from secureflow.domain.specs.tensors import Tensors
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.families import model_family
from secureflow.engines.training.localpart import LocalPart
from secureflow.engines.training.models import initial_state, repeats
from secureflow.kit.errors import SecureFlowError
from secureflow.simulation.training.federation import federate
from secureflow.simulation.training.parties import parties
from secureflow.simulation.training.table import Table

STRATEGIES = [{"name": "scaffold"}, {"name": "feddyn", "alpha": 0.3}]
EACH = pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda one: one["name"])
OTHER = {"hidden": [8], "activation": "tanh"}


@pytest.fixture(autouse=True)
def _installed() -> None:
    demand_torch()


def job(strategy: Any, model: dict[str, Any] | None = None, **more: Any) -> TrainingSpec:
    """A job of four parties, as SCAFFOLD wants them."""
    roster = [{"party": f"bank-{n}", "key": f"{n}" * 44, "dataset": "rows"} for n in range(4)]
    plan = {"strategy": strategy, "local_epochs": 2, "rounds": 6, **more.pop("plan", {})}
    made = {"family": "torch_mlp", **OTHER} if model is None else model
    whole = {"roster": roster, "min_contributors": 4, "plan": plan, **more}
    return spec("images", made, **whole)


def as_other(flat: np.ndarray, own: Tensors, other: Tensors) -> np.ndarray:
    """Return parameters in the order of another family's tensors of the same layers."""
    at, pieces = 0, []
    for one in own:
        pieces.append(flat[at : at + one.size])
        at += one.size
    # Both have a matrix and what is added to it for each layer; the order within a layer differs.
    matrices = [p for p, one in zip(pieces, own, strict=True) if len(one.shape) == 2]
    added = [p for p, one in zip(pieces, own, strict=True) if len(one.shape) == 1]
    wide = iter(matrices), iter(added)
    return np.concatenate([next(wide[len(one.shape) == 1]) for one in other])


@EACH
def test_a_corrected_step_is_that_of_the_family_in_numpy(strategy: dict[str, Any]) -> None:
    here, there = job(strategy), job(strategy, {"family": "mlp", **OTHER})
    draws = np.random.default_rng(3)
    own, kept, before = draws.normal(0, 0.2, (3, here.model_parameters)).astype(np.float32)
    rows = draws.random((50, 36)).astype(np.float32)
    labels = draws.integers(0, 3, 50).astype(np.float32)
    seed = bytes(32)
    moved = []
    for one in (here, there):
        turned = [as_other(v, here.tensors, one.tensors) for v in (before, kept, own)]
        pull = LocalPart(one, *turned).pull
        trained = model_family(one).train(one, turned[0], rows, labels, seed, None, pull)
        moved.append(as_other(trained, one.tensors, here.tensors))
    np.testing.assert_allclose(moved[0], moved[1], rtol=1e-4, atol=1e-5)
    free = model_family(here).train(job("fedavg"), before, rows, labels, seed)
    assert np.abs(moved[0] - free).max() > 0.01


def run(asked: TrainingSpec) -> Any:
    """Train four parties in this process."""
    parts = [*shares()[:2], *shares(180)[1:]]
    rows = Table({name: np.concatenate([one[name] for one in parts]) for name in parts[0]})
    owners = np.repeat(np.arange(4), [len(one["y"]) for one in parts])
    return federate(asked, parties(asked, rows, owners, bytes(32), None))


@EACH
def test_a_network_of_pytorch_learns_under_it(strategy: dict[str, Any]) -> None:
    told = run(job(strategy, {"family": "torch_cnn", "channels": [4, 8], "hidden": [8]},
                   plan={"rounds": 12, "learning_rate": 0.1}))  # fmt: skip
    assert told.metrics["accuracy"] > 0.8, told.metrics
    assert not repeats(job(strategy))


@EACH
def test_what_a_party_keeps_survives_its_trainer(strategy: dict[str, Any], tmp_path: Path) -> None:
    """Through files, with a new trainer for each round, the updates are those of one trainer."""
    asked = job(strategy, protection="sealed")
    rows = shares()[0]
    model, update, beside = (tmp_path / one for one in ("model", "update", "beside"))
    state = initial_state(asked)
    whole, before = TorchRunner(asked, rows), None
    for number in range(3):
        model.write_bytes((state + np.float32(0.01 * number)).astype("<f4").tobytes())
        whole.train(model, update, None, bytes(32))
        after = tmp_path / f"{number}.state"
        TorchRunner(asked, rows).train(model, beside, None, bytes(32), (before, after))
        assert update.read_bytes() == beside.read_bytes()
        before = after
    forgetful = tmp_path / "again"
    TorchRunner(asked, rows).train(model, forgetful, None, bytes(32), (None, tmp_path / "x.state"))
    assert forgetful.read_bytes() != update.read_bytes()


@EACH
def test_a_kept_vector_of_another_model_is_refused(
    strategy: dict[str, Any], tmp_path: Path
) -> None:
    asked, small = job(strategy), job(strategy, {"family": "torch_mlp", "hidden": [2]})
    model, update, state = (tmp_path / one for one in ("model", "update", "state"))
    model.write_bytes(initial_state(small).tobytes())
    TorchRunner(small, shares()[0]).train(model, update, None, bytes(32), (None, state))
    model.write_bytes(initial_state(asked).tobytes())
    runner, again = TorchRunner(asked, shares()[0]), (state, tmp_path / "after")
    with pytest.raises(SecureFlowError) as caught:
        runner.train(model, update, None, bytes(32), again)
    assert caught.value.code == "state_unreadable"


def test_steps_are_counted_of_plain_gradient_descent_alone() -> None:
    adam = {"family": "torch_mlp", "optimiser": {"name": "adam"}}
    with pytest.raises(SecureFlowError) as caught:
        job("scaffold", adam)
    assert "counts steps of plain gradient descent" in str(caught.value)
    assert job("feddyn", adam).kept_at_parties == "feddyn"  # a slope of the loss suits any
