"""The shape of a party's update, and the state before the first round.

An *update* is `delta` (float32 of shape (d,), new − global) and `sums` (float64 of shape (k,)).
`sums[0]` is the weight, the number of training rows used. The rest depends on the stage:

| stage      | d          | sums[1:]                                                        |
|------------|------------|-----------------------------------------------------------------|
| `moments`  | 0          | Σz, Σz², present per federated numeric feature                  |
| `train`    | parameters | metric sums, on the local validation rows, of the *global* model |
| `evaluate` | 0          | the same, for the model handed over                             |
| `validation` | rows · (width + 1) | the salt of the party's commitment, and weight 1        |

So the metrics of round n's input model cost no further flight. Where parties end with models of
their own, `evaluate` has more sums (`ownmodels`). Under differential privacy
(`private`) the weight is 1, and that module defines `delta` and `sums`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.strategies import first_values
from secureflow.domain.specs.torch_families import TOKEN_FAMILIES, TORCH_MODELS
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.sealing import tensor_digest
from secureflow.engines.training.initial import initial_parameters
from secureflow.engines.training.measures import measure_of
from secureflow.engines.training.metrics import LOSS_CAP
from secureflow.engines.training.ownmodels import COUNTS
from secureflow.engines.training.private import SEED_WORDS, draws_noise, noises_metrics

if TYPE_CHECKING:
    from secureflow.engines.training.families import ModelFamily

Stage = Literal["moments", "validation", "train", "evaluate"]


def model_family(spec: TrainingSpec) -> ModelFamily:
    """Return the implementation of the spec's family (`families`)."""
    # Lazy: an enclave and a server that adds up need no table of families.
    from secureflow.engines.training.families import model_family as made

    return made(spec)


def initial_state(spec: TrainingSpec) -> NDArray[np.float32]:
    """Return the start of the rounds: the model before round 1, and what follows it in a state."""
    parameters = initial_parameters(spec)
    if spec.privacy is not None and spec.privacy.adaptive is not None:
        parameters = np.append(parameters, np.float32(spec.privacy.clipping_norm))
    return with_kept(spec, parameters)


def token_numbers(spec: TrainingSpec) -> bool:
    """Tell whether the model sees the tokens of a text as numbers in order, not their counts."""
    return spec.model.family in TOKEN_FAMILIES or spec.bundle is not None


def row_cells(spec: TrainingSpec) -> int:
    """Return how many numbers a family holds for one row at most: its layers, several times over.

    A job chooses them, so the number of rows that are held at a time must follow from it: otherwise
    a process that runs out of memory would reveal how many rows there are.
    """
    own = 0
    if isinstance(spec.model, TORCH_MODELS) and spec.features is not None:
        own = spec.model.cells(spec.features.beside)
    return max(own, 4 * sum(max(one.shape, default=1) for one in spec.tensors))


def repeats(spec: TrainingSpec) -> bool:
    """Tell whether a party makes the same update again from the same model.

    Not with a family that says so, nor where a party keeps something between its rounds.
    """
    return model_family(spec).reproducible and not spec.kept_at_parties


def with_kept(spec: TrainingSpec, model: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a first state: a model with its bound, and behind it what the strategy keeps.

    A model that has it already (of a job that is resumed) is returned as it is.
    """
    if len(model) == spec.parameters:
        return model
    size, starts = spec.model_parameters, first_values(spec.plan.strategy)
    return np.concatenate([model, *(np.full(size, one, np.float32) for one in starts)])


def model_sizes(spec: TrainingSpec) -> tuple[int, int]:
    """Return the bytes of a model's file: of a released one, and of the one that it starts from."""
    return 4 * spec.parameters, 4 * spec.start_parameters


def initial_model_digest(spec: TrainingSpec) -> str:
    """Return the hex BLAKE3 of the parameters before the first round."""
    return spec.starts_from or tensor_digest(initial_state(spec))


@dataclass(frozen=True)
class UpdateLayout:
    """Lengths of an update's parts, known from the spec before anything is allocated.

    Args:
        parameters: d, float32 elements of `delta`.
        sums: k, float64 elements of `sums`, including the seeds at their end.
        per_row: no single row moves any element of `sums` by more than this.
        seeds: words of `sums` that are a seed for noise.
        counts: elements at the end of `sums` that are 1 or 0 of each party, whatever its rows.
    """

    parameters: int
    sums: int
    per_row: float
    seeds: int = 0
    counts: int = 0


def validation_values(spec: TrainingSpec) -> int:
    """Return the numbers of one party's sealed rows, each its inputs and then its label."""
    width = spec.features.width + 1 if spec.features else 0
    return spec.validation_rows * width


def update_layout(spec: TrainingSpec, stage: Stage = "train") -> UpdateLayout:
    """Return the layout of this job's updates at a stage."""
    if spec.privacy is not None:
        return _private_layout(spec, stage)
    if stage == "moments":
        length = 1 + (3 * len(spec.features.federated) if spec.features else 0)
        return UpdateLayout(0, length, 1.0)
    if stage == "validation":
        salted = SEED_WORDS if spec.plan.contribution else 0
        return UpdateLayout(validation_values(spec), 1 + salted, 1.0)
    metrics = measure_of(spec).count
    parameters = spec.update_parameters if stage == "train" else 0
    counts = COUNTS if spec.own_models and stage == "evaluate" else 0
    if counts:
        metrics *= 2
    per_row = LOSS_CAP if metrics else 1.0
    return UpdateLayout(parameters, 1 + metrics + counts, per_row, counts=counts)


def _private_layout(spec: TrainingSpec, stage: Stage) -> UpdateLayout:
    measured = stage == "evaluate" and noises_metrics(spec)
    metrics = measure_of(spec).private_count if measured else 0
    seeds = SEED_WORDS if draws_noise(spec) and (stage == "train" or measured) else 0
    parameters = spec.update_parameters if stage == "train" else 0
    return UpdateLayout(parameters, 1 + metrics + seeds, 1.0, seeds)
