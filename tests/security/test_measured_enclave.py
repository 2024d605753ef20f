"""What a running enclave has loaded is what was measured: all of it, and nothing else.

Its own command, with every import in its log, serves jobs of each protection that it takes part in.
That agents accept it shows that the measurement which it computed in its process, without `site`,
is the one that they computed from their own installation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from secureflow.demo.data import private_features
from secureflow.demo.platform import Platform
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.training import TrainingPlan
from secureflow.kit.measurement import code_measurement, measure
from secureflow.kit.measurement.closure import closure
from secureflow.kit.measurement.manifest import ENTRY
from tests.survival.world import ROWS, await_end, platform, training

DELTA = 1e-5
PRIVACY = Privacy(delta=DELTA, noise_multiplier=4.0, rows=3 * ROWS, metrics_noise=4.0)
PLAN = TrainingPlan(rounds=2, learning_rate=1.0, validation=0.3)
LOADED = re.compile(r"import time:\s+\d+ \|\s+\d+ \|\s+(\S+)")
BY_DISTRIBUTION = re.compile(r"^(numpy|grpc|cryptography|pydantic|google|yaml|structlog)\b")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("measured") / "p"
    entry = {"enclave": ("-m", "tests.security.measured_entry")}
    budget = DatasetPrivacy("adult", 500.0, DELTA, required=False)
    with platform(directory, mortal=False, budget=budget, entry=entry) as built:
        yield built


def loaded(place: Platform) -> set[str]:
    return set(LOADED.findall((place.directory / "logs" / "enclave.log").read_text()))


def test_what_has_loaded_after_jobs_is_what_was_measured(place: Platform) -> None:
    private = {"features": private_features(), "privacy": PRIVACY, "plan": PLAN}
    with place.client("bank-a") as client:
        for asked in (
            training(place, protection="sealed"),
            training(place, protection="sealed", **private),
            training(
                place, protection="sealed+secagg",
                **{**private, "privacy": replace(PRIVACY, noise="shared")},
            ),
        ):  # fmt: skip
            ended = await_end(client, client.jobs.submit(asked).id)
            assert ended.state == "succeeded", ended.error
    names = {name for name in loaded(place) if name.split(".")[0] == "secureflow"}
    measured = set(closure(ENTRY, Path(measure.__code__.co_filename).parents[2]).modules)
    assert names <= measured
    assert measured - names == {ENTRY}, "it runs under another name: `__main__`"
    foreign = {name for name in loaded(place) if BY_DISTRIBUTION.match(name)}
    assert {"numpy", "grpc", "google.protobuf"} <= foreign
    assert not loaded(place) & {"httpx", "typer", "pytest", "pyarrow", "dp_accounting", "dcap_qvl"}
    assert code_measurement() == measure().digest
