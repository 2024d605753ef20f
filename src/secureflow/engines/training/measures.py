"""What a model is measured by: sums over validation rows, by the form of the target.

| target  | sums, the rows first                              | figures                            |
|---------|---------------------------------------------------|------------------------------------|
| binary  | loss, hits, score bins (`metrics`)                | loss, accuracy, auc                |
| classes | loss, cells (class, predicted)                    | loss, accuracy, balanced, macro F1 |
| number  | z, z², (ẑ − z)², abs(ẑ − z) of scaled targets z   | loss, mse, mae, r2                 |
| none    | distances to centres (`clusters`), else nothing   | loss                               |

Sums of parties add up. Their noised form is whole steps; a row moves them by at most 2 · `unit`
(L2), whatever it holds: binary by √4 units, classes by √3 (rows, loss, one cell), numbers by
√(1 + ¼ + ¼ + 1 + 1), because z and z² count half. Beyond `MAX_CELLS` classes the cells are (class,
hit or not), without a macro F1. How much a row counts in training changes no figure.

An enclave needs these lengths; nothing here imports a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.bundle_family import ROWS, BundleModel
from secureflow.domain.specs.measured import MAX_CELLS
from secureflow.domain.specs.targets import ClassesLabel, NumberLabel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.clusters import ClusterMeasure
from secureflow.engines.training.metrics import (
    LOSS_CAP,
    METRIC_COUNT,
    PRIVATE_COUNT,
    PRIVATE_LOSS_CAP,
    binary_metric_steps,
    binary_metric_sums,
    binary_sums_of_steps,
    noise_errors,
    summarise_binary,
)

Vector = NDArray[np.float32]
Outputs = NDArray[np.float32]
Spread = tuple[float, float]

_PRIVATE_ERROR: Final = 2.0
"""The cap of one row's absolute error in noised sums, in scaled units: the whole range."""
_NUMBER_FACTORS: Final = np.array([1.0, 2.0, 2.0, _PRIVATE_ERROR**2, _PRIVATE_ERROR])
"""What one row's full step stands for in the noised sums of a number."""


class Measure(Protocol):
    """Sums of one form of target, and what they say."""

    @property
    def count(self) -> int:
        """The length of `sums`."""

    @property
    def private_count(self) -> int:
        """The length of `steps`."""

    def sums(self, outputs: Outputs, labels: Vector, spread: Spread) -> NDArray[np.float64]:
        """Return float64 sums over rows.

        Args:
            outputs: the model's, before any link function: float32 (rows, outputs).
            labels: the targets, float32 (rows,).
            spread: centre and unit of binary outputs, the same for all that have the model.
        """

    def steps(
        self, outputs: Outputs, labels: Vector, spread: Spread, unit: int
    ) -> NDArray[np.int64]:
        """Return sums to be noised: whole steps; each row is rounded separately."""

    def sums_of_steps(self, steps: NDArray[np.float64], unit: int) -> NDArray[np.float64]:
        """Return the sums for (noised) steps, as `summarise` takes them."""

    def summarise(self, sums: NDArray[np.float64]) -> dict[str, float]:
        """Return the figures of added sums; one that the rows do not define is absent."""

    def noise_errors(self, sums: NDArray[np.float64], sigma: float) -> dict[str, float]:
        """Return each figure's standard error under noise of `sigma` rows, to first order."""


class Measured:
    """What a family says of its measure; `_measure` is set by the family."""

    _measure: Measure

    def metric_count(self) -> int:
        """Return the length of `metric_sums`."""
        return self._measure.count

    def private_metric_count(self) -> int:
        """Return the length of `metric_steps`."""
        return self._measure.private_count


@dataclass(frozen=True)
class NoMeasure:
    """Nothing to measure: no target."""

    count: int = 0
    private_count: int = 0

    def sums(self, outputs: Outputs, labels: Vector, spread: Spread) -> NDArray[np.float64]:
        """Return an empty array."""
        del outputs, labels, spread
        return np.zeros(0)

    def steps(
        self, outputs: Outputs, labels: Vector, spread: Spread, unit: int
    ) -> NDArray[np.int64]:
        """Return an empty array."""
        del outputs, labels, spread, unit
        return np.zeros(0, np.int64)

    def sums_of_steps(self, steps: NDArray[np.float64], unit: int) -> NDArray[np.float64]:
        """Return the empty array."""
        del unit
        return steps

    def summarise(self, sums: NDArray[np.float64]) -> dict[str, float]:
        """Return nothing."""
        del sums
        return {}

    def noise_errors(self, sums: NDArray[np.float64], sigma: float) -> dict[str, float]:
        """Return nothing."""
        del sums, sigma
        return {}


