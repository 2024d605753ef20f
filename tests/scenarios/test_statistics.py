"""Statistics over real processes: answers within their noise, and budgets that pay for each run."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from secureflow.agent import api
from secureflow.demo.data import PURPOSE, dataset_config, split_silos
from secureflow.demo.platform import Platform
from secureflow.domain.jobs import Job
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.statistics import StatisticsLimits
from secureflow.domain.specs.statistics_request import NoiseRequest
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import StatisticsRequest, query
from tests.nursery import Born
from tests.survival.world import await_end, bank_names, own_entries, verified

BUDGET = DatasetPrivacy("adult", epsilon=2.0, delta=1e-5)
QUERIES = (
    "count",
    "count:by=sex",
    "mean:age",
    "mean:hours-per-week:by=sex",
    "histogram:education",
    "quantile:age:q=0.25,0.5,0.75:bins=84",
)
BANKS = 4
PATIENCE = 10.0  # seconds without a sign of life: far more than a busy machine needs
POLICY = """permit(principal, action == Action::"statistics", resource == Dataset::"adult");
permit(principal, action == Action::"preparation", resource == Dataset::"adult");"""
"""Bank A's dataset has another name, so that its owner is asked each time."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("statistics")
    owners = bank_names(BANKS)
    paths = dict(zip(owners, split_silos(directory / "data", BANKS), strict=True))
    datasets = {
        party: replace(
            dataset_config(path, "people" if party == "bank-a" else "adult"), privacy=BUDGET
        )
        for party, path in paths.items()
    }
    with Platform(directory / "p", owners, datasets, policy=POLICY, child=Born) as built:
        built.build()
        yield built


@pytest.fixture(scope="module")
def people(place: Platform) -> dict[str, np.ndarray]:
    """Everybody's rows: only this test sees them together."""
    tables = [pq.read_table(one.dataset.path) for one in place.parties.values() if one.dataset]
    together = pa.concat_tables(tables)
    names = ("age", "hours-per-week", "sex", "education")
    return {name: np.array(together[name].to_pylist()) for name in names}


def asked(place: Platform, *queries: str, **changes: Any) -> StatisticsRequest:
    facts: dict[str, Any] = {
        "project": place.project,
        "name": "ages",
        "purpose": PURPOSE,
        "datasets": tuple(owner.dataset_id for owner in place.parties.values()),
        "queries": tuple(map(query, queries or QUERIES)),
        "privacy": NoiseRequest(1e-6, epsilon=0.5),
        "limits": StatisticsLimits(PATIENCE),
    }
    return StatisticsRequest(**{**facts, **changes})


def approve(place: Platform, job: str) -> None:
    """Bank A's owner says yes, once the request is there."""
    config, deadline = place.parties["bank-a"].config, time.monotonic() + 60
    while True:
        for item in api.inbox_list(config, waiting=True):
            if item["job"] == job:
                api.inbox_approve(config, item["id"])
                return
        assert time.monotonic() < deadline, "nobody asked"
        time.sleep(0.05)


def run(place: Platform, request: StatisticsRequest) -> Job:
    with place.client("bank-a") as client:
        job = client.jobs.submit(request).id
        approve(place, job)
        return await_end(client, job)


def spent(place: Platform) -> dict[str, float]:
    """What each owner is told, without the exact figure that takes its seconds (see the first)."""
    return {
        party: api.data_budget(owner.config, exact=False)[0]["spent"]
        for party, owner in place.parties.items()
    }


def entries(place: Platform, job: str) -> Counter[tuple[str, str]]:
    with place.client("bank-a") as client:
        leaves = [entry["leaf"]["leaf"] for entry in own_entries(client.jobs.bundle(job), job)]
    return Counter((leaf["kind"], leaf["author"]) for leaf in leaves)


def near(row: dict[str, Any], truth: float) -> bool:
    """Six standard errors are missed once in five hundred million."""
    return bool(abs(row["value"] - truth) <= 6 * row["standard_error"])


