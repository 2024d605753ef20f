"""Trees at a party: a round adds up the histograms of one level, or grows a tree of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.frameworks.numpy_runner import NumpyRunner
from secureflow.engines.sealing.wiretypes import DTYPES
from secureflow.engines.training.boosted import BoostedTrees
from secureflow.engines.training.private import private_sums
from secureflow.engines.trees.layout import parts_of
from secureflow.engines.trees.owngrowing import own_tree
from secureflow.engines.trees.rows import Rows

_Made = tuple[Rows, Rows]


class TreeRunner(NumpyRunner):
    """A `FrameworkRunner` for one job of trees; see `NumpyRunner`.

    Rows are split and prepared as for every family. Bins and margins are kept between rounds, and
    made again where a model comes that they do not belong to; of a private job they are made anew
    for a few rows at a time.
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
        """Write the sums of a level, or a tree, as int64, and return the sums of the figures."""
        del state
        parameters = self._load(model)
        if self._private_rows is not None:
            _write(update, self._trees.private_histograms(parameters, *self._private_rows[0]))
            return private_sums(self._spec, seed)
        training, validation = self._trees_rows(moments)
        layout = self._trees.layout
        if layout.model.own and parts_of(layout, parameters).known:
            sums = own_tree(training, parameters, seed)
        else:
            sums = training.sums(parameters)
        _write(update, sums)
        return self._sums(self._figures(parameters, validation))

    def evaluate(
        self,
        model: Path,
        moments: Sequence[float] | None,
        seed: bytes,
        own: tuple[Path | None, Path] | None = None,
    ) -> NDArray[np.float64]:
        """Return the sums of the figures of the whole trees; noised, or none, if private."""
        del own
        if self._spec.privacy is not None:
            return self._measured(model, seed)
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
            most = self._spec.limits.max_weight
            self._rows_of_trees = (
                Rows(layout, np.asarray(training[0]), training[1], most),
                Rows(layout, np.asarray(validation[0]), validation[1]),
            )
        return self._rows_of_trees


def _write(update: Path, sums: NDArray[np.int64]) -> None:
    update.write_bytes(sums.astype(DTYPES["int64"], copy=False).data)
