"""A platform whose processes can be killed at points, small jobs for it, and what must hold after.

The data is the demo's, cut down to a few hundred rows per bank; consent is given by a policy.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from secureflow.demo.data import PURPOSE, dataset_config, demo_features, split_silos
from secureflow.demo.platform import Platform
from secureflow.demo.play import verify_ledger
from secureflow.demo.processes import Process, kill_group
from secureflow.domain.jobs import Job
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.specs.training import ModelSpec, TrainingPlan
from secureflow.domain.specs.updatelimits import Limits
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import Client, TrainingRequest
from secureflow.sdk.jobs import AnyRequest
from tests.nursery import Born
from tests.survival.entry import DIRECTORY
from tests.survival.points import Arming, deaths, disarm

JSON = Any
ROOT = Path(__file__).parents[2]
ALLOW = "permit(principal, action, resource);"
ROWS = 300
PLAN = TrainingPlan(rounds=2, batch_size=64, learning_rate=0.1)
MORTAL = ("-m", "tests.survival.entry")


def bank_names(count: int) -> dict[str, str]:
    """Return party → name."""
    return {f"bank-{chr(97 + n)}": f"Bank {chr(65 + n)}" for n in range(count)}


@contextmanager
def platform(
    directory: Path,
    banks: int = 3,
    *,
    data: bool = True,
    mortal: bool = True,
    budget: DatasetPrivacy | None = None,
    environment: Mapping[str, str] | None = None,
    kind: type[Platform] = Platform,
    **options: Any,
) -> Iterator[Platform]:
    """Build a platform, and end it; its logs are shown when something goes wrong."""
    owners = bank_names(banks)
    datasets = {}
    if data:
        for party, path in zip(owners, split_silos(directory / "data", banks), strict=True):
            pq.write_table(pq.read_table(path).slice(0, ROWS), path)
            datasets[party] = replace(dataset_config(path, clipped=True), privacy=budget)
    points = directory / "points"
    points.mkdir(parents=True)
    surroundings = {
        **(environment or {}),
        DIRECTORY: str(points),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
        "OPENBLAS_NUM_THREADS": "1",
    }
    entry = dict.fromkeys(("server", "enclave", "agent"), MORTAL) if mortal else {}
    made = kind(
        directory, owners, datasets, environment=surroundings, child=Born,
        **{"policy": ALLOW, "entry": entry, **options},
    )  # fmt: skip
    with made:
        made.build()
        yield made


def training(platform: Platform, plan: TrainingPlan = PLAN, **changes: Any) -> TrainingRequest:
    """Return a request for logistic regression over every bank's rows."""
    facts: dict[str, Any] = {
        "project": platform.project,
        "name": "income",
        "purpose": PURPOSE,
        "datasets": tuple(owner.dataset_id for owner in platform.parties.values()),
        "features": demo_features(),
        "plan": plan,
    }
    return TrainingRequest(**(facts | changes))


def rehearsal(
    platform: Platform, parties: Sequence[str], rounds: int, patience: float, **changes: Any
) -> TrainingRequest:
    """Return a request for rounds without data."""
    facts: dict[str, Any] = {
        "project": platform.project,
        "name": "rehearsal",
        "purpose": PURPOSE,
        "datasets": (),
        "parties": tuple(parties),
        "model": ModelSpec(family="rehearsal", parameters=1000),
        "plan": TrainingPlan(rounds=rounds, validation=0.0),
        "limits": Limits(patience_seconds=patience),
    }
    return TrainingRequest(**(facts | changes))


