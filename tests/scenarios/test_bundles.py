"""A bundle that a data scientist brings trains at three owners, who read it before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from peers.environments import with_numpy
from peers.sandboxes import demand_sandbox
from safetensors.numpy import save
from sklearn.metrics import log_loss, roc_auc_score

from secureflow import simulate
from secureflow.agent import api
from secureflow.demo.data import PURPOSE, private_features
from secureflow.demo.platform import Platform
from secureflow.demo.play import consent
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.bundle_family import BundleModel, writing_seconds
from secureflow.domain.specs.bundles import BundleRef
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.tensors import TensorSpec
from secureflow.domain.specs.training import TrainingPlan
from secureflow.engines.bundles import Bundle
from secureflow.kit.text import text_in
from secureflow.texts import chinese
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
        print("rows:", len(training["labels"]), training["inputs"].shape[1])

    def train(self, weights, round):
        x, y = self.training["inputs"], self.training["labels"]
        for _ in range(20):
            error = chances(weights, x) - y
            weights["coef"] -= self.rate * (x.T @ error) / len(y)
            weights["intercept"] -= self.rate * error.mean()
        return weights

    def predict(self, weights, rows):
        assert set(rows) == {"inputs"}, sorted(rows)
        return chances(weights, rows["inputs"])

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
    budget = DatasetPrivacy("adult", 500.0, 1e-2, unit="party", required=False)
    with platform(directory, mortal=False, policy="", budget=budget, environment=alone) as built:
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
        start = client.models.upload(zeros, asked.project).initial
    return replace(asked, model=model, initial=start)


def test_a_simulation_gives_the_model_of_the_platform(place: Platform) -> None:
    asked = brought(place, order="public")
    report = ended(place, asked).report
    folder = place.directory / "churn"
    folder.mkdir()
    assert asked.features is not None
    code = CODE.replace(b"WIDTH", b"%d" % asked.features.width)
    (folder / "model.py").write_bytes(code)
    model = {"family": "bundle", "folder": "churn", "settings": {"rate": 0.5},
             "sums": ["rows", "loss", "correct"]}  # fmt: skip
    job = place.directory / "job.yaml"
    job.write_text(yaml.safe_dump({**dump(asked), "initial": None, "model": model}))
    simulated = simulate(job, sorted((place.directory / "data").glob("share-*.parquet")))
    assert simulated.digest == report["model"]["digest"]
    assert dict(simulated.metrics) == report["metrics"]


@pytest.mark.full
def test_what_goes_wrong_at_an_owner_names_it_and_nothing_else(place: Platform) -> None:
    """The trace is in the owner's own log: it could hold rows."""
    for old, new, code in (
        (b"return weights", b"raise ValueError(self.training['inputs'][0])", "bundle_failed"),
        (b"return weights", b"return {'coef': weights['coef']}", "bundle_output_refused"),
        (b"import numpy as np", b"import numpy as np, no_such_module", "bundle_unusable"),
    ):
        job = ended(place, brought(place, CODE.replace(old, new, 1)))
        assert job.state == "failed"
        told = str(job.error)
        assert code in told
        assert "bank-" in told
        assert "ValueError" not in told
        assert "no_such_module" not in told
        with place.client("bank-a") as client:
            events = [one.data for one in client.jobs.watch(job.id) if one.kind == "dropouts"]
        gone = [one for event in events for one in event["dropouts"]]
        assert gone
        assert all(chinese(text_in(one, "reason")) for one in gone)  # it reads in either language
        (log,) = place.parties["bank-a"].config.parent.glob(f"bundles/logs/{job.id}.log")
        assert "Error" in log.read_text() or "Refused" in log.read_text()
        assert ("rows: " in log.read_text()) is (code != "bundle_unusable")


PARTY = Privacy(
    delta=1e-2, noise_multiplier=1.5, unit="party", mechanism="central",
    party_unit_acknowledged=True,
)  # fmt: skip


@pytest.mark.full
def test_a_private_bundle_is_charged_and_tells_neither_sums_nor_time(place: Platform) -> None:
    """It sleeps and fails as it likes: under differential privacy nobody is told."""
    code = CODE.replace(b"x, y = self.validation", b"raise OSError; x, y = self.validation")
    code = code.replace(b"return weights", b"time.sleep(0.3); return weights")
    asked = brought(place, code.replace(b"import numpy", b"import time\nimport numpy", 1))
    plan, model = TrainingPlan(rounds=1, validation=0.0), replace(asked.model, seconds=6)
    job = ended(
        place,
        replace(asked, plan=plan, model=model, features=private_features(), privacy=PARTY),
    )
    assert job.state == "succeeded", job.error
    check_story(place, job)
    report = job.report
    assert all(line["rows"] is None for line in report["contributions"].values())
    for line in report["history"]:
        assert set(line) == {"round", "survivors", "seconds", "epsilon"}
        assert line["seconds"] > model.seconds + writing_seconds(
            0
        )  # all of the code's time, and that of answering
    assert not report["metrics"]
    for owner in place.parties.values():
        (domain,) = api.data_budget(owner.config, exact=False)
        (line,) = [one for one in domain["reservations"] if one["job"] == job.id]
        assert line["state"] == "committed"
        assert [(one["noise"], one["count"]) for one in line["charge"]] == [(1.5, 1)]


