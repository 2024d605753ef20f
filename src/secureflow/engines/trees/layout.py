"""What the numbers of a model of trees are, and of the sums from which they are grown.

A model is three tensors, `edges`, `nodes` and `progress` (`domain.specs.tree_families`). A node's
four numbers are what it is (0 a leaf or nothing, −1 open, k + 1 a split of input k), the last bin
that goes left, whether missing values go left, and its value: what is added for a row that ends in
it. The children of place i are 2i + 1 and 2i + 2.

Sums of round 1 are counts of the fine cells of each number. Those of every other round are, for one
level of a tree, Σ gradients of each (node, cell), then Σ second derivatives, in units of 2⁻²⁴ (in
steps of the noise's lattice, if there is any). The cells of a node are those of each number (its
bins, then one for missing values), then two of each indicator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.tree_families import CELLS, NODE, RowSteps, XgboostModel

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]
Vector = NDArray[np.float64]

UNIT: Final = 1 << 24
"""Steps of the fixed point in which derivatives are added up."""
LIMIT: Final = 1 << 50
"""Largest number that one party adds up: sums of all parties stay within 64 bits."""
STEEPEST: Final = 64
"""Gradients of the squared loss are cut to ±64 half-widths of the label's bounds."""
DEVIATIONS: Final = 4.0
"""Standard deviations of a cell's noise that a side of a split weighs at least."""
NEVER: Final = float(np.finfo(np.float32).max)
"""An edge that no value reaches: of a bin that is not used."""
LEAF, OPEN = 0.0, -1.0
KIND, BIN, MISSING, VALUE = range(NODE)
KNOWN, DONE, LEVEL = range(3)


@dataclass(frozen=True)
class Noised:
    """How a job's histograms are noised.

    Args:
        steps: what a row adds at most, in steps of the lattice.
        rows: declared of all parties: what one party adds to a cell is cut to as many.
        parties: of the roster.
        deviation: σ of the noise in a cell of the sum, in steps.
        support: its largest magnitude.
    """

    steps: RowSteps
    rows: int
    parties: int
    deviation: float
    support: int


@dataclass(frozen=True)
class Layout:
    """The sizes of a job's trees.

    Args:
        model: the hyper-parameters.
        trees: of the whole model.
        numbers: inputs that are numbers; they come first.
        indicators: inputs that are 0 or 1.
        bounds: the least and the largest value of each number, as the model sees it.
        rate: η, by which leaves are shrunk.
        start: where the trees begin: log-odds, or the scaled number.
        squared: whether the loss is squared, not logistic.
        gaps: of each number, whether it may be missing.
        noised: how its sums are noised; None if they are exact.
    """

    model: XgboostModel
    trees: int
    numbers: int
    indicators: int
    bounds: tuple[tuple[float, float], ...]
    rate: float
    start: float
    squared: bool
    gaps: tuple[bool, ...]
    noised: Noised | None = None

    @property
    def width(self) -> int:
        """The number of inputs."""
        return self.numbers + self.indicators

    @property
    def cells(self) -> int:
        """The cells of one node."""
        return self.model.slots(self.numbers, self.indicators)

    @property
    def widest(self) -> int:
        """The most nodes of a level that is added up."""
        return 1 << (self.model.max_depth - 1)

    @property
    def length(self) -> int:
        """The length of the sums of a round."""
        return self.model.sums(self.numbers, self.indicators)

    @property
    def fine(self) -> int:
        """The fine cells of a number."""
        return self.model.bins * CELLS

    @property
    def offsets(self) -> NDArray[np.int64]:
        """The first cell of each input, (width,)."""
        sizes = [self.model.bins + 1] * self.numbers + [2] * self.indicators
        return np.cumsum([0, *sizes[:-1]])[: self.width].astype(np.int64)

    @property
    def steepest(self) -> float:
        """The largest second derivative of one row."""
        return 1.0 if self.squared else 0.25

    @property
    def unit(self) -> int:
        """Steps of the fixed point in which derivatives are added up."""
        return UNIT if self.noised is None else self.noised.steps.unit

    @property
    def least(self) -> float:
        """The smallest sum of second derivatives on a side of a split: noise alone is less."""
        own = self.model.min_child_weight
        if self.noised is None:
            return own
        return max(own, DEVIATIONS * self.noised.deviation / self.noised.steps.unit)


@dataclass(frozen=True)
class Parts:
    """The tensors of a model; views where the vector is one array.

    Args:
        edges: (numbers, bins − 1).
        nodes: (trees, places, 4).
        progress: (3,).
    """

    edges: Floats
    nodes: Floats
    progress: Floats

    @property
    def known(self) -> bool:
        """Whether edges are known."""
        return bool(self.progress[KNOWN])

    @property
    def done(self) -> int:
        """How many trees are whole."""
        return int(self.progress[DONE])

    @property
    def level(self) -> int:
        """How many levels the next tree has."""
        return int(self.progress[LEVEL])


def split_sums(layout: Layout, sums: Whole) -> tuple[Whole, Whole]:
    """Return Σ gradients and Σ second derivatives of a level, (widest, cells) each; views."""
    half = layout.widest * layout.cells
    shape = (layout.widest, layout.cells)
    return sums[:half].reshape(shape), sums[half : 2 * half].reshape(shape)


def parts_of(layout: Layout, vector: Floats) -> Parts:
    """Return the tensors of a model, in the order of their names.

    Args:
        layout: the job's.
        vector: float32, the model's numbers.
    """
    edges = layout.numbers * (layout.model.bins - 1)
    nodes = max(layout.trees, 1) * layout.model.nodes * NODE
    return Parts(
        vector[:edges].reshape(layout.numbers, layout.model.bins - 1),
        vector[edges : edges + nodes].reshape(max(layout.trees, 1), layout.model.nodes, NODE),
        vector[edges + nodes : edges + nodes + 3],
    )
