"""SIGKILL at every step of a running job: the same model, one charge, and nothing recorded twice.

One platform for sealed, masked and statistics jobs. Undisturbed jobs give the digests that the
disturbed ones must reach, bit by bit: masked sums are exact in the ring, and a restarted client
repeats its words. An agent cannot draw the noise of a statistics job again, so what it recorded
before it died is what it sends after.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.pytorch import demand_torch

from secureflow.agent import api
from secureflow.demo.data import PURPOSE
from secureflow.demo.platform import Platform
from secureflow.domain.jobs import Job
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.specs.robust import GeometricMedian
from secureflow.domain.specs.sklearn_families import MlpClassifierModel
from secureflow.domain.specs.statistics_request import NoiseRequest
from secureflow.domain.specs.strategies import FedBn, FedDyn, FineTune
from secureflow.domain.specs.torch_families import Optimiser, TorchMlpModel
from secureflow.domain.specs.training import Release, TrainingPlan
from secureflow.sdk import StatisticsRequest, query
from secureflow.sdk.jobs import AnyRequest
from tests.nursery import ALONE
from tests.survival.drawing import DRAWN
from tests.survival.forests import grown
from tests.survival.points import Arming, deaths
from tests.survival.sweeps import check_sweep, sweep_request
from tests.survival.timetables import check_timetable, timetable_request
from tests.survival.world import ALLOW, PLAN, ROWS, check_story, platform, run_under, training

BUDGET = DatasetPrivacy("adult", epsilon=100.0, delta=1e-5, required=False)
POLICY = (
    ALLOW
    + """
