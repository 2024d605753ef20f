"""A released model as a scikit-learn `Pipeline` over pandas frames: rows, recipe, inputs, model.

| step                       | gives                                                               |
|----------------------------|---------------------------------------------------------------------|
| `rows`                     | the columns that the model reads: float64, and texts or None        |
| `impute`, `standardise`, … | the table after each step of the recipe; a category is a text       |
| `inputs`                   | float32: what the recipe made, or numbers scaled and one-hot words  |
| `model`                    | scikit-learn's own estimator (`engines.training.estimators`)        |

The transformers compute by the code of agents and `Predictor`, so that their numbers are the same
bits, missing and unknown cells included; they are already fitted, and `fit` leaves them so. A clone
has them too, and a `model` that can be fitted to rows of one's own. Their parameters are JSON:
joblib and skops save them, for whoever has this package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.recipe import Recipe
from secureflow.domain.specs.tables import Categories, Numbers, Table, tables
from secureflow.domain.specs.training import FeatureSpec
from secureflow.engines.preparation import feature_matrix
from secureflow.engines.preparation.columns import column, malformed_cell, numeric_column
from secureflow.engines.preparation.steps import STEPS
from secureflow.engines.preparation.steps.step import Rows
from secureflow.engines.preparation.steps.values import MISSING, read_values
from secureflow.engines.training.export import ModelFile, feature_names
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.sdk.inputrows import input_columns


class _Prepared(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer that a job fitted."""

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803 - scikit-learn's name
        """Leave it as it is: the parties' rows fitted it."""
        del X, y
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Tell that it is."""
        return True


class RowReader(_Prepared):
    """Reads the columns of a model from a frame, as agents read theirs.

    Args:
        features: the JSON of the model's feature spec.
    """

    def __init__(self, features: dict[str, Any]) -> None:
        self.features = features

    def transform(self, X: Any) -> Any:  # noqa: N803
        """Return the columns that the model reads, as a frame with the same index.

        Raises:
            SecureFlowError: `missing_column`, `malformed_cell`, `unknown_category`, naming row and
                column.
        """
        features = parse(FeatureSpec, self.features, "model")
        columns = input_columns(features, X)
        if features.recipe is not None:
            values = read_values(features.recipe.columns, columns, strict=True)
            return _framed(features.recipe.table, values, _index_of(X))
        read = {one.column: numeric_column(columns, one.column) for one in features.numeric}
        for word in features.categorical:
            read[word.column] = column(columns, word.column)
        return _frame(read, _index_of(X))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the columns that the model reads."""
        del input_features
        features = parse(FeatureSpec, self.features, "model")
        if features.recipe is not None:
            return np.array(list(features.recipe.table), dtype=object)
        return np.array(features.prepared_inputs, dtype=object)


class RecipeStep(_Prepared):
    """One step of a recipe.

    Args:
        recipe: its JSON.
        at: the step's place in it, from 0.
    """

    def __init__(self, recipe: dict[str, Any], at: int) -> None:
        self.recipe = recipe
        self.at = at

    def transform(self, X: Any) -> Any:  # noqa: N803
        """Return the table after the step, as a frame with the same index.

        Raises:
            SecureFlowError: `missing_column`; `malformed_cell`, naming row and column.
        """
        recipe = parse(Recipe, self.recipe, "recipe")
        before, after = self._tables(recipe)
        rows = Rows(before, {name: _values(held, X, name) for name, held in before.items()})
        step, fit = recipe.steps[self.at], recipe.fits[self.at]
        written = STEPS[step.step].apply(step, rows, fit, True)
        values = {name: written[name] if name in written else rows.values[name] for name in after}
        return _framed(after, values, _index_of(X))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the columns after the step."""
        del input_features
        return np.array(list(self._tables(parse(Recipe, self.recipe, "recipe"))[1]), dtype=object)

    def _tables(self, recipe: Recipe) -> tuple[Table, Table]:
        every = tables(recipe.table, recipe.steps, recipe.fits)
        return every[self.at], every[self.at + 1]


class ModelInputs(_Prepared):
    """The inputs of a model: what its recipe made, or numbers scaled and categories one-hot.

    Args:
        features: the JSON of the model's feature spec.
        moments: the sums that its card has, or None.
    """

    def __init__(self, features: dict[str, Any], moments: list[float] | None = None) -> None:
        self.features = features
        self.moments = moments

    def transform(self, X: Any) -> Any:  # noqa: N803
        """Return the inputs, a float32 frame with the same index.

        Raises:
            SecureFlowError: `missing_column`; `malformed_cell` for a cell that is still missing
                after the recipe's last step; `unknown_category`.
        """
        features = parse(FeatureSpec, self.features, "model")
        columns = {one.column: _numbers(X, one.column) for one in features.numeric}
        if features.recipe is not None:
            for name, values in columns.items():
                if (missing := np.isnan(values)).any():
                    reason = "it is still missing after the last step of the recipe"
                    raise malformed_cell(name, int(missing.argmax()), reason)
        words = {one.column: _words(X, one.column) for one in features.categorical}
        file = ModelFile({"features": self.features, "moments": self.moments}, np.zeros(0, "f4"))
        matrix = feature_matrix(features, file.moments, {**columns, **words})
        return pd.DataFrame(matrix, _index_of(X), self.get_feature_names_out())

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the feature of each input."""
        del input_features
        return np.array(feature_names(parse(FeatureSpec, self.features, "model")), dtype=object)


