"""Which sums measure a model, by the form of its target, and where they lie in a party's vector.

A row adds at most 1 to each number (it is divided by what a full unit stands for, `factors`) and
exactly 1 to one cell of each group of cells. `unit` steps are 1; the vector is whole steps.

| form    | numbers                                               | cells                          |
|---------|-------------------------------------------------------|--------------------------------|
| binary  | rows, loss, loss², Brier, Brier², rows without output | positives and negatives by     |
|         |                                                       | log-odds; Σ probability there  |
| classes | the same; Brier is half of Σ_k (p_k − y_k)²           | (class, predicted); own and    |
|         |                                                       | others by log-odds of a class; |
|         |                                                       | hits, misses and Σ confidence  |
|         |                                                       | by confidence                  |
| number  | rows, z, z², z³, z⁴, e, e², abs(e), e⁴, e²z, e²z²,    | predictions, residuals         |
|         | rows without output                                   |                                |

z is the target scaled to −1 … 1, e = ẑ − z. Small e⁴ are added up by themselves, in finer steps.

*Private* forms are what is to be noised: as few sums as figures need, on coarser grids. One row
moves them by at most √`moved` units (L2), whatever it holds:

| form    | numbers (share of a unit that a row can add)       | cells                  | moved |
|---------|----------------------------------------------------|------------------------|-------|
| binary  | rows, loss ≤ 4, Brier                              | positives, negatives   | 4     |
| classes | rows, loss ≤ 4                                     | (class, predicted)     | 3     |
| number  | rows, z (½), z² (½), e (½), e² ≤ 1, abs(e) ≤ 1     | predictions, residuals | 6     |

A number moves 1 + ¼ + ¼ + ¼ + 1 + 1 + 1 + 1 = 5.75 ≤ 6.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.summed import UNIT, noised_unit
from secureflow.domain.specs.targets import ClassesLabel, Label, NumberLabel
from secureflow.engines.training.metrics import LOSS_CAP, PRIVATE_LOSS_CAP

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SMALL_ERROR: Final = 0.25
"""Up to this, in scaled units, fourth powers of errors are added up in finer steps."""
ERROR_CAP: Final = math.sqrt(LOSS_CAP)
"""One row's error counts at most this, in scaled units; 2 is the whole range of the label."""
PRIVATE_ERROR_CAP: Final = 1.0
"""The same in noised sums, half the range: noise on squared errors is as great as their cap."""
CONFIDENCES: Final = 20
"""Cells of the probability of the class that is predicted, of equal width."""


@dataclass(frozen=True)
class Grid:
    """Cells of a line: equal ones from −`half` to `half`, growing ones beyond, and two ends.

    Cell i holds x with edge i − 1 < x ≤ edge i. 0 is an edge: what is above it is on its right.

    Args:
        half: where equal cells end.
        per: equal cells in 1.
        tail: growing cells on each side.
        growth: of edges there, from one to the next.
    """

    half: float
    per: float
    tail: int = 0
    growth: float = 1.0

    @property
    def count(self) -> int:
        """The number of cells."""
        return 2 * (round(self.half * self.per) + self.tail) + 2

    @property
    def edges(self) -> Floats:
        """The upper edges of all cells but the last: float64 (`count` − 1,), ascending."""
        return _edges(self)

    @property
    def middles(self) -> Floats:
        """A number of each cell, that of an end cell half a cell beyond its edge."""
        edges = self.edges
        ends = [2 * edges[0] - edges[1]], [2 * edges[-1] - edges[-2]]
        every = np.concatenate([ends[0], edges, ends[1]])
        return np.asarray((every[:-1] + every[1:]) / 2, np.float64)

    def cells(self, numbers: Floats) -> Integers:
        """Return the cell of each number: int64, of the same shape; none may be NaN."""
        return np.asarray(np.searchsorted(self.edges, numbers, side="left"), np.int64)


@functools.cache
def _edges(grid: Grid) -> Floats:
    """Return a grid's edges, the same on every machine: they are products and quotients."""
    most = round(grid.half * grid.per)
    beyond = [grid.half]
    for _ in range(grid.tail):
        beyond.append(beyond[-1] * grid.growth)
    far = np.asarray(beyond[1:], np.float64)
    found = np.concatenate([-far[::-1], np.arange(-most, most + 1) / grid.per, far])
    found.flags.writeable = False
    return found


