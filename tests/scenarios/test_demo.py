"""`secureflow demo` as a person runs it: the result, the promises, and nothing left behind.

One demo that is kept is looked at by everybody, until the last test puts another in its place.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests import nursery

ROOT = Path(__file__).parents[2]
PATIENCE = 800.0


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "demo"
    yield place
    for pid in processes_of(place):  # only those of a test that failed
        os.kill(pid, signal.SIGKILL)


def command(*words: str) -> tuple[list[str], dict[str, str]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200"}
    return [sys.executable, "-m", "secureflow", *words], environment


def secureflow(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    line, environment = command(*words)
    environment |= more
    return subprocess.run(
        line, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def forked(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Do the same, the demo's processes forked: that nothing is left, `tests.leaks` sees."""
    return nursery.run(
        "secureflow", *words, timeout=PATIENCE,
        environment={**os.environ, "COLUMNS": "200", **more},
    )  # fmt: skip


def processes_of(directory: Path) -> list[int]:
    """Return the processes whose command line names the directory, this one's children or not."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(directory).encode() in arguments:
            found.append(int(entry.name))
    return found


@dataclass(frozen=True)
class Kept:
    """A demo that has ended and whose processes run on: where, and what it told."""

    directory: Path
    outcome: dict[str, Any]
    told: str


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    place = tmp_path_factory.mktemp("kept") / "demo"
    try:
        done = secureflow("demo", "--json", "--keep", "--directory", str(place))
        assert done.returncode == 0, done.stderr
        yield Kept(place, json.loads(done.stdout.splitlines()[-1]), done.stderr)
    finally:
        for pid in processes_of(place):
            os.kill(pid, signal.SIGKILL)


def test_the_demo(kept: Kept) -> None:
    outcome, directory = kept.outcome, kept.directory
    assert outcome["accuracy"] >= 0.846
    assert outcome["auc"] >= 0.90
    alone = {party: line["auc"] for party, line in outcome["alone"].items()}
    assert set(alone) == {"bank-a", "bank-b", "bank-c"}
    assert max(alone.values()) < outcome["federated"]["auc"] == outcome["auc"]
    assert outcome["federated"]["auc"] <= outcome["pooled"]["auc"] + 0.002
    assert outcome["gain"]["auc"] > outcome["gain"]["margin"] > 0
    assert outcome["protection"] == "sealed+secagg"
    assert outcome["seconds"] > 0
    assert outcome["ledger"]["verified"] is True
    assert outcome["ledger"]["cosigners"] == 3
    assert outcome["tee"].startswith("SIMULATED")
    page = Path(outcome["report"]).read_text()
    (shown,) = re.findall(r"Together: (0\.\d{3})\. The best alone", page)
    assert float(shown) == pytest.approx(outcome["auc"], abs=0.0006)  # each is rounded by itself
    assert "SIMULATED" in page
    assert outcome["model_digest"] in page
    assert "pooled" not in (directory / "report.json").read_text()  # no real job's report has it
    for told in (
        "Ledger verified",
        "SIMULATED",
        "One script played",
        "Together beats",
        "Bank C alone",
    ):
        assert told in kept.told
    settled(outcome["settlement"], kept.told)
    bundle, charter = str(directory / "bundle.json"), str(directory / "charter.json")
    assert secureflow("audit", "verify", bundle, "--charter", charter).returncode == 0
    assert secureflow("audit", "verify", bundle).returncode != 0  # nobody vouches for its keys


def settled(found: dict[str, Any], told: str) -> None:
    """Every bank's agent approved what the job would be worth; the statements are there."""
    assert (found["state"], found["approvals"], found["amount"]) == ("approved", 3, "1000.00 EUR")
    assert sum(found["amounts"].values()) == 100_000
    assert found["closes"] > time.time() + 14 * 86_400
    folder = Path(found["folder"])
    assert f"Statements: {folder}" in told
    assert "Nothing is owed by it yet" in told
    for bank in found["amounts"]:
        page = (folder / f"{bank}.html").read_text()
        assert found["id"] in page
        assert found["digest"] in page
        assert found["written"][bank] in page
        assert "Nothing is owed by it yet" in page
        assert (folder / f"{bank}.csv").read_text().startswith("section,job,organisation")
        if find_spec("weasyprint"):  # where the centre can print
            assert (folder / f"{bank}.pdf").read_bytes().startswith(b"%PDF")


