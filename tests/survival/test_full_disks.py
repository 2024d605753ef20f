"""Real processes on disks that are really full: a job waits, goes on, or ends by name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from secureflow.demo.platform import Platform
from secureflow.demo.processes import stop_all
from secureflow.domain.specs.training import TrainingPlan
from secureflow.domain.specs.updatelimits import Limits
from secureflow.engines.ledger.ends import FINISHED
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import Client, TrainingRequest
from tests.peers import full_disk
from tests.peers.full_disk import SmallDisk, wait_until
from tests.survival.world import (
    MORTAL,
    await_end,
    check_story,
    halting,
    own_entries,
    platform,
    training,
    verified,
)

PLAN = TrainingPlan(rounds=8, batch_size=64, learning_rate=0.1)
MEBIBYTES = 40


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    full_disk.demand()
    settings = {"server": {"storage": {"reserve_mb": 4}}}
    with platform(tmp_path_factory.mktemp("disks") / "p", settings=settings) as built:
        yield built


@pytest.fixture(scope="module")
def disk(place: Platform) -> Iterator[SmallDisk]:
    """The disk of bank-b's agent."""
    stop_all([place.processes["bank-b"]])
    with SmallDisk(place.directory / "bank-b", MEBIBYTES) as small:
        place.entry["bank-b"] = small.entry(MORTAL)
        small.start(place, "bank-b")
        yield small
        stop_all([place.processes["bank-b"]])


def digest(job: Any) -> str:
    assert job.state == "succeeded", job.error
    return str(job.report["model"]["digest"])


@pytest.fixture(scope="module")
def undisturbed(place: Platform) -> Callable[[str], str]:
    """The digest of the model of a job that nothing disturbs."""

    @functools.cache
    def of(protection: str) -> str:
        with place.client("bank-a") as client:
            request = training(place, PLAN, protection=protection)
            return digest(await_end(client, client.jobs.submit(request).id))

    return of


@pytest.mark.parametrize("protection", ["sealed", pytest.param("secagg", marks=pytest.mark.soak)])
def test_a_job_waits_for_room_at_an_agent(
    place: Platform, disk: SmallDisk, protection: str, undisturbed: Callable[[str], str]
) -> None:
    request, wanted = training(place, PLAN, protection=protection), undisturbed(protection)
    with place.client("bank-a") as client:
        job = filled_in_mid_job(place, client, request, disk)
        wait_until(lambda: waits(client, job, "The disk of bank-b is full"), "bank-b does not wait")
        assert client.jobs.get(job).state == "running"
        disk.free()
        ended = await_end(client, job)
    assert digest(ended) == wanted
    check_story(place, ended)


def test_an_agent_without_room_ends_the_job_by_name_and_signs_its_end(
    place: Platform, disk: SmallDisk
) -> None:
    """Not even the process that comes after a kill has room for anything but the record's end."""
    reserve, limits = disk.inside(disk.folder / "agent.reserve"), Limits(patience_seconds=6)
    request = training(place, PLAN, protection="secagg", limits=limits)
    with place.client("bank-a") as client:
        job = filled_in_mid_job(place, client, request, disk)
        place.processes["bank-b"].kill()
        disk.start(place, "bank-b")
        ended = await_end(client, job)
        bundle = client.jobs.bundle(job)
    assert (ended.state, ended.error and ended.error["code"]) == ("failed", "disk_full")
    told = ended.error["details"]["failures"]["bank-b"]
    assert told["details"]["party"] == "bank-b"
    assert told["details"]["needed"] > told["details"]["free"] >= 0
    assert "The disk of bank-b is full: its " in ended.error["message"]
    ends = {entry["leaf"]["leaf"]["author"] for entry in own_entries(bundle, job)
            if entry["leaf"]["leaf"]["kind"] == FINISHED}  # fmt: skip
    assert "bank-b" in ends
    assert verified(place, job)
    disk.free()
    with place.client("bank-a") as client:  # it was nobody's fault: the next one goes well
        assert digest(await_end(client, client.jobs.submit(request).id))
    assert reserve.stat().st_size == 8 << 20


@pytest.fixture(scope="module")
def store(place: Platform) -> Iterator[SmallDisk]:
    """The disk of the centre's artefacts."""
    stop_all([place.processes["server"]])
    with SmallDisk(place.server / "artifacts", MEBIBYTES) as small:
        place.entry["server"] = small.entry(MORTAL)
        place.start("server")
        yield small
        stop_all([place.processes["server"]])


@pytest.mark.full
def test_a_job_waits_for_room_in_the_artefact_store_or_ends_by_its_name(
    place: Platform, store: SmallDisk, undisturbed: Callable[[str], str]
) -> None:
    with place.client("bank-a") as client:
        for protection in ("sealed", "secagg"):
            request, wanted = training(place, PLAN, protection=protection), undisturbed(protection)
            job = filled_in_mid_job(place, client, request, store)
            full = "The disk of the centre is full"
            wait_until(lambda: waits(client, job, full), "nobody waits")  # noqa: B023  at once
            assert client.jobs.get(job).state == "running"
            store.free()
            ended = await_end(client, job)
            assert digest(ended) == wanted
            check_story(place, ended)
        impatient = replace(request, limits=Limits(patience_seconds=5))
        job = filled_in_mid_job(place, client, impatient, store)
        ended = await_end(client, job)
        assert (ended.state, ended.error and ended.error["code"]) == ("failed", "disk_full")
        assert "The disk of the centre is full: its " in ended.error["message"]
        with pytest.raises(SecureFlowError, match="disk_full"):  # the next one does not even begin
            client.jobs.submit(request)
    assert verified(place, job)
    store.free()


def filled_in_mid_job(
    place: Platform, client: Client, request: TrainingRequest, disk: SmallDisk
) -> str:
    """Submit a job, and fill a disk after its first round and not after its last one."""
    with halting(place, "bank-b") as halt:
        job = client.jobs.submit(request).id
        halt()
        disk.fill()
        assert client.jobs.get(job).state == "running"
    return job


def waits(client: Client, job: str, why: str) -> bool:
    """Tell whether the job says that somebody waits, and why."""
    told = client.jobs.get(job).progress.get("waiting", [])
    return any(why in one["message"] for one in told)