def test_answers_are_near_the_truth_paid_for_and_on_record(
    place: Platform, people: dict[str, np.ndarray]
) -> None:
    before = spent(place)
    job = run(place, asked(place))
    assert job.state == "succeeded", job.error
    report = job.report or {}
    told = {answer["name"]: answer["rows"] for answer in report["answers"]}

    women = people["sex"] == "Female"
    truth = {
        "count": [len(women)],
        "count-by-sex": [women.sum(), (~women).sum()],
        "mean-age": [people["age"].mean()],
        "mean-hours-per-week-by-sex": [
            people["hours-per-week"][women].mean(), people["hours-per-week"][~women].mean(),
        ],
        "histogram-education": [
            (people["education"] == row["cell"]).sum() for row in told["histogram-education"]
        ],
    }  # fmt: skip
    for name, values in truth.items():
        assert len(told[name]) == len(values), name
        for row, value in zip(told[name], values, strict=True):
            assert near(row, float(value)), (name, row, value)
    exact = np.quantile(people["age"], [0.25, 0.5, 0.75])
    for row, value in zip(told["quantile-age"], exact, strict=True):
        assert abs(row["value"] - value) <= 1.5  # the cells are a year wide
    assert told["count"][0]["value"] != len(women)  # there is noise

    privacy = report["privacy"]
    assert 0.45 < privacy["epsilon"] <= 0.5
    assert (privacy["unit"], privacy["contributions"]) == ("record", 1)
    assert all(line == {"rounds": 1, "rows": None} for line in report["contributions"].values())
    assert not report["dropouts"]
    after = spent(place)
    assert all(before[party] < after[party] < before[party] + 1.0 for party in after)
    (budget,) = api.data_budget(place.parties["bank-b"].config)
    assert budget["spent"] == after["bank-b"]
    assert 0 < budget["epsilon_spent"]["pld"] < budget["epsilon_spent"]["rdp-filter"]

    assert verified(place, job.id)
    found = entries(place, job.id)
    for party in place.parties:
        assert found["approval", party] == found["budget", party] == found["update", party] == 1
    kinds = Counter(kind for kind, _ in found.elements())
    assert kinds["round.closed"] == kinds["job.started"] == kinds["job.finished"] == 1


def test_nothing_of_the_sums_stays_behind(place: Platform) -> None:
    """Neither the noised sums at the agents, nor the masked vectors at the centre."""
    for owner in place.parties.values():
        with contextlib.closing(sqlite3.connect(owner.directory / "agent.db")) as record:
            assert record.execute("SELECT count(*) FROM tallies").fetchone() == (0,)
            assert record.execute("SELECT count(*) FROM sessions").fetchone() == (0,)


@pytest.mark.full
def test_asking_again_is_paid_again_with_other_noise(place: Platform) -> None:
    paid, values = [spent(place)], []
    for _ in range(2):
        job = run(place, asked(place, "count"))
        values.append((job.report or {})["answers"][0]["rows"][0]["value"])
        paid.append(spent(place))
    assert values[0] != values[1]
    assert all(paid[0][p] < paid[1][p] < paid[2][p] for p in place.parties)


@pytest.mark.full
def test_a_party_that_is_gone_leaves_an_answer_of_the_others(
    place: Platform, people: dict[str, np.ndarray]
) -> None:
    with place.client("bank-a") as client:
        job = client.jobs.submit(asked(place, "count")).id
        waiting = {"bank-b", "bank-c", "bank-d"}
        while waiting:  # the three that a policy answers for
            for party in list(waiting):
                actions = api.log(place.parties[party].config, job=job)
                waiting -= {party} if any(d["action"] == "job.approved" for d in actions) else set()
        place.processes["bank-d"].kill()
        approve(place, job)
        ended = await_end(client, job)
    place.start("bank-d")
    assert ended.state == "succeeded", ended.error
    report = ended.report or {}
    assert report["survivors"] == ["bank-a", "bank-b", "bank-c"]
    assert {drop["party"] for drop in report["dropouts"]} == {"bank-d"}
    missing = place.parties["bank-d"].dataset
    assert missing is not None
    others = len(people["age"]) - pq.read_metadata(missing.path).num_rows
    assert near(report["answers"][0]["rows"][0], others)
    assert verified(place, job)


