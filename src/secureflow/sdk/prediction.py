"""Predicting with a released model, by the same code that prepared and trained it at the agents.

    model = Predictor.load("income.safetensors", card)
    model.predict([{"age": 41, "workclass": "Private", …}])
    model.predict_proba(frame)

| target  | `predict`                             | `predict_proba`                      |
|---------|---------------------------------------|--------------------------------------|
| binary  | 1 where the positive class is likelier | P(not positive), P(positive)        |
| classes | the likeliest class, as the spec lists it | a column for each class, in order |
| number  | the number, in the label's unit       | –                                    |
| none    | the nearest cluster, from 0           | –                                    |

`sgd_classifier` has probabilities for the loss `log_loss`.

Rows come as columns (name to array or list), a pyarrow table, a pandas frame (NumPy, nullable or
Arrow-backed), a list of dicts, or a two-dimensional array of numbers whose columns are the numeric
features, in the spec's order (for a model without categories). A missing value is None, NaN, or
pandas' NA; a column that the model does not use is ignored. Whole numbers and booleans of a
category, or of a text that a recipe reads, are read as the agents read them: as the text `1` or
`true`; so is 1.0, which pandas makes of a 1 in a column with missing cells, and a date as
`2001-12-31`; so is a time that a recipe splits. Images, arrays and other texts: `sdk.tensorrows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.families import LEARNS
from secureflow.domain.specs.recipe import Recipe
from secureflow.domain.specs.sklearn_families import has_chances
from secureflow.domain.specs.targets import NumberLabel
from secureflow.engines.preparation import feature_matrix, label_vector
from secureflow.engines.preparation.recipe import prepared_columns
from secureflow.engines.training.export import ModelFile, to_sklearn
from secureflow.engines.training.families import model_family
from secureflow.engines.training.foreign import ForeignModel, needs_bundle
from secureflow.engines.training.scoring import chances, model_outputs, model_rows, predicted
from secureflow.engines.training.tensors import named
from secureflow.engines.training.torch_modules import source
from secureflow.engines.training.torch_network import TorchNetwork
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.sdk.tensorrows import Tensor, named_rows, tensor_cells, tensor_features

_NEITHER: Final = (complex, np.complexfloating, np.datetime64, np.timedelta64)
"""NumPy silently turns these into numbers; no agent trained on them."""


class Predictor:
    """A model for prediction.

    Args:
        file: parameters and card.

    Raises:
        SecureFlowError: `invalid_model` for a family that cannot predict.
    """

    def __init__(self, file: ModelFile) -> None:
        if file.card.get("family") not in LEARNS:
            raise SecureFlowError(
                "invalid_model",
                Text(
                    "A model of the family {family!r} cannot predict.",
                    family=file.card.get("family"),
                ),
                "Choose a model that a training job released.",
            )
        self.card = file.card
        self.parameters = file.weights
        self.features = file.features
        self._moments = file.moments
        self._spec = file.spec
        self._family = model_family(self._spec)

    def __repr__(self) -> str:
        """Return name, family and size."""
        name, size = str(self.card.get("name", "")), self._spec.model_parameters
        return f"<Predictor {name!r}: {self.card['family']}, {size} parameters>"

    @classmethod
    def load(cls, path: str | Path, card: Mapping[str, Any] | None = None) -> Predictor:
        """Read a safetensors file; the card is taken from the file unless it is given.

        Raises:
            SecureFlowError: `invalid_model` or `model_digest_mismatch`.
        """
        return cls(ModelFile.from_bytes(Path(path).read_bytes(), card))

    @property
    def has_chances(self) -> bool:
        """Whether outputs have a probability: not clusters, nor a margin as of `hinge`."""
        return has_chances(self._spec.model)

    def predict_proba(self, rows: Any) -> NDArray[np.float32]:
        """Return float32 of shape (rows, classes): the probabilities, as in scikit-learn.

        Raises:
            SecureFlowError: `missing_column`, `malformed_cell` or `unknown_category`, naming row
                (from 1) and column; `invalid_rows` for another form; `no_probabilities` for a model
                that predicts numbers.
        """
        label = self.features.label
        if isinstance(label, NumberLabel):
            raise SecureFlowError(
                "no_probabilities",
                "The model predicts a number, which has no probability.",
                "Call predict.",
            )
        if not self.has_chances:
            raise SecureFlowError(
                "no_probabilities",
                "What this model computes for a row has no probability.",
                "Call predict, or outputs for its scores.",
            )
        if label is None:
            raise AssertionError(self._spec.model)  # clusters have no chances
        return chances(label, self.outputs(rows))

    def predict(self, rows: Any) -> NDArray[Any]:
        """Return the prediction of each row, of shape (rows,): see the table above.

        Raises:
            SecureFlowError: as `predict_proba`, without `no_probabilities`.
        """
        return predicted(self.features.label, self.outputs(rows))

    def predict_frame(self, rows: Any, ids: Sequence[str] = (), *, keep_all: bool = False) -> Any:
        """Return the predictions as a table, beside the columns that say which row each is of.

        Args:
            rows: as `predict` takes them.
            ids: columns that are passed through as they are, types and all.
            keep_all: whether all other columns follow them.

        Returns:
            A pandas frame with the same index for a pandas frame; otherwise a `pyarrow.Table`. Its
            columns: `predictedrows`.

        Raises:
            SecureFlowError: as `predict`; `missing_column` for an id that is not there;
                `invalid_rows` if two columns would have one name.
        """
        from secureflow.sdk.predictedrows import predicted_frame  # it knows the predictor

        return predicted_frame(self, rows, ids, keep_all=keep_all)

    def log_odds(self, rows: Any) -> NDArray[np.float32]:
        """Return the log-odds of the positive class, float32 of shape (rows,)."""
        return np.ascontiguousarray(self.outputs(rows)[:, 0])

    def outputs(self, rows: Any) -> NDArray[np.float32]:
        """Return what the model computes before any link, float32 of shape (rows, outputs).

        Log-odds of a binary target, scores of classes, a number scaled to the label's bounds.
        """
        if isinstance(self._family, ForeignModel):
            raise needs_bundle()  # before anything is said of the rows
        made = model_rows(self._spec, self._moments, self._prepared(rows))
        return model_outputs(self._family, self.parameters, made, self.features.label)

    def targets(self, rows: Any) -> NDArray[np.float32]:
        """Return the label column as models see it, float32 of shape (rows,).

        Raises:
            SecureFlowError: as the agents' own preparation.
        """
        label = self.features.label
        columns = _columns(rows, () if label is None else (label.column,))
        if label is not None and label.column in columns and not isinstance(label, NumberLabel):
            columns[label.column] = _texts(columns[label.column])
        return label_vector(label, columns)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the model's tensors by name (`TrainingSpec.tensors`)."""
        return dict(named(self._spec.tensors, self.parameters))

    def inputs(self, rows: Any) -> NDArray[np.float32]:
        """Return the prepared inputs, float32 of shape (rows, width); of texts their counts."""
        return feature_matrix(self.features, self._moments, self._prepared(rows))

    def to_torch(self) -> Any:
        """Return a model of PyTorch's families as a module; `computed` of it is `outputs`.

        Raises:
            SecureFlowError: `missing_extra` without PyTorch; `invalid_model` for other families,
                `needs_bundle` for `bundle`.
        """
        return self._network().module(self.parameters)

    def torch_source(self) -> str:
        """Return the model's network in plain PyTorch, to be pasted, and how to load its tensors.

        Raises:
            SecureFlowError: `invalid_model` for other families.
        """
        self._network()
        return source(self._spec)

    def save_tensors(self, path: str | Path) -> None:
        """Write the model's tensors by name as safetensors: the state dict of `torch_source`."""
        # Lazy: only an export needs the library.
        from safetensors.numpy import save

        Path(path).write_bytes(
            save({name: np.asarray(one) for name, one in self.tensors().items()})
        )

    def _network(self) -> TorchNetwork:
        if isinstance(self._family, ForeignModel):
            raise needs_bundle()
        if not isinstance(self._family, TorchNetwork):
            raise SecureFlowError(
                "invalid_model",
                Text("A model of the family {family!r} is not of PyTorch.",
                     family=self.card.get("family")),
                "Call tensors or to_sklearn.",
            )  # fmt: skip
        return self._family

    def _prepared(self, rows: Any) -> dict[str, NDArray[Any]]:
        """Return the columns that preparation reads."""
        tensors = tensor_features(self.features)
        columns = _columns(
            self._with_names(named_rows(self.features, rows)), self._wanted(), tensors
        )
        categories = {feature.column for feature in self.features.categorical}
        recipe = self.features.recipe
        if recipe is not None:
            categories |= {one.column for one in recipe.columns if one.type != "number"}
            for name in _dated(recipe) & set(columns):
                columns[name] = _times(columns[name])
        for name in categories & set(columns):
            columns[name] = _texts(columns[name])
        return dict(prepared_columns(self.features, columns, strict=True))

    def to_sklearn(self) -> Any:
        """Return the same model as a fitted scikit-learn estimator over `inputs`.

        Raises:
            SecureFlowError: `missing_extra` without scikit-learn; `invalid_model` for a family of
                PyTorch, `needs_bundle` for `bundle`.
        """
        return to_sklearn(self.card, self.parameters)

    def _wanted(self) -> tuple[str, ...]:
        return self.features.inputs

    def _with_names(self, rows: Any) -> Any:
        """Return an array of numbers as columns; other rows as they are."""
        if not isinstance(rows, np.ndarray) or rows.ndim != 2:
            return rows
        names = self._wanted()
        if (
            self.features.categorical
            or _not_numbers(self.features.recipe)
            or self.features.beside
            or rows.shape[1] != len(names)
            or rows.dtype.kind not in "fiub"
        ):
            raise _invalid_rows(
                Text(
                    "an array must hold the numbers of {count} numeric features, in order, and "
                    "the model have no categories",
                    count=len(names),
                )
            )
        return {name: np.asarray(rows[:, at], np.float64) for at, name in enumerate(names)}


