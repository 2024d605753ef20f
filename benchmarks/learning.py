"""Digits and MNIST-5k over ten parties, trained by the code of agents and enclave in one process.

What `benchmarks.strategies` and `benchmarks.robust` share.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from benchmarks.networks import mnist
from secureflow.domain.specs.base import RosterEntry
from secureflow.domain.specs.families import FamilyModel
from secureflow.domain.specs.training import (
    ClassesLabel,
    FeatureSpec,
    ImageFeature,
    MlpModel,
    TrainingPlan,
    TrainingSpec,
)
from secureflow.domain.specs.training_rules import check
from secureflow.domain.specs.updatelimits import Limits
from secureflow.engines.training.families import model_family
from secureflow.engines.training.federated import summarise
from secureflow.engines.training.models import initial_state
from secureflow.simulation.partition import Partition, divide
from secureflow.simulation.training.adding import adding, global_model
from secureflow.simulation.training.federation import Trained, federate
from secureflow.simulation.training.parties import Party, parties, update_buffer
from secureflow.simulation.training.table import Table

PARTIES: Final = 10
DIGITS: Final = tuple(str(one) for one in range(10))
HIDDEN: Final = (32,)
TEST: Final = 5
"""One row of so many is for testing."""

Update = NDArray[np.float32]
Attacks = Callable[[Sequence[Update]], Sequence[Update]]
"""From all parties' honest updates of a round to what is sent."""


@dataclass(frozen=True)
class Images:
    """Images and the digits on them, in some order.

    Args:
        pixels: uint8 (n, side, side, 1).
        digits: int64 (n,).
    """

    pixels: NDArray[np.uint8]
    digits: NDArray[np.int64]

    def parted(self, seed: int) -> tuple[Images, Images]:
        """Return the rows for training and for testing."""
        order = np.random.default_rng(seed).permutation(len(self.digits))
        test, train = np.split(order, [len(order) // TEST])
        return Images(self.pixels[train], self.digits[train]), Images(
            self.pixels[test], self.digits[test]
        )


def datasets() -> dict[str, Images]:
    """Return digits, and MNIST-5k where it is here."""
    pixels, digits = load_digits(return_X_y=True)
    small = (pixels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    found = {"digits": Images(small, digits.astype(np.int64))}
    if (larger := mnist()) is not None:
        found["mnist-5k"] = Images(*larger)
    return found


def job(
    images: Images, seed: int, *, model: FamilyModel | None = None, **plan: Any
) -> TrainingSpec:
    """Return a checked job of all parties: a network with one hidden layer, hardly a norm cap.

    Args:
        images: whose size the network takes.
        seed: of its first weights.
        model: another network.
        plan: what differs from five passes of 20 rows at rate .1 over twenty rounds.
    """
    size = images.pixels.shape[1:]
    features = FeatureSpec(ClassesLabel("digit", DIGITS), images=(ImageFeature("image", size),))
    whole = {
        **{"rounds": 20, "local_epochs": 5, "batch_size": 20, "learning_rate": 0.1},
        **{"validation": 0.0, "seed": seed},
    }
    roster = tuple(RosterEntry(f"party-{at}", f"{at}" * 44, "rows") for at in range(PARTIES))
    spec = TrainingSpec(
        "prj_benchmark0", "learning", "benchmark", "usr", roster, features=features,
        model=model or MlpModel("mlp", hidden=HIDDEN), plan=TrainingPlan(**whole | plan),
        limits=Limits(clip_norm=1e5), min_contributors=PARTIES,
    )  # fmt: skip
    check(spec)
    return spec


def trained(
    spec: TrainingSpec,
    images: Images,
    partition: str,
    seed: int,
    *,
    labels: NDArray[np.int64] | None = None,
    attack: Attacks = lambda updates: updates,
) -> Update:
    """Return the last model.

    Args:
        spec: the job.
        images: the rows for training.
        partition: how the parties get them, as `simulate` takes it.
        seed: of the partition.
        labels: what the parties believe is on them; by default what is.
        attack: what becomes of the updates of a round.
    """
    made = _dealt(spec, images, partition, seed, images.digits if labels is None else labels)
    model, buffer = global_model(initial_state(spec)), update_buffer(spec)
    total = adding(spec, "train", model)
    with tempfile.TemporaryDirectory(prefix="secureflow-benchmark-") as folder:
        file, update = Path(folder) / "model", Path(folder) / "update"
        for _ in range(spec.plan.rounds):
            file.write_bytes(model.parameters.astype("<f4", copy=False).data)
            honest = [_train(one, file, model.digest, update, buffer) for one in made]
            sent = attack([parameters for parameters, _ in honest])
            for party, parameters, (_, sums) in zip(made, sent, honest, strict=True):
                total.add(party.name, _within(parameters, spec.limits.clip_norm), sums)
            total.release(model, lambda _: bytes(32))
    return model.parameters[: spec.model_parameters]


def measured(spec: TrainingSpec, images: Images, partition: str, seed: int) -> Trained:
    """Train, and measure on what each party holds out: the last model, and those of its own."""
    return federate(spec, _dealt(spec, images, partition, seed, images.digits))


def _dealt(
    spec: TrainingSpec, images: Images, partition: str, seed: int, labels: NDArray[np.int64]
) -> list[Party]:
    """Return the parties with their rows."""
    owners = divide(
        Partition.parse(partition), len(images.digits), PARTIES, seed, classes=images.digits
    )
    table = Table({"image": images.pixels, "digit": np.array(DIGITS, object)[labels]})
    return parties(spec, table, owners, bytes(32), None)


def _train(
    party: Party, file: Path, digest: str, update: Path, buffer: NDArray[Any]
) -> tuple[Update, NDArray[np.float64]]:
    parameters, sums = party.train(file, digest, update, None, buffer)
    return parameters.copy(), sums


def _within(update: Update, longest: float) -> Update:
    """Return an update that is not refused for its length."""
    norm = float(np.linalg.norm(update.astype(np.float64)))
    return update if norm < longest else update * np.float32((1 - 1e-6) * longest / norm)


def owners_rows(images: Images, partition: str, seed: int, party: int) -> NDArray[np.bool_]:
    """Tell of each row whether it is this party's."""
    owners = divide(
        Partition.parse(partition), len(images.digits), PARTIES, seed, classes=images.digits
    )
    return np.asarray(owners == party)


def accuracy(spec: TrainingSpec, model: Update, images: Images) -> float:
    """Return the share of images on which the model sees the digit."""
    inputs = (images.pixels.reshape(len(images.digits), -1) / 255.0).astype(np.float32)
    labels = images.digits.astype(np.float32)
    sums = model_family(spec).metric_sums(spec, model, inputs, labels)
    return float(summarise(spec, [float(len(labels)), *sums.tolist()])["accuracy"])
