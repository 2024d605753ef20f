"""One party's local epochs by scikit-learn's `partial_fit`.

An estimator is made anew for each round and begun on one row of zeros, so that scikit-learn itself
allocates everything; weights and optimiser state are then put in place. The order of rows comes
from the round's seed alone. Rows are given to `partial_fit` in the blocks that preparation makes:
of an ordinary job all at once. SGD goes row by row, whatever `plan.batch_size` says.

scikit-learn has no public name for a network's optimiser (`_optimizer`); this module reads its
`velocities`, or `t`, `ms` and `vs`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.sklearn_families import (
    MlpClassifierModel,
    MlpRegressorModel,
    SgdClassifierModel,
    SgdModel,
    SgdRegressorModel,
    SklearnMlpModel,
)
from secureflow.domain.specs.targets import ClassesLabel, ClassWeights, NumberLabel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import EncodedRows
from secureflow.engines.training.logistic import diverged
from secureflow.engines.training.tensors import flat, named
from secureflow.engines.training.weighting import row_weights

State = dict[str, NDArray[Any]]
"""An optimiser's state by name; empty before the first round."""
Vector = NDArray[np.float32]

_NOT_FINITE: Final = ("under-/overflow", "non-finite", "infinity", "NaN")
"""What scikit-learn says when numbers are no longer finite."""


class Trainer:
    """Trains one spec's model.

    Args:
        spec: of a family that scikit-learn trains.
    """

    def __init__(self, spec: TrainingSpec) -> None:
        self._spec = spec
        label = spec.features.label if spec.features else None
        self._classes: NDArray[np.float64] | None = None
        if not isinstance(label, NumberLabel):
            count = len(label.classes) if isinstance(label, ClassesLabel) else 2
            self._classes = np.arange(count, dtype=np.float64)
        self._class_weights: ClassWeights | None = getattr(spec.model, "class_weights", None)

    def fit(
        self,
        parameters: Vector,
        inputs: NDArray[np.float32] | EncodedRows,
        labels: Vector,
        seed: bytes,
        weights: Vector | None,
        state: Mapping[str, NDArray[Any]],
    ) -> tuple[Vector, State]:
        """Return parameters and state after the local epochs; both as they were without rows.

        Raises:
            SecureFlowError: `training_diverged`.
        """
        # Lazy, here and below: an optional extra.
        from threadpoolctl import threadpool_limits

        counts = row_weights(self._class_weights, labels, weights)
        rows = np.arange(len(labels)) if counts is None else np.flatnonzero(counts > 0)
        if not len(rows):
            return parameters, dict(state)
        words = np.frombuffer(seed, "<u4")
        draws = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(words.tolist())))
        with threadpool_limits(1), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            estimator = self._begun(len(rows), draws, parameters, state)
            try:
                self._epochs(estimator, rows, inputs, labels, counts, draws)
            except ValueError as error:
                if any(word in str(error) for word in _NOT_FINITE):
                    raise diverged() from error
                raise
            arrays = self.weights(estimator)
            if not all(np.isfinite(one.astype(np.float32)).all() for one in arrays.values()):
                raise diverged()
            return flat(self._spec.tensors, arrays), self.optimiser(estimator)

    def _epochs(
        self,
        estimator: Any,
        rows: NDArray[np.int64],
        inputs: NDArray[np.float32] | EncodedRows,
        labels: Vector,
        counts: Vector | None,
        draws: np.random.RandomState,
    ) -> None:
        block = inputs.block if isinstance(inputs, EncodedRows) else len(rows)
        batch = self._spec.plan.batch_size
        size = max(block - block % batch, min(block, batch))
        for _ in range(self._spec.plan.local_epochs):
            order = rows[draws.permutation(len(rows))]
            for start in range(0, len(order), size):
                some = order[start : start + size]
                weights = {} if counts is None else {"sample_weight": counts[some]}
                estimator.partial_fit(
                    self.matrix(inputs[some]), self.known(labels[some]), **weights
                )

    def _begun(
        self,
        rows: int,
        draws: np.random.RandomState,
        parameters: Vector,
        state: Mapping[str, NDArray[Any]],
    ) -> Any:
        width = self._spec.features.width if self._spec.features else 0
        estimator = self.estimator(rows)
        classes = {} if self._classes is None else {"classes": self._classes}
        nothing = self.matrix(np.zeros((1, width), np.float32))
        estimator.partial_fit(nothing, np.zeros(1), **classes)
        estimator.random_state = draws
        self.place(estimator, named(self._spec.tensors, parameters), state)
        return estimator

    def known(self, labels: Vector) -> NDArray[Any]:
        """Return targets as the estimator wants them."""
        return labels.astype(np.float64)

    def matrix(self, inputs: NDArray[np.float32]) -> NDArray[Any]:
        """Return inputs in the dtype that is trained in."""
        return inputs

    def estimator(self, rows: int) -> Any:
        """Return a new estimator for this many rows."""
        raise NotImplementedError

    def place(
        self, estimator: Any, arrays: Mapping[str, NDArray[Any]], state: Mapping[str, NDArray[Any]]
    ) -> None:
        """Put weights and the state after the last round in place."""
        raise NotImplementedError

    def weights(self, estimator: Any) -> dict[str, NDArray[Any]]:
        """Return the weights by the names of the spec's tensors."""
        raise NotImplementedError

    def optimiser(self, estimator: Any) -> State:
        """Return the optimiser's state."""
        raise NotImplementedError


