"""A bundle that a data scientist brings trains at three owners, who read it before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from peers.environments import with_numpy
from peers.sandboxes import demand_sandbox
from safetensors.numpy import save

from secureflow.demo.platform import Platform
from secureflow.demo.play import consent
from secureflow.domain.specs.bundle_family import BundleModel
from secureflow.domain.specs.bundles import BundleRef
from secureflow.domain.specs.tensors import TensorSpec
from secureflow.domain.specs.training import TrainingPlan
from secureflow.engines.bundles import Bundle
from tests.nursery import ALONE
from tests.survival.world import await_end, check_story, platform, training

CODE = b"""
import numpy as np


class Model:
    def __init__(self, settings, seed):
        self.rate = settings["rate"]

    def initial(self):
        return {"coef": np.zeros(WIDTH, "float32"), "intercept": np.zeros(1, "float32")}

    def prepare(self, training, validation):
        self.training, self.validation = training, validation
        print("rows:", len(training["labels"]), training["inputs"].shape[1], flush=True)

    def train(self, weights, round):
        x, y = self.training["inputs"], self.training["labels"]
        for _ in range(20):
            error = chances(weights, x) - y
            weights["coef"] -= self.rate * (x.T @ error) / len(y)
            weights["intercept"] -= self.rate * error.mean()
        return weights

    def evaluate(self, weights):
        x, y = self.validation["inputs"], self.validation["labels"]
        p = np.clip(chances(weights, x), 1e-6, 1 - 1e-6)
        loss = -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum()
        return {"rows": len(y), "loss": loss, "correct": ((p > 0.5) == y).sum()}


def chances(weights, x):
    return 1 / (1 + np.exp(-(x @ weights["coef"] + weights["intercept"])))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    demand_sandbox("root")
    directory = tmp_path_factory.mktemp("bundles") / "p"
    alone = {ALONE: "1"}  # in the sandbox
    with platform(directory, mortal=False, policy="", environment=alone) as built:
        with_numpy(*(owner.config.parent for owner in built.parties.values()))
        yield built


def brought(place: Platform, code: bytes = CODE, **plan: Any) -> Any:
    """Upload the code and its first weights; return the request of a job that names them."""
    asked = training(place, TrainingPlan(rounds=3, validation=0.2, **plan))
    assert asked.features is not None
    width = asked.features.width
    bundle = Bundle({"model.py": code.replace(b"WIDTH", b"%d" % width)})
    environment = with_digest(place)
    weights = (TensorSpec("coef", (width,)), TensorSpec("intercept", (1,)))
    model = BundleModel(
        "bundle", BundleRef(bundle.digest, "model:Model", environment), weights,
        ("rows", "loss", "correct"), {"rate": 0.5},
    )  # fmt: skip
    zeros = place.directory / "zeros.safetensors"
    zeros.write_bytes(save({one.name: np.zeros(one.shape, np.float32) for one in weights}))
    with place.client("bank-a") as client:
        client.bundles.upload(bundle, asked.project, "churn")
        start = client.models.upload(zeros).initial
    return replace(asked, model=model, initial=start)


def with_digest(place: Platform) -> str:
    from secureflow.agent.owner.environments import Environments

    return Environments(place.parties["bank-a"].config.parent).get("numpy").digest


def ended(place: Platform, request: Any) -> Any:
    with place.client("bank-a") as client:
        job = client.jobs.submit(request)
        consent(place, job.id)
        return await_end(client, job.id)


@pytest.mark.parametrize("protection", ["sealed", "sealed+secagg"])
def test_a_bundle_trains_and_its_figures_are_told(place: Platform, protection: str) -> None:
    job = ended(place, replace(brought(place), protection=protection))
    assert job.state == "succeeded", job.error
    metrics = job.report["metrics"]
    assert metrics["correct"] > 0.7
    assert metrics["loss"] < 0.6
    check_story(place, job)
    for owner in place.parties.values():
        logs = list((owner.config.parent / "bundles" / "logs").glob(f"{job.id}.log"))
        assert [one.read_text().split(":")[0] for one in logs] == ["rows"]
