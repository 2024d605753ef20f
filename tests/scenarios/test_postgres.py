"""The whole platform on PostgreSQL: init, agents, training, statistics, audit, and the demo."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from secureflow.agent import api
from secureflow.demo.platform import TRUST_DOMAIN, Platform
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.specs.statistics_request import NoiseRequest
from secureflow.sdk import StatisticsRequest, query
from tests import nursery
from tests.survival.world import ROWS, await_end, check_story, platform, training, verified

pytestmark = pytest.mark.postgres
BUDGET = DatasetPrivacy("adult", epsilon=2.0, delta=1e-5, required=False)


@pytest.fixture(scope="module")
def url(empty_postgres: Callable[[], str]) -> str:
    return empty_postgres()


@pytest.fixture(scope="module")
def place(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("postgres") / "p"
    with platform(directory, mortal=False, budget=BUDGET, database=url) as built:
        yield built


def rows_of(url: str, table: str) -> int:
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


@pytest.mark.parametrize("protection", ["sealed", pytest.param("secagg", marks=pytest.mark.full)])
def test_training(place: Platform, protection: str) -> None:
    with place.client("bank-a") as client:
        job = client.jobs.submit(training(place, protection=protection))
        ended = await_end(client, job.id)
    assert ended.state == "succeeded", ended.error
    check_story(place, ended)


def test_statistics_are_answered_and_paid_for(place: Platform) -> None:
    request = StatisticsRequest(
        project=place.project,
        name="rows",
        purpose="credit scoring",
        datasets=tuple(owner.dataset_id for owner in place.parties.values()),
        queries=(query("count"),),
        privacy=NoiseRequest(1e-6, epsilon=0.5),
    )
    with place.client("bank-a") as client:
        ended = await_end(client, client.jobs.submit(request).id)
    assert ended.state == "succeeded", ended.error
    row = (ended.report or {})["answers"][0]["rows"][0]
    assert abs(row["value"] - ROWS * len(place.parties)) <= 6 * row["standard_error"]
    for owner in place.parties.values():
        assert 0 < api.data_budget(owner.config)[0]["spent"] <= BUDGET.epsilon
    assert verified(place, ended.id)


def test_an_auditor_verifies_what_a_killed_server_left(
    place: Platform, url: str, tmp_path: Path
) -> None:
    with place.client("bank-a") as client:
        job = client.jobs.submit(training(place)).id
        assert await_end(client, job).state == "succeeded"
    leaves = rows_of(url, "log_leaves")
    place.processes["server"].kill()
    place.start("server")
    assert rows_of(url, "log_leaves") >= leaves > 0
    assert not list(place.server.rglob("*.db"))  # nothing lies in SQLite meanwhile
    bundle = tmp_path / "bundle.json"
    with place.client("bank-a") as client:
        bundle.write_text(json.dumps(client.jobs.bundle(job)))
    words = ("audit", "verify", str(bundle), "--charter", str(place.charter_file()))
    done = secureflow(*words)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.full
def test_the_demo_runs_on_a_given_database_and_takes_no_other(
    tmp_path: Path, empty_postgres: Callable[[], str]
) -> None:
    url, directory = empty_postgres(), tmp_path / "demo"
    words = ("demo", "--rounds", "2", "--json", "--directory", str(directory), "--database", url)
    done = secureflow(*words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["ledger"]["verified"] is True
    assert rows_of(url, "jobs") == 1
    assert not list(directory.glob("server/*.db"))
    before = (directory / "report.html").stat().st_mtime_ns
    again = secureflow(*words)
    assert again.returncode == 5
    assert f"already holds the centre {TRUST_DOMAIN}/log" in again.stderr
    assert rows_of(url, "jobs") == 1
    assert (directory / "report.html").stat().st_mtime_ns == before  # refused before anything else
    other = secureflow("demo", "--directory", str(directory), "--database", "sqlite:///x.db")
    assert other.returncode == 2
    assert "PostgreSQL" in other.stderr


def secureflow(*words: str) -> Any:
    return nursery.run("secureflow", *words, timeout=800)
