"""A party's rows: their bins, what the trees so far say of them, and the sums that a round adds up.

What is kept between rounds (bins, margins) follows from the model and is made again where another
model comes: repeats are bit-identical.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from secureflow.engines.trees.edges import binned, fine_counts
from secureflow.engines.trees.forest import add_trees, places_of
from secureflow.engines.trees.growing import open_nodes
from secureflow.engines.trees.layout import (
    LIMIT,
    STEEPEST,
    UNIT,
    Floats,
    Layout,
    Parts,
    Vector,
    Whole,
    parts_of,
)
from secureflow.kit.errors import SecureFlowError


def step_of(rows: int, most: int) -> int:
    """Return the steps of one unit of a row: fewer than `UNIT` if no more than `most` rows count.

    A multiple of 4, so that ¼ is whole; of all rows together no more than `most` · `UNIT`.
    """
    return UNIT if rows <= most else 4 * (UNIT // 4 * most // rows)


class Rows:
    """Some rows, and the margins of the newest model that was asked for.

    Args:
        layout: the job's.
        inputs: (rows, width), float32, NaN where a number is missing.
        labels: (rows,), 0 or 1, or the scaled number.
        most: how many rows count; of a party with more, all count less (`step_of`).
    """

    def __init__(
        self, layout: Layout, inputs: Floats, labels: Floats, most: int | None = None
    ) -> None:
        self.layout, self._most = layout, len(labels) if most is None else most
        private = layout.noised is not None
        self._step = layout.unit if private else step_of(len(labels), self._most)
        self._inputs, self.labels = inputs, labels.astype(np.float64)
        self._edges: Floats | None = None
        self._cells: Whole = np.zeros((0, 0), np.int64)
        self._ones: tuple[Whole, ...] = ()
        """Row and input of each indicator that is 1: most are 0, and follow from their node."""
        self._trees: Floats = np.zeros(0, np.float32)
        self._margins: Vector = np.zeros(0)
        self._derived: tuple[Whole, Whole] | None = None

    def margins(self, model: Floats) -> Vector:
        """Return what the whole trees of a model say of the rows, float64 (rows,)."""
        parts = parts_of(self.layout, model)
        self._bin(parts)
        done = min(parts.done, self.layout.trees)
        held = len(self._trees)
        if held > done or not np.array_equal(self._trees, parts.nodes[:held]):
            held = 0
        if not held:
            self._margins = np.full(len(self.labels), self.layout.start)
        if held != done or not done:
            add_trees(self.layout, parts, self._cells, self._margins, held, done)
            self._trees, self._derived = parts.nodes[:done].copy(), None
        return self._margins

    def sums(self, model: Floats) -> Whole:
        """Return what these rows add to the round that starts from a model, int64 (length,).

        Raises:
            SecureFlowError: `value_out_of_bounds` for more rows than can be added up.
        """
        layout, parts = self.layout, parts_of(self.layout, model)
        found = np.zeros(layout.length, np.int64)
        if not parts.known:
            counts = fine_counts(layout, self._inputs)
            step = 1 if layout.noised is None else layout.noised.steps.count
            found[: layout.numbers * layout.fine] = self._counted(counts) * step
            return found
        if len(places := open_nodes(layout, parts)) and len(self.labels):
            self._add_level(parts, model, places, found)
        if int(np.abs(found).max(initial=0)) > LIMIT:
            raise SecureFlowError(
                "value_out_of_bounds",
                "The rows are more than trees can add up.",
                "Use fewer rows.",
            )
        return found

    def _add_level(self, parts: Parts, model: Floats, places: Whole, found: Whole) -> None:
        layout, tree = self.layout, parts.nodes[parts.done]
        tables = self.histograms(tree, parts.level, places, self.derivatives(model))
        half = layout.widest * layout.cells
        for start, table in zip((0, half), tables, strict=True):
            found[start : start + table.size] = table.reshape(-1)

    def histograms(
        self, tree: Floats, level: int, places: Whole, values: Sequence[Whole]
    ) -> Iterator[Whole]:
        """Yield the sums of each of some vectors in the cells of a level, (2^level, cells).

        Args:
            tree: (places, 4), grown so far; the rows were binned (`margins`).
            level: of its next splits.
            places: the open nodes of the level.
            values: (rows,) each, whole.
        """
        layout = self.layout
        ends = places_of(layout, tree, self._cells, level)
        node_of = np.full(layout.model.nodes, -1)
        node_of[places] = places - ((1 << level) - 1)
        nodes = node_of[ends]
        rows = np.flatnonzero(nodes >= 0)
        held = np.flatnonzero(nodes[self._ones[0]] >= 0)
        ones_rows, ones = (one[held] for one in self._ones)
        numbers = slice(0, layout.numbers)
        at_numbers = layout.offsets[numbers] + self._cells[rows, numbers]
        at = np.concatenate([
            (nodes[rows, None] * layout.cells + at_numbers).reshape(-1),
            nodes[ones_rows] * layout.cells + layout.offsets[layout.numbers + ones] + 1,
        ])  # fmt: skip
        zeros = layout.offsets[layout.numbers :]
        width = 1 << level
        for one in values:
            # Sums below 2^53 are exact in float64.
            plain = one.astype(np.float64)
            weights = np.concatenate([np.repeat(plain[rows], layout.numbers), plain[ones_rows]])
            total = np.bincount(at, weights, minlength=width * layout.cells)
            table = total.astype(np.int64).reshape(width, layout.cells)
            whole = np.bincount(nodes[rows], plain[rows], minlength=width).astype(np.int64)
            if layout.noised is None:
                table[:, zeros] = whole[:, None] - table[:, zeros + 1]
            else:  # it stands for all of them
                table[:, zeros[:1]] = whole[:, None]
            yield table

    def derivatives(self, model: Floats) -> tuple[Whole, Whole]:
        """Return the rows' first and second derivatives of the loss, in steps of `UNIT`."""
        margins = self.margins(model)
        if self._derived is None:
            if self.layout.squared:
                first, second = margins - self.labels, np.ones(len(margins))
                first = np.clip(first, -STEEPEST, STEEPEST)
            else:
                chance = 1.0 / (1.0 + np.exp(-np.clip(margins, -80.0, 80.0)))
                first, second = chance - self.labels, chance * (1.0 - chance)
            # Rows that count less are cut, so that all together are within what may count.
            shrunk = self.layout.noised is None and self._step < UNIT
            rounded = np.trunc if shrunk else np.rint
            self._derived = (
                self._cut(rounded(first * self._step).astype(np.int64)),
                rounded(second * self._step).astype(np.int64),
            )
        return self._derived

    def _cut(self, first: Whole) -> Whole:
        """Return gradients, of a private job no larger than what is charged for a row.

        Second derivatives are at most ¼ or 1 by the loss, which is whole steps.
        """
        if self.layout.noised is None:
            return first
        slope = self.layout.noised.steps.slope
        return np.clip(first, -slope, slope)

    def _counted(self, counts: Whole) -> Whole:
        """Return counts of the fine cells that add up to no more rows than count."""
        rows, most = len(self.labels), self._most
        if rows <= most:
            return counts
        below = counts.reshape(self.layout.numbers, self.layout.fine).cumsum(axis=1)
        return np.diff(below * most // rows, axis=1, prepend=0).reshape(-1)

    def _bin(self, parts: Parts) -> None:
        if self._edges is None or not np.array_equal(self._edges, parts.edges):
            self._edges = parts.edges.copy()
            self._cells = binned(self.layout, parts.edges, self._inputs)
            self._ones = np.nonzero(self._cells[:, self.layout.numbers :])
            self._trees = np.zeros((0, *parts.nodes.shape[1:]), np.float32)
            self._derived = None