permit(principal, action == Action::"prediction", resource) when { context.deliver == "bank-b" };
"""
)
"""Only a policy that looks at it allows a delivery."""
SHARES = [pytest.param(0.17, id="some"), pytest.param(1.0, id="all", marks=pytest.mark.soak)]
"""Of the steps: `make test` draws some of them by a seed, other ones for each kind of job."""


def soaked(*values: object) -> Any:
    """Leave a row of a matrix to `make soak`.

    `make test` has each process killed, each protection and each kind of job disturbed, at the
    steps where it has the most to lose; `make full` adds further processes within a kind of job.
    """
    return pytest.param(*values, marks=pytest.mark.soak)


def more(*values: object) -> Any:
    """Leave a row of a matrix to `make full`."""
    return pytest.param(*values, marks=pytest.mark.full)


SEEDS = {
    "sealed": 1,
    "secagg": 2,
    "sealed+secagg": 3,
    "statistics": 4,
    "preparation": 5,
    "sweep": 6,
    "evaluation": 7,
    "prediction": 8,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory: Path = tmp_path_factory.mktemp("kills") / "p"
    own = {"bank-c": {ALONE: "1"}}  # the agent whose workers are looked for after its death
    with platform(directory, budget=BUDGET, own=own, policy=POLICY) as built:
        yield built


@pytest.fixture(scope="module")
def undisturbed(place: Platform) -> Callable[[str], str]:
    """Return what gives the model that an undisturbed job under a protection makes."""

    @cache
    def digest(protection: str) -> str:
        job, _ = run_under(place, None, training(place, protection=protection))
        assert job.state == "succeeded", job.error
        check_story(place, job)
        assert job.report is not None
        return str(job.report["model"]["digest"])

    return digest


def enough(fewest: int, share: float) -> int:
    """Return how many deaths there are at least when only some steps were drawn."""
    return fewest if share == 1.0 else int(fewest * share / 2)


STEPS = [
    # The first effects are over before the process is armed: how many depends on the machine.
    soaked("sealed", "server", (" before", " after"), 36),
    soaked("sealed", "bank-b", (), 40),
    ("sealed", "enclave", (), 30),
    ("secagg", "server", (" before", " after"), 30),
    more("sealed+secagg", "server", (" before", " after"), 30),
    ("sealed+secagg", "server", ("uncommitted",), 15),
    ("sealed+secagg", "bank-b", (), 30),
    soaked("sealed+secagg", "enclave", (), 0),
    # The same commits and the same agent's steps as above.
    soaked("secagg", "server", ("uncommitted",), 15),
    soaked("secagg", "bank-b", (), 30),
]


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(
    ("protection", "process", "kinds", "fewest"),
    STEPS,
)
def test_a_process_killed_at_each_step(
    place: Platform,
    undisturbed: Callable[[str], str],
    protection: str,
    process: str,
    kinds: tuple[str, ...],
    fewest: int,
    share: float,
) -> None:
    arming = Arming(process, kinds, share=share, seed=SEEDS[protection])
    job, died = run_under(place, arming, training(place, protection=protection))
    assert job.state == "succeeded", (job.error, died[-3:])
    assert len(died) >= enough(fewest, share), died
    if len(kinds) == 2:  # from the first step that was met on, each killed it before and after
        parts = [
            {point.removesuffix(kind) for point in died if point.endswith(kind)} for kind in kinds
        ]
        assert parts[0] ^ parts[1] <= {died[0].removesuffix(kinds[1])}
    assert job.report is not None
    assert job.report["model"]["digest"] == undisturbed(protection)
    check_story(place, job)


def test_what_parties_keep_and_what_an_enclave_reads_again_is_lost_with_nobody(
    place: Platform,
) -> None:
    """An agent dies around a round whose slope it keeps; the enclave between two readings."""
    plan = replace(PLAN, strategy=FedDyn("feddyn"), aggregation=GeometricMedian("geometric_median"))
    undisturbed, _ = run_under(place, None, training(place, plan))
    assert undisturbed.state == "succeeded", undisturbed.error
    kinds = ("reading 2", "train 2 train uncommitted", "train 2 train after")
    job, _ = run_under(place, Arming("*", kinds), training(place, plan))
    assert job.state == "succeeded", job.error
    points = place.directory / "points"
    assert deaths(points, "enclave") == ["reading 2"]
    for party in place.parties:
        assert {kind for kind in kinds if kind in deaths(points, party)} == set(kinds[1:])
    assert job.report is not None
    assert undisturbed.report is not None
    assert job.report["model"]["digest"] == undisturbed.report["model"]["digest"]
    check_story(place, job)


OWN = [
    ({"strategy": FineTune("finetune", 2, 0.1)}, {}, "secagg"),
    more(
        {"strategy": FedBn("fedbn")},
        {"model": TorchMlpModel("torch_mlp", hidden=(8,), norm="batch")},
        "sealed",
    ),
]


@pytest.mark.parametrize(("plan", "changes", "protection"), OWN, ids=["finetune", "fedbn"])
def test_models_of_ones_own_are_made_once_and_kept(
    place: Platform, plan: dict[str, Any], changes: dict[str, Any], protection: Any
) -> None:
    """Agents die around the round whose layers they keep, and where they measure their models."""
    if changes:
        demand_torch()
    request = training(
        place, replace(PLAN, order="public", **plan), protection=protection, **changes
    )
    undisturbed, _ = run_under(place, None, request)
    assert undisturbed.state == "succeeded", undisturbed.error
    verb = "mask" if protection == "secagg" else "train"
    kinds = (
        f"{verb} 2 train uncommitted", f"{verb} 2 train after",
        f"{verb} 3 evaluate uncommitted", f"{verb} 3 evaluate committed",
        f"{verb} 3 evaluate after",
    )  # fmt: skip
    job, _ = run_under(place, Arming("*", kinds), request)
    assert job.state == "succeeded", job.error
    points = place.directory / "points"
    assert job.report is not None
    assert undisturbed.report is not None
    assert job.report["own_models"] == undisturbed.report["own_models"]
    assert job.report["own_models"]["parties"] == len(place.parties)
    gained = 0
    for party, owner in place.parties.items():
        assert len(set(kinds) & set(deaths(points, party))) == len(kinds), deaths(points, party)
        models = {one["job"]: one for one in api.model_list(owner.config)}
        assert models[job.id]["digest"] == models[undisturbed.id]["digest"]
        assert models[job.id]["metrics"] == models[undisturbed.id]["metrics"]
        gained += bool(models[job.id]["gained"])
    assert job.report["own_models"]["gained"] == gained
    check_story(place, job)


def test_no_worker_outlives_its_agent(place: Platform) -> None:
    """An agent that is killed in training leaves no process behind that holds its rows."""
    job, died = run_under(place, Arming("bank-c", ("train 1 ",)))
    assert job.state == "succeeded", job.error
    assert len(died) >= 4, died
    deadline = time.monotonic() + 60
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
        confined = b"SECUREFLOW_WORKER_MEMORY=" in environment and not parent
        if confined and _adopted(_parent(int(entry.name))):
            found.append(int(entry.name))
    return found


def _adopted(sandbox: int) -> bool:
    """Tell whether the sandbox of a worker has lost its agent, or is gone itself."""
    return sandbox <= 1 or _parent(sandbox) <= 1


def _parent(process: int) -> int:
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{process}/status").read_text()
        return int(status.partition("PPid:")[2].split()[0])
    return os.getpid()  # it ended while it was looked at


@pytest.mark.full
def test_an_enclave_killed_while_models_are_sealed_to_the_agents(
    place: Platform, undisturbed: Callable[[str], str]
) -> None:
    """A new enclave gets the content key of the model that it goes on from by the agents' hands."""
    request = training(place, release=Release(intermediate="agents"))
    job, died = run_under(place, Arming("enclave", ("unlock", "release", "bank-b")), request)
    assert job.state == "succeeded", (job.error, died)
    assert any(point.startswith("unlock") for point in died), died
    assert job.report is not None
    assert job.report["model"]["digest"] == undisturbed("sealed")
    check_story(place, job)


