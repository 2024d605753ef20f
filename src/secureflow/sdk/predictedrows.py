"""Predictions beside the rows that they are of: ids stay as they are, in the table that they had.

| target  | `predicted`                                | further columns                    |
|---------|--------------------------------------------|------------------------------------|
| binary  | bool: whether the positive class is likelier | `P(COLUMN=POSITIVE)`, float32    |
| classes | string: the likeliest class                | `P(COLUMN=CLASS)` of each, float32 |
| number  | float64, in the label's unit               | –                                  |
| none    | int64: the nearest cluster, from 0         | –                                  |

A model whose outputs have no probability (`hinge`) has `predicted` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.targets import PREDICTED, ClassesLabel, Label, chance_titles
from secureflow.domain.specs.training import FeatureSpec
from secureflow.engines.training.scoring import told
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.sdk.inputrows import as_known


class Predicting(Protocol):
    """What a `Predictor` can do."""

    features: FeatureSpec

    @property
    def has_chances(self) -> bool:
        """Whether outputs have a probability."""

    def outputs(self, rows: Any) -> NDArray[np.float32]:
        """Return what the model computes before any link, float32 of shape (rows, outputs)."""


def prediction_columns(model: Predicting) -> tuple[str, ...]:
    """Return the names of the columns that a model adds."""
    likely = model.has_chances
    return (PREDICTED, *(chance_titles(model.features.label) if likely else ()))


def predictions(model: Predicting, rows: Any) -> dict[str, Any]:
    """Return the columns that a model adds, by name: arrays of shape (rows,).

    Raises:
        SecureFlowError: as `Predictor.predict`.
    """
    return told(model.features.label, model.outputs(rows), likely=model.has_chances)


def prediction_types(model: Predicting) -> dict[str, Any]:
    """Return the Arrow types of the columns that a model adds, by name."""
    import pyarrow as pa  # only tables need it

    label = model.features.label
    first = pa.int64()
    if isinstance(label, Label | ClassesLabel):
        first = pa.bool_() if isinstance(label, Label) else pa.string()
    elif label is not None:
        first = pa.float64()
    names = prediction_columns(model)
    return dict(zip(names, (first, *(pa.float32() for _ in names[1:])), strict=True))


def passed_through(
    model: Predicting, present: Iterable[str], ids: Sequence[str], *, keep_all: bool
) -> tuple[str, ...]:
    """Return the columns of the rows that the answer has, in its order.

    Args:
        model: which adds columns.
        present: the columns of the rows.
        ids: the columns that are asked for.
        keep_all: whether all others follow them.

    Raises:
        SecureFlowError: `missing_column` for an id that is not there; `invalid_rows` for one that
            is there twice, or called as a column that the model adds.
    """
    names = list(present)
    for name in ids:
        if name not in names:
            raise SecureFlowError(
                "missing_column",
                Text("The column {name!r} is missing from the data.", name=name),
                Text("The rows have the columns: {columns}.", columns=", ".join(names[:20])),
                {"column": name},
            )
    kept = tuple(dict.fromkeys((*ids, *(names if keep_all else ()))))
    added = set(prediction_columns(model))
    for name in kept:
        if name in added or names.count(name) > 1:
            raise SecureFlowError(
                "invalid_rows",
                Text("The answer would have two columns {name!r}.", name=name),
                "Rename the column, or leave it out of what is passed through.",
                {"column": name},
            )
    return kept


def predicted_frame(
    model: Predicting, rows: Any, ids: Sequence[str] = (), *, keep_all: bool = False
) -> Any:
    """Return predictions as a table of the kind of the rows: see `Predictor.predict_frame`."""
    ids = (ids,) if isinstance(ids, str) else tuple(ids)
    if hasattr(rows, "iloc") and hasattr(rows, "columns"):
        kept = passed_through(model, rows.columns, ids, keep_all=keep_all)
        return rows[list(kept)].assign(**predictions(model, rows))
    import pyarrow as pa  # beside pandas frames all answers are Arrow tables

    passes, rows = bool(ids) or keep_all, as_known(rows)
    if isinstance(rows, pa.RecordBatch):
        rows = pa.Table.from_batches([rows])
    elif isinstance(rows, np.ndarray) and rows.ndim == 2 and passes:
        rows = dict(zip(model.features.inputs, rows.T, strict=False))
    elif not isinstance(rows, pa.Table | Mapping | np.ndarray) and hasattr(rows, "__iter__"):
        rows = list(rows)
    answers, types = predictions(model, rows), prediction_types(model)
    table = _kept(model, rows, ids, keep_all) if passes else pa.table({})
    columns = dict(zip(table.column_names, table.columns, strict=True))
    return pa.table(columns | {name: pa.array(answers[name], types[name]) for name in types})


def _kept(model: Predicting, rows: Any, ids: Sequence[str], keep_all: bool) -> Any:
    """Return the columns of rows that are passed through, as an Arrow table.

    Raises:
        SecureFlowError: as `passed_through`; `invalid_rows` for a column of values that have no
            common type.
    """
    import pyarrow as pa

    if isinstance(rows, pa.Table):
        return rows.select(list(passed_through(model, rows.column_names, ids, keep_all=keep_all)))
    by_name = isinstance(rows, Mapping)
    names = list(rows) if by_name else dict.fromkeys(name for record in rows for name in record)
    columns: dict[str, Any] = {}
    for name in passed_through(model, names, ids, keep_all=keep_all):
        cells = rows[name] if by_name else [record.get(name) for record in rows]
        try:
            columns[name] = pa.array(cells)
        except (pa.ArrowException, OverflowError) as error:
            raise SecureFlowError(
                "invalid_rows",
                Text(
                    "The column {name!r} cannot be passed through: its values have no common type.",
                    name=name,
                ),
                "Give its values one type, or leave it out.",
                {"column": name},
            ) from error
    return pa.table(columns)
