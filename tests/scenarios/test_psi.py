"""Which customers do institutions share? A centre and three agents, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from secureflow.agent import api
from secureflow.demo.platform import Platform
from secureflow.domain.jobs import Job
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import parse
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import psi_request
from tests.nursery import Born
from tests.survival.entry import DIRECTORY
from tests.survival.points import Arming, deaths, disarm
from tests.survival.world import MORTAL, ROOT, await_end, bank_names, verified

PATIENCE = 240.0
POLICY = """permit(principal, action == Action::"psi", resource)
  when { context.learns == "one" && !context.granted.contains("bank-b/segment") };
permit(principal, action == Action::"psi", resource)
  when { context.learns == "all" && context.granted.contains("bank-b/segment") };"""
TABLES = {
    "bank-a": "phone,segment\n13800138000,gold\n13900139000,silver\n13700137000,gold\n",
    "bank-b": "phone,segment\n138 0013 8000,x\n+86 13700137000,y\n13600136000,z\n",
    "bank-c": "phone,segment\n13500135000,p\n+86 137 0013 7000,q\n",
}
PAIR = ("bank-a", "bank-b")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("psi")
    datasets = {party: dataset(directory, party) for party in TABLES}
    (directory / "points").mkdir()
    surroundings = {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
        DIRECTORY: str(directory / "points"),
    }
    entry = {"agent": ("-m", "tests.survival.intersecting"), "server": MORTAL}
    with Platform(
        directory / "p", bank_names(3), datasets, policy=POLICY, child=Born,
        environment=surroundings, entry=entry, sealing=False,
    ) as built:  # fmt: skip
        built.build()
        yield built


def dataset(directory: Path, party: str) -> DatasetConfig:
    path = directory / f"{party}.csv"
    path.write_text(TABLES[party])
    columns = [{"name": "phone", "type": "text"}, {"name": "segment", "type": "text"}]
    config = {"name": "customers", "path": str(path), "format": "csv", "columns": columns}
    return parse(DatasetConfig, {**config, "probing": {"limit": 1000}}, "dataset")


def submitted(place: Platform, parties: Sequence[str] = PAIR, **changes: Any) -> str:
    with place.client("bank-a") as client:
        datasets = [client.datasets.get(place.parties[one].dataset_id) for one in parties]
        asked: dict[str, Any] = {
            "key": ["phone"], "columns": {party: ["phone"] for party in parties},
            "learns": "bank-a", "purpose": "credit scoring", "most_rows": 50, "tells_size": True,
        }  # fmt: skip
        return client.jobs.submit(psi_request(place.project, datasets, **asked | changes)).id


def ended(place: Platform, job: str) -> Job:
    """Wait for a job's end, also where the centre is just being started again."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with place.client("bank-a") as client:
                return await_end(client, job)
        except SecureFlowError as error:
            if error.code != "unavailable" or time.monotonic() > until:
                raise


def rows(place: Platform, party: str, job: str) -> list[dict[str, Any]]:
    found = api.results_show(place.parties[party].config, job)
    assert found["state"] == "kept"
    table: list[dict[str, Any]] = pq.read_table(found["path"]).to_pylist()
    return table


def test_the_receiver_learns_its_rows_and_the_centre_counts(place: Platform) -> None:
    before = left(place, "bank-b")
    job = ended(place, submitted(place))
    assert job.state == "succeeded", str(job.error)
    report = job.report or {}
    assert report["intersection"]["keys"] == {"bank-a": 3, "bank-b": 3}
    assert report["intersection"]["matched"] == {"bank-a": 2}
    assert [one["bytes"] > 0 for one in report["intersection"]["channels"]] == [True, True]
    assert rows(place, "bank-a", job.id) == [
        {"row": 1, "phone": "13800138000"}, {"row": 3, "phone": "13700137000"},
    ]  # fmt: skip
    assert api.results_list(place.parties["bank-b"].config) == []
    assert "13800138000" not in json.dumps([report, everything(place)])
    assert verified(place, job.id)
    assert before - left(place, "bank-b") == 3
    assert nothing_remains(place, job.id)


def left(place: Platform, party: str) -> int:
    (found,) = api.probing_list(place.parties[party].config)
    return int(found["remaining"])


def everything(place: Platform) -> str:
    """Return what the centre has on its disk, as text."""
    files = (one for one in place.server.rglob("*") if one.is_file())
    return "".join(one.read_bytes().decode("latin-1") for one in files)


