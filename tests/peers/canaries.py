"""Canaries in a training job: three parties' runners over real columns, and the real aggregates.

Everything between the rows and what is released is the product's own: the runner of each party
with its derived seed, the enclave's fold and its noise, or the masked encoding with each party's
share (masks cancel, so they are left out). The canary is one more row of bank-a's, inside the
declared bounds, whose gradient is longer than the clip. The distinguisher knows everything else:
all other rows, and what a colluder knows of its own noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers.private_jobs import PARTIES, private_value

from secureflow.adapters.frameworks.numpy_runner import NumpyRunner
from secureflow.agent.compute.derivation import training_seed
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.enclave.models import GlobalModel
from secureflow.enclave.trainingfolds import training_fold
from secureflow.engines.privacy.audit import best_threshold, count, epsilon_lower_bound
from secureflow.engines.privacy.seeds import joint_seed
from secureflow.engines.secagg.encoding import encode
from secureflow.engines.training.encodings import (
    SummedUpdates,
    apply_mean,
    masked_parts,
    masked_plan,
)
from secureflow.engines.training.noising import noise_of, split_sums

Vector = NDArray[np.float64]
THREE = PARTIES[:3]
ROWS = 12
COLLUDER = THREE[-1]
DIRECTION = np.array([1.0, 1.0, 0.0, 1.0]) / np.sqrt(3)
"""Of the canary's gradient: age at its upper bound, job x, and the intercept."""


def job_spec(noise: str, multiplier: float, delta: float, rounds: int = 1) -> TrainingSpec:
    """Return the spec of a record-level job of three parties."""
    part = {
        "delta": delta, "noise": noise, "noise_multiplier": multiplier, "rows": 3 * ROWS,
        "clipping_norm": 0.25,
    }  # fmt: skip
    value = private_value(part, plan={"rounds": rounds, "validation": 0.0, "learning_rate": 0.1})
    value["roster"] = value["roster"][:3]
    protection = "secagg" if noise == "shared" else "sealed"
    return parse(TrainingSpec, {**value, "protection": protection})


def columns(party: int, *, canary: bool) -> dict[str, Any]:
    """Return a party's rows as its data file gives them."""
    random = np.random.default_rng(party)
    rows: dict[str, list[Any]] = {
        "age": random.uniform(0, 100, ROWS).tolist(),
        "job": random.choice(["x", "y"], ROWS).tolist(),
        "income": random.choice(["low", "high"], ROWS).tolist(),
    }
    if canary:
        for name, value in {"age": 100.0, "job": "x", "income": "high"}.items():
            rows[name].append(value)
    return {
        name: np.array(values, float if name == "age" else object) for name, values in rows.items()
    }


class Job:
    """A job's honest parties, with or without the canary, run again and again."""

    def __init__(self, directory: Path, spec: TrainingSpec, *, canary: bool) -> None:
        self.spec = spec
        self._model, self._update = directory / "model", directory / "update"
        self._runners = {
            party: NumpyRunner(spec, columns(number, canary=canary and number == 0))
            for number, party in enumerate(THREE)
        }
        self._name = "present" if canary else "absent"

    def released(self, run: int) -> float:
        """Run the job once; return its releases' projection on the canary's direction."""
        spec, score = self.spec, 0.0
        model = GlobalModel.of(np.zeros(spec.parameters, np.float32))
        aggregate = self._masked if traits_of(spec).masks else self._folded
        for number in range(1, spec.plan.rounds + 1):
            before = model.parameters.astype(np.float64)
            known = aggregate(model, run, number)
            score += float((model.parameters - before - known) @ DIRECTION)
        return score

    def _updates(
        self, model: GlobalModel, run: int
    ) -> Mapping[str, tuple[NDArray[np.float32], Vector]]:
        model.parameters.tofile(self._model)
        made = {}
        for party, runner in self._runners.items():
            secret = f"{self._name} {party} {run}".ljust(32).encode()
            self._update.write_bytes(bytes(4 * self.spec.parameters))
            seed = bytes.fromhex(training_seed(secret, "train", model.digest))
            sums = runner.train(self._model, self._update, None, seed)
            made[party] = np.fromfile(self._update, np.float32), sums
        return made

    def _folded(self, model: GlobalModel, run: int, number: int) -> Vector:
        """Advance as the enclave does; local noise protects even if all others are known."""
        fold: Any = training_fold(self.spec, "train", None)
        seeds, known = {}, np.zeros(len(DIRECTION))
        for party, (delta, sums) in self._updates(model, run).items():
            kept, seeds[party] = split_sums(self.spec, "train", sums)
            fold._sum.fold(delta, kept)
            known += delta * (party != THREE[0])
        if self.spec.privacy is not None and self.spec.privacy.noise == "enclave":
            seed = joint_seed(seeds, run=run, round=number, model=model.digest)
            fold.advance(model, lambda: seed)
            return np.zeros(len(DIRECTION))
        fold.advance(model, bytes)
        return known / len(THREE)

    def _masked(self, model: GlobalModel, run: int, number: int) -> Vector:
        """Advance as everybody does from the opened sum; known is the colluder's own noise."""
        spec = self.spec
        plan = masked_plan(spec, f"job_audit{number}", "ef" * 32, "train")
        total: Any = np.zeros(plan.encoding.slots, plan.ring)
        slots = np.zeros_like(total)
        known = np.zeros(len(DIRECTION), np.int64)
        for party, (delta, sums) in self._updates(model, run).items():
            part = masked_parts(spec, "train", plan, delta, sums)
            encode(plan.encoding, part.values, part.weight, part.metrics, part.noise, slots)
            total += slots
            if party == COLLUDER:
                known = noise_of(spec, "train", split_sums(spec, "train", sums)[1])
        mean = np.empty(spec.parameters, np.float32)
        model.digest, _ = apply_mean(
            spec, plan, SummedUpdates(total, len(THREE), 3), model.parameters, mean
        )
        moved = -spec.plan.learning_rate * spec.privacy.step / (3 * ROWS)  # type: ignore[union-attr]
        return np.asarray(known * moved, np.float64)


def measured(
    directory: Path, spec: TrainingSpec, *, pilot: int, runs: int, job: Callable[..., Job] = Job
) -> float:
    """Return the lower bound on ε, at the spec's δ, that so many runs of the job show."""
    delta = spec.privacy.delta  # type: ignore[union-attr]
    found = {}
    for present in (True, False):
        one = job(directory, spec, canary=present)
        found[present] = [one.released(run) for run in range(pilot + runs)]
    sign = 1.0 if np.mean(found[True][:pilot]) > np.mean(found[False][:pilot]) else -1.0
    scores = {present: [sign * value for value in values] for present, values in found.items()}
    at = best_threshold(scores[True][:pilot], scores[False][:pilot], delta)
    return epsilon_lower_bound(count(scores[True][pilot:], scores[False][pilot:], at), delta)
