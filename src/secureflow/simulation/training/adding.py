"""How simulated contributions are added up: by the enclave's folds, or in the ring of the masks.

Masks cancel exactly in the ring, so the sum of the encoded vectors is what the parties and the
aggregator open; the masks themselves, which protect nothing inside of one process, are not drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.base import spec_digest
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.enclave.folds import Fold
from secureflow.enclave.models import GlobalModel
from secureflow.enclave.training import TRAINING_ENCLAVE
from secureflow.enclave.trainingfolds import training_fold
from secureflow.engines.sealing import tensor_digest
from secureflow.engines.secagg.encoding import encode, total_weight
from secureflow.engines.training.encodings import (
    SummedUpdates,
    apply_mean,
    masked_parts,
    masked_plan,
    opened_sums,
    published_dtype,
)
from secureflow.engines.training.models import Stage

JOB: Final = "job_simulated0"
"""The id that stands in the place of a job's."""

Vector = NDArray[np.float32]
Sums = NDArray[np.float64]
Seed = Callable[[dict[str, bytes]], bytes]
"""From the contributors' seeds to the seed of the enclave's noise."""


class Adding(Protocol):
    """The sum of one stage, which may be used for one round after another."""

    def add(self, party: str, parameters: Vector, sums: Sums) -> None:
        """Add a contribution; see `FixedPointAccumulator.fold` for what is refused."""

    def release(self, model: GlobalModel, seed: Seed) -> list[float]:
        """Move the model (in stage `train`), return the released sums, and begin anew."""


@dataclass(frozen=True)
class Sender:
    """Whose update it is, and of which round."""

    party: str
    round: int


@dataclass(frozen=True)
class Update:
    """What a fold reads of an opened update (`engines.sealing.OpenedUpdate`)."""

    tensors: dict[str, Vector]
    sums: Sums
    binding: Sender

    @property
    def parameters(self) -> Vector:
        """Its values."""
        return self.tensors["parameters"]


class Folded:
    """Sealed contributions: the enclave's own fold of the stage."""

    def __init__(self, stage: Stage, fold: Fold, model: GlobalModel) -> None:
        self._stage = stage
        self._fold: Any = fold
        TRAINING_ENCLAVE.starts(fold, model)
        self._seeds: dict[str, bytes] = {}
        self._number = 1

    def add(self, party: str, parameters: Vector, sums: Sums) -> None:
        """Add a contribution."""
        sender = Sender(party, self._number)
        if seed := self._fold.fold(Update({"parameters": parameters}, sums, sender)):
            self._seeds[party] = seed

    def release(self, model: GlobalModel, seed: Seed) -> list[float]:
        """Move the model, return the sums, and begin anew."""
        if self._stage == "train":
            self._fold.advance(model, lambda: seed(self._seeds))
        sums: list[float] = self._fold.sums(lambda: seed(self._seeds))
        self._fold.reset()
        self._seeds.clear()
        self._number += 1
        return sums


class Ringed:
    """Masked contributions: encoded vectors in the ring."""

    def __init__(self, spec: TrainingSpec, stage: Stage) -> None:
        self._spec, self._stage = spec, stage
        self._plan = masked_plan(spec, JOB, spec_digest(spec), stage)
        self._total = np.zeros(self._plan.encoding.slots, self._plan.ring)
        self._one = np.zeros_like(self._total)
        length = spec.update_parameters if stage == "train" else 0
        self._mean = np.empty(length, published_dtype(spec))
        self._count = 0

    def add(self, party: str, parameters: Vector, sums: Sums) -> None:
        """Encode a contribution and add it."""
        del party
        part = masked_parts(self._spec, self._stage, self._plan, parameters, sums)
        encode(self._plan.encoding, part.values, part.weight, part.metrics, part.noise, self._one)
        np.add(self._total, self._one, out=self._total)
        self._count += 1

    def release(self, model: GlobalModel, seed: Seed) -> list[float]:
        """Move the model, return the sums, and begin anew."""
        del seed  # each party's share of the noise is in its vector
        weight = total_weight(self._plan.encoding, self._total, self._count)
        if self._stage == "train":
            model.digest, _ = apply_mean(
                self._spec,
                self._plan,
                SummedUpdates(self._total, weight, self._count),
                model.parameters,
                self._mean,
            )
        sums = opened_sums(self._spec, self._stage, self._plan, self._total, weight)
        self._total.fill(0)
        self._count = 0
        return [float(one) for one in sums]


def adding(spec: TrainingSpec, stage: Stage, model: GlobalModel) -> Adding:
    """Return the sum of a stage under the spec's protection.

    Args:
        spec: the job's.
        stage: of it.
        model: the one that rounds move in place.
    """
    if traits_of(spec).masks:
        return Ringed(spec, stage)
    return Folded(stage, training_fold(spec, stage, None), model)


def global_model(parameters: Vector) -> GlobalModel:
    """Return a model that rounds move in place; the array becomes its own."""
    return GlobalModel(parameters, tensor_digest(parameters))
