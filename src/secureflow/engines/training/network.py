"""Dense networks by minibatch SGD: `linear`, `softmax` and `mlp`, the local step of FedAvg.

One layer of inputs is linear regression (target a number) or multinomial logistic regression
(classes); hidden layers make it an MLP, for any target. Parameters are float32, flattened as
`TrainingSpec.tensors` says: of each layer the coefficients (outputs, inputs) in row-major order,
then the intercepts. L2 (λ/2·‖coef‖² of every layer) leaves out intercepts.

| target  | outputs  | loss of a row        | residual (slope of the outputs)    |
|---------|----------|----------------------|------------------------------------|
| binary  | log-odds | log loss             | σ(log-odds) − y                    |
| classes | scores   | cross-entropy        | softmax(scores) − one-hot          |
| number  | ẑ        | half squared error   | ẑ − z                              |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.families import MlpModel
from secureflow.domain.specs.targets import ClassesLabel, ClassWeights, NumberLabel
from secureflow.domain.specs.tensors import TensorSpec
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import EncodedRows
from secureflow.engines.privacy.clipping import Layer, clipped_layers_sum, product_rows
from secureflow.engines.training.logistic import diverged, probabilities
from secureflow.engines.training.measures import Measured, measure_of
from secureflow.engines.training.order import orders
from secureflow.engines.training.pull import Pull
from secureflow.engines.training.weighting import row_weights

Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]
_Array = NDArray[Any]
Product = Callable[[_Array, _Array], _Array]
"""rows (n, i) and coefficients (o, i) to (n, o)."""


class Network(Measured):
    """`ModelFamily` for dense layers.

    Args:
        spec: the job's spec.
    """

    needs_data: Final = True
    reproducible: Final = True

    def __init__(self, spec: TrainingSpec) -> None:
        model = spec.model
        self._tensors = spec.tensors
        self._tanh = isinstance(model, MlpModel) and model.activation == "tanh"
        self._class_weights: ClassWeights | None = getattr(model, "class_weights", None)
        self._link = _link(spec)
        self._measure = measure_of(spec)

    def train(
        self,
        spec: TrainingSpec,
        parameters: Vector,
        inputs: Matrix | EncodedRows,
        labels: Vector,
        seed: bytes,
        weights: Vector | None = None,
        pull: Pull | None = None,
    ) -> Vector:
        """Return the parameters after the plan's local epochs, bit-equal for equal arguments.

        Raises:
            SecureFlowError: `training_diverged` if a parameter is no longer finite.
        """
        plan, trained = spec.plan, parameters.copy()
        counts = row_weights(self._class_weights, labels, weights)
        rate, decay = np.float32(plan.learning_rate), np.float32(spec.model.l2)
        layers, pull = list(self._layers(trained)), pull or Pull(spec, parameters)
        with np.errstate(over="ignore", invalid="ignore"):
            for order in orders(plan, seed, len(labels)):
                for start in range(0, len(labels), plan.batch_size):
                    rows = order[start : start + plan.batch_size]
                    slopes = self._slopes(layers, inputs, labels, counts, rows)
                    step, back = rate / np.float32(len(rows)), pull.back(trained)
                    for (coef, intercept), (slope, shift) in zip(layers, slopes, strict=True):
                        coef[:] = coef - (step * slope + (rate * decay) * coef)
                        intercept[:] = intercept - step * shift
                    if back is not None:
                        trained -= back
        if not np.isfinite(trained).all():
            raise diverged()
        return trained

    def clipped_sum(
        self,
        parameters: NDArray[np.float64],
        inputs: NDArray[np.float64],
        labels: NDArray[np.float64],
        clip: float,
        weights: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Return the sum of the rows' clipped gradients; a row's is computed from it alone."""
        layers = list(self._layers(parameters))
        with np.errstate(over="ignore", invalid="ignore"):
            seen, residual = self._residual(layers, inputs, labels, product_rows)
            counts = row_weights(self._class_weights, labels, weights)
            if counts is not None:
                residual = residual * counts[:, None]
            backwards = self._backwards(layers, seen, residual, product_rows)
        return clipped_layers_sum([Layer(*one) for one in backwards][::-1], clip)

    def metric_sums(
        self, spec: TrainingSpec, parameters: Vector, inputs: Matrix, labels: Vector
    ) -> NDArray[np.float64]:
        """Return the sums of `measures` for this model on these rows."""
        del spec
        return self._measure.sums(
            self.outputs(parameters, inputs), labels, self._spread(parameters)
        )

    def metric_steps(
        self, parameters: Vector, inputs: Matrix, labels: Vector, unit: int
    ) -> NDArray[np.int64]:
        """Return the steps of `measures`; each row's output is computed from it alone."""
        layers = list(self._layers(parameters))
        found = self._forward(layers, inputs, product_rows)[-1]
        return self._measure.steps(found, labels, self._spread(parameters), unit)

    def outputs(self, parameters: Vector, inputs: Matrix) -> Matrix:
        """Return the outputs, float32 (rows, outputs)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._forward(list(self._layers(parameters)), inputs, _blas)[-1]

    def _layers(self, parameters: _Array) -> Iterator[tuple[_Array, _Array]]:
        """Yield (coefficients (o, i), intercepts (o,)) of each layer, views of the parameters."""
        at = 0
        pairs: Iterator[TensorSpec] = iter(self._tensors)
        for coef, intercept in zip(pairs, pairs, strict=True):
            middle, end = at + coef.size, at + coef.size + intercept.size
            yield parameters[at:middle].reshape(intercept.size, -1), parameters[middle:end]
            at = end

    def _forward(
        self, layers: list[tuple[_Array, _Array]], inputs: _Array, product: Product
    ) -> list[_Array]:
        """Return what each layer sees, and the outputs."""
        seen = [inputs]
        for number, (coef, intercept) in enumerate(layers, 1):
            found = product(seen[-1], coef) + intercept
            if number < len(layers):
                found = np.tanh(found) if self._tanh else np.maximum(found, 0)
            seen.append(found)
        return seen

    def _residual(
        self,
        layers: list[tuple[_Array, _Array]],
        inputs: _Array,
        labels: _Array,
        product: Product,
    ) -> tuple[list[_Array], _Array]:
        *seen, outputs = self._forward(layers, inputs, product)
        return seen, self._link(outputs, labels)

    def _backwards(
        self,
        layers: list[tuple[_Array, _Array]],
        seen: list[_Array],
        residual: _Array,
        product: Product,
    ) -> Iterator[tuple[_Array, _Array]]:
        """Yield (inputs, slopes of the outputs) of each layer, from the last to the first."""
        for number in range(len(layers) - 1, -1, -1):
            yield seen[number], residual
            if number:
                turned = np.ascontiguousarray(layers[number][0].T)
                through = 1 - seen[number] ** 2 if self._tanh else seen[number] > 0
                residual = product(residual, turned) * through

    def _slopes(
        self,
        layers: list[tuple[_Array, _Array]],
        inputs: Matrix | EncodedRows,
        labels: Vector,
        counts: Vector | None,
        rows: NDArray[np.int64],
    ) -> list[tuple[_Array, _Array]]:
        """Return the summed gradient of a batch; rows of a private job are made block by block."""
        size = inputs.block if isinstance(inputs, EncodedRows) else len(rows)
        total = [(np.zeros_like(coef), np.zeros_like(shift)) for coef, shift in layers]
        for start in range(0, len(rows), max(size, 1)):
            some = rows[start : start + size]
            seen, residual = self._residual(layers, inputs[some], labels[some], _blas)
            if counts is not None:
                residual = residual * counts[some, None]
            backwards = self._backwards(layers, seen, residual, _blas)
            for (slope, shift), (into, out) in zip(reversed(total), backwards, strict=True):
                slope[:] = slope + out.T @ into
                shift[:] = shift + out.sum(axis=0)
        return total

    def _spread(self, parameters: Vector) -> tuple[float, float]:
        """Return centre and unit of a single output: the same for all that have the model."""
        *_, (coef, intercept) = self._layers(parameters)
        return float(intercept[0]), float(np.linalg.norm(coef))


def softmax(scores: _Array) -> _Array:
    """Return each row's probabilities; a row is computed from itself alone."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
    found: _Array = shifted / np.einsum("ij->i", shifted)[:, None]
    return found


def _link(spec: TrainingSpec) -> Callable[[_Array, _Array], _Array]:
    label = spec.features.label if spec.features else None
    if isinstance(label, ClassesLabel):
        return _class_residual
    if isinstance(label, NumberLabel):
        return lambda outputs, labels: outputs - labels[:, None]
    return lambda outputs, labels: probabilities(outputs) - labels[:, None]


def _class_residual(outputs: _Array, labels: _Array) -> _Array:
    found = softmax(outputs)
    found[np.arange(len(labels)), labels.astype(np.int64)] -= 1
    return found


def _blas(rows: _Array, coef: _Array) -> _Array:
    product: _Array = rows @ coef.T
    return product
