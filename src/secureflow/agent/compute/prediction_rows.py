"""In the worker: the rows of a prediction, and the file of what a model says of them.

The file is Parquet. Its columns are the row's number, those of the owner that stand beside it, and
the outputs (`PredictionSpec.titles`), row by row as the owner's file has them. No row is left out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from secureflow.adapters.frameworks.rowsfile import write_unlabelled
from secureflow.agent.compute.predicted_outputs import OutputsFile
from secureflow.domain.specs.base import spec_digest
from secureflow.domain.specs.prediction import ROW, PredictionSpec
from secureflow.domain.specs.sklearn_families import has_chances
from secureflow.domain.specs.targets import PREDICTED, chance_titles, score_titles
from secureflow.engines.preparation import Columns, EncodedRows, encode_rows
from secureflow.engines.preparation.recipe import apply_recipe, prepared_columns
from secureflow.engines.training.basemodel import family_beside
from secureflow.engines.training.foreign_outputs import outputs_from, returned_shape
from secureflow.engines.training.models import row_cells, token_numbers
from secureflow.engines.training.scoring import (
    model_outputs,
    model_rows,
    scored_moments,
    scored_parameters,
    told,
)
from secureflow.kit.canonical import canonical_bytes

_GROUP: Final = 1 << 16
"""Rows of a group of the file."""
_ABOUT: Final = b"secureflow"
"""The key of the file's metadata: canonical JSON of the job, its spec's digest, and the model's."""


class PredictionRows:
    """The rows of a prediction.

    Args:
        job: job id.
        spec: checked.
        columns: every column that the spec names.
        strict: whether a cell that fits nothing is an error; otherwise nothing is predicted of its
            row, and no row ends the job.

    Raises:
        SecureFlowError: if strict those of rows that do not fit, which are prepared once to find
            them.
    """

    def __init__(self, job: str, spec: PredictionSpec, columns: Columns, *, strict: bool) -> None:
        self._job = job
        self._spec = spec
        self._columns = columns
        self._strict = strict
        self.count = len(next(iter(columns.values())))
        if strict:
            self._prepared()

    def write(self, model: Path, result: Path) -> NDArray[np.int64]:
        """Write the file; return how many rows it has, and of how many nothing is predicted.

        Raises:
            SecureFlowError: `model_length_wrong`.
        """
        scored = self._spec.model
        parameters = scored_parameters(scored, model.read_bytes())
        rows, unfit = self._prepared()
        label = scored.features.label
        outputs = model_outputs(family_beside(scored.trained, model), parameters, rows, label)
        return self._write(outputs, unfit, result)

    def write_rows(self, path: Path) -> NDArray[np.int64]:
        """Write the rows for the code that computes the model; return how many there are."""
        rows, _ = self._prepared()
        write_unlabelled(path, rows, self._spec.features.beside)
        return np.array([self.count], np.int64)

    def write_told(self, outputs: Path, result: Path) -> NDArray[np.int64]:
        """Write the file of what code says of the rows; returns the same counts as `write`.

        Args:
            outputs: a file of `predicted_outputs`.
            result: the file.

        Raises:
            ValueError: the file is of another number of rows.
        """
        label = self._spec.model.features.label
        said = OutputsFile(outputs, returned_shape(label, self.count)).read()
        found = outputs_from(label, said)
        return self._write(found, np.zeros(self.count, np.bool_), result)

    def _write(
        self, outputs: NDArray[np.float32], unfit: NDArray[np.bool_], result: Path
    ) -> NDArray[np.int64]:
        table = self._table(outputs, unfit)
        with result.open("wb") as file:
            pq.write_table(table, file, row_group_size=_GROUP, compression="zstd")
        return np.array([self.count, int(unfit.sum())], np.int64)

    def _prepared(self) -> tuple[EncodedRows, NDArray[np.bool_]]:
        """Return the rows as the model sees them, and which of them it cannot see."""
        spec = self._spec.reads
        features, moments = self._spec.features, scored_moments(self._spec.model)
        unfit = np.zeros(self.count, np.bool_)
        if self._strict:
            return model_rows(spec, moments, prepared_columns(features, self._columns)), unfit
        if (recipe := features.recipe) is not None:
            for values in apply_recipe(recipe, self._columns, strict=False).values():
                unfit |= np.isnan(values)
        rows, _ = encode_rows(features, moments, self._columns, numbers=token_numbers(spec))
        return replace(rows, cells=row_cells(spec)), unfit

    def _table(self, outputs: NDArray[np.float32], unfit: NDArray[np.bool_]) -> pa.Table:
        arrays: dict[str, pa.Array] = {ROW: pa.array(np.arange(1, self.count + 1, dtype=np.int64))}
        for name in self._spec.columns:
            arrays[name] = _own(self._columns[name])
        found = self._outputs(outputs)
        for name in self._spec.titles:
            arrays[name] = pa.array(found[name], mask=unfit, type=_type(found[name]))
        about = {
            "job": self._job, "model": self._spec.model.digest, "spec": spec_digest(self._spec),
        }  # fmt: skip
        return pa.table(arrays).replace_schema_metadata({_ABOUT: canonical_bytes(about)})

    def _outputs(self, outputs: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Return every column of outputs by its title, whether or not it is asked for."""
        label, model = self._spec.model.features.label, self._spec.model.model
        found = told(label, outputs, likely=has_chances(model))
        wanted = {PREDICTED, *chance_titles(label)}
        scores = score_titles(label)
        columns = {name: outputs[:, at] for at, name in enumerate(scores)}
        return {**columns, **{name: one for name, one in found.items() if name in wanted}}


def _own(values: NDArray[Any]) -> pa.Array:
    """Return an owner's column as it was read: numbers (NaN is missing), or texts."""
    if values.dtype.kind == "f":
        return pa.array(values, pa.float64(), from_pandas=True)
    return pa.array(values, pa.string())


def _type(values: NDArray[Any]) -> pa.DataType:
    return pa.string() if values.dtype.kind == "O" else pa.from_numpy_dtype(values.dtype)
