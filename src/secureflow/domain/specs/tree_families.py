"""The family `xgboost`: gradient boosted trees, of all parties' histograms or of one party each.

| learns   | how                                                                                |
|----------|------------------------------------------------------------------------------------|
| binary   | logistic loss; the trees' sum is the log-odds of the positive class                |
| a number | half the squared error of the label, scaled to its bounds                          |

Names and meaning of the hyper-parameters are those of Chen and Guestrin (2016), section 2;
`plan.rounds` is the number of trees, `plan.learning_rate` the shrinkage η of each. What is compared
with `gamma` is the gain of their equation 7, which has a factor ½; the library of that name
compares twice that.

| mode        | a round adds                                                                    |
|-------------|---------------------------------------------------------------------------------|
| `histogram` | one level of the tree that all rows in one place would give                     |
| `bagging`   | a tree of each party, from its own rows; each counts as one of so many          |
| `cyclic`    | a tree of the party whose turn it is, from its own rows                         |

`bagging` and `cyclic` are FedXgbBagging and FedXgbCyclic of Flower, and NVFlare's tree-based modes:
whole trees travel, and each released one is of a single party.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Final, Literal

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
LEAF_ROWS: Final = 20
"""Fewest rows of a leaf of one party's tree, unless a job says otherwise: its value is close to the
mean label of these rows. Research data centres commonly ask for 10 units behind a mean (SDAP 2019,
Handbook on Statistical Disclosure Control for Outputs); the next trees tell more of these rows."""

Mode = Literal["histogram", "bagging", "cyclic"]


def _default(value: Any) -> bool:
    return value in {"histogram", 1.0, LEAF_ROWS}


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
        min_node_rows: a node that may have fewer rows is not split again; of `histogram`.
        mode: whose rows a tree is grown from.
        subsample: the share of a party's rows, drawn anew for each of its own trees.
        min_leaf_rows: fewest rows in each leaf of a party's own tree.
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
    mode: Annotated[Mode, Field(exclude_if=_default)] = "histogram"
    subsample: Annotated[float, Field(gt=0.0, le=1.0, exclude_if=_default)] = 1.0
    min_leaf_rows: Annotated[int, Field(ge=5, le=1_000_000, exclude_if=_default)] = LEAF_ROWS
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
        """Return the length of what a party sends in a round: sums of a level, or its tree."""
        sent = self.nodes * NODE if self.own else self.level(numbers, indicators)
        return max(sent, numbers * self.bins * CELLS)

    def level(self, numbers: int, indicators: int) -> int:
        """Return the cells of a level's histograms: of first and of second derivatives."""
        return 2 * (1 << (self.max_depth - 1)) * self.slots(numbers, indicators)

    def levels(self, trees: int) -> int:
        """Return the rounds of so many trees: one that agrees on edges, and one for each level.

        A party's own tree is whole after one.
        """
        return 1 + trees * (1 if self.own else self.max_depth)

    @property
    def own(self) -> bool:
        """Whether a party grows a tree by itself, which is released as it is."""
        return self.mode != "histogram"

    def each(self, parties: int) -> int:
        """Return the places for trees that a round of the plan has."""
        return parties if self.mode == "bagging" else 1

    def grown(self, rounds: int, parties: int) -> tuple[XgboostModel, int]:
        """Return what a released model is, however its trees were grown, and their number."""
        plain = replace(self, mode="histogram", subsample=1.0, min_leaf_rows=LEAF_ROWS)
        return plain, rounds * self.each(parties)


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
