"""Gradient boosted trees as a family: what `engines.trees` computes, behind `ModelFamily`.

Its rounds are not those of a mean: a party adds up histograms (`adapters.frameworks.tree_runner`),
and the next model is grown from their sum (`strategies.next_state`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import EncodedRows
from secureflow.engines.training.measures import Measured, measure_of
from secureflow.engines.training.pull import Pull
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.forest import margins_of
from secureflow.engines.trees.layout import parts_of
from secureflow.engines.trees.private import cap
from secureflow.engines.trees.rows import Rows

Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]
Float = NDArray[np.float64]


class BoostedTrees(Measured):
    """`ModelFamily`.

    Args:
        spec: the job's spec.
    """

    needs_data: Final = True
    reproducible: Final = True

    def __init__(self, spec: TrainingSpec) -> None:
        self.layout = layout_of(spec)
        self._measure = measure_of(spec)

    @property
    def spread(self) -> tuple[float, float]:
        """The centre and the unit of binary outputs: log-odds around the start."""
        return (0.0, 1.0) if self.layout.squared else (self.layout.start, 1.0)

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
        """Trees are grown from sums, not trained by a party."""
        del spec, parameters, inputs, labels, seed, weights, pull
        raise AssertionError

    def clipped_sum(
        self, parameters: Float, inputs: Float, labels: Float, clip: float, weights: Float | None
    ) -> Float:
        """No gradient of trees is clipped: their rows are added up by `private_histograms`."""
        del parameters, inputs, labels, clip, weights
        raise AssertionError

    def private_histograms(
        self, model: Vector, inputs: EncodedRows, labels: Vector
    ) -> NDArray[np.int64]:
        """Return what a party's rows add to a round of a private job, without noise, (length,).

        Rows are made a few at a time, with their bins and margins, so that nothing in one makes it
        fail, and memory follows from the job alone (`preparation.encoded`).
        """
        if self.layout.noised is None:
            raise AssertionError  # the caller's job has a privacy part
        found = np.zeros(self.layout.length, np.int64)
        for rows in inputs.blocks():
            found += Rows(self.layout, inputs[rows], labels[rows]).sums(model)
        cap(self.layout, self.layout.noised, found, known=parts_of(self.layout, model).known)
        return found

    def metric_sums(
        self, spec: TrainingSpec, parameters: Vector, inputs: Matrix, labels: Vector
    ) -> Float:
        """Return the sums of `measures` for the whole trees of a model on these rows."""
        del spec
        return self.measured(margins_of(self.layout, parameters, inputs), labels)

    def measured(self, margins: Vector, labels: Vector) -> Float:
        """Return the sums of `measures` for what the trees say of rows."""
        return self._measure.sums(margins[:, None], labels, self.spread)

    def metric_steps(
        self, parameters: Vector, inputs: Matrix, labels: Vector, unit: int
    ) -> NDArray[np.int64]:
        """Return the steps of `measures`; each row's output is computed from it alone."""
        found = self.outputs(parameters, inputs)
        return self._measure.steps(found, labels, self.spread, unit)

    def outputs(self, parameters: Vector, inputs: Matrix) -> Matrix:
        """Return log-odds, or the scaled number, float32 (rows, 1)."""
        return margins_of(self.layout, parameters, inputs)[:, None]
