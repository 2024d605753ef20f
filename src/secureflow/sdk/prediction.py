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

A model of a bundle is computed by its code, whose folder is given (`bundle=`): the same chances as
at an owner. What it says of a row should follow from that row alone, for rows may come in parts.

`sgd_classifier` has probabilities for the loss `log_loss`.

Rows come as columns (name to array or list), a pyarrow table, a pandas frame (NumPy, nullable or
Arrow-backed), a table of any library with Arrow's PyCapsule interface (Polars, DuckDB), a list of
dicts, or a two-dimensional array of numbers whose columns are the numeric
features, in the spec's order (for a model without categories). A missing value is None, NaN, or
pandas' NA; a column that the model does not use is ignored. Whole numbers and booleans of a
category, or of a text that a recipe reads, are read as the agents read them: as the text `1` or
`true`; so is 1.0, which pandas makes of a 1 in a column with missing cells, and a date as
`2001-12-31`; so is a time that a recipe splits. Images, arrays and other texts: `sdk.tensorrows`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.bundle_family import BundleModel
from secureflow.domain.specs.families import LEARNS
from secureflow.domain.specs.sklearn_families import has_chances
from secureflow.domain.specs.targets import NumberLabel
from secureflow.engines.preparation import feature_matrix, label_vector
from secureflow.engines.preparation.recipe import prepared_columns
from secureflow.engines.training.basemodel import standing
from secureflow.engines.training.boosted import BoostedTrees
from secureflow.engines.training.export import ModelFile, feature_names, to_sklearn
from secureflow.engines.training.foreign import ForeignModel, needs_bundle
from secureflow.engines.training.scoring import chances, model_outputs, model_rows, predicted
from secureflow.engines.training.tensors import named
from secureflow.engines.training.torch_modules import source
from secureflow.engines.training.torch_network import TorchNetwork
from secureflow.engines.trees.xgboostfile import xgboost_document
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.sdk.inputrows import as_known, columns_of, input_columns, texts_of

if TYPE_CHECKING:
    from secureflow.sdk.owncode import OwnCode