def pipeline_of(features: FeatureSpec, moments: Any, model: Any) -> Any:
    """Return the pipeline of a model.

    Args:
        features: of the model.
        moments: the sums that its card has, or None.
        model: its estimator.

    Raises:
        SecureFlowError: `invalid_model` for a model of images, arrays or texts.
    """
    if features.beside:
        raise SecureFlowError(
            "invalid_model",
            Text(
                "A pipeline reads tables, and column {column!r} holds images, arrays or texts.",
                column=features.beside[0].column,
            ),
            "Call to_torch, or predict with the model itself.",
        )
    written = dump(features)
    steps: list[tuple[str, Any]] = [("rows", RowReader(written))]
    if features.recipe is not None:
        recipe = dump(features.recipe)
        for at, name in enumerate(_step_names([one.step for one in features.recipe.steps])):
            steps.append((name, RecipeStep(recipe, at)))
    steps.append(("inputs", ModelInputs(written, moments)))
    first = model.steps[0][1] if isinstance(model, Pipeline) else model
    first.feature_names_in_ = steps[-1][1].get_feature_names_out()
    return Pipeline([*steps, ("model", model)])


def _step_names(names: Sequence[str]) -> list[str]:
    """Return a name for each step: its own, and from the second of a name on with its number."""
    found: list[str] = []
    for name in names:
        before = sum(one.rpartition("-")[0] == name or one == name for one in found)
        found.append(f"{name}-{before + 1}" if before else name)
    return found


def _framed(table: Table, values: Mapping[str, NDArray[Any]], index: Any) -> Any:
    """Return values as a frame: categories by their names."""
    return _frame({name: _told(held, values[name]) for name, held in table.items()}, index)


def _frame(columns: Mapping[str, NDArray[Any]], index: Any) -> Any:
    """Return columns as a frame; cells that are not numbers stay objects, with None."""
    made = {
        name: pd.Series(held, index, dtype=object if held.dtype == object else None)
        for name, held in columns.items()
    }
    return pd.DataFrame(made, index)


def _told(held: Any, values: NDArray[Any]) -> NDArray[Any]:
    if not isinstance(held, Categories):
        return values
    words: NDArray[Any] = np.array([*held.names, None], dtype=object)
    return np.asarray(words[values])  # MISSING is −1: None


def _values(held: Any, frame: Any, name: str) -> NDArray[Any]:
    """Return a column of a frame as a step reads it."""
    if isinstance(held, Numbers):
        return _numbers(frame, name)
    words = _words(frame, name)
    if not isinstance(held, Categories):
        return words
    places = {word: at for at, word in enumerate(held.names)} | {None: MISSING}
    try:
        return np.fromiter((places[word] for word in words), np.int32, len(words))
    except KeyError:
        row = next(at for at, word in enumerate(words) if word not in places)
        raise malformed_cell(name, row, "the step before makes no such category") from None


def _numbers(frame: Any, name: str) -> NDArray[np.float64]:
    found: NDArray[np.float64] = _series(frame, name).to_numpy(np.float64, na_value=np.nan)
    return found


def _words(frame: Any, name: str) -> NDArray[Any]:
    cells = _series(frame, name)
    found = np.empty(len(cells), dtype=object)
    found[:] = [None if gone else cell for cell, gone in zip(cells, cells.isna(), strict=True)]
    return found


def _series(frame: Any, name: str) -> Any:
    column({str(one): frame[one] for one in frame.columns if one == name}, name)
    return frame[name]


def _index_of(rows: Any) -> Any:
    return rows.index if isinstance(rows, pd.DataFrame) else None
