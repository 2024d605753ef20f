"""Processes from the nursery are processes: an end, a session and an environment of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests import nursery
from tests.nursery import ALONE, Child
from tests.peers.running import runs

pytestmark = pytest.mark.slow
HERE = "tests.unit.law.born"


def born(place: Path, *words: str, **more: str) -> tuple[Child, Path]:
    said = place / "said"
    with said.open("w") as file:
        return Child((HERE, *words), {**os.environ, **more}, file, file), said


def until(said: Path, line: str) -> list[str]:
    deadline = time.monotonic() + 30
    while line not in (lines := said.read_text().splitlines()):
        assert time.monotonic() < deadline, lines
        time.sleep(0.01)
    return lines


@pytest.mark.parametrize(("end", "code"), [("0", 0), ("7", 7), ("text", 1), ("error", 1)])
def test_it_ends_as_python_does(end: str, code: int) -> None:
    done = nursery.run(HERE, "end", end, timeout=120, environment={"ONLY": "this"})
    assert (done.returncode, done.stdout.splitlines()[0]) == (code, "{'ONLY': 'this'}")
    assert done.stderr.splitlines()[-1:] == {
        "text": ["text"], "error": ["ValueError: error"]
    }.get(end, [])  # fmt: skip


def test_it_has_a_session_of_its_own_and_is_killed_by_itself(tmp_path: Path) -> None:
    child, said = born(tmp_path, "wait")
    until(said, "waits")
    assert os.getsid(child.pid) == child.pid
    assert child.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.01)
    child.kill()
    assert child.wait(120) == -signal.SIGKILL
    assert child.poll() == -signal.SIGKILL
    assert nursery.run(HERE, "end", "0", timeout=120).returncode == 0


@pytest.mark.parametrize("alone", ["", "1"])
def test_its_workers_end_with_it(tmp_path: Path, alone: str) -> None:
    child, said = born(tmp_path, "agent", **{ALONE: alone})
    (worker,) = map(int, until(said, "works")[:-1])
    assert nursery.working(child.pid) == [worker]
    child.kill()
    child.wait(120)
    deadline = time.monotonic() + 30
    while runs(worker):
        assert time.monotonic() < deadline
        time.sleep(0.01)
