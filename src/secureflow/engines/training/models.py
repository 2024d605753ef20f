"""The interface of model families, and the shape of a party's update.

An *update* is `delta` (float32 of shape (d,), new − global) and `sums` (float64 of shape (k,)).
`sums[0]` is the weight, the number of training rows used. The rest depends on the stage:

| stage      | d          | sums[1:]                                                        |
|------------|------------|-----------------------------------------------------------------|
| `moments`  | 0          | Σz, Σz², present per federated numeric feature                  |
| `train`    | parameters | metric sums, on the local validation rows, of the *global* model |
| `evaluate` | 0          | the same, for the model handed over                             |

So the metrics of round n's input model cost no further flight. Under differential privacy
(`private`) the weight is 1, and that module defines `delta` and `sums`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import EncodedRows, moments_length
from secureflow.engines.training.logistic import LogisticRegression
from secureflow.engines.training.metrics import LOSS_CAP
from secureflow.engines.training.noop import NoOpModel
from secureflow.engines.training.private import SEED_WORDS, draws_noise, noises_metrics

Stage = Literal["moments", "train", "evaluate"]


class ModelFamily(Protocol):
    """The methods that a kind of model needs for federated training.

    `inputs` are float32 (rows, width), `labels` float32 (rows,) of 0 and 1, `parameters` float32
    (d,); all are C-contiguous.
    """

    @property
    def needs_data(self) -> bool:
        """Whether the family reads rows; one that does not is given empty arrays."""

    def initial(self, spec: TrainingSpec) -> NDArray[np.float32]:
        """Return the parameters before round 0, the same for every party."""

    def train(
        self,
        spec: TrainingSpec,
        parameters: NDArray[np.float32],
        inputs: NDArray[np.float32] | EncodedRows,
        labels: NDArray[np.float32],
        seed: bytes,
    ) -> NDArray[np.float32]:
        """Return locally trained parameters: bit-equal for equal arguments, input unchanged."""

    def metric_count(self) -> int:
        """Return m, the length of `metric_sums`."""

    def metric_sums(
        self,
        spec: TrainingSpec,
        parameters: NDArray[np.float32],
        inputs: NDArray[np.float32],
        labels: NDArray[np.float32],
    ) -> NDArray[np.float64]:
        """Return float64 (m,) sums over rows that can be added over parties."""

    def private_metric_count(self) -> int:
        """Return the length of `metric_steps`."""

    def metric_steps(
        self,
        parameters: NDArray[np.float32],
        inputs: NDArray[np.float32],
        labels: NDArray[np.float32],
        unit: int,
    ) -> NDArray[np.int64]:
        """Return metric sums to be noised: whole steps, moved by one row by 2 · `unit` (L2)."""

    def sums_of_steps(self, steps: NDArray[np.float64], unit: int) -> NDArray[np.float64]:
        """Return the sums for (noised) steps, as `summarise` takes them."""

    def summarise(self, sums: NDArray[np.float64]) -> dict[str, float]:
        """Return the named metrics of added sums; a metric that is undefined is absent."""

    def noise_errors(self, sums: NDArray[np.float64], sigma: float) -> dict[str, float]:
        """Return each metric's standard error under noise of `sigma` rows on every sum."""


FAMILIES: dict[str, ModelFamily] = {
    "logistic_regression": LogisticRegression(),
    "rehearsal": NoOpModel(),
}
"""`spec.model.family` to its implementation."""


def model_family(spec: TrainingSpec) -> ModelFamily:
    """Return the implementation of the spec's family."""
    return FAMILIES[spec.model.family]


def initial_state(spec: TrainingSpec) -> NDArray[np.float32]:
    """Return the start of the rounds: the model before round 1, with an adaptive clipping norm."""
    parameters = model_family(spec).initial(spec)
    if spec.privacy is None or spec.privacy.adaptive is None:
        return parameters
    return np.append(parameters, np.float32(spec.privacy.clipping_norm))


@dataclass(frozen=True)
class UpdateLayout:
    """Lengths of an update's parts, known from the spec before anything is allocated.

    Args:
        parameters: d, float32 elements of `delta`.
        sums: k, float64 elements of `sums`, including the seeds at their end.
        per_row: no single row moves any element of `sums` by more than this.
        seeds: words of `sums` that are a seed for noise.
    """

    parameters: int
    sums: int
    per_row: float
    seeds: int = 0


def update_layout(spec: TrainingSpec, stage: Stage = "train") -> UpdateLayout:
    """Return the layout of this job's updates at a stage."""
    if spec.privacy is not None:
        return _private_layout(spec, stage)
    if stage == "moments":
        length = 1 if spec.features is None else moments_length(spec.features)
        return UpdateLayout(0, length, 1.0)
    metrics = model_family(spec).metric_count()
    parameters = spec.parameters if stage == "train" else 0
    return UpdateLayout(parameters, 1 + metrics, LOSS_CAP if metrics else 1.0)


def _private_layout(spec: TrainingSpec, stage: Stage) -> UpdateLayout:
    measured = stage == "evaluate" and noises_metrics(spec)
    metrics = model_family(spec).private_metric_count() if measured else 0
    seeds = SEED_WORDS if draws_noise(spec) and (stage == "train" or measured) else 0
    parameters = spec.parameters if stage == "train" else 0
    return UpdateLayout(parameters, 1 + metrics + seeds, 1.0, seeds)


def update_sums_length(spec: TrainingSpec, stage: Stage = "train") -> int:
    """Return k, the length of an update's `sums` at a stage."""
    return update_layout(spec, stage).sums