@pytest.mark.full
def test_masks_change_the_model_by_rounding_alone(place: Platform) -> None:
    """The same rows and seeds under the seal alone: coordinates agree to a float32, or nearly.

    One round: the next one's shuffles follow from the model's digest, to the last bit.
    """
    plan = TrainingPlan(rounds=1, batch_size=64, learning_rate=0.1)
    reports = []
    for protection in ("sealed", "secagg", "sealed+secagg"):
        job, _ = run_under(place, None, training(place, plan, protection=protection))
        assert job.report is not None
        reports.append(job.report)
    with place.client("bank-a") as client:
        sealed, *masked = (client.models.load(told["model"]["id"]).parameters for told in reports)
    assert np.abs(sealed).max() > 0.01
    for one in masked:
        np.testing.assert_allclose(sealed, one, rtol=0, atol=1e-5)
    losses = [told["metrics"]["loss"] for told in reports]
    assert losses[1:] == pytest.approx([losses[0]] * 2, abs=1e-4)


def asked(place: Platform) -> StatisticsRequest:
    datasets = tuple(owner.dataset_id for owner in place.parties.values())
    queries = (query("count"), query("mean:age:by=sex"))
    return StatisticsRequest(
        place.project, "ages", PURPOSE, datasets, queries, NoiseRequest(1e-6, noise_multiplier=2.0)
    )


def reserved(place: Platform, party: str) -> dict[str, dict[str, Any]]:
    (domain,) = api.data_budget(place.parties[party].config, exact=False)
    return {one["job"]: one for one in domain["reservations"]}


def killed(
    place: Platform,
    request: AnyRequest,
    process: str,
    kinds: tuple[str, ...],
    fewest: int,
    share: float,
    seed: int,
) -> Job:
    """Return a job that makes no model, in whose steps a process was killed often enough."""
    if process == "bank-b":
        share = max(share, 0.5)  # it has few steps
    arming = Arming(process, kinds, share=share, seed=seed)
    job, died = run_under(place, arming, request)
    assert job.state == "succeeded", (job.error, died[-3:])
    assert len(died) >= enough(fewest, share), died
    check_story(place, job, models=0)
    return job


STATISTICS = [
    more("server", (" before", " after"), 14),
    soaked("server", ("uncommitted",), 7),
    ("bank-b", (), 14),
]


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(
    ("process", "kinds", "fewest"),
    STATISTICS,
    ids=["server before after", "server uncommitted", "bank-b"],
)
def test_a_process_killed_at_each_step_of_statistics(
    place: Platform, process: str, kinds: tuple[str, ...], fewest: int, share: float
) -> None:
    job = killed(place, asked(place), process, kinds, fewest, share, SEEDS["statistics"])
    report = job.report or {}
    (count,) = report["answers"][0]["rows"]
    assert abs(count["value"] - 3 * ROWS) <= 6 * count["standard_error"]
    assert report["survivors"] == list(place.parties)
    for party in place.parties:
        paid = reserved(place, party)[job.id]
        assert (paid["state"], [one["count"] for one in paid["charge"]]) == ("committed", [2])