@contextmanager
def standing(process: Process) -> Iterator[None]:
    """Stop a party, so that its job cannot end meanwhile; it goes on afterwards."""
    kill_group(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        kill_group(process.pid, signal.SIGCONT)


@contextmanager
def halting(platform: Platform, party: str) -> Iterator[Callable[[], None]]:
    """Have a party stand still as it begins the second round of the job that is submitted next.

    However slow this machine is, the job is in its middle then. The party goes on afterwards.

    Yields:
        what waits until it stands still.
    """
    points, process = platform.directory / "points", platform.processes[party]
    Arming(party, (" 2 ",), stays=True).write(points)
    with ExitStack() as stands:
        stands.callback(disarm, points)

        def halt() -> None:
            until = time.monotonic() + 240.0
            while not deaths(points, party):
                assert time.monotonic() < until, f"{party} has begun no second round"
                time.sleep(0.02)
            stands.enter_context(standing(process))
            disarm(points)

        yield halt


def await_end(client: Client, job: str, patience: float = 600.0) -> Job:
    """Wait for a job's end over whatever happens to the server meanwhile."""
    began = time.monotonic()
    while True:
        try:
            found = client.jobs.get(job)
        except SecureFlowError as error:
            if error.code != "unavailable":
                raise
        else:
            if found.state.final or found.state == "paused":
                return found
        waited = time.monotonic() - began
        if waited > patience:
            raise TimeoutError(f"{job} has not ended after {patience:.0f} s")
        # Each look costs the server what a step of a small job costs.
        time.sleep(min(max(0.15, waited / 20), 1.0))


def run_under(
    platform: Platform, arming: Arming | None, request: AnyRequest | None = None
) -> tuple[Job, list[str]]:
    """Run a job while a process dies again and again; return it and the points of death."""
    points = platform.directory / "points"
    with platform.client("bank-a") as client:
        submitted = client.jobs.submit(request or training(platform))
        if arming is not None:
            arming.write(points)
        try:
            job = await_end(client, submitted.id)
        finally:
            disarm(points)
    return job, deaths(points, arming.process) if arming else []


def check_story(platform: Platform, job: Job, parties: Sequence[str] = (), models: int = 1) -> None:
    """Nothing is recorded twice, nothing is missing, and an outsider can verify it."""
    with platform.client("bank-a") as client:
        bundle = client.jobs.bundle(job.id)
        versions = list(client.models.list(job=job.id))
        events = list(client.jobs.watch(job.id))
    told = Counter(
        (event.kind, str(event.data.get("round", event.data.get("state"))))
        for event in events
        if event.kind in {"round", "state", "done"}
    )
    if "secagg" in str(job.spec.get("protection")):  # a party's row count is hidden as its update
        assert not any(event.data.get("rows") for event in events if event.kind == "round")
    verdict = verify_ledger(platform, bundle)
    assert verdict["verified"], verdict
    parties = parties or tuple(platform.parties)
    actions = Counter(map(_action, own_entries(bundle, job.id)))
    assert all(count == 1 for count in actions.values()), actions
    rounds = {action[2:] for action in actions if action[0] == "round.closed"}
    updates = {action for action in actions if action[0] == "update"}
    assert updates == {("update", party, *step) for party in parties for step in rounds}
    assert len([action for action in actions if action[0] == "approval"]) == len(parties)
    assert [action[0] for action in actions].count("job.finished") == 1
    assert len(versions) == models, versions
    assert all(count == 1 for count in told.values()), told


def verified(platform: Platform, job: str) -> bool:
    """Tell whether the job's bundle holds under the charter."""
    with platform.client("bank-a") as client:
        return bool(verify_ledger(platform, client.jobs.bundle(job))["verified"])


def own_entries(bundle: JSON, job: str) -> list[JSON]:
    """Return the bundle's entries of this job."""
    return [entry for entry in bundle["entries"] if entry["leaf"]["leaf"]["job"] == job]


def _action(entry: JSON) -> tuple[Any, ...]:
    """Return what an entry says happened; one that stands for itself has its own hash."""
    leaf, document = entry["leaf"]["leaf"], entry.get("document") or {}
    match leaf["kind"]:
        case "update" | "round.closed":
            return leaf["kind"], leaf["author"], document["round"], document["stage"]
        case "attested":
            return leaf["kind"], leaf["author"], document["generation"]
        case kind:
            return kind, leaf["author"]
