"""The interface of model families, and the table of those that are built in.

A family is made for one spec. It is arithmetic on arrays: what is read, prepared and written is the
framework's part (`adapters.frameworks`). Only agents and readers of models import this; an enclave
and a server that adds up need `measures`, `initial` and `models`, and to score contributions the
enclave has a table of few families of its own (`enclave.scoring`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.sklearn_families import TRAINED
from secureflow.domain.specs.torch_families import TORCH_FAMILIES
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import EncodedRows
from secureflow.engines.training.bayes import GaussianNb, MultinomialNb
from secureflow.engines.training.boosted import BoostedTrees
from secureflow.engines.training.fitted import Fitted
from secureflow.engines.training.foreign import ForeignModel
from secureflow.engines.training.kmeans import KMeans
from secureflow.engines.training.logistic import LogisticRegression
from secureflow.engines.training.network import Network
from secureflow.engines.training.noop import NoOpModel
from secureflow.engines.training.pull import Pull
from secureflow.engines.training.ridge import Ridge
from secureflow.engines.training.torch_network import TorchNetwork


class ModelFamily(Protocol):
    """The methods that a kind of model needs for federated training.

    `inputs` are float32 (rows, width), `labels` float32 (rows,), the targets of
    `domain.specs.targets`, `parameters` float32 (d,); all are C-contiguous.
    """

    @property
    def needs_data(self) -> bool:
        """Whether the family reads rows; one that does not is given empty arrays."""

    @property
    def reproducible(self) -> bool:
        """Whether `train` returns equal bits for equal arguments.

        The update of a family that does not is stored before it is sent
        (`agent.kinds.training.kept`).
        """

    def train(
        self,
        spec: TrainingSpec,
        parameters: NDArray[np.float32],
        inputs: NDArray[np.float32] | EncodedRows,
        labels: NDArray[np.float32],
        seed: bytes,
        weights: NDArray[np.float32] | None = None,
        pull: Pull | None = None,
    ) -> NDArray[np.float32]:
        """Return locally trained parameters: bit-equal for equal arguments, input unchanged.

        `weights` says how much each row counts, float32 (rows,); None if all count alike.
        """

    def clipped_sum(
        self,
        parameters: NDArray[np.float64],
        inputs: NDArray[np.float64],
        labels: NDArray[np.float64],
        clip: float,
        weights: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Return the sum of what each row contributes, clipped to L2 norm `clip`; always finite.

        A row's part is computed from that row alone, to the last bit (`privacy.clipping`).
        """

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

    def outputs(
        self, parameters: NDArray[np.float32], inputs: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return what the model computes, before any link function: float32 (rows, outputs)."""


FAMILIES: Final[Mapping[str, Callable[[TrainingSpec], ModelFamily]]] = {
    "logistic_regression": LogisticRegression,
    "softmax": Network,
    "linear": Network,
    "mlp": Network,
    "ridge": Ridge,
    "bundle": ForeignModel,
    "gaussian_nb": GaussianNb,
    "multinomial_nb": MultinomialNb,
    "kmeans": KMeans,
    **dict.fromkeys(TRAINED, Fitted),
    **dict.fromkeys(sorted(TORCH_FAMILIES), TorchNetwork),
    "xgboost": BoostedTrees,
    "rehearsal": NoOpModel,
}
"""`spec.model.family` to what makes it for a spec."""


def model_family(spec: TrainingSpec) -> ModelFamily:
    """Return the implementation of the spec's family."""
    return FAMILIES[spec.model.family](spec)
