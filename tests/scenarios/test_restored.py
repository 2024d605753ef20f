"""Agent and centre out of their backups, on real processes: the budget does not refill.

Three banks train a private model after the backups were made. Then one agent is restored, and later
the centre and the agent, so that nobody's record but the other members' holds what was spent.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent import api
from secureflow.agent.owner import backup as agent_backups
from secureflow.demo.data import private_features
from secureflow.demo.platform import Platform
from secureflow.demo.processes import stop_all
from secureflow.domain.jobs import Job
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.training import TrainingPlan
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import TrainingRequest
from secureflow.server.backup import back_up
from secureflow.server.restore import restore
from tests.survival.world import ROWS, platform, training

PHRASE = "four words of luck"
DELTA = 1e-5
PRIVACY = Privacy(delta=DELTA, noise_multiplier=4.0, rows=3 * ROWS, noise="shared")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("restored") / "p"
    with platform(directory, 3, budget=DatasetPrivacy("adult", 500.0, DELTA), mortal=False) as made:
        yield made


def request(place: Platform, name: str) -> TrainingRequest:
    plan = TrainingPlan(rounds=2, learning_rate=1.0, validation=0.0)
    options: dict[str, Any] = {"features": private_features(), "privacy": PRIVACY, "name": name}
    return training(place, plan, protection="secagg", **options)


def ran(place: Platform, name: str) -> Job:
    with place.client("bank-a") as client:
        job = client.jobs.submit(request(place, name))
        return client.jobs.wait(job.id, timeout=120)


def stopped(place: Platform, name: str) -> None:
    """Stop a process, and lose its folder."""
    stop_all([place.processes.pop(name)])
    folder = place.directory / name
    folder.rename(folder.with_name(f"{name}.lost{len(list(place.directory.glob('*.lost*')))}"))


def budget(place: Platform) -> dict[str, Any]:
    (told,) = api.data_budget(place.parties["bank-a"].config, exact=False)
    return told


def linked(place: Platform) -> None:
    """Wait until the agent has its link."""
    until = time.monotonic() + 60
    while (status := api.status(place.parties["bank-a"].config))["link"] != "connected":
        assert time.monotonic() < until, status
        time.sleep(0.05)


def test_what_was_spent_since_a_backup_stays_spent(place: Platform, tmp_path: Path) -> None:
    config = place.parties["bank-a"].config
    back_up(place.server / "server.yaml", tmp_path / "centre.tar", PHRASE)
    agent_backups.back_up(config, tmp_path / "agent.tar", PHRASE)
    job = ran(place, "before")
    before = budget(place)["spent"]
    assert before > 0
    with place.client("bank-a") as client:
        bundle = client.jobs.bundle(job.id)

    # The agent alone: an honest centre's log names the job, and the owner must account for it.
    stopped(place, "bank-a")
    agent_backups.restore(tmp_path / "agent.tar", config.parent, passphrase=PHRASE)
    place.start("bank-a")
    linked(place)
    told = budget(place)
    assert (told["locked"], told["spent"]) == (True, 0.0)
    with pytest.raises(SecureFlowError, match="bank-a refused"):
        ran(place, "after")
    with pytest.raises(SecureFlowError) as missing:
        api.data_settle(config, "adult")
    assert (missing.value.code, missing.value.details["jobs"]) == ("bundle_missing", [job.id])
    assert api.data_settle(config, "adult", [bundle])["jobs"] == [job.id]
    told = budget(place)
    assert (told["locked"], told["spent"]) == (False, pytest.approx(before))
    ran(place, "again")
    assert budget(place)["spent"] > before

    # Both: the centre knows nothing of the job any more, and signs nothing; the budget is locked.
    stopped(place, "bank-a")
    stopped(place, "server")
    found = restore(tmp_path / "centre.tar", place.server, passphrase=PHRASE)
    assert found.keys
    agent_backups.restore(tmp_path / "agent.tar", config.parent, passphrase=PHRASE)
    place.start("server")
    place.start("bank-a")
    linked(place)
    told = budget(place)
    assert (told["locked"], told["spent"]) == (True, 0.0)
    with pytest.raises(SecureFlowError) as held:
        ran(place, "anew")
    assert held.value.code == "log_set_back"
    assert api.data_settle(config, "adult", [bundle])["jobs"] == [job.id]
    assert budget(place)["spent"] == pytest.approx(before)
