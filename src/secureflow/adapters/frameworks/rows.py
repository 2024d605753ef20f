"""Prepared rows of a training job, for the code of others that trains (`rowsfile`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.frameworks.numpy_runner import NumpyRunner
from secureflow.adapters.frameworks.rowsfile import Array, write_arrays
from secureflow.domain.specs.targets import NumberLabel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import Columns, EncodedRows
from secureflow.engines.preparation.coderows import code_rows

_Part = tuple[NDArray[np.float32] | EncodedRows, NDArray[np.float32], NDArray[np.float32] | None]


class RowsRunner(NumpyRunner):
    """Prepares a party's rows for a bundle; it does not train.

    Args:
        spec: the job's spec.
        columns: the rows of the party's dataset.
        secret: the party's, from which its validation rows are drawn.

    Raises:
        SecureFlowError: as `NumpyRunner`.
    """

    def __init__(
        self,
        spec: TrainingSpec,
        columns: Columns | None,
        secret: bytes = b"",
        held: NDArray[np.bool_] | None = None,
    ) -> None:
        super().__init__(spec, columns, secret, held)
        label = spec.features.label if spec.features else None
        self._beside = spec.features.beside if spec.features else ()
        self._written: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
        self._labelled = label is not None
        self._label = np.dtype("<f4" if isinstance(label, NumberLabel) else "<i8")

    def write_rows(self, path: Path, moments: Sequence[float] | None) -> NDArray[np.float64]:
        """Write the rows; return how many train and how many validate.

        Args:
            path: the file, which is written over.
            moments: the released federated sums, or None if the spec needs none.
        """
        arrays = dict(self._arrays(moments))
        self._written = {name: (dtype, shape) for name, (dtype, shape, _) in arrays.items()}
        write_arrays(path, arrays)
        return np.array(self.rows, np.float64)

    def described(self) -> str:
        """Return what the written training rows are: names, dtypes and shapes."""
        parts = ((*name.partition("/")[::2], *told) for name, told in self._written.items())
        return ", ".join(
            f"{name}: {dtype.name} {list(shape)}"
            for part, name, dtype, shape in parts
            if part == "training"
        )

    def _arrays(self, moments: Sequence[float] | None) -> Iterator[tuple[str, Array]]:
        for part, (inputs, labels, weights) in self._parts(moments).items():
            for name, dtype, shape, values in code_rows(inputs, self._beside):
                yield f"{part}/{name}", (dtype, (len(labels), *shape), values)
            if self._labelled:
                yield f"{part}/labels", (self._label, (len(labels),), labels)
            if weights is not None:
                yield f"{part}/weights", (np.dtype("<f4"), (len(labels),), weights)

    def _parts(self, moments: Sequence[float] | None) -> dict[str, _Part]:
        if self._private_rows is not None:
            training, validation = self._private_rows
            return {
                "training": (*training, training[0].weights),
                "validation": (*validation, validation[0].weights),
            }
        (inputs, labels), (valid, known) = self._matrices(moments)
        return {"training": (inputs, labels, self._weights), "validation": (valid, known, None)}