def _not_numbers(recipe: Recipe | None) -> bool:
    return recipe is not None and any(one.type != "number" for one in recipe.columns)


def _dated(recipe: Recipe) -> set[str]:
    """Return the columns that a recipe splits into numbers of dates."""
    return {name for one in recipe.steps if one.step == "date_parts" for name in one.columns}


def _times(cells: NDArray[Any]) -> NDArray[Any]:
    """Return times without a zone as agents read those of a Parquet file; other cells as are."""
    found = np.empty(len(cells), dtype=object)
    found[:] = [
        value.isoformat(" ") if isinstance(value, datetime) and value.tzinfo is None else value
        for value in cells.tolist()
    ]
    return found


def _columns(
    rows: Any, wanted: Iterable[str], tensors: Mapping[str, Tensor] = MappingProxyType({})
) -> dict[str, NDArray[Any]]:
    """Bring any accepted form of rows to the columns that preparation reads."""

    def made(name: str, values: Any) -> NDArray[Any]:
        if name not in tensors:
            return _cells(name, values)
        numbers = isinstance(values, np.ndarray) and values.dtype.kind in "fiub"
        return tensor_cells(tensors[name], values if numbers else _listed(name, values))

    if isinstance(rows, Mapping):
        return {name: made(name, rows[name]) for name in wanted if name in rows}
    arrow = hasattr(rows, "column_names")  # else a pandas frame, or records
    if arrow or hasattr(rows, "columns"):
        names = list(rows.column_names if arrow else rows.columns)
        present = [name for name in wanted if name in names]
        for name in present:
            if names.count(name) > 1:
                raise _invalid_rows(Text("they have two columns {name!r}", name=name))
        return {n: made(n, rows[n].to_pylist() if arrow else rows[n]) for n in present}
    try:
        records = list(iter(rows))
    except TypeError:
        raise _invalid_rows("they are a single value") from None
    if not all(isinstance(record, Mapping) for record in records):
        raise _invalid_rows("they are neither columns, nor a table, nor dicts")
    # A dict without a key has a missing value there, unless all of them lack it.
    return {
        name: made(name, [record.get(name) for record in records])
        for name in wanted
        if not records or any(name in record for record in records)
    }