class SgdTrainer(Trainer):
    """`SGDClassifier` and `SGDRegressor`, in float64; the state is `t_`, the steps so far."""

    def matrix(self, inputs: NDArray[np.float32]) -> NDArray[Any]:
        """Return float64 inputs."""
        return inputs.astype(np.float64)

    def estimator(self, rows: int) -> Any:
        """Return a new estimator."""
        del rows
        model = self._spec.model
        if not isinstance(model, SgdClassifierModel | SgdRegressorModel):
            raise AssertionError
        return sgd_estimator(model, self._spec.plan.learning_rate)

    def place(
        self, estimator: Any, arrays: Mapping[str, NDArray[Any]], state: Mapping[str, NDArray[Any]]
    ) -> None:
        """Put coefficients, intercepts and `t_` in place."""
        estimator.coef_ = arrays["coef"].astype(np.float64).reshape(estimator.coef_.shape)
        estimator.intercept_ = arrays["intercept"].astype(np.float64)
        estimator.t_ = float(state["t"][0]) if "t" in state else 1.0

    def weights(self, estimator: Any) -> dict[str, NDArray[Any]]:
        """Return coefficients and intercepts."""
        return {"coef": np.atleast_2d(estimator.coef_), "intercept": estimator.intercept_}

    def optimiser(self, estimator: Any) -> State:
        """Return `t_`."""
        return {"t": np.array([estimator.t_], np.float64)}


class MlpTrainer(Trainer):
    """`MLPClassifier` and `MLPRegressor`, in float32.

    The state is the rows so far and the rate that follows from them, with momentum or with the
    steps and moments of Adam.
    """

    def known(self, labels: Vector) -> NDArray[Any]:
        """Return targets in the dtype of the inputs."""
        return labels

    def estimator(self, rows: int) -> Any:
        """Return a new estimator."""
        plan, model = self._spec.plan, self._spec.model
        if not isinstance(model, MlpClassifierModel | MlpRegressorModel):
            raise AssertionError
        return mlp_estimator(model, plan.learning_rate, min(plan.batch_size, rows))

    def place(
        self, estimator: Any, arrays: Mapping[str, NDArray[Any]], state: Mapping[str, NDArray[Any]]
    ) -> None:
        """Put layers, and the optimiser's vectors, in place."""
        for at, (coef, intercept) in enumerate(
            zip(estimator.coefs_, estimator.intercepts_, strict=True)
        ):
            coef[...] = arrays[f"layers.{at}.coef"].T
            intercept[...] = arrays[f"layers.{at}.intercept"]
        optimiser = estimator._optimizer
        estimator.t_ = int(state["rows"][0]) if "rows" in state else 0
        optimiser.learning_rate = float(state["rate"][0] if "rate" in state else _rate(optimiser))
        if hasattr(optimiser, "t"):
            optimiser.t = int(state["steps"][0]) if "steps" in state else 0
        for name in _VECTORS:
            for at, vector in enumerate(getattr(optimiser, name, ())):
                vector[...] = state.get(f"{name}.{at}", np.zeros(1, vector.dtype))

    def weights(self, estimator: Any) -> dict[str, NDArray[Any]]:
        """Return the layers, each output's coefficients in a row."""
        coefs = {f"layers.{at}.coef": one.T for at, one in enumerate(estimator.coefs_)}
        return coefs | {
            f"layers.{at}.intercept": one for at, one in enumerate(estimator.intercepts_)
        }

    def optimiser(self, estimator: Any) -> State:
        """Return the optimiser's state."""
        optimiser = estimator._optimizer
        state = {
            "rows": np.array([estimator.t_], np.int64),
            "rate": np.array([optimiser.learning_rate], np.float64),
        }
        if hasattr(optimiser, "t"):
            state["steps"] = np.array([optimiser.t], np.int64)
        for name in _VECTORS:
            for at, vector in enumerate(getattr(optimiser, name, ())):
                state[f"{name}.{at}"] = vector
        return state


_VECTORS: Final = ("velocities", "ms", "vs")


def _rate(optimiser: Any) -> float:
    return float(optimiser.learning_rate_init)


def sgd_estimator(model: SgdModel, rate: float) -> Any:
    """Return an `SGDClassifier` or `SGDRegressor` with a model's hyper-parameters."""
    from sklearn.linear_model import SGDClassifier, SGDRegressor

    shared = {
        "loss": model.loss,
        "penalty": model.penalty,
        "alpha": model.alpha,
        "l1_ratio": model.l1_ratio,
        "learning_rate": model.schedule,
        "power_t": model.power_t,
        "eta0": rate,
    }
    if isinstance(model, SgdRegressorModel):
        return SGDRegressor(**shared, epsilon=model.epsilon)
    return SGDClassifier(**shared)


def mlp_estimator(model: SklearnMlpModel, rate: float, batch: int) -> Any:
    """Return an `MLPClassifier` or `MLPRegressor` with a model's hyper-parameters."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    made = MLPRegressor if model.family == "mlp_regressor" else MLPClassifier
    return made(
        hidden_layer_sizes=model.hidden,
        activation=model.activation,
        solver=model.solver,
        alpha=model.alpha,
        batch_size=batch,
        learning_rate=model.schedule,
        learning_rate_init=rate,
        power_t=model.power_t,
        momentum=model.momentum,
        nesterovs_momentum=model.nesterovs_momentum,
        beta_1=model.beta_1,
        beta_2=model.beta_2,
        epsilon=model.epsilon,
    )


def trainer_of(spec: TrainingSpec) -> Trainer:
    """Return the trainer of a spec's family."""
    made: Callable[[TrainingSpec], Trainer] = MlpTrainer
    if isinstance(spec.model, SgdClassifierModel | SgdRegressorModel):
        made = SgdTrainer
    return made(spec)
