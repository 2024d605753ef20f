"""The released model as a fitted scikit-learn estimator with the same predictions.

| family                | target  | estimator                                           |
|-----------------------|---------|-----------------------------------------------------|
| `logistic_regression` | binary  | `LogisticRegression`, classes 0 and 1               |
| `softmax`             | classes | `LogisticRegression`, the spec's classes            |
| `linear`, `ridge`     | number  | `LinearRegression`, `Ridge`, in the label's unit    |
| `mlp`                 | any     | `MLPClassifier` or `MLPRegressor`                   |
| `gaussian_nb`         | classes | `GaussianNB`                                        |
| `multinomial_nb`      | classes | `Pipeline` of a scaler and `MultinomialNB`          |
| `kmeans`              | none    | `KMeans`                                            |
| `sgd_…`, `mlp_…`      | their   | `SGDClassifier`, `SGDRegressor`, `MLP…`             |

Inputs are rows of `engines.preparation.feature_matrix`; the attribute `feature_names`, added here,
names the feature of each input.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.families import MlpModel
from secureflow.domain.specs.targets import ClassesLabel, NumberLabel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.ridge import Ridge
from secureflow.engines.training.sklearn_estimators import MADE
from secureflow.engines.training.tensors import named

_Float = NDArray[np.float64]


def estimator(spec: TrainingSpec, parameters: NDArray[np.float32]) -> Any:
    """Return the estimator of a model whose family has one (every one that learns).

    Args:
        spec: features and model.
        parameters: float32 (d,).

    Raises:
        ImportError: without scikit-learn.
    """
    made = MADE.get(spec.model.family)
    if made is not None:
        return made(spec, parameters)
    label = spec.features.label if spec.features else None
    arrays = {name: one.astype(np.float64) for name, one in named(spec.tensors, parameters).items()}
    if isinstance(spec.model, MlpModel):
        return _network(spec.model, label, arrays, spec.plan.rounds)
    if isinstance(label, NumberLabel):
        return _regression(spec, label, parameters, arrays)
    return _classifier(label, arrays["coef"], arrays["intercept"], spec.plan.rounds)


def _classifier(label: Any, coef: _Float, intercept: _Float, rounds: int) -> Any:
    # Lazy, here and below: an optional extra.
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression()
    coef = np.atleast_2d(coef)
    if len(coef) == 2:  # scikit-learn keeps one row for two classes
        coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
    model.coef_, model.intercept_, model.classes_ = coef, intercept, _classes(label)
    model.n_features_in_ = coef.shape[1]
    model.n_iter_ = np.array([rounds], dtype=np.int32)
    return model


def _regression(
    spec: TrainingSpec,
    label: NumberLabel,
    parameters: NDArray[np.float32],
    arrays: dict[str, _Float],
) -> Any:
    from sklearn.linear_model import LinearRegression
    from sklearn.linear_model import Ridge as RidgeRegression

    if spec.model.family == "ridge":
        model, solution = RidgeRegression(), Ridge(spec).coefficients(parameters)
    else:
        model, solution = LinearRegression(), np.append(arrays["coef"], arrays["intercept"])
    model.coef_ = solution[:-1].astype(np.float64) * label.half
    model.intercept_ = float(solution[-1]) * label.half + label.middle
    model.n_features_in_ = len(model.coef_)
    return model


def _network(model: MlpModel, label: Any, arrays: dict[str, _Float], rounds: int) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.preprocessing import LabelBinarizer

    number = isinstance(label, NumberLabel)
    made = (MLPRegressor if number else MLPClassifier)(model.hidden, activation=model.activation)
    layers = len(model.hidden) + 1
    coefs = [arrays[f"layers.{at}.coef"].T for at in range(layers)]
    intercepts = [arrays[f"layers.{at}.intercept"] for at in range(layers)]
    if isinstance(label, NumberLabel):
        coefs[-1] = coefs[-1] * label.half
        intercepts[-1] = intercepts[-1] * label.half + label.middle
        made.out_activation_ = "identity"
    else:
        classes = _classes(label)
        made.out_activation_ = "softmax" if isinstance(label, ClassesLabel) else "logistic"
        if isinstance(label, ClassesLabel) and len(classes) == 2:
            coefs[-1] = coefs[-1][:, 1:] - coefs[-1][:, :1]
            intercepts[-1] = intercepts[-1][1:] - intercepts[-1][:1]
            made.out_activation_ = "logistic"
        made._label_binarizer = LabelBinarizer().fit(classes)
        made._label_binarizer.classes_ = made.classes_ = classes
    made.coefs_, made.intercepts_, made.n_layers_ = coefs, intercepts, layers + 1
    made.n_outputs_, made.n_features_in_ = len(intercepts[-1]), len(coefs[0])
    made.n_iter_ = rounds
    return made


def _classes(label: Any) -> NDArray[Any]:
    return np.array(label.classes) if isinstance(label, ClassesLabel) else np.array([0, 1])
