"""SIGKILL at every step of a job that brings code: what was recorded is sent again.

The code draws numbers that nobody can draw again. Were a recorded round trained once more, its
update would be another one, which is refused, and its party would drop out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from peers.sandboxes import demand_sandbox

from secureflow.agent import api
from secureflow.demo.data import private_features
from secureflow.demo.platform import Platform
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.specs.privacy import Privacy
from tests.survival.coded import CODE, POLICY, brought, know_environment
from tests.survival.points import Arming
from tests.survival.world import PLAN, check_story, platform, run_under

SHARES = [pytest.param("some"), pytest.param("all", marks=pytest.mark.soak)]
"""Of the steps: `make test` draws a few of them by a seed."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    demand_sandbox("root")
    directory: Path = tmp_path_factory.mktemp("code") / "p"
    budget = DatasetPrivacy("adult", 500.0, 1e-2, unit="party", required=False)
    with platform(directory, policy=POLICY, budget=budget, environment={CODE: "1"}) as built:
        know_environment(built)
        yield built


STEPS = [
    ("bank-b", (), 0.2, 6, 20),
    pytest.param("server", (" before", " after"), 0.06, 2, 20, marks=pytest.mark.full),
    ("code of bank-b", (), 1.0, 5, 5),
]
"""Process, points, the share of the steps that is drawn, and the fewest deaths: some, and all."""


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("process", "kinds", "drawn", "some", "every"), STEPS)
def test_what_code_returned_is_sent_again_and_never_trained_again(
    place: Platform,
    process: str,
    kinds: tuple[str, ...],
    drawn: float,
    some: int,
    every: int,
    share: str,
) -> None:
    arming = Arming(process, kinds, share=1.0 if share == "all" else drawn, seed=1)
    job, died = run_under(place, arming, brought(place))
    assert job.state == "succeeded", (job.error, died[-3:])
    assert len(died) >= (every if share == "all" else some), died
    assert (job.report or {})["contributions"]["bank-b"]["rounds"] == 2
    check_story(place, job)
    logs = place.parties["bank-b"].config.parent / "bundles" / "logs"
    for path in logs.glob(f"{job.id}*"):  # no object has trained a round twice
        told = re.findall(r"trained ([\d ]+)", path.read_text())
        assert all(len(set(one.split())) == len(one.split()) for one in told)


@pytest.mark.full
def test_an_agent_that_dies_while_it_holds_an_answer_back_is_charged_once(
    place: Platform,
) -> None:
    """The code is run again then, since nobody has seen its update, and takes all of its time.

    It dies before it takes the code's answer up, before it gives its own, and in the next round.
    """
    privacy = Privacy(
        delta=1e-2, noise_multiplier=1.5, unit="party", mechanism="central",
        party_unit_acknowledged=True,
    )  # fmt: skip
    asked = brought(
        place, seconds=6, plan=replace(PLAN, validation=0.0), features=private_features(),
        privacy=privacy,
    )  # fmt: skip
    job, died = run_under(place, Arming("code of bank-b", ("held back",)), asked)
    assert job.state == "succeeded", (job.error, died)
    assert died == [f"held back {number}" for number in (1, 2, 3)]
    assert (job.report or {})["contributions"]["bank-b"]["rounds"] == 2
    check_story(place, job)
    (domain,) = api.data_budget(place.parties["bank-b"].config, exact=False)
    (line,) = [one for one in domain["reservations"] if one["job"] == job.id]
    assert line["state"] == "committed"
    assert [(one["noise"], one["count"]) for one in line["charge"]] == [(1.5, 2)]


def test_an_environment_that_an_owner_lacks_ends_the_job_and_names_the_owner(
    place: Platform,
) -> None:
    (place.parties["bank-b"].config.parent / "environments" / "here.json").rename(
        place.directory / "here.json"
    )
    try:
        job, _ = run_under(place, None, brought(place))
    finally:
        (place.directory / "here.json").rename(
            place.parties["bank-b"].config.parent / "environments" / "here.json"
        )
    assert job.state == "failed"
    assert job.error is not None
    assert job.error["message"].startswith("bank-b refused (environment_unknown): "), job.error
