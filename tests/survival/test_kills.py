"""SIGKILL at every step of a running job: the same model, and nothing recorded twice.

One platform; an undisturbed job gives the digest that each disturbed one must reach.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from secureflow.demo.platform import Platform
from secureflow.domain.specs import Release
from tests.survival.points import Arming
from tests.survival.world import check_story, platform, run_under, training

pytestmark = [pytest.mark.xdist_group("kills"), pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory: Path = tmp_path_factory.mktemp("kills") / "p"
    with platform(directory) as built:
        yield built


@pytest.fixture(scope="module")
def undisturbed(place: Platform) -> str:
    job, _ = run_under(place, None)
    assert job.state == "succeeded", job.error
    check_story(place, job)
    assert job.report is not None
    return str(job.report["model"]["digest"])


STEPS = [
    # The first effects are over before the process is armed: how many depends on the machine.
    ("server", (" before", " after"), 36),
    ("bank-b", (), 40),
    ("enclave", (), 30),
]


@pytest.mark.parametrize(("process", "kinds", "fewest"), STEPS, ids=[step[0] for step in STEPS])
def test_a_process_killed_at_each_step(
    place: Platform, undisturbed: str, process: str, kinds: tuple[str, ...], fewest: int
) -> None:
    job, died = run_under(place, Arming(process, kinds))
    assert job.state == "succeeded", (job.error, died[-3:])
    assert len(died) >= fewest, died
    if kinds:  # from the first step that was met on, each killed it before and after
        parts = [
            {point.removesuffix(kind) for point in died if point.endswith(kind)} for kind in kinds
        ]
        assert parts[0] ^ parts[1] <= {died[0].removesuffix(kinds[1])}
    assert job.report is not None
    assert job.report["model"]["digest"] == undisturbed
    check_story(place, job)


def test_no_worker_outlives_its_agent(place: Platform, undisturbed: str) -> None:
    """An agent that is killed in training leaves no process behind that holds its rows."""
    job, died = run_under(place, Arming("bank-c", ("train ",)))
    assert job.state == "succeeded", job.error
    assert len(died) >= 8, died
    deadline = time.monotonic() + 10
    while left := orphans():
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def orphans() -> list[int]:
    """Return the training workers on this machine whose agent is gone."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        parent = re.search(rb"SECUREFLOW_WORKER_PARENT=(\d+)", environment)
        if parent and not Path(f"/proc/{int(parent[1])}").exists():
            found.append(int(entry.name))
    return found


def test_an_enclave_killed_while_models_are_sealed_to_the_agents(
    place: Platform, undisturbed: str
) -> None:
    """A new enclave gets the content key of the model that it goes on from by the agents' hands."""
    request = training(place, release=Release(intermediate="agents"))
    job, died = run_under(place, Arming("enclave", ("unlock", "release", "bank-b")), request)
    assert job.state == "succeeded", (job.error, died)
    assert any(point.startswith("unlock") for point in died), died
    assert job.report is not None
    assert job.report["model"]["digest"] == undisturbed
    check_story(place, job)