def test_a_private_preparation_is_paid_for_round_by_round_and_noised(
    place: Platform, people: dict[str, np.ndarray]
) -> None:
    before = spent(place)
    with place.client("bank-a") as client:
        job = client.jobs.submit(
            {
                "kind": "preparation",
                "project": place.project,
                "name": "inputs",
                "purpose": PURPOSE,
                "datasets": [owner.dataset_id for owner in place.parties.values()],
                "columns": ["age", "education"],
                "steps": [
                    {"step": "standardise", "columns": ["age"]},
                    {"step": "one_hot", "columns": ["education"], "least": 500},
                ],
                "privacy": {"epsilon": 0.4, "delta": 1e-6},
            }
        ).id
        approve(place, job)
        ended = await_end(client, job)
    assert ended.state == "succeeded", ended.error
    report = ended.report or {}
    fits = {row["name"]: row["fit"] for row in report["fitted"]}
    assert fits["standardise"]["mean"] != people["age"].mean()  # there is noise
    assert abs(fits["standardise"]["mean"] - people["age"].mean()) < 1
    assert 0.35 < report["privacy"]["epsilon"] <= 0.4
    after = spent(place)
    assert all(before[party] < after[party] < before[party] + 0.8 for party in after)
    assert verified(place, job)


def test_a_job_beyond_the_budget_is_refused_before_anything_runs(place: Platform) -> None:
    before = spent(place)
    with place.client("bank-a") as client:
        dear = asked(place, "count", privacy=NoiseRequest(1e-6, epsilon=5.0))
        job = await_end(client, client.jobs.submit(dear).id)
    assert job.state == "failed"
    assert job.error is not None
    failures = job.error["details"]["failures"]
    assert {error["code"] for error in failures.values()} == {"budget_exceeded"}
    assert spent(place) == before
    kinds = {kind for kind, _ in entries(place, job.id)}
    assert not kinds & {"approval", "budget", "update", "job.started"}


def test_a_dry_run_tells_the_price_and_the_width(place: Platform) -> None:
    with place.client("bank-a") as client:
        told = client.jobs.dry_run(asked(place))
        job = client.jobs.explain(client.jobs.submit(asked(place, "count")).id)
        client.jobs.cancel(job["job"])
    privacy = told.details["privacy"]
    assert 0.45 < privacy["epsilon"]["rdp-cks20"] <= 0.5
    assert privacy["noise_multiplier"] == told.spec["privacy"]["noise_multiplier"] > 1
    expected = {row["name"]: row["standard_error"] for row in told.details["expected"]}
    assert expected["count"] == pytest.approx(privacy["noise_multiplier"] * 4**0.5 / 2**0.5)
    assert {column["column"] for column in told.spec["columns"]} == {
        "age", "hours-per-week", "sex", "education",
    }  # fmt: skip
    assert job["privacy"]["epsilon"] == 0.0
    assert job["privacy"]["epsilon_planned"]["rdp-cks20"] <= 0.5


@pytest.mark.parametrize(
    "extra",
    [
        {"contributions": 1},
        {"columns": [{"column": "age", "type": "number", "bounds": [38, 39]}]},
        {"privacy": {"delta": 1e-6, "epsilon": 0.5, "unit": "party"}},
    ],
)
def test_an_analyst_cannot_name_what_the_owners_declare(
    place: Platform, extra: dict[str, Any]
) -> None:
    request = {**dump(asked(place, "mean:age")), **extra, "kind": "statistics"}
    with place.client("bank-a") as client, pytest.raises(SecureFlowError) as refused:
        client.jobs.dry_run(request)
    assert refused.value.code == "invalid_request"
