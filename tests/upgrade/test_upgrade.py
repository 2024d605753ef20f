"""Stored data of cf0e5f2, started under today's code: what was true stays true.

The processes are the real ones. One platform is started for the whole file, and its tests go on
with one another's state in the order in which they stand here.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent import api
from secureflow.demo.data import demo_features
from secureflow.domain.charter import SignedCharter
from secureflow.domain.jobs import Job
from secureflow.domain.specs.training import TrainingPlan
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folder import FILE
from secureflow.kit.version import __version__
from secureflow.sdk import Client, TrainingRequest
from tests.upgrade.old import BANKS, Old, unpack

ARCHIVE = Path(__file__).parent / "cf0e5f2.tar.xz"
SUCCEEDED = ("sealed", "secagg", "private", "statistics")
UNFINISHED = ("waiting", "running_sealed", "running_secagg")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Old]:
    made = unpack(ARCHIVE, tmp_path_factory.mktemp("old"))
    made.before = {party: record(made, party) for party in BANKS}
    with made.place:
        made.start()
        yield made


@pytest.fixture(scope="module")
def client(old: Old) -> Iterator[Client]:
    with old.place.client("bank-a") as made:
        yield made


def record(old: Old, party: str) -> dict[str, Any]:
    """Read what an agent's own record says, beside it."""
    path = old.place.directory / party / "agent.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        jobs = "select job, outcome, length(secret) from jobs"
        return {
            "jobs": {job: (outcome, bool(size)) for job, outcome, size in database.execute(jobs)},
            "inbox": dict(database.execute("select job, state from inbox")),
        }


def until(true: Callable[[], Any], patience: float = 90.0) -> Any:
    deadline = time.monotonic() + patience
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return found


def ended(client: Client, job: str) -> Job:
    def end() -> Job | None:
        found = client.jobs.get(job)
        return found if found.state.final else None

    return until(end)


def test_unfinished_jobs_end_by_name(old: Old, client: Client) -> None:
    """No driver for their script is there: everybody is told, nothing stays behind."""
    for name in UNFINISHED:
        job = ended(client, old.id(name))
        assert (job.state, (job.error or {})["code"]) == ("failed", "script_retired"), name
        assert job.script == "training/1"
    for party in BANKS:
        until(lambda party=party: told(old, party))
        now = record(old, party)
        for name in ("running_sealed", "running_secagg"):
            assert old.before[party]["jobs"][old.id(name)] == ("", True), "nothing was to be told"
            assert now["jobs"][old.id(name)] == ("failed", False), (party, name)
        models = old.place.directory / party / "models"
        left = {path.name for path in models.iterdir()} if models.is_dir() else set()
        assert not left & {old.id(name) for name in UNFINISHED}


def told(old: Old, party: str) -> bool:
    jobs = record(old, party)["jobs"]
    return all(jobs[old.id(name)][0] for name in ("running_sealed", "running_secagg"))


@pytest.mark.parametrize("name", SUCCEEDED)
def test_ended_jobs_are_read_as_before(old: Old, client: Client, name: str) -> None:
    job = client.jobs.get(old.id(name))
    assert (job.state, job.error) == ("succeeded", None)
    report = client.jobs.report(job.id)
    assert (report["job"], report["state"]) == (job.id, "succeeded")
    assert client.jobs.explain(job.id)["job"] == job.id
    events = list(client.jobs.watch(job.id))
    assert events[-1].kind == "done"
    if name != "statistics":
        (model,) = client.models.list(job=job.id)
        assert model.digest == report["model"]["digest"]


def test_the_refused_job_still_says_why(old: Old, client: Client) -> None:
    job = client.jobs.get(old.id("refused"))
    assert job.state == "failed"
    assert "consent_refused" in json.dumps(job.error)


@pytest.mark.parametrize("name", [*SUCCEEDED, "refused"])
def test_old_bundles_hold_and_say_what_is_missing(old: Old, client: Client, name: str) -> None:
    """Nothing in them is broken; ends were not signed then, and the verdict says that."""
    charter = SignedCharter.parse(old.place.charter_file().read_bytes()).charter
    verdict = verify_bundle(client.jobs.bundle(old.id(name)), charter)
    assert verdict.failures == ()
    assert verdict.status == "unfinished"
    assert "it ran before ends were recorded" in verdict.missing[0]


@pytest.mark.parametrize("party", BANKS)
def test_budgets_that_were_spent_are_spent(old: Old, party: str) -> None:
    """By the jobs that spent them, and by no other: the jobs that end now had no noise."""
    (line,) = api.data_budget(old.place.parties[party].config, exact=False)
    held = {one["job"]: (one["state"], one["charge"][0]["count"]) for one in line["reservations"]}
    assert held == {old.id("private"): ("committed", 2), old.id("statistics"): ("committed", 2)}
    assert 0 < line["spent"] < line["epsilon"] == 10.0


def test_the_request_that_waited_is_withdrawn_and_asked_again(old: Old, client: Client) -> None:
    """Its job ended: nobody waits for an answer any more. Submitted again, it is asked again."""
    bank = old.place.parties["bank-a"]
    job = old.id("waiting")
    assert old.before["bank-a"]["inbox"][job] == "waiting"
    assert [i["state"] for i in api.inbox_list(bank.config, waiting=False) if i["job"] == job] == [
        "withdrawn"
    ]
    plan = TrainingPlan(rounds=7, batch_size=64, learning_rate=0.1)
    again = submit(old, client, plan)

    def asked() -> Any:
        waiting = api.inbox_list(bank.config, waiting=True)
        return next((item for item in waiting if item["job"] == again), None)

    item = until(asked)
    client.jobs.cancel(again)
    assert item["id"]
    assert ended(client, again).state == "cancelled"


def submit(old: Old, client: Client, plan: TrainingPlan, **more: Any) -> str:
    datasets = tuple(owner.dataset_id for owner in old.place.parties.values())
    return client.jobs.submit(
        TrainingRequest(
            old.place.project, "anew", "credit scoring", datasets,
            features=demo_features(), plan=plan, **more,
        )
    ).id  # fmt: skip


@pytest.mark.parametrize("protection", ["sealed", "secagg"])
def test_a_new_job_runs_on_the_old_data(old: Old, client: Client, protection: str) -> None:
    plan = TrainingPlan(rounds=1, batch_size=64, learning_rate=0.1)
    job = ended(client, submit(old, client, plan, protection=protection))
    assert (job.state, job.error, job.script) == ("succeeded", None, "training/2")
    charter = SignedCharter.parse(old.place.charter_file().read_bytes()).charter
    assert verify_bundle(client.jobs.bundle(job.id), charter).status == "verified"


def test_the_folders_name_this_version_and_refuse_an_older_one(old: Old) -> None:
    """The last test of the file: it stops what runs. Nothing is written by who is refused."""
    old.place.stop()
    for name in ("server", "enclave", "bank-a"):
        path = old.place.directory / name / FILE
        assert json.loads(path.read_text()) == {"version": __version__}
        path.write_text('{"version": "99.0.0"}')
        before = contents(path.parent)
        with pytest.raises(SecureFlowError, match=r"was last used by SecureFlow 99\.0\.0"):
            old.place.start(name)
        old.place.processes.pop(name).join()
        assert contents(path.parent) == before


def contents(directory: Path) -> dict[str, int]:
    return {
        str(path.relative_to(directory)): path.stat().st_mtime_ns
        for path in directory.rglob("*")
        if path.is_file() and path.name not in {"agent.lock", "ready.json"}
    }
