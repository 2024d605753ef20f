"""Released models of scikit-learn's families as fitted estimators (`estimators` lists them).

`MultinomialNB` knows counts, and inputs are scaled: it stands behind a `StandardScaler` that undoes
the scaling, in a `Pipeline`. Counts of both Bayes classifiers are shares of the rows, because no
number of rows is released with a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.sklearn_families import (
    GaussianNbModel,
    KMeansModel,
    MlpClassifierModel,
    MlpRegressorModel,
    MultinomialNbModel,
    SgdClassifierModel,
    SgdRegressorModel,
)
from secureflow.domain.specs.targets import ClassesLabel, NumberLabel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.bayes import gaussians, multinomials
from secureflow.engines.training.clusters import centres_of, parts_of
from secureflow.engines.training.tensors import named

_Vector = NDArray[np.float32]


def _gaussian(spec: TrainingSpec, parameters: _Vector) -> Any:
    # Lazy, here and below: an optional extra.
    from sklearn.naive_bayes import GaussianNB

    found, model = gaussians(spec, parameters), spec.model
    if not isinstance(model, GaussianNbModel):
        raise AssertionError
    made = GaussianNB(var_smoothing=model.var_smoothing)
    made.classes_ = _classes(spec)
    made.class_prior_ = made.class_count_ = found.prior
    made.theta_, made.var_, made.epsilon_ = found.mean, found.variance, found.smoothing
    made.n_features_in_ = found.mean.shape[1]
    return made


def _multinomial(spec: TrainingSpec, parameters: _Vector) -> Any:
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    found, model = multinomials(spec, parameters), spec.model
    if not isinstance(model, MultinomialNbModel):
        raise AssertionError
    made = MultinomialNB(alpha=model.alpha)
    made.classes_, made.class_count_ = _classes(spec), found.prior
    made.class_log_prior_, made.feature_log_prob_ = np.log(found.prior), found.log_prob
    made.feature_count_ = found.counts
    scaler = StandardScaler()
    scaler.scale_, scaler.mean_ = 1.0 / found.scale, -found.shift / found.scale
    scaler.var_, scaler.n_samples_seen_ = scaler.scale_**2, 1
    made.n_features_in_ = scaler.n_features_in_ = len(found.scale)
    return Pipeline([("counts", scaler), ("classifier", made)])


def _kmeans(spec: TrainingSpec, parameters: _Vector) -> Any:
    from sklearn.cluster import KMeans

    if not isinstance(spec.model, KMeansModel):
        raise AssertionError
    first, _, _ = parts_of(spec, parameters)
    made = KMeans(spec.model.clusters, init=first, n_init=1, max_iter=max(1, spec.plan.rounds))
    made.cluster_centers_ = centres_of(spec, parameters).astype(np.float32)  # as inputs are
    made._n_threads, made.n_iter_ = 1, spec.plan.rounds
    made._n_features_out = spec.model.clusters
    made.n_features_in_ = made.cluster_centers_.shape[1]
    return made


def _sgd(spec: TrainingSpec, parameters: _Vector) -> Any:
    from sklearn.linear_model import SGDClassifier, SGDRegressor

    model, label = spec.model, spec.features.label if spec.features else None
    if not isinstance(model, SgdClassifierModel | SgdRegressorModel):
        raise AssertionError
    arrays = {name: one.astype(np.float64) for name, one in named(spec.tensors, parameters).items()}
    coef, intercept = arrays["coef"], arrays["intercept"]
    names = ("loss", "penalty", "alpha", "l1_ratio", "power_t")
    given = {name: getattr(model, name) for name in names} | {"learning_rate": model.schedule}
    if isinstance(model, SgdRegressorModel) and isinstance(label, NumberLabel):
        made = SGDRegressor(**given, epsilon=model.epsilon)
        made.coef_ = coef[0] * label.half
        made.intercept_ = intercept * label.half + label.middle
    else:
        made = SGDClassifier(**given)
        made.coef_, made.intercept_, made.classes_ = coef, intercept, _classes(spec)
    made.t_, made.n_iter_ = 1.0, spec.plan.rounds
    made.n_features_in_ = coef.shape[1]
    return made


def _mlp(spec: TrainingSpec, parameters: _Vector) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.preprocessing import LabelBinarizer

    model, label = spec.model, spec.features.label if spec.features else None
    if not isinstance(model, MlpClassifierModel | MlpRegressorModel):
        raise AssertionError
    arrays = {name: one.astype(np.float64) for name, one in named(spec.tensors, parameters).items()}
    layers = range(len(model.hidden) + 1)
    coefs = [arrays[f"layers.{at}.coef"].T for at in layers]
    intercepts = [arrays[f"layers.{at}.intercept"] for at in layers]
    names = ("activation", "solver", "alpha", "power_t", "momentum", "nesterovs_momentum",
             "beta_1", "beta_2", "epsilon")  # fmt: skip
    given = {name: getattr(model, name) for name in names} | {"learning_rate": model.schedule}
    if isinstance(label, NumberLabel):
        made = MLPRegressor(hidden_layer_sizes=model.hidden, **given)
        coefs[-1] = coefs[-1] * label.half
        intercepts[-1] = intercepts[-1] * label.half + label.middle
        made.out_activation_ = "identity"
    else:
        made, classes = MLPClassifier(hidden_layer_sizes=model.hidden, **given), _classes(spec)
        made.out_activation_ = "logistic" if len(classes) == 2 else "softmax"
        made._label_binarizer = LabelBinarizer().fit(classes)
        made._label_binarizer.classes_ = made.classes_ = classes
    made.coefs_, made.intercepts_, made.n_layers_ = coefs, intercepts, len(coefs) + 1
    made.n_outputs_, made.n_features_in_ = len(intercepts[-1]), len(coefs[0])
    made.n_iter_ = spec.plan.rounds
    return made


def _classes(spec: TrainingSpec) -> NDArray[Any]:
    label = spec.features.label if spec.features else None
    return np.array(label.classes) if isinstance(label, ClassesLabel) else np.array([0, 1])


MADE: Final[Mapping[str, Callable[[TrainingSpec, _Vector], Any]]] = {
    "gaussian_nb": _gaussian,
    "multinomial_nb": _multinomial,
    "kmeans": _kmeans,
    "sgd_classifier": _sgd,
    "sgd_regressor": _sgd,
    "mlp_classifier": _mlp,
    "mlp_regressor": _mlp,
}
"""Family to what makes its estimator of a spec and parameters."""
