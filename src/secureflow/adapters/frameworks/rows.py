"""Prepared rows for code of others: one file that its process maps, and nothing else of the worker.

The file is a length (8 bytes, little-endian), so many bytes of JSON `{name: [dtype, shape, start]}`
and the arrays, C-contiguous and little-endian, `start` bytes from its beginning. Names are
`training/…` and `validation/…`:

| array       | of the rows                                                                  |
|-------------|------------------------------------------------------------------------------|
| `inputs`    | float32 (rows, width) of numbers, scaled, and categories, one-hot; absent in |
|             | a job that has none of them                                                  |
| an image's  | float32 (rows, height, width, channels), by the name of its column: values   |
| column      | / 255, or by the spec's mean and std                                         |
| an array's  | float32 (rows, *shape): from its bounds to −1 … 1                            |
| a text's    | int32 (rows, length): the numbers of its tokens in order, padded with 0      |
| `labels`    | int64 (rows,) the place of the class; float32 for a number; absent without   |
| `weights`   | float32 (rows,) how much each row counts; absent if all count alike          |
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.frameworks.numpy_runner import NumpyRunner
from secureflow.domain.specs.bundle_family import INPUTS
from secureflow.domain.specs.inputs import TextFeature
from secureflow.domain.specs.targets import NumberLabel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import Columns, EncodedRows

_ALIGNED: Final = 64
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
        at, places = 0, {}
        for name, (dtype, shape, _) in arrays.items():
            places[name] = (dtype, shape, at)
            at += -(-dtype.itemsize * int(np.prod(shape)) // _ALIGNED) * _ALIGNED
        first = _first(places)
        with path.open("r+b" if path.exists() else "wb", 0) as file:
            file.truncate(0)
            file.write(_header(places, first))
            for name, (dtype, _, values) in arrays.items():
                file.seek(first + places[name][2])
                _write(file, values, dtype)
            file.truncate(first + at)
        return np.array(self.rows, np.float64)

    def described(self) -> str:
        """Return what the written training rows are: names, dtypes and shapes."""
        parts = ((*name.partition("/")[::2], *told) for name, told in self._written.items())
        return ", ".join(
            f"{name}: {dtype.name} {list(shape)}"
            for part, name, dtype, shape in parts
            if part == "training"
        )

    def _arrays(
        self, moments: Sequence[float] | None
    ) -> Iterator[tuple[str, tuple[np.dtype[Any], tuple[int, ...], Any]]]:
        for part, (inputs, labels, weights) in self._parts(moments).items():
            for name, dtype, shape, values in self._inputs(inputs):
                yield f"{part}/{name}", (dtype, (len(labels), *shape), values)
            if self._labelled:
                yield f"{part}/labels", (self._label, (len(labels),), labels)
            if weights is not None:
                yield f"{part}/weights", (np.dtype("<f4"), (len(labels),), weights)

    def _inputs(
        self, rows: NDArray[np.float32] | EncodedRows
    ) -> Iterator[tuple[str, np.dtype[Any], tuple[int, ...], NDArray[np.float32] | EncodedRows]]:
        """Yield what the rows hold beside labels: a table, and each other column in its shape."""
        if not isinstance(rows, EncodedRows) or not rows.tensors:
            yield INPUTS, np.dtype("<f4"), (_width(rows),), rows
            return
        table = replace(rows, tensors=())
        if table.width:
            yield INPUTS, np.dtype("<f4"), (table.width,), table
        nothing = np.zeros((len(rows), 0))
        bare = EncodedRows(nothing.astype(np.float32), nothing.astype(np.int32), ())
        for feature, one in zip(self._beside, rows.tensors, strict=True):
            text = isinstance(feature, TextFeature)
            shape = (feature.length,) if isinstance(feature, TextFeature) else feature.shape
            dtype = np.dtype("<i4" if text else "<f4")
            yield feature.column, dtype, shape, replace(bare, tensors=(one,))

    def _parts(self, moments: Sequence[float] | None) -> dict[str, _Part]:
        if self._private_rows is not None:
            training, validation = self._private_rows
            return {
                "training": (*training, training[0].weights),
                "validation": (*validation, validation[0].weights),
            }
        (inputs, labels), (valid, known) = self._matrices(moments)
        return {"training": (inputs, labels, self._weights), "validation": (valid, known, None)}


def _width(inputs: NDArray[np.float32] | EncodedRows) -> int:
    return inputs.width if isinstance(inputs, EncodedRows) else int(inputs.shape[1])


def _first(places: dict[str, Any]) -> int:
    """Return where the arrays begin: behind the longest header that they can have."""
    longest = 8 + len(json.dumps({name: [one[0].str, one[1], 1 << 62]
                                  for name, one in places.items()}))  # fmt: skip
    return -(-longest // _ALIGNED) * _ALIGNED


def _header(places: dict[str, Any], first: int) -> bytes:
    told = {name: [one[0].str, one[1], first + one[2]] for name, one in places.items()}
    text = json.dumps(told).encode()
    return len(text).to_bytes(8, "little") + text


def _write(file: BinaryIO, values: Any, dtype: np.dtype[Any]) -> None:
    """Write an array; encoded rows are made for a few rows at a time."""
    if isinstance(values, EncodedRows):
        for rows in values.blocks():
            _write(file, values[rows], dtype)
        return
    view = memoryview(np.ascontiguousarray(values, dtype).reshape(-1).view(np.uint8).data)
    while view:
        view = view[file.write(view) :]