def _listed(name: str, values: Any) -> list[Any]:
    """Return the rows of a column of images or arrays."""
    if isinstance(values, str | bytes | Mapping | Set) or not hasattr(values, "__len__"):
        raise _invalid_rows(
            Text("the column {name!r} is a single value, or not a list of them", name=name)
        )
    return list(values)


def _cells(name: str, values: Any) -> NDArray[Any]:
    """Return a column's cells; refuse what has no order, or more than one dimension."""
    if isinstance(values, np.ma.MaskedArray) and values.ndim == 1:
        values = values.tolist()  # None where it is masked
    unordered = isinstance(values, str | bytes | bytearray | Mapping | Set)
    if unordered or not hasattr(values, "__len__") or getattr(values, "ndim", 1) != 1:
        raise _invalid_rows(
            Text("the column {name!r} is a single value, or not a list of them", name=name)
        )
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        return values
    cells = np.empty(len(values), dtype=object)
    cells[:] = [None if _missing(value) else value for value in values]
    if any(isinstance(cell, _NEITHER) for cell in cells):
        raise _invalid_rows(Text("the column {name!r} holds times or complex numbers", name=name))
    return cells


def _missing(value: Any) -> bool:
    """Tell None, NaN and NaT (the values unequal to themselves), and NA, which compares to NA."""
    if value is None or type(value).__name__ == "NAType":
        return True
    try:
        return bool(value != value)  # noqa: PLR0124
    except (TypeError, ValueError, ArithmeticError):
        return False  # an array, or a signalling NaN: the reader of the cell reports it


def _texts(cells: NDArray[Any]) -> NDArray[Any]:
    """Return the cells of categories and texts as agents read them (`datasources.conform`)."""
    texts = np.empty(len(cells), dtype=object)
    texts[:] = [_text(value) for value in cells.tolist()]
    return texts


def _text(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else str(int(value)) if value.is_integer() else value
    return value.isoformat() if type(value) is date else value


def _invalid_rows(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_rows",
        Text("The rows cannot be read: {reason}.", reason=reason),
        'Pass a list of dicts such as [{"age": 41}], columns such as {"age": [41]}, or a table.',
    )