def inputs(place: Platform) -> dict[str, Any]:
    """Return a preparation of two rounds: what is fitted in the second depends on the first."""
    return {
        "kind": "preparation",
        "project": place.project,
        "name": "inputs",
        "purpose": PURPOSE,
        "datasets": [owner.dataset_id for owner in place.parties.values()],
        "columns": ["age", "education"],
        "steps": [
            {"step": "impute", "columns": ["age"], "by": "mean"},
            {"step": "standardise", "columns": ["age"]},
            {"step": "one_hot", "columns": ["education"], "least": 20},
        ],
    }


@pytest.fixture(scope="module")
def calm(place: Platform) -> list[Any]:
    """Return what an undisturbed preparation fits."""
    job, _ = run_under(place, None, inputs(place))
    assert job.state == "succeeded", job.error
    check_story(place, job, models=0)
    return list((job.report or {})["fitted"])


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(
    ("process", "kinds", "fewest"),
    [
        ("server", (" before", " after"), 20),
        soaked("server", ("uncommitted",), 8),
        soaked("bank-b", (), 20),
    ],
)
def test_a_process_killed_at_each_step_of_a_preparation(
    place: Platform,
    calm: list[Any],
    process: str,
    kinds: tuple[str, ...],
    fewest: int,
    share: float,
) -> None:
    """Sums are made again, bit by bit: what is fitted is the same to the last digit."""
    job = killed(place, inputs(place), process, kinds, fewest, share, SEEDS["preparation"])
    report = job.report or {}
    assert report["fitted"] == calm
    assert report["survivors"] == list(place.parties)


@pytest.fixture(scope="module")
def figures(place: Platform) -> dict[str, Any]:
    """Return a request to measure a model."""
    job, _ = run_under(place, None, training(place, TrainingPlan(rounds=1)))
    assert job.state == "succeeded", job.error
    with place.client("bank-a") as client:
        (model,) = client.models.list(job=job.id)
    return {
        "kind": "evaluation",
        "project": place.project,
        "name": "figures",
        "purpose": PURPOSE,
        "datasets": [owner.dataset_id for owner in place.parties.values()],
        "models": [model.id],
    }


@pytest.mark.full
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(
    ("process", "kinds", "fewest"), [soaked("server", (" before", " after"), 12), ("bank-b", (), 8)]
)
def test_a_process_killed_at_each_step_of_an_evaluation(
    place: Platform,
    figures: dict[str, Any],
    process: str,
    kinds: tuple[str, ...],
    fewest: int,
    share: float,
) -> None:
    """The model is fetched again, and the sums are made again."""
    job = killed(place, figures, process, kinds, fewest, share, SEEDS["evaluation"])
    report = job.report or {}
    assert report["survivors"] == list(place.parties)
    (one,) = report["evaluation"]["models"]
    assert one["figures"]["rows"] == 3 * ROWS


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(
    ("process", "kinds", "fewest"), [soaked("server", (" before", " after"), 8), ("bank-b", (), 4)]
)
def test_a_process_killed_at_each_step_of_a_prediction(
    place: Platform,
    figures: dict[str, Any],
    process: str,
    kinds: tuple[str, ...],
    fewest: int,
    share: float,
) -> None:
    """Every party has one file, and bank-b a copy of each, however often it died before."""
    named = ("project", "purpose", "datasets")
    asked = {name: figures[name] for name in named} | {"kind": "prediction", "name": "scores"}
    asked |= {"model": figures["models"][0], "deliver": {"to": "bank-b"}}
    job = killed(place, asked, process, kinds, fewest, share, SEEDS["prediction"])
    kept = (job.report or {})["prediction"]["kept"]
    assert set(kept) == set(place.parties)
    for party, owner in place.parties.items():
        shown = api.prediction_show(owner.config, job.id)
        assert (shown["state"], shown["hash"]) == ("kept", kept[party]["leaf"])
        (leaf,) = [one for one in api.leaves(owner.config, job=job.id) if one["kind"] == "kept"]
        assert leaf["document"]["rows"] == shown["rows"] > 0
    arrived = api.prediction_show(place.parties["bank-b"].config, job.id)["received"]
    assert {one["party"] for one in arrived} == set(place.parties) - {"bank-b"}
    for one in arrived:
        own = api.prediction_show(place.parties[one["party"]].config, job.id)
        assert (one["state"], one["file"]) == ("kept", own["file"])


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("protection", [soaked("sealed"), "secagg"])
def test_what_a_trainer_drew_is_sent_again_and_never_drawn_again(
    place: Platform, protection: str, share: float
) -> None:
    """Another update of a recorded round would be refused, and its party would drop out."""
    arming = Arming("bank-b", (), share=share, seed=SEEDS[protection] + 10)
    request = training(place, name=DRAWN, protection=protection)
    job, died = run_under(place, arming, request)
    assert job.state == "succeeded", (job.error, died[-3:])
    assert len(died) >= enough(30, share), died
    assert (job.report or {})["contributions"]["bank-b"]["rounds"] == 2
    check_story(place, job)


