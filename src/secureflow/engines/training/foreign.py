"""The family `bundle`: code of others trains it, in a process of its own at each owner of data.

Nothing of SecureFlow computes with its tensors: here is only what rounds need to know of it.
"""

from __future__ import annotations

from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import EncodedRows
from secureflow.engines.training.measures import measure_of
from secureflow.engines.training.pull import Pull
from secureflow.kit.errors import SecureFlowError


class ForeignModel:
    """A model family whose methods are in a bundle; see `ModelFamily` for the contract.

    Args:
        spec: the job's spec.

    Raises:
        SecureFlowError: `needs_bundle` from every method that would compute.
    """

    needs_data: Final = True
    reproducible: Final = False

    def __init__(self, spec: TrainingSpec) -> None:
        self._measure = measure_of(spec)

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
        """Refuse: the bundle trains."""
        del spec, parameters, inputs, labels, seed, weights, pull
        _refuse()

    def clipped_sum(
        self,
        parameters: NDArray[np.float64],
        inputs: NDArray[np.float64],
        labels: NDArray[np.float64],
        clip: float,
        weights: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Refuse: nothing is known of single rows."""
        del parameters, inputs, labels, clip, weights
        _refuse()

    def metric_count(self) -> int:
        """Return how many sums the spec declares."""
        return self._measure.count

    def metric_sums(
        self,
        spec: TrainingSpec,
        parameters: NDArray[np.float32],
        inputs: NDArray[np.float32],
        labels: NDArray[np.float32],
    ) -> NDArray[np.float64]:
        """Refuse: the bundle evaluates."""
        del spec, parameters, inputs, labels
        _refuse()

    def private_metric_count(self) -> int:
        """Return 0: no figures are released with noise."""
        return 0

    def metric_steps(
        self,
        parameters: NDArray[np.float32],
        inputs: NDArray[np.float32],
        labels: NDArray[np.float32],
        unit: int,
    ) -> NDArray[np.int64]:
        """Refuse: nothing is known of single rows."""
        del parameters, inputs, labels, unit
        _refuse()

    def outputs(
        self, parameters: NDArray[np.float32], inputs: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Refuse: the bundle predicts."""
        del parameters, inputs
        _refuse()


def needs_bundle() -> SecureFlowError:
    """Return what whoever wants such a model to compute, or its network, is told."""
    return SecureFlowError(
        "needs_bundle",
        "What this model computes is in its bundle, not in SecureFlow.",
        "Give the folder of that code, if its class has `predict`: --bundle FOLDER, or "
        "`Predictor.load(FILE, bundle=FOLDER)`. Its tensors: `Predictor.load(FILE).tensors()`.",
    )


def _refuse() -> NoReturn:
    raise needs_bundle()