def test_the_demo_with_an_own_table(directory: Path, tmp_path: Path) -> None:
    """Missing cells, an id column, a three-valued label; the terminal in Chinese."""
    table = tmp_path / "clients.csv"
    lines = [f"C{n:05},{n % 60 if n % 9 else ''},{'北南东西'[n * n % 4]},{'abc'[n * n % 23 % 3]}"
             for n in range(500)]  # fmt: skip
    table.write_text("\n".join(["编号,age,region,outcome", *lines]) + "\n")
    words = ("demo", "--data", str(table), "--label", "outcome", "--directory", str(directory))
    refused = forked(*words)
    assert refused.returncode == 2
    assert "--positive VALUE (found: a, b, c)" in refused.stderr
    assert not directory.exists() or not any(directory.iterdir())  # refused before anything began
    more = ("--positive", "c", "--by", "age", "--rounds", "2", "--json")
    done = forked(*words, *more, SECUREFLOW_LANG="zh")
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert set(outcome["alone"]) == {"party-a", "party-b", "party-c"}
    assert outcome["ledger"]["verified"] is True
    assert "未使用的列：编号" in done.stderr
    assert '<html lang="zh">' in Path(outcome["report"]).read_text()


def test_a_kept_demo_can_be_used(kept: Kept) -> None:
    directory = kept.directory
    assert len(processes_of(directory)) >= 5
    use(directory, kept.told)


def use(directory: Path, told: str) -> None:
    """Log in as the demo tells, and see its job."""
    state = json.loads((directory / "demo.json").read_text())
    profile = {"SECUREFLOW_PROFILE": str(directory / "profile.json")}
    password = directory / "bank-a.password"
    assert password.stat().st_mode & 0o077 == 0
    assert f"--name bank-a --password-file {password}" in told
    ca = str(directory / "server" / "ca" / "ca.pem")
    login = secureflow(
        "login", state["url"], "--ca", ca, "--name", "bank-a",
        "--password-file", str(password), **profile,
    )  # fmt: skip
    assert login.returncode == 0, login.stderr
    listed = secureflow("job", "list", "-o", "json", **profile)
    assert [job["state"] for job in json.loads(listed.stdout)] == ["succeeded"]


def test_an_interrupted_demo_leaves_no_process(directory: Path) -> None:
    interrupt(directory, "Enrolling one agent")


@pytest.mark.full
def test_the_next_demo_takes_its_place_and_interrupted_leaves_no_process(kept: Kept) -> None:
    """Nor does a third one in the same directory disturb it meanwhile."""
    earlier = set(processes_of(kept.directory))
    assert len(earlier) >= 5
    interrupt(kept.directory, "round 2/", earlier)
    stopped = secureflow("demo", "stop", "--directory", str(kept.directory))
    assert stopped.returncode == 0


def interrupt(directory: Path, when: str, earlier: AbstractSet[int] = frozenset()) -> None:
    """Run a demo up to what it tells there, send it Ctrl-C, and see that nothing of it is left."""
    line, environment = command("demo", "--rounds", "500", "--directory", str(directory))
    with subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stderr is not None
        if when == "round 2/":
            next(iter(demo.stderr))
            second = secureflow("demo", "--directory", str(directory))
            assert second.returncode == 5
            assert "Another demo is running" in second.stderr
        for told in demo.stderr:
            if when in told:
                break
        running = set(processes_of(directory))
        assert len(running) > 1
        assert not earlier & running
        demo.send_signal(signal.SIGINT)
        demo.stderr.read()
        assert demo.wait(120) == 130
    await_nobody(directory)


@pytest.mark.soak
def test_a_kept_demo_can_be_used_repeated_and_stopped(directory: Path) -> None:
    words = ("demo", "--rounds", "2", "--json", "--keep", "--directory", str(directory))
    first = secureflow(*words)
    assert first.returncode == 0, first.stderr
    kept = set(processes_of(directory))
    assert len(kept) >= 5
    again = secureflow(*words)  # ends the first one and takes its place
    assert again.returncode == 0, again.stderr
    assert not kept & set(processes_of(directory))
    use(directory, again.stderr)
    stopped = secureflow("demo", "stop", "--directory", str(directory))
    assert stopped.returncode == 0
    await_nobody(directory)
    assert secureflow("demo", "stop", "--directory", str(directory)).returncode == 0


def await_nobody(directory: Path) -> None:
    """Wait for the last worker to notice that its parent is gone."""
    deadline = time.monotonic() + 60
    while left := processes_of(directory):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