@dataclass(frozen=True)
class BinaryMeasure:
    """The sums of `metrics`."""

    count: int = METRIC_COUNT
    private_count: int = PRIVATE_COUNT

    def sums(self, outputs: Outputs, labels: Vector, spread: Spread) -> NDArray[np.float64]:
        """Return `metrics.binary_metric_sums`."""
        return binary_metric_sums(outputs.reshape(-1), labels, *spread)

    def steps(
        self, outputs: Outputs, labels: Vector, spread: Spread, unit: int
    ) -> NDArray[np.int64]:
        """Return `metrics.binary_metric_steps`."""
        return binary_metric_steps(outputs.reshape(-1), labels, *spread, unit)

    def sums_of_steps(self, steps: NDArray[np.float64], unit: int) -> NDArray[np.float64]:
        """Return `metrics.binary_sums_of_steps`."""
        return binary_sums_of_steps(steps, unit)

    def summarise(self, sums: NDArray[np.float64]) -> dict[str, float]:
        """Return `rows`, `loss`, `accuracy`, `auc`."""
        return summarise_binary(sums)

    def noise_errors(self, sums: NDArray[np.float64], sigma: float) -> dict[str, float]:
        """Return `metrics.noise_errors`."""
        return noise_errors(sums, sigma)


class ClassesMeasure:
    """Loss and a confusion matrix.

    Args:
        classes: their number.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.pairs = classes <= MAX_CELLS
        self.count = 2 + classes * (classes if self.pairs else 2)
        self.private_count = self.count

    def sums(self, outputs: Outputs, labels: Vector, spread: Spread) -> NDArray[np.float64]:
        """Return rows, Σ cross-entropy, then the cells."""
        del spread
        losses, cells = self._rows(outputs, labels)
        return np.concatenate([[len(labels), np.minimum(losses, LOSS_CAP).sum()], cells])

    def steps(
        self, outputs: Outputs, labels: Vector, spread: Spread, unit: int
    ) -> NDArray[np.int64]:
        """Return the same as steps."""
        del spread
        losses, cells = self._rows(outputs, labels)
        capped = np.minimum(losses, PRIVATE_LOSS_CAP) * (unit / PRIVATE_LOSS_CAP)
        loss = np.rint(capped).astype(np.int64).sum()
        return np.concatenate([[unit * len(labels), loss], unit * cells]).astype(np.int64)

    def sums_of_steps(self, steps: NDArray[np.float64], unit: int) -> NDArray[np.float64]:
        """Return the sums for noised steps."""
        return binary_sums_of_steps(steps, unit)

    def summarise(self, sums: NDArray[np.float64]) -> dict[str, float]:
        """Return `rows`, `loss`, `accuracy`, `balanced_accuracy`, and with pairs `macro_f1`."""
        if not sums.size:
            return {}
        rows = float(sums[0])
        if rows < 0.5:
            return {"rows": 0.0}
        hits, support, predicted = self._counts(sums)
        figures = {
            "rows": rows,
            "loss": max(0.0, float(sums[1])) / rows,
            "accuracy": min(float(hits.sum()), rows) / rows,
        }
        seen = support > 0
        if seen.any():
            figures["balanced_accuracy"] = float((hits[seen] / support[seen]).mean())
        if predicted is not None and (support + predicted).any():
            named = support + predicted > 0
            f1 = 2 * hits[named] / (support + predicted)[named]
            figures["macro_f1"] = float(f1.mean())
        return figures

    def noise_errors(self, sums: NDArray[np.float64], sigma: float) -> dict[str, float]:
        """Return the errors; every cell has independent noise of one standard deviation."""
        figures = self.summarise(sums)
        rows = figures.get("rows", 0.0)
        errors = {name: sigma for name in figures if name == "rows"}
        if rows <= 0:
            return errors
        errors["loss"] = sigma * math.hypot(PRIVATE_LOSS_CAP, figures["loss"]) / rows
        spread = math.sqrt(self.classes)
        errors["accuracy"] = sigma * math.hypot(spread, figures["accuracy"]) / rows
        hits, support, predicted = self._counts(sums)
        if "balanced_accuracy" in figures:
            seen = support > 0
            recall = hits[seen] / support[seen]
            others = (self.classes if self.pairs else 2) - 1
            squares = ((1 - recall) ** 2 + others * recall**2) / support[seen] ** 2
            errors["balanced_accuracy"] = sigma * float(np.sqrt(squares.sum())) / int(seen.sum())
        if "macro_f1" in figures and predicted is not None:
            errors["macro_f1"] = sigma * _f1_slope(hits, support + predicted)
        return errors

    def matrix(self, sums: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return the confusion matrix (class, predicted); None without pairs."""
        if not self.pairs or not sums.size:
            return None
        return np.maximum(sums[2:], 0.0).reshape(self.classes, self.classes)

    def _counts(
        self, sums: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]:
        """Return hits, rows and (with pairs) predictions of each class."""
        matrix = self.matrix(sums)
        if matrix is not None:
            return np.diag(matrix).copy(), matrix.sum(axis=1), matrix.sum(axis=0)
        cells = np.maximum(sums[2:], 0.0).reshape(self.classes, 2)
        return cells[:, 1].copy(), cells.sum(axis=1), None

    def _rows(
        self, outputs: Outputs, labels: Vector
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return each row's cross-entropy, and the cells; a row is computed from itself alone."""
        scores = np.nan_to_num(outputs.astype(np.float64), nan=0.0, posinf=1e38, neginf=-1e38)
        known = labels.astype(np.int64)
        shifted = scores - scores.max(axis=1, keepdims=True, initial=-np.inf)
        total = np.einsum("ij->i", np.exp(np.maximum(shifted, -745.0)))
        losses = np.log(total) - shifted[np.arange(len(known)), known]
        chosen = scores.argmax(axis=1) if len(known) else known
        if self.pairs:
            cells = np.bincount(known * self.classes + chosen, minlength=self.classes**2)
        else:
            cells = np.bincount(known * 2 + (chosen == known), minlength=2 * self.classes)
        return losses, cells.astype(np.int64)


class NumberMeasure:
    """Squared and absolute errors of a scaled number.

    Args:
        half: one scaled unit in the label's own unit.
    """

    count = 5
    private_count = 5

    def __init__(self, half: float) -> None:
        self.half = half

    def sums(self, outputs: Outputs, labels: Vector, spread: Spread) -> NDArray[np.float64]:
        """Return rows, Σz, Σz², Σ(ẑ − z)², Σ|ẑ − z|."""
        del spread
        z, errors = _errors(outputs, labels)
        squares = np.minimum(errors * errors, LOSS_CAP)
        absolute = np.minimum(errors, math.sqrt(LOSS_CAP))
        return np.array([len(z), z.sum(), (z * z).sum(), squares.sum(), absolute.sum()])

    def steps(
        self, outputs: Outputs, labels: Vector, spread: Spread, unit: int
    ) -> NDArray[np.int64]:
        """Return the same as steps."""
        del spread
        z, errors = _errors(outputs, labels)
        capped = np.minimum(errors, _PRIVATE_ERROR)
        rows = np.stack([np.ones_like(z), z, z * z, capped * capped, capped])
        steps = np.rint(rows * (unit / _NUMBER_FACTORS)[:, None]).astype(np.int64)
        return np.asarray(steps.sum(axis=1), np.int64)

    def sums_of_steps(self, steps: NDArray[np.float64], unit: int) -> NDArray[np.float64]:
        """Return the sums for noised steps."""
        return steps * (_NUMBER_FACTORS / unit)

    def summarise(self, sums: NDArray[np.float64]) -> dict[str, float]:
        """Return `rows`, `loss` (of the scaled number), `mse`, `mae` and `r2`."""
        if not sums.size:
            return {}
        rows, _, _, squares, absolute = (float(one) for one in sums)
        if rows < 0.5:
            return {"rows": 0.0}
        squares, absolute = max(0.0, squares), max(0.0, absolute)
        figures = {
            "rows": rows,
            "loss": squares / rows,
            "mse": _digits(self.half**2 * squares / rows),
            "mae": _digits(self.half * absolute / rows),
        }
        total = _variation(sums)
        return {**figures, "r2": 1.0 - squares / total} if total > 0 else figures

    def noise_errors(self, sums: NDArray[np.float64], sigma: float) -> dict[str, float]:
        """Return the errors; each sum's noise is one standard deviation of its factor."""
        figures = self.summarise(sums)
        rows = figures.get("rows", 0.0)
        errors = {name: sigma for name in figures if name == "rows"}
        if rows <= 0:
            return errors
        loss = sigma * math.hypot(_PRIVATE_ERROR**2, figures["loss"]) / rows
        mae = sigma * math.hypot(_PRIVATE_ERROR, figures["mae"] / self.half) / rows
        errors |= {"loss": loss, "mse": self.half**2 * loss, "mae": self.half * mae}
        if "r2" in figures:
            total, mean = _variation(sums), float(sums[1]) / rows
            slope = max(0.0, float(sums[3])) / total**2
            moved = (_PRIVATE_ERROR**2 / total, 2 * slope, 4 * mean * slope, mean**2 * slope)
            errors["r2"] = sigma * math.hypot(*moved)
        return errors


@dataclass(frozen=True)
class DeclaredMeasure:
    """Sums by the names that a spec declares; others compute them.

    Args:
        names: of the sums; `rows` is among them if there are any.
    """

    names: tuple[str, ...]
    private_count: int = 0

    @property
    def count(self) -> int:
        """The number of names."""
        return len(self.names)

    def sums(self, outputs: Outputs, labels: Vector, spread: Spread) -> NDArray[np.float64]:
        """Return zeros: nobody asks for them, since outputs are not known here."""
        del outputs, labels, spread
        return np.zeros(self.count)

    def steps(
        self, outputs: Outputs, labels: Vector, spread: Spread, unit: int
    ) -> NDArray[np.int64]:
        """Return an empty array."""
        del outputs, labels, spread, unit
        return np.zeros(0, np.int64)

    def sums_of_steps(self, steps: NDArray[np.float64], unit: int) -> NDArray[np.float64]:
        """Return the empty array."""
        del unit
        return steps

    def summarise(self, sums: NDArray[np.float64]) -> dict[str, float]:
        """Return `rows`, and every other sum divided by it."""
        found = dict(zip(self.names, sums.tolist(), strict=True)) if sums.size else {}
        rows = found.pop(ROWS, 0.0)
        if rows < 0.5:
            return {ROWS: 0.0} if sums.size else {}
        return {ROWS: rows, **{name: value / rows for name, value in found.items()}}

    def noise_errors(self, sums: NDArray[np.float64], sigma: float) -> dict[str, float]:
        """Return nothing: they are not noised."""
        del sums, sigma
        return {}


def measure_of(spec: TrainingSpec) -> Measure:
    """Return what a spec's model is measured by."""
    if isinstance(spec.model, BundleModel):
        return DeclaredMeasure(spec.model.sums)
    label = None if spec.features is None else spec.features.label
    if label is None or spec.model.family == "rehearsal":
        return ClusterMeasure() if spec.model.family == "kmeans" else NoMeasure()
    if isinstance(label, ClassesLabel):
        return ClassesMeasure(len(label.classes))
    return NumberMeasure(label.half) if isinstance(label, NumberLabel) else BinaryMeasure()


def figures(spec: TrainingSpec, sums: NDArray[np.float64]) -> dict[str, float]:
    """Return the metrics of sums without their weight, rounded for reports."""
    return {
        # The unit of a number is its label's: the measure has rounded to significant digits.
        name: float(value) if name in {"mse", "mae"} else round(float(value), 6)
        for name, value in measure_of(spec).summarise(sums).items()
    }


def _errors(outputs: Outputs, labels: Vector) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    z = labels.astype(np.float64)
    found = np.nan_to_num(outputs.reshape(-1).astype(np.float64), nan=0.0, posinf=1e9, neginf=-1e9)
    return z, np.abs(found - z)


def _variation(sums: NDArray[np.float64]) -> float:
    """Return Σ(z − mean)²; below a billionth of Σz² it is rounding, and there is no R²."""
    rows, total, squares = (float(one) for one in sums[:3])
    found = squares - total * total / rows
    return found if found > 1e-9 * max(squares, 1e-9) else 0.0


def _f1_slope(hits: NDArray[np.float64], total: NDArray[np.float64]) -> float:
    """Return the length of the macro F1's gradient by the cells of the confusion matrix."""
    named = total > 0
    safe = np.where(named, total, 1.0)
    share = np.where(named, 2 * hits / safe, 0.0) / safe
    slopes = -(share[:, None] + share[None, :])
    np.fill_diagonal(slopes, np.where(named, 2 * (1 - 2 * hits / safe), 0.0) / safe)
    return float(np.linalg.norm(slopes)) / max(1, int(named.sum()))


def _digits(value: float) -> float:
    """Round to seven significant digits: the unit of a label may be any."""
    return float(f"{value:.7g}")