LOG_ODDS: Final = Grid(10, 50, 142, 1.05)
"""1,286 cells, of .02 within ±10: a probability changes by at most .005 within one. Models that are
sure of themselves, such as naive Bayes, go beyond: there edges grow by 5 % up to ±10,206."""
PRIVATE_LOG_ODDS: Final = Grid(4.8, 2.5, 4, 1.5)
"""34 cells of .4 and more: the noise of every cell is in the AUC."""
CLASS_LOG_ODDS: Final = Grid(10, 5, 25, 1.2)
"""152 cells of .2 and more, of each class against the others, up to ±954."""
PREDICTIONS: Final = Grid(1, 50)
"""102 cells of 1/100 of the label's range."""
RESIDUALS: Final = Grid(1, 100)
"""202 cells of 1/200 of the label's range."""
PRIVATE_PREDICTIONS: Final = Grid(1, 10)
"""22 cells of 1/20 of the label's range; of residuals too."""


@dataclass(frozen=True)
class Form:
    """What is summed up: the factors of the numbers, then groups of cells, in this order.

    Args:
        private: whether the sums are those that can be noised, on coarser grids.
        exact: of private ones, that they are not noised: a row's loss and error count as far as
            they do otherwise.
    """

    private: bool
    exact: bool = field(default=False, kw_only=True)

    @property
    def capped(self) -> bool:
        """Whether a row's loss and error count no further than noise can hide."""
        return self.private and not self.exact

    @property
    def factors(self) -> Mapping[str, float]:
        """What one unit of each number stands for."""
        raise NotImplementedError

    @property
    def groups(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each group of cells."""
        raise NotImplementedError

    @property
    def moved(self) -> int:
        """By at most the root of this many units (L2) a row moves private sums; otherwise 0."""
        raise NotImplementedError

    @property
    def length(self) -> int:
        """The number of sums: 3,864 of a binary form, 10,818 of 32 classes."""
        return len(self.factors) + sum(math.prod(shape) for shape in self.groups.values())

    def first(self, group: str) -> int:
        """Return the place of a group's first cell in the vector."""
        place = len(self.factors)
        for name, shape in self.groups.items():
            if name == group:
                break
            place += math.prod(shape)
        return place


@dataclass(frozen=True)
class BinaryForm(Form):
    """One output: the log-odds of class 1."""

    name: ClassVar[str] = "binary"

    @property
    def grid(self) -> Grid:
        """Cells of log-odds."""
        return PRIVATE_LOG_ODDS if self.private else LOG_ODDS

    @property
    def factors(self) -> Mapping[str, float]:
        """What one unit of each number stands for."""
        return _scored(self, _PRIVATE_BINARY)

    @property
    def groups(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each group of cells."""
        names = ("positives", "negatives") if self.private else _BINARY_GROUPS
        return dict.fromkeys(names, (self.grid.count,))

    @property
    def moved(self) -> int:
        """Rows, loss, Brier and one cell."""
        return 4 if self.capped else 0


@dataclass(frozen=True)
class ClassesForm(Form):
    """A score of each class: softmax makes probabilities of them.

    Args:
        private: as above.
        classes: their names, 2 to `MAX_CLASSES`.
    """

    classes: tuple[str, ...]
    name: ClassVar[str] = "classes"

    @property
    def factors(self) -> Mapping[str, float]:
        """What one unit of each number stands for."""
        return _scored(self, _PRIVATE_CLASSES)

    @property
    def groups(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each group of cells."""
        count = len(self.classes)
        if self.private:
            return {"matrix": (count, count)}
        by_class = (count, CLASS_LOG_ODDS.count)
        confidence = (CONFIDENCES,)
        return {
            "matrix": (count, count), "own": by_class, "others": by_class,
            "hits": confidence, "misses": confidence, "confidence": confidence,
        }  # fmt: skip

    @property
    def moved(self) -> int:
        """Rows, loss and one cell."""
        return 3 if self.capped else 0


@dataclass(frozen=True)
class NumberForm(Form):
    """One output: the prediction, scaled like the target.

    Args:
        private: as above.
        middle: the number that is scaled to 0.
        half: one scaled unit in the label's own unit.
    """

    middle: float
    half: float
    name: ClassVar[str] = "number"

    @property
    def predictions(self) -> Grid:
        """Cells of scaled predictions."""
        return PRIVATE_PREDICTIONS if self.private else PREDICTIONS

    @property
    def residuals(self) -> Grid:
        """Cells of scaled errors."""
        return PRIVATE_PREDICTIONS if self.private else RESIDUALS

    @property
    def factors(self) -> Mapping[str, float]:
        """What one unit of each number stands for."""
        if not self.private:
            return _NUMBER
        return _PRIVATE_NUMBER if self.capped else _EXACT_NUMBER

    @property
    def error_cap(self) -> float:
        """One row's error counts at most this, in scaled units."""
        return PRIVATE_ERROR_CAP if self.capped else ERROR_CAP

    @property
    def groups(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each group of cells."""
        return {"predictions": (self.predictions.count,), "residuals": (self.residuals.count,)}

    @property
    def moved(self) -> int:
        """Rows, halves of z, z² and e, e², abs(e) and two cells."""
        return 6 if self.capped else 0


def _scored(form: Form, private: Mapping[str, float]) -> Mapping[str, float]:
    if not form.private:
        return _SCORED
    return private if form.capped else {**private, "loss": LOSS_CAP}


AnyForm = BinaryForm | ClassesForm | NumberForm

_BINARY_GROUPS: Final = ("positives", "negatives", "predicted")
_SCORED: Final[Mapping[str, float]] = MappingProxyType(
    {"rows": 1.0, "loss": LOSS_CAP, "loss_squares": LOSS_CAP**2,
     "brier": 1.0, "brier_squares": 1.0, "undefined": 1.0}
)  # fmt: skip
_PRIVATE_BINARY: Final[Mapping[str, float]] = MappingProxyType(
    {"rows": 1.0, "loss": PRIVATE_LOSS_CAP, "brier": 1.0}
)
_PRIVATE_CLASSES: Final[Mapping[str, float]] = MappingProxyType(
    {"rows": 1.0, "loss": PRIVATE_LOSS_CAP}
)
_NUMBER: Final[Mapping[str, float]] = MappingProxyType(
    {"rows": 1.0, "z": 1.0, "z2": 1.0, "z3": 1.0, "z4": 1.0, "e": ERROR_CAP, "e2": LOSS_CAP,
     "abs": ERROR_CAP, "e4": LOSS_CAP**2, "e4_small": SMALL_ERROR**4, "e2z": LOSS_CAP,
     "e2z2": LOSS_CAP, "undefined": 1.0}
)  # fmt: skip
_PRIVATE_NUMBER: Final[Mapping[str, float]] = MappingProxyType(
    {"rows": 1.0, "z": 2.0, "z2": 2.0, "e": 2 * PRIVATE_ERROR_CAP, "e2": PRIVATE_ERROR_CAP**2,
     "abs": PRIVATE_ERROR_CAP}
)  # fmt: skip
_EXACT_NUMBER: Final[Mapping[str, float]] = MappingProxyType(
    {**_PRIVATE_NUMBER, "e": ERROR_CAP, "e2": LOSS_CAP, "abs": ERROR_CAP}
)


def form_for(
    label: Label | ClassesLabel | NumberLabel, *, private: bool = False, exact: bool = False
) -> AnyForm:
    """Return what a model of a target is measured by.

    Args:
        label: of at most `MAX_CLASSES` classes.
        private: whether the sums are those that can be noised.
        exact: of private ones, that they are not.
    """
    if isinstance(label, ClassesLabel):
        return ClassesForm(private, label.classes, exact=exact)
    if isinstance(label, NumberLabel):
        return NumberForm(private, label.middle, label.half, exact=exact)
    return BinaryForm(private, exact=exact)


def unit_of(form: AnyForm, multiplier: float = 0.0, contributions: int = 1) -> int:
    """Return the steps of a row that adds 1: `UNIT`, or under privacy what its noise hides.

    Args:
        form: what is summed up.
        multiplier: σ of the noise by sensitivity; 0 without privacy.
        contributions: rows of one unit of privacy.
    """
    if not form.private or not multiplier:
        return UNIT
    return noised_unit(multiplier * math.sqrt(form.moved) * contributions)


def sigma_of(form: AnyForm, multiplier: float, contributions: int = 1) -> float:
    """Return σ of the noise on each total, in steps: multiplier · √moved · contributions · unit."""
    if not form.private:
        return 0.0
    sensitivity = math.sqrt(form.moved) * contributions * unit_of(form, multiplier, contributions)
    return multiplier * sensitivity
