"""Families that scikit-learn trains: what their models compute, by NumPy alone.

Whoever predicts or measures needs no scikit-learn; `adapters.frameworks.sklearn_trainers` trains.
Outputs are what scikit-learn's own predictions follow from:

| family                      | outputs                                                            |
|-----------------------------|--------------------------------------------------------------------|
| `sgd_classifier`, binary    | the decision function (log-odds under `log_loss`)                  |
| `sgd_classifier`, classes   | logarithms of each one's own chance, one against the rest          |
| `mlp_classifier`            | log-odds, or scores                                                |
| `sgd_regressor`, `mlp_regressor` | the scaled number                                             |

Of two listed classes the scores are (0, decision).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.sklearn_families import SgdClassifierModel
from secureflow.domain.specs.targets import ClassesLabel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.logistic import probabilities
from secureflow.engines.training.network import Matrix, Network, Product, Vector

_Array = NDArray[Any]


class Fitted(Network):
    """`ModelFamily`: dense layers with scikit-learn's activations.

    Args:
        spec: the job's spec.
    """

    reproducible: Final = False  # type: ignore[misc]

    def __init__(self, spec: TrainingSpec) -> None:
        super().__init__(spec)
        label = spec.features.label if spec.features else None
        self._activation = getattr(spec.model, "activation", "identity")
        self._several = isinstance(label, ClassesLabel)
        self._apart = isinstance(spec.model, SgdClassifierModel)

    def train(self, *given: Any, **more: Any) -> Vector:
        """Never called: the framework's runner trains."""
        del given, more
        raise AssertionError

    def clipped_sum(self, *given: Any, **more: Any) -> NDArray[np.float64]:
        """Never called: no spec has record-level differential privacy with this family."""
        del given, more
        raise AssertionError

    def _forward(
        self, layers: list[tuple[_Array, _Array]], inputs: _Array, product: Product
    ) -> list[_Array]:
        seen = [inputs]
        for number, (coef, intercept) in enumerate(layers, 1):
            found = product(seen[-1], coef) + intercept
            if number < len(layers):
                found = _activated(self._activation, found)
            elif self._several:
                found = self._scores(found)
            seen.append(found)
        return seen

    def _scores(self, found: _Array) -> Matrix:
        if found.shape[1] == 1:
            return np.concatenate([np.zeros_like(found), found], axis=1)
        return -np.logaddexp(found.dtype.type(0), -found) if self._apart else found


def _activated(name: str, found: _Array) -> _Array:
    if name == "relu":
        return np.asarray(np.maximum(found, found.dtype.type(0)))
    if name == "tanh":
        return np.asarray(np.tanh(found))
    return probabilities(found) if name == "logistic" else found
