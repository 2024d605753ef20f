"""The tasks of `benchmarks.models` for the families known from scikit-learn.

The pooled estimator has the same hyper-parameters on all rows: as many passes over them, and as the
batch of a network the parties' batches together. K-means starts from the same centres.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from benchmarks.models import Pooled, Task, digits, job, numbers
from secureflow.adapters.frameworks.sklearn_trainers import mlp_estimator, sgd_estimator
from secureflow.domain.specs.sklearn_families import (
    GaussianNbModel,
    KMeansModel,
    MlpClassifierModel,
    MlpRegressorModel,
    MultinomialNbModel,
    SgdClassifierModel,
    SgdRegressorModel,
)
from secureflow.domain.specs.training import (
    FeatureSpec,
    Label,
    NumberLabel,
    TrainingPlan,
    TrainingSpec,
)
from secureflow.engines.training.bayes import unscaling
from secureflow.engines.training.clusters import parts_of
from secureflow.engines.training.models import initial_state

_ONCE: Final = TrainingPlan(rounds=1)


def gaussian_cancer_task() -> Task:
    """Gaussian naive Bayes on the breast cancer data (AUC)."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.naive_bayes import GaussianNB

    data, known = load_breast_cancer(return_X_y=True)
    table, features = numbers(data, "bounds")
    table["y"] = np.array([str(one) for one in known], dtype=object)
    spec = job(FeatureSpec(Label("y", "1"), features), GaussianNbModel("gaussian_nb"), _ONCE)
    return Task(spec, table, _fitted(GaussianNB), "auc")


def gaussian_digits_task() -> Task:
    """Gaussian naive Bayes on the digits (accuracy)."""
    from sklearn.naive_bayes import GaussianNB

    spec, table = digits(GaussianNbModel("gaussian_nb"), 1, 0.1)
    return Task(spec, table, _fitted(GaussianNB), "accuracy")


def multinomial_digits_task() -> Task:
    """Multinomial naive Bayes on the digits (accuracy)."""
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    spec, table = digits(MultinomialNbModel("multinomial_nb"), 1, 0.1)
    if spec.features is None:
        raise AssertionError
    scale, shift = unscaling(spec.features)

    def counts(inputs: Any) -> Any:
        return np.maximum(inputs * scale + shift, 0.0)

    def pooled(inputs: Any, targets: Any, seed: int) -> Any:
        del seed
        return make_pipeline(FunctionTransformer(counts), MultinomialNB()).fit(inputs, targets)

    return Task(spec, table, pooled, "accuracy")


def kmeans_wine_task() -> Task:
    """K-means on the wines: the share of the squares that the clusters explain."""
    from sklearn.cluster import KMeans
    from sklearn.datasets import load_wine

    data, _ = load_wine(return_X_y=True)
    table, features = numbers(data, "bounds")
    plan = TrainingPlan(rounds=10)
    spec = job(FeatureSpec(None, features), KMeansModel("kmeans", clusters=3), plan)

    def pooled(inputs: Any, targets: Any, seed: int) -> Any:
        del targets
        begun = replace(spec, plan=replace(spec.plan, seed=seed))
        first, _, _ = parts_of(begun, initial_state(begun))
        return KMeans(3, init=first, n_init=1, max_iter=10, tol=0.0).fit(inputs)

    return Task(spec, table, pooled, "explained")


def sgd_digits_task() -> Task:
    """`SGDClassifier` on the digits (accuracy)."""
    model = SgdClassifierModel("sgd_classifier", alpha=1e-3, schedule="constant")
    spec, table = digits(model, 30, 0.03)

    def pooled(inputs: Any, targets: Any, seed: int) -> Any:
        made = sgd_estimator(model, 0.03).set_params(max_iter=30, tol=None, random_state=seed)
        return made.fit(inputs.astype(np.float64), targets)

    return Task(spec, table, pooled, "accuracy")


def sgd_diabetes_task() -> Task:
    """`SGDRegressor` on the diabetes data (R²)."""
    model = SgdRegressorModel("sgd_regressor")
    spec, table = _diabetes(model, TrainingPlan(rounds=100, learning_rate=0.05))

    def pooled(inputs: Any, targets: Any, seed: int) -> Any:
        made = sgd_estimator(model, 0.05).set_params(max_iter=100, tol=None, random_state=seed)
        return made.fit(inputs.astype(np.float64), targets)

    return Task(spec, table, pooled, "r2")


def mlp_digits_task() -> Task:
    """`MLPClassifier` by Adam on the digits (accuracy)."""
    model = MlpClassifierModel("mlp_classifier", hidden=(64,))
    spec, table = digits(model, 40, 0.005)
    return Task(spec, table, _network(model, spec), "accuracy")


def mlp_diabetes_task() -> Task:
    """`MLPRegressor` by Adam on the diabetes data (R²)."""
    model = MlpRegressorModel("mlp_regressor", hidden=(16,), activation="tanh")
    plan = TrainingPlan(rounds=60, batch_size=16, learning_rate=0.005)
    spec, table = _diabetes(model, plan)
    return Task(spec, table, _network(model, spec), "r2")


def _diabetes(model: Any, plan: TrainingPlan) -> tuple[TrainingSpec, dict[str, Any]]:
    from sklearn.datasets import load_diabetes

    data, known = load_diabetes(return_X_y=True)
    table, features = numbers(data, "bounds")
    table["y"] = known.astype(np.float64)
    return job(FeatureSpec(NumberLabel("y", (0.0, 400.0)), features), model, plan), table


def _fitted(made: Callable[[], Any]) -> Pooled:
    def pooled(inputs: Any, targets: Any, seed: int) -> Any:
        del seed
        return made().fit(inputs.astype(np.float64), targets)

    return pooled


def _network(model: MlpClassifierModel | MlpRegressorModel, spec: TrainingSpec) -> Pooled:
    plan, parties = spec.plan, len(spec.roster)

    def pooled(inputs: Any, targets: Any, seed: int) -> Any:
        made = mlp_estimator(model, plan.learning_rate, plan.batch_size * parties)
        made.set_params(max_iter=plan.rounds, n_iter_no_change=1000, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the number of epochs is the federated one
            return made.fit(inputs, targets)

    return pooled


SKLEARN_TASKS: Mapping[str, Callable[[], Task]] = {
    "gaussian_nb_cancer": gaussian_cancer_task,
    "gaussian_nb_digits": gaussian_digits_task,
    "multinomial_nb_digits": multinomial_digits_task,
    "kmeans_wine": kmeans_wine_task,
    "sgd_classifier_digits": sgd_digits_task,
    "sgd_regressor_diabetes": sgd_diabetes_task,
    "mlp_classifier_digits": mlp_digits_task,
    "mlp_regressor_diabetes": mlp_diabetes_task,
}
"""By name; `benchmarks.models` runs them after its own."""