@pytest.mark.full
@pytest.mark.parametrize("share", SHARES)
def test_an_optimiser_goes_on_from_what_was_recorded(place: Platform, share: float) -> None:
    """Adam's moments are on the disk before a round is recorded: the model is the undisturbed one.

    Three rounds: with the moments of another round, or none, the last two would differ.
    """
    pytest.importorskip("sklearn", reason="needs the extra sklearn")
    model = MlpClassifierModel("mlp_classifier", hidden=(4,))
    plan = TrainingPlan(rounds=3, batch_size=64, learning_rate=0.01)
    calm, _ = run_under(place, None, training(place, plan, model=model))
    assert calm.state == "succeeded", calm.error
    arming = Arming("bank-b", (), share=share, seed=21)
    job, died = run_under(place, arming, training(place, plan, model=model))
    assert job.state == "succeeded", (job.error, died[-3:])
    assert len(died) >= enough(30, share), died
    check_story(place, job)
    reports = [(one.report or {})["model"]["digest"] for one in (calm, job)]
    assert reports[0] == reports[1]


@pytest.mark.parametrize(
    ("protection", "process"),
    [("sealed", "enclave"), more("sealed", "bank-b")],
)
def test_levels_of_trees_are_grown_again(place: Platform, protection: str, process: str) -> None:
    digest, died = grown(place, protection, Arming(process, ("release", "train"), share=0.4))
    assert len(died) >= 2, died
    assert digest == grown(place, protection, None)[0]


@pytest.mark.soak
def test_what_pytorch_trained_is_sent_again_and_never_trained_again(place: Platform) -> None:
    """The same of a family that is built in: its optimiser's state is taken up where it was."""
    demand_torch()
    optimiser = Optimiser("adam", state="carried")
    model = TorchMlpModel("torch_mlp", hidden=(8,), optimiser=optimiser)
    plan = TrainingPlan(rounds=2, batch_size=64, learning_rate=0.01)
    request = training(place, plan, model=model)
    # Once its update is recorded: trained again, from a fresh state, it would be another.
    arming = Arming("bank-b", ("train 2 train committed", "train 2 train after"))
    job, died = run_under(place, arming, request)
    assert job.state == "succeeded", (job.error, died[-3:])
    assert len(died) == 2, died
    assert (job.report or {})["contributions"]["bank-b"]["rounds"] == 2
    check_story(place, job)


@pytest.mark.parametrize(
    ("process", "kinds", "share"),
    [
        ("server", (" before", " after", "uncommitted"), 0.12),
        soaked("bank-b", ("consent ", "setup ", "finish "), 1.0),
    ],
    ids=["server", "agent"],
)
def test_a_process_killed_within_a_sweep(
    place: Platform, process: str, kinds: tuple[str, ...], share: float
) -> None:
    """Each point is run once, by one job, and charged once."""
    arming = Arming(process, kinds, share=share, seed=SEEDS["sweep"])
    job, died = run_under(place, arming, sweep_request(place))
    assert len(died) >= 4, died
    check_sweep(place, job)


def test_processes_killed_within_a_timetable(place: Platform) -> None:
    """Between a run's time, its derivation and its record: it is one job, and charged once."""
    fatal = ("await_time after", "run_job before", "15 uncommitted", "setup uncommitted")
    job, _ = run_under(place, Arming("*", fatal), timetable_request(place))
    died = {name: deaths(place.directory / "points", name) for name in ("server", *place.parties)}
    assert len(died["server"]) >= 2, died
    assert all(died[party] == ["setup uncommitted"] for party in place.parties), died
    check_timetable(place, job)