def test_an_owner_without_the_environment_is_named_before_anybody_is_asked(
    place: Platform,
) -> None:
    asked = brought(place)
    elsewhere = replace(asked.model.bundle, environment="ab" * 32)
    with place.client("bank-a") as client:
        job = client.jobs.submit(replace(asked, model=replace(asked.model, bundle=elsewhere)))
        over = await_end(client, job.id)
    assert over.state in {"failed", "refused"}, over.state
    assert "environment_unknown" in str(over.error)
    for owner in place.parties.values():
        assert not [one for one in api.inbox_list(owner.config) if one["job"] == job.id]


def with_digest(place: Platform) -> str:
    from secureflow.agent.owner.environments import Environments

    return Environments(place.parties["bank-a"].config.parent).get("numpy").digest


def ended(place: Platform, request: Any) -> Any:
    with place.client("bank-a") as client:
        job = client.jobs.submit(request)
        consent(place, job.id)
        return await_end(client, job.id)


@pytest.mark.parametrize(
    "protection", [pytest.param("sealed", marks=pytest.mark.full), "sealed+secagg"]
)
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


@pytest.fixture(scope="module")
def released(place: Platform) -> Any:
    """The model that code of somebody's own has trained."""
    job = ended(place, brought(place))
    assert job.state == "succeeded", job.error
    with place.client("bank-a") as client:
        (model,) = client.models.list(job=job.id)
    return model


def pooled(place: Platform, model: Any) -> tuple[Any, Any]:
    """All owners' rows: what the code says of them, computed here, and their labels."""
    made: dict[str, Any] = {}
    exec(CODE, made)
    with place.client("bank-a") as client:
        found = client.models.load(model.id)
    tables = [pq.read_table(one.dataset.path) for one in place.parties.values() if one.dataset]
    chances = [made["chances"](found.tensors(), found.inputs(one)) for one in tables]
    labels = [found.targets(one) for one in tables]
    return np.concatenate(chances), np.concatenate(labels)


@pytest.mark.full
def test_its_model_is_evaluated_where_the_rows_are(place: Platform, released: Any) -> None:
    with place.client("bank-a") as client:
        datasets = [client.datasets.get(one.dataset_id) for one in place.parties.values()]
        asked = client.jobs.evaluate(
            place.project, [released.id], datasets, purpose=PURPOSE, per_party=True
        )
        consent(place, asked.id)  # no policy decides about it
        job = await_end(client, asked.id)
        assert job.state == "succeeded", job.error
        html = client.jobs.report_html(job.id, "zh")
        explained = client.jobs.explain(job.id)
    (one,) = job.report["evaluation"]["models"]
    chances, labels = pooled(place, released)
    figures = one["figures"]
    assert figures["rows"] == len(labels)
    assert figures["accuracy"] == pytest.approx(((chances > 0.5) == labels).mean(), abs=1e-6)
    assert figures["loss"] == pytest.approx(log_loss(labels, chances), abs=1e-5)
    assert figures["brier"] == pytest.approx(np.square(chances - labels).mean(), abs=1e-5)
    auc = roc_auc_score(labels, chances)
    assert figures["auc"] == pytest.approx(auc, abs=one["bounds"]["auc"])
    assert set(one["parties"]) == set(place.parties)
    assert one["code"]["digest"] == released_code(place).digest
    assert "ROC" in html
    assert "计算所用的代码" in html
    assert any("hidden in the scores" in row["sees"] for row in explained["disclosure"])
    check_story(place, job, models=0)
    for owner in place.parties.values():
        assert not list((owner.config.parent / "models").glob(f"{job.id}*"))
        (log,) = (owner.config.parent / "bundles" / "logs").glob(f"{job.id}.log")
        assert log.read_text() == ""  # `prepare` was not called


@pytest.mark.full
def test_its_model_predicts_where_the_rows_are(place: Platform, released: Any) -> None:
    with place.client("bank-a") as client:
        datasets = [client.datasets.get(one.dataset_id) for one in place.parties.values()]
        asked = client.jobs.predict(
            place.project, released.id, datasets, purpose=PURPOSE, deliver_to="bank-b"
        )
        consent(place, asked.id)
        job = await_end(client, asked.id)
    assert job.state == "succeeded", job.error
    chances, _ = pooled(place, released)
    found = []
    for owner in place.parties.values():
        assert not list((owner.config.parent / "models").glob(f"{job.id}*"))
        table = pq.read_table(api.prediction_show(owner.config, job.id)["path"])
        found.append(table["P(income=>50K)"].to_numpy())
        np.testing.assert_array_equal(table["predicted"].to_numpy(), found[-1] > 0.5)
    np.testing.assert_allclose(np.concatenate(found), chances, atol=1e-6)
    delivered = job.report["prediction"]["delivered"]
    assert delivered == {"to": "bank-b", "parties": ["bank-a", "bank-c"]}


def released_code(place: Platform) -> Bundle:
    features = training(place, TrainingPlan()).features
    assert features is not None
    return Bundle({"model.py": CODE.replace(b"WIDTH", b"%d" % features.width)})