class Predictor:
    """A model for prediction.

    Args:
        file: parameters and card.
        bundle: the folder of the code that computes a model of the family `bundle`; it is called
            in this process, without a sandbox.
        base: the file of the model on which an adapter stands.

    Raises:
        SecureFlowError: `invalid_model` for a family that cannot predict; those of `OwnCode` and
            of `read_base`.
    """

    def __init__(
        self,
        file: ModelFile,
        bundle: str | Path | None = None,
        base: str | Path | None = None,
    ) -> None:
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
        self._family = standing(self._spec, None if base is None else Path(base))
        self._code = None if bundle is None else self._own(bundle)

    def __repr__(self) -> str:
        """Return name, family and size."""
        name, size = str(self.card.get("name", "")), self._spec.model_parameters
        return f"<Predictor {name!r}: {self.card['family']}, {size} parameters>"

    def _repr_html_(self) -> str:
        """Return the card for a notebook."""
        from secureflow.sdk.modelcards import Card  # only to be shown

        return Card(self.card)._repr_html_()

    @classmethod
    def load(
        cls,
        path: str | Path,
        card: Mapping[str, Any] | None = None,
        bundle: str | Path | None = None,
        base: str | Path | None = None,
    ) -> Predictor:
        """Read a safetensors file; the card is taken from the file unless it is given.

        Args:
            path: the file.
            card: the model's.
            bundle: the folder of the code that computes a model of the family `bundle`.
            base: the file of the model on which an adapter stands.

        Raises:
            SecureFlowError: `invalid_model` or `model_digest_mismatch`; with `bundle` those of
                `OwnCode`, such as `digest_mismatch` for other code.
        """
        return cls(ModelFile.from_bytes(Path(path).read_bytes(), card), bundle, base)

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
        if isinstance(self._family, ForeignModel) and self._code is None:
            raise needs_bundle()  # before anything is said of the rows
        made = model_rows(self._spec, self._moments, self._prepared(rows))
        if self._code is not None:
            return self._code.outputs(self.parameters, made)
        return model_outputs(self._family, self.parameters, made, self.features.label)

    def targets(self, rows: Any) -> NDArray[np.float32]:
        """Return the label column as models see it, float32 of shape (rows,).

        Raises:
            SecureFlowError: as the agents' own preparation.
        """
        label = self.features.label
        columns = columns_of(as_known(rows), () if label is None else (label.column,))
        if label is not None and label.column in columns and not isinstance(label, NumberLabel):
            columns[label.column] = texts_of(columns[label.column])
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

    def save_adapter(self, folder: str | Path) -> None:
        """Write an adapter as PEFT reads it: `adapter_model.safetensors`, `adapter_config.json`.

        Raises:
            SecureFlowError: `invalid_model` for a model without an adapter.
        """
        from secureflow.engines.training.adapters import adapter_files  # only for an export

        for name, data in adapter_files(self._spec, self.parameters).items():
            (Path(folder) / name).write_bytes(data)

    def to_xgboost(self) -> dict[str, Any]:
        """Return a model of trees as the JSON that XGBoost loads, over `inputs`.

        A missing value of a number that is `kept` is NaN there.

        Raises:
            SecureFlowError: `invalid_model` for another family.
        """
        label = self.features.label
        if not isinstance(self._family, BoostedTrees):
            raise SecureFlowError(
                "invalid_model",
                Text("A model of the family {family!r} is not of XGBoost.",
                     family=self.card.get("family")),
                "Call tensors.",
            )  # fmt: skip
        unit = (label.middle, label.half) if isinstance(label, NumberLabel) else (0.0, 1.0)
        names = feature_names(self.features)
        return xgboost_document(self._family.layout, self.parameters, names, unit)

    def save_xgboost(self, path: str | Path) -> None:
        """Write `to_xgboost` as a file for `xgboost.Booster.load_model`; its name ends in .json.

        Raises:
            SecureFlowError: as `to_xgboost`.
        """
        Path(path).write_text(json.dumps(self.to_xgboost(), allow_nan=False))

    def _own(self, folder: str | Path) -> OwnCode:
        model = self._spec.model
        if not isinstance(model, BundleModel):
            raise SecureFlowError(
                "invalid_request",
                Text("A model of the family {family!r} needs no code.",
                     family=self.card.get("family")),
                "Leave the bundle out.",
            )  # fmt: skip
        from secureflow.sdk.owncode import OwnCode  # other models need none

        return OwnCode(model, self.features, self._spec.plan.seed, folder)

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
        """Return the columns that inputs are made of."""
        return dict(prepared_columns(self.features, input_columns(self.features, rows)))

    def to_sklearn(self) -> Any:
        """Return the same model as a fitted scikit-learn estimator over `inputs`.

        Raises:
            SecureFlowError: `missing_extra` without scikit-learn; `invalid_model` for a family of
                PyTorch, `needs_bundle` for `bundle`.
        """
        return to_sklearn(self.card, self.parameters)

    def to_sklearn_pipeline(self) -> Any:
        """Return recipe and model as a scikit-learn `Pipeline` over pandas frames.

        Its steps are those of the recipe, then `inputs`, then `model` (`to_sklearn`); its inputs
        are the same bits as `inputs`, its chances within 1e-6 of `predict_proba`. It can be cloned,
        cut, fitted anew, and saved by whoever has this package: see `sklearn_pipeline`.

        Raises:
            SecureFlowError: as `to_sklearn`, and without pandas; `invalid_model` for a model of
                images, arrays or texts.
        """
        model = self.to_sklearn()  # says what is missing
        from secureflow.sdk.sklearn_pipeline import pipeline_of  # an optional extra

        return pipeline_of(self.features, self.card.get("moments"), model)