def test_both_learn_and_get_what_the_other_grants(place: Platform) -> None:
    columns = {"bank-a": ["phone"], "bank-b": {"key": ["phone"], "granted": ["segment"]}}
    job = ended(place, submitted(place, learns="all", columns=columns))
    assert job.state == "succeeded", str(job.error)
    assert rows(place, "bank-a", job.id) == [
        {"row": 1, "phone": "13800138000", "segment": "x"},
        {"row": 3, "phone": "13700137000", "segment": "y"},
    ]
    assert [one["row"] for one in rows(place, "bank-b", job.id)] == [1, 2]


@contextmanager
def armed(place: Platform, process: str, kinds: tuple[str, ...]) -> Iterator[Path]:
    """Have a process die at each of its points of these kinds, once."""
    points = place.directory.parent / "points"
    Arming(process, kinds).write(points)
    try:
        yield points
    finally:
        disarm(points)


def check(place: Platform, job: Job) -> dict[str, Any]:
    """The receiver has the intersection, once, nothing else is left, and the log holds."""
    assert job.state == "succeeded", str(job.error)
    told: dict[str, Any] = (job.report or {})["intersection"]
    assert told["matched"] == {"bank-a": 2}
    assert [one["row"] for one in rows(place, "bank-a", job.id)] == [1, 3]
    assert verified(place, job.id)
    leaves = api.leaves(place.parties["bank-a"].config, job=job.id)
    assert [one["kind"] for one in leaves].count("kept") == 1
    assert nothing_remains(place, job.id)
    return told


def nothing_remains(place: Platform, job: str) -> bool:
    """Wait for the end of every engine; tell whether only the result is left of a job."""
    for owner in place.parties.values():
        program = str(owner.directory / "engines" / "plain.py").encode()
        until = time.monotonic() + PATIENCE
        while any(program in one for one in commands()):
            assert time.monotonic() < until, "an engine outlived its agent or its job"
            time.sleep(0.05)
        left = [one for one in owner.directory.rglob(f"*{job}*") if "logs" not in one.parts]
        assert [one for one in left if one.suffix != ".parquet"] == []
        assert not list((owner.directory / "engines").glob("work.*"))
    return True


