"""The family `xgboost`: gradient boosted trees from histograms that all parties add up.

| learns   | how                                                                                |
|----------|------------------------------------------------------------------------------------|
| binary   | logistic loss; the trees' sum is the log-odds of the positive class                |
| a number | half the squared error of the label, scaled to its bounds                          |

Names and meaning of the hyper-parameters are those of Chen and Guestrin (2016), section 2;
`plan.rounds` is the number of trees, `plan.learning_rate` the shrinkage η of each. What is compared
with `gamma` is the gain of their equation 7, which has a factor ½; the library of that name
compares twice that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, UNLESS_NONE
from secureflow.domain.specs.tensors import Tensors, TensorSpec

TREES: Final = "xgboost"
"""The family's name."""
NODE: Final = 4
"""Numbers of a node in a model: what it is, its bin, where missing values go, its value."""
PROGRESS: Final = 3
"""Numbers that say how far the trees are: edges known, trees done, levels of the next one."""
CELLS: Final = 16
"""Cells of the fine histogram, from which edges are chosen, for each bin."""
MAX_LEVELS: Final = 9_999
"""Most levels of all trees of a job together: each is a round."""
MAX_CELLS: Final = 1 << 24
"""Most cells of the histograms of a level: everybody holds some copies of them in memory."""


@dataclass(frozen=True)
class XgboostModel:
    """Gradient boosted trees.

    Args:
        family: `xgboost`.
        max_depth: of a tree: its levels of splits.
        bins: into which the values of each number are cut, at edges that all parties share.
        reg_lambda: λ, the penalty on the squares of the leaves' values.
        gamma: γ, the gain that a split must exceed.
        min_child_weight: the smallest sum of second derivatives on either side of a split.
        base_score: where the trees begin: the chance of the positive class, or the number itself;
            by default ½, or the middle of the label's bounds.
        min_node_rows: a node that may have fewer rows is not split again.
    """

    __pydantic_config__ = STRICT
    family: Literal["xgboost"]
    max_depth: Annotated[int, Field(ge=1, le=10)] = 6
    bins: Annotated[int, Field(ge=2, le=256)] = 64
    reg_lambda: Annotated[float, Field(ge=0.0, le=1e6)] = 1.0
    gamma: Annotated[float, Field(ge=0.0, le=1e6)] = 0.0
    min_child_weight: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    base_score: Annotated[float | None, UNLESS_NONE] = None
    min_node_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    l2: ClassVar[float] = 0.0

    @property
    def nodes(self) -> int:
        """Places of a tree, in the order of its levels."""
        return (2 << self.max_depth) - 1

    def tensors(self, inputs: int, outputs: int) -> Tensors:
        """Return the tensors of one tree without numbers: `trees_tensors` knows the rest."""
        del inputs, outputs
        return self.trees_tensors(1, 0)

    def trees_tensors(self, trees: int, numbers: int) -> Tensors:
        """Return the tensors of so many trees over so many numbers, in the order of their names."""
        edges = (TensorSpec("edges", (numbers, self.bins - 1)),) if numbers else ()
        nodes = TensorSpec("nodes", (max(trees, 1), self.nodes, NODE))
        return (*edges, nodes, TensorSpec("progress", (PROGRESS,)))

    def slots(self, numbers: int, indicators: int) -> int:
        """Return the cells of one node's histogram: a missing number has one of its own."""
        return numbers * (self.bins + 1) + 2 * indicators

    def sums(self, numbers: int, indicators: int) -> int:
        """Return the length of what a party adds up for a level: first and second derivatives."""
        level = 2 * (1 << (self.max_depth - 1)) * self.slots(numbers, indicators)
        return max(level, numbers * self.bins * CELLS)

    def levels(self, trees: int) -> int:
        """Return the rounds of so many trees: one that agrees on edges, and one for each level."""
        return 1 + trees * self.max_depth


@dataclass(frozen=True)
class RowSteps:
    """What one row may add to a cell under differential privacy, in steps of the lattice.

    Args:
        unit: of a derivative of 1; a multiple of 4.
        slope: of the largest gradient.
        curve: of the largest second derivative.
        count: of the row itself, in round 1.
    """

    unit: int
    slope: int
    curve: int
    count: int
