"""PyTorch's families: minibatch training, and per-row gradients for differential privacy.

A party goes through its rows in the order that the round's seed gives, as the families in NumPy
do; PyTorch's own sums may differ in their last bits from machine to machine, so an update is not
made twice (`reproducible`). The optimiser's state is the party's own; who runs the family carries
it from round to round (`state`, `take_up`).

Under differential privacy per record each row's gradient is computed from a batch of that row
alone: in a larger batch the others would move its last bits, and clipping would bound nothing.
What is summed are whole multiples of a small power of two, so that the sum is exact and no row
rounds another. Sampling, lattice and noise are those of `private`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.targets import ClassesLabel, NumberLabel
from secureflow.domain.specs.torch_families import TORCH_MODELS, TorchModel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import EncodedRows
from secureflow.engines.training.logistic import diverged
from secureflow.engines.training.measures import Measured, measure_of
from secureflow.engines.training.order import orders
from secureflow.engines.training.pull import Pull
from secureflow.engines.training.torch_modules import computed, loaded_torch, module_of
from secureflow.engines.training.torch_state import Optimiser, OptimiserState
from secureflow.engines.training.torch_transformer import put_base
from secureflow.engines.training.weighting import row_weights

Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]

_GRID: Final = 30
"""A row's clipped gradient is cut to multiples of its bound's 2^-30: sums over up to 2^22 rows are
exact in float64."""


@dataclass(frozen=True)
class _Pulled:
    """A strategy's part of a round's slopes: `factor` · (w − `began`) + `slopes`, by parameter."""

    factor: float
    began: Mapping[str, Any]
    slopes: Mapping[str, Any]


class TorchNetwork(Measured):
    """`ModelFamily` for a network of PyTorch.

    Args:
        spec: the job's spec.
        device: where it trains; figures and predictions are computed on the processor.
    """

    needs_data: Final = True
    reproducible: Final = False

    def __init__(self, spec: TrainingSpec, device: str = "cpu") -> None:
        if not isinstance(spec.model, TORCH_MODELS):
            raise AssertionError  # the table of families says so
        self._spec = spec
        self._model: TorchModel = spec.model
        self._tensors = spec.tensors
        self._measure = measure_of(spec)
        self._made: tuple[Any, Any] | None = None
        self._base: Mapping[str, NDArray[Any]] | None = None
        self.device = device
        self.state = OptimiserState()

    def stand_on(self, base: Mapping[str, NDArray[Any]]) -> None:
        """Take the tensors of the base on which an adapter stands, by name."""
        self._base = base

    def take_up(self, state: OptimiserState) -> None:
        """Go on from a state of earlier rounds."""
        self.state = state

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
        """Return the parameters after the plan's local epochs, and take up the new state.

        Raises:
            SecureFlowError: `training_diverged` if a parameter is no longer finite; `missing_extra`
                without PyTorch.
        """
        torch, module = self._loaded(parameters, self.device)
        done, plan = self.state.rounds, spec.plan
        rate = self._model.schedule.rate(plan.learning_rate, done, plan.rounds)
        named = [(name, one) for name, one in module.named_parameters() if one.requires_grad]
        optimiser = Optimiser(torch, self._model, named, rate, self.state)
        counts = row_weights(self._model.class_weights, labels, weights)
        pulled = self._pulled(torch, pull or Pull(spec, parameters))
        for order in orders(plan, seed, len(labels)):
            for start in range(0, len(labels), plan.batch_size):
                rows = order[start : start + plan.batch_size]
                optimiser.clear()
                self._backwards(torch, module, inputs, labels, counts, rows)
                _pull(named, pulled)
                optimiser.step()
        trained = self._flat(module)
        if not np.isfinite(trained).all():
            raise diverged()
        carried = self._model.optimiser.state == "carried"
        values = optimiser.values() if carried else {}
        self.state = OptimiserState(done + 1, optimiser.steps if carried else 0, values)
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
        with np.errstate(over="ignore"):  # such a row has no finite gradient
            torch, module = self._loaded(parameters.astype(np.float32), "cpu")
        counts = row_weights(self._model.class_weights, labels, weights)
        leaves = self._leaves(module)
        unit = 2.0 ** (math.floor(math.log2(clip)) - _GRID)
        total = np.zeros(len(parameters))
        for at in range(len(labels)):
            row = torch.tensor(inputs[at : at + 1], dtype=torch.float32)
            losses = self._losses(
                torch, computed(self._spec, module, row, torch), labels[at : at + 1]
            )
            weighted = losses.sum() * (1.0 if counts is None else float(counts[at]))
            slopes = torch.autograd.grad(weighted, leaves)
            flat = np.concatenate([one.reshape(-1).numpy() for one in slopes]).astype(np.float64)
            norm = math.sqrt(float(np.dot(flat, flat))) if np.isfinite(flat).all() else math.inf
            if math.isfinite(norm):
                flat *= min(1.0, clip / max(norm, 1e-300)) / unit
                total += np.trunc(flat, out=flat)
        return total * unit

    def metric_sums(
        self, spec: TrainingSpec, parameters: Vector, inputs: Matrix, labels: Vector
    ) -> NDArray[np.float64]:
        """Return the sums of `measures` for this model on these rows."""
        del spec
        found = self.outputs(parameters, inputs)
        return self._measure.sums(found, labels, self._spread(parameters))

    def metric_steps(
        self, parameters: Vector, inputs: Matrix, labels: Vector, unit: int
    ) -> NDArray[np.int64]:
        """Return the steps of `measures`; each row's output is computed from it alone."""
        torch, module = self._loaded(parameters, "cpu")
        found = [self._forward(torch, module, inputs[at : at + 1]) for at in range(len(inputs))]
        rows = np.concatenate(found) if found else self._forward(torch, module, inputs)
        return self._measure.steps(rows, labels, self._spread(parameters), unit)

    def outputs(self, parameters: Vector, inputs: Matrix) -> Matrix:
        """Return the outputs, float32 (rows, outputs)."""
        return self._forward(*self._loaded(parameters, "cpu"), inputs)

    def module(self, parameters: Vector) -> Any:
        """Return the network with these parameters."""
        return self._loaded(parameters, "cpu")[1]

    def _forward(self, torch: Any, module: Any, inputs: Matrix) -> Matrix:
        with torch.inference_mode():
            rows = torch.tensor(inputs, dtype=torch.float32)
            found: Matrix = computed(self._spec, module, rows, torch).numpy()
        return np.array(found, np.float32)

    def _loaded(self, parameters: Vector, device: str) -> tuple[Any, Any]:
        """Return PyTorch and the network with these parameters."""
        if self._made is None:
            torch = loaded_torch(self._model.family)
            made = module_of(self._spec, torch)
            put_base(self._spec, made, self._base, torch)
            self._made = torch, made
        torch, module = self._made
        module.to(device).eval()
        own, at = _named(module), 0
        with torch.no_grad():
            for one in self._tensors:
                part = np.array(parameters[at : at + one.size], np.float32).reshape(one.shape)
                own[one.name].copy_(torch.from_numpy(part))
                at += one.size
        return torch, module

    def _leaves(self, module: Any) -> list[Any]:
        own = _named(module)
        return [own[one.name] for one in self._tensors]

    def _flat(self, module: Any) -> Vector:
        parts = [one.detach().cpu().reshape(-1).numpy() for one in self._leaves(module)]
        return np.concatenate(parts).astype(np.float32, copy=False)

    def _backwards(
        self,
        torch: Any,
        module: Any,
        inputs: Matrix | EncodedRows,
        labels: Vector,
        counts: Vector | None,
        rows: NDArray[np.int64],
    ) -> None:
        """Add up the gradient of a batch's mean loss, in blocks that memory holds."""
        size = inputs.block if isinstance(inputs, EncodedRows) else len(rows)
        for start in range(0, len(rows), max(size, 1)):
            some = rows[start : start + size]
            module.train(len(some) > 1)  # of one row BatchNorm has no variance
            seen = torch.from_numpy(np.ascontiguousarray(inputs[some])).to(self.device)
            losses = self._losses(torch, computed(self._spec, module, seen, torch), labels[some])
            if counts is not None:
                losses = losses * torch.from_numpy(counts[some]).to(losses.device)
            (losses.sum() / len(rows)).backward()

    def _pulled(self, torch: Any, pull: Pull) -> _Pulled:
        """Return what a strategy adds to the slopes, in the shapes of the parameters."""
        factor = 0.0 if pull.factor is None else float(pull.factor)
        began = self._placed(torch, pull.before) if factor else {}
        slopes = {} if pull.slope is None else self._placed(torch, pull.slope)
        return _Pulled(factor, began, slopes)

    def _placed(self, torch: Any, flat: Vector) -> dict[str, Any]:
        """Return a flat vector as tensors by name, where the network trains."""
        found, at = {}, 0
        for one in self._tensors:
            part = np.array(flat[at : at + one.size], np.float32).reshape(one.shape)
            found[one.name] = torch.from_numpy(part).to(self.device)
            at += one.size
        return found

    def _losses(self, torch: Any, outputs: Any, labels: NDArray[Any]) -> Any:
        """Return the loss of each row: log loss, cross-entropy or half the squared error."""
        functional = torch.nn.functional
        label = self._spec.features.label if self._spec.features else None
        known = torch.from_numpy(labels.astype(np.float32)).to(outputs.device)
        if isinstance(label, ClassesLabel):
            return functional.cross_entropy(outputs, known.long(), reduction="none")
        if isinstance(label, NumberLabel):
            return 0.5 * (outputs[:, 0] - known) ** 2
        return functional.binary_cross_entropy_with_logits(outputs[:, 0], known, reduction="none")

    def _spread(self, parameters: Vector) -> tuple[float, float]:
        """Return centre and unit of a single output: the same for all that have the model."""
        at, last = 0, {}
        for one in self._tensors:
            if one.name.startswith("layers."):
                _, number, kind = one.name.split(".")
                last[int(number), kind] = parameters[at : at + one.size]
            at += one.size
        newest = max(number for number, _ in last)
        return float(last[newest, "bias"][0]), float(np.linalg.norm(last[newest, "weight"]))


def _named(module: Any) -> dict[str, Any]:
    """Return the parameters of a module, and what its norms count of rows, by name."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _pull(named: Sequence[tuple[str, Any]], pulled: _Pulled) -> None:
    """Add a strategy's part to the slopes of a batch."""
    for name, one in named:
        if pulled.began:
            one.grad.add_(one.detach() - pulled.began[name], alpha=pulled.factor)
        if pulled.slopes:
            one.grad.add_(pulled.slopes[name])