def commands() -> Iterator[bytes]:
    """Yield the command of each process on this machine."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield (entry / "cmdline").read_bytes()


@pytest.mark.parametrize(
    ("who", "phases", "most"),
    [
        pytest.param(
            *("bank-a", ("offer", "entered", "admitted", "begun", "compute"), 1),
            id="receiver, before the end",
            marks=pytest.mark.full,
        ),
        pytest.param("bank-a", ("ended", "filed", "done", "committed"), 4, id="receiver, after it"),
        pytest.param(
            *("bank-b", ("entered", "begun", "compute", "ended"), 1),
            id="tested",
            marks=pytest.mark.full,
        ),
    ],
)
def test_an_agent_killed_at_each_phase(
    place: Platform, who: str, phases: tuple[str, ...], most: int
) -> None:
    """The same list is charged once, and again only after a run with it ended at its owner."""
    before = {party: left(place, party) for party in TABLES}
    with armed(place, who, phases) as points:
        job = ended(place, submitted(place, attempts=10))
        assert deaths(points, who) == list(phases), str(job.error)
    told = check(place, job)
    codes = {reason["code"] for one in told["attempts"] for reason in one["reasons"]}
    assert "attempt_lost" in codes
    assert codes <= {"attempt_lost", "peer_broken", "peer_absent"}
    charged = {party: (before[party] - left(place, party)) / 3 for party in TABLES}
    assert charged["bank-a"] == 1
    assert charged["bank-b"] in range(1, most + 1)


def test_an_engine_that_is_killed_is_named_and_the_next_attempt_has_the_result(
    place: Platform,
) -> None:
    before = left(place, "bank-b")
    (place.parties["bank-b"].directory / "die").touch()
    told = check(place, ended(place, submitted(place)))
    reasons = {one["party"]: one["code"] for one in told["attempts"][0]["reasons"]}
    assert reasons == {"bank-a": "peer_broken", "bank-b": "engine_failed"}
    assert told["attempt"] == 2
    assert before - left(place, "bank-b") == 3


def test_a_centre_killed_at_each_phase_and_in_the_middle(place: Platform) -> None:
    """The agents go on meanwhile: no attempt is lost."""
    before = left(place, "bank-b")
    held = [place.parties[one].directory for one in PAIR]
    hold(held)
    with armed(place, "server", (" peer_offer ", " peer_run ")) as points:
        job = submitted(place)
        wait_for(held)
        os.kill(child_of(place.processes["server"].pid), signal.SIGKILL)
        for folder in held:
            (folder / "hold").unlink()
        found = ended(place, job)
        died = [one.partition(" ")[2] for one in deaths(points, "server")]
    verbs = ("peer_offer", "peer_run")
    assert sorted(died) == sorted(
        f"{verb} {when}" for verb in verbs for when in ("before", "after")
    )
    assert check(place, found)["attempt"] == 1
    assert before - left(place, "bank-b") == 3


def child_of(supervisor: int) -> int:
    """Return the process that a supervisor forked, and forks again."""
    (child,) = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return int(child)


def hold(held: list[Path]) -> None:
    for folder in held:
        (folder / "held").unlink(missing_ok=True)
        (folder / "hold").touch()


def wait_for(held: list[Path]) -> None:
    until = time.monotonic() + PATIENCE
    while not all((folder / "held").exists() for folder in held):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.full
def test_of_three_the_receiver_learns_what_all_have_or_all_do(place: Platform) -> None:
    before = {party: left(place, party) for party in TABLES}
    job = ended(place, submitted(place, tuple(TABLES), minimum=1))
    assert job.state == "succeeded", str(job.error)
    told = (job.report or {})["intersection"]
    assert told["keys"] == {"bank-a": 3, "bank-b": 3, "bank-c": 2}
    assert told["matched"] == {"bank-a": 1}
    ways = {(one["from"], one["to"]) for one in told["channels"] if one["bytes"]}
    assert ways == {(a, b) for a, b in permutations(TABLES, 2) if "bank-a" in (a, b)}
    assert rows(place, "bank-a", job.id) == [{"row": 3, "phone": "13700137000"}]
    assert {party: before[party] - left(place, party) for party in TABLES} == {
        "bank-a": 5, "bank-b": 5, "bank-c": 6,
    }, "all read how many match"  # fmt: skip
    with place.client("bank-b") as client:
        explained = client.jobs.explain(job.id)
    for one in (job.report, explained):
        assert "each single one of the others" in json.dumps(one), "the pairs are learned too"
    assert verified(place, job.id)
    assert nothing_remains(place, job.id)

    columns = {one: ["phone"] for one in TABLES} | {
        "bank-b": {"key": ["phone"], "granted": ["segment"]}
    }
    asked = {"learns": "all", "receiver": "bank-c", "columns": columns}
    before = {party: left(place, party) for party in TABLES}
    with armed(place, "bank-c", ("telling",)) as points:
        job = ended(place, submitted(place, tuple(TABLES), **asked))
        assert deaths(points, "bank-c") == ["telling"], str(job.error)
    assert job.state == "succeeded", str(job.error)
    told = (job.report or {})["intersection"]
    assert (told["attempt"], told["matched"]) == (2, dict.fromkeys(TABLES, 1))
    charged = {party: before[party] - left(place, party) for party in TABLES}
    assert charged == {"bank-a": 7, "bank-b": 7, "bank-c": 6}, "the receiver's list, tested twice"
    ways = {(one["from"], one["to"]) for one in told["channels"] if one["bytes"]}
    assert ways == {*permutations(TABLES, 2)}
    numbers = {"bank-a": 3, "bank-b": 2, "bank-c": 2}
    for party, row in numbers.items():
        (found,) = rows(place, party, job.id)
        assert (found["row"], found["segment"]) == (row, "y")
    assert verified(place, job.id)
    assert nothing_remains(place, job.id)


@pytest.mark.full
def test_a_third_party_that_goes_is_named_and_the_next_attempt_has_the_result(
    place: Platform,
) -> None:
    before = {party: left(place, party) for party in TABLES}
    held = [place.parties[one].directory for one in PAIR]
    hold(held)
    job = submitted(place, tuple(TABLES))
    wait_for(held)
    place.processes["bank-c"].terminate()  # while it waits for its turn
    place.processes["bank-c"].join()
    for folder in held:
        (folder / "hold").unlink()
    place.start("bank-c")
    found = ended(place, job)
    assert found.state == "succeeded", str(found.error)
    told = (found.report or {})["intersection"]
    assert (told["attempt"], told["matched"]) == (2, {"bank-a": 1})
    reasons = {one["party"]: one for one in told["attempts"][0]["reasons"]}
    assert "bank-c" in str(reasons["bank-a"]["reason"])
    assert before["bank-c"] - left(place, "bank-c") == 6, "the same lists count once"
    assert nothing_remains(place, job)
