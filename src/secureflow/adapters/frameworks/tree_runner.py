"""Trees at a party: each round adds up the histograms of one level, as whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.frameworks.numpy_runner import NumpyRunner
from secureflow.engines.sealing.wiretypes import DTYPES
from secureflow.engines.training.boosted import BoostedTrees
from secureflow.engines.trees.rows import Rows

_Made = tuple[Rows, Rows]


class TreeRunner(NumpyRunner):
    """A `FrameworkRunner` for one job of trees; see `NumpyRunner`.

    Rows are split and prepared as for every family. Bins and margins are kept between rounds, and
    made again where a model comes that they do not belong to.
    """

    _rows_of_trees: _Made | None = None

    def train(
        self,
        model: Path,
        update: Path,
        moments: Sequence[float] | None,
        seed: bytes,
        state: tuple[Path | None, Path] | None = None,
    ) -> NDArray[np.float64]:
        """Write the sums of a level as int64, and return those of the figures."""
        del seed, state
        parameters = self._load(model)
        training, validation = self._trees_rows(moments)
        sums = training.sums(parameters)
        update.write_bytes(sums.astype(DTYPES["int64"], copy=False).data)
        return self._sums(self._figures(parameters, validation))

    def evaluate(
        self,
        model: Path,
        moments: Sequence[float] | None,
        seed: bytes,
        own: tuple[Path | None, Path] | None = None,
    ) -> NDArray[np.float64]:
        """Return the sums of the figures of the whole trees."""
        del seed, own
        return self._sums(self._figures(self._load(model), self._trees_rows(moments)[1]))

    def _figures(self, parameters: NDArray[np.float32], rows: Rows) -> NDArray[np.float64]:
        family = self._trees
        margins = rows.margins(parameters).astype(np.float32)
        return family.measured(margins, rows.labels.astype(np.float32))

    @property
    def _trees(self) -> BoostedTrees:
        if not isinstance(self._family, BoostedTrees):
            raise AssertionError(self._spec.model.family)  # `FRAMEWORKS` chose by it
        return self._family

    def _trees_rows(self, moments: Sequence[float] | None) -> _Made:
        if self._rows_of_trees is None:
            training, validation = self._matrices(moments)
            layout = self._trees.layout
            share = min(1.0, self._spec.limits.max_weight / max(1, self.rows[0]))
            self._rows_of_trees = (
                Rows(layout, np.asarray(training[0]), training[1], share),
                Rows(layout, np.asarray(validation[0]), validation[1]),
            )
        return self._rows_of_trees
