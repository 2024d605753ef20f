"""Three agents and a centre as processes: one of them keeps the anchors of all in a file.

An agent that is killed between a deed and its sending sends it after its start; the keeper that was
away meanwhile has each once.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent import api
from secureflow.cli.anchorchecks import checked, pinned_charter
from secureflow.demo.anchoring import DemoAnchors
from secureflow.demo.platform import Platform
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import parse
from tests.nursery import Born

PATIENCE = 240.0
PARTIES = {"bank-a": "A", "bank-b": "B", "bank-c": "C"}


def dataset(folder: Path, party: str) -> DatasetConfig:
    path = folder / f"{party}.csv"
    rows = "".join(f"{20 + number % 50},{'yn'[number % 2]}\n" for number in range(200))
    path.write_text(f"age,answer\n{rows}")
    columns = [
        {"name": "age", "type": "number", "bounds": [0, 100]},
        {"name": "answer", "type": "category", "categories": ["y", "n"]},
    ]
    value = {"name": party, "path": str(path), "format": "csv", "columns": columns}
    return parse(DatasetConfig, value, "dataset")


@pytest.fixture
def place(tmp_path: Path) -> Any:
    anchors = DemoAnchors("file", ExitStack(), tmp_path / "npm")
    made = Platform(
        tmp_path / "p",
        PARTIES,
        {party: dataset(tmp_path, party) for party in PARTIES},
        sealing=False,
        enrolled=anchors.before_start,
        child=Born,
    )
    with made:
        made.build()
        yield made, anchors


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


def kill(place: Platform, party: str) -> None:
    os.kill(place.processes[party].pid, signal.SIGKILL)
    place.processes[party].join()


def test_deeds_reach_the_keeper_through_kills(place: Any, tmp_path: Path) -> None:
    platform, anchors = place
    first = anchors.outcome(platform)
    assert (first["waiting"], first["verified"]) == (0, True)
    kill(platform, "bank-a")  # the keeper
    second = platform.parties["bank-b"]
    api.data_publish(second.config, "bank-b", "again")
    state = api.anchor_list(second.config)["places"][0]
    assert state["waiting"] == 1
    kill(platform, "bank-b")  # after the deed, before it was sent
    platform.start("bank-a", wait=False)
    platform.start("bank-b", wait=False)
    for party in ("bank-a", "bank-b"):
        platform.processes[party].ready()
    until(lambda: api.anchor_list(second.config)["places"][0]["waiting"] == 0)
    again = anchors.outcome(platform)
    assert (again["entries"], again["verified"]) == (first["entries"] + 1, True)
    with platform.client() as client:
        until(lambda: len(list(client.anchors.list())) == again["entries"])
        told = [vars(one) for one in client.anchors.list()]
    lines, problems = checked(told, pinned_charter(platform.charter_file()))
    assert not problems
    assert {one["check"] for one in lines} == {"receipt holds"}
    assert {one["organisation"] for one in lines} == set(PARTIES)
