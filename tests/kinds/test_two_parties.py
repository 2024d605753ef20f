"""Two organisations: what they may compute together, and what each must say to it first."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from secureflow.agent import api
from secureflow.demo.data import private_features
from secureflow.demo.platform import Platform
from secureflow.demo.play import verify_ledger
from secureflow.domain.jobs import Job
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.training import TrainingPlan
from secureflow.sdk import Client, NoiseRequest, StatisticsRequest, query
from tests.kinds.conftest import ENTRY
from tests.kinds.counting import CountingRequest
from tests.survival.world import ROWS, await_end, check_story, platform, training

DELTA = 1e-5
PRIVATE = Privacy(delta=DELTA, noise_multiplier=4.0, rows=2 * ROWS)
PLAN = TrainingPlan(rounds=2, batch_size=64, validation=0.0)
COMPUTED = "the other's contribution to every sum"
NOISED = "the other's contribution with its noise"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("two") / "p"
    budget = DatasetPrivacy("adult", 500.0, DELTA, required=False)
    with platform(directory, 2, budget=budget, mortal=False, entry=ENTRY) as built:
        yield built


@pytest.fixture
def client(place: Platform) -> Iterator[Client]:
    with place.client("bank-a") as made:
        yield made


def ended(client: Client, request: Any) -> Job:
    return await_end(client, client.jobs.submit(request).id)


def seen(client: Client, job: Job) -> set[str]:
    """Return what the explanation says that each of the two sees of the other."""
    rows = client.jobs.explain(job.id)["disclosure"]
    return {row["sees"] for row in rows if row["who"] == "each of the two parties"}


def test_two_count(place: Platform, client: Client) -> None:
    """Charter, consent, ledger and quorums work with two members."""
    parties = tuple(place.parties)
    job = ended(client, CountingRequest(place.project, "two", "arithmetic", (), parties))
    assert job.state == "succeeded", job.error
    assert job.report is not None
    assert (job.report["ledger"]["quorum"], job.report["ledger"]["cosigners"]) == (2, list(parties))
    assert verify_ledger(place, client.jobs.bundle(job.id))["verified"]
    assert seen(client, job) == set()


@pytest.mark.parametrize(
    ("protection", "noise"),
    [
        pytest.param("secagg", "shared", marks=pytest.mark.full),
        pytest.param("sealed", "enclave", marks=pytest.mark.full),
        ("sealed+secagg", "local"),
    ],
)
def test_two_train_under_differential_privacy(
    place: Platform, client: Client, protection: Any, noise: Any
) -> None:
    privacy = replace(PRIVATE, noise=noise)
    request = training(
        place, PLAN, features=private_features(), privacy=privacy, protection=protection
    )
    job = ended(client, request)
    assert job.state == "succeeded", job.error
    assert job.spec["min_contributors"] == 2
    assert seen(client, job) == {NOISED}
    check_story(place, job)


def test_two_ask_for_statistics(place: Platform, client: Client) -> None:
    datasets = tuple(owner.dataset_id for owner in place.parties.values())
    request = StatisticsRequest(
        place.project, "ages", place.purpose, datasets, (query("count"), query("mean:age")),
        NoiseRequest(1e-6, noise_multiplier=2.0),
    )  # fmt: skip
    job = ended(client, request)
    assert job.state == "succeeded", job.error
    (count,) = (job.report or {})["answers"][0]["rows"]
    assert abs(count["value"] - 2 * ROWS) <= 6 * count["standard_error"]
    assert seen(client, job) == {NOISED}


def test_sums_that_show_the_other_need_each_owners_own_word(
    place: Platform, client: Client
) -> None:
    request = training(place, PLAN, protection="secagg")
    notes = " ".join(client.jobs.dry_run(request).notes)
    assert "can compute the other's contribution" in notes
    job = ended(client, request)
    assert (job.state, (job.error or {})["code"]) == ("failed", "consent_refused")
    assert "each of the two could compute what the other one contributed" in str(job.error)
    first, second = place.parties
    accept(place, first, second)
    job = ended(client, request)  # one of them has said so
    assert (job.state, (job.error or {})["code"]) == ("failed", "consent_refused")
    assert f"{second} refused" in str(job.error)
    accept(place, second, first)
    job = ended(client, request)
    assert job.state == "succeeded", job.error
    assert seen(client, job) == {COMPUTED}
    assert COMPUTED in html.unescape(client.jobs.report_html(job.id, "en"))
    assert "对方对每个总和的贡献" in client.jobs.report_html(job.id, "zh")
    check_story(place, job)


def accept(place: Platform, party: str, partner: str) -> None:
    """Have an owner accept a partner in its settings, for its dataset, and reload them."""
    config = place.parties[party].config
    pinned = api.charter_show(config)["pinned"]["charter"]["members"]
    (key,) = [one["key"] for one in pinned if one["organisation"] == partner]
    (dataset,) = [owner.dataset for owner in place.parties.values() if owner.party == party]
    assert dataset is not None
    settings = yaml.safe_load(config.read_text())
    settings["consent"]["two_party"] = [{"dataset": dataset.name, "key": key}]
    config.write_text(yaml.safe_dump(settings))
    api.reload(config)
