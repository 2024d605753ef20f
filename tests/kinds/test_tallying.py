"""A kind that contributes runs through the tables alone, its step in a real worker process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from peers.sandboxes import demand_sandbox

from secureflow.adapters.sandbox import BubblewrapSandbox, bubblewrap
from secureflow.adapters.sandbox.layout import Layout, layout_of
from secureflow.agent.compute.worker_process import WorkerConfig
from secureflow.agent.compute.workers import Workers
from secureflow.demo.platform import Platform
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import dump, parse
from secureflow.kit.errors import SecureFlowError
from tests.kinds.tallying import TallyingRequest, TallyingSpec
from tests.survival.world import ROOT, await_end, check_story

ABOVE = 40.0


def above(place: Platform) -> int:
    """Return in how many rows of all parties the age is above."""
    files = sorted((place.directory / "data").glob("*.parquet"))
    ages = [pq.read_table(path, columns=["age"])["age"].to_numpy() for path in files]
    return sum(int((one > ABOVE).sum()) for one in ages)


def test_three_parties_tally_rows(place: Platform) -> None:
    datasets = tuple(owner.dataset_id for owner in place.parties.values())
    request = TallyingRequest(place.project, "ages", place.purpose, datasets, "age", ABOVE)
    with place.client("bank-a") as client:
        job = await_end(client, client.jobs.submit(request).id)
        assert job.state == "succeeded", job.error
        assert job.report is not None
        assert job.report["rows"] == above(place) > 0
    check_story(place, job, models=0)


@pytest.fixture
def python(tmp_path: Path) -> str:
    """An interpreter that finds the tests where workers are isolated."""
    found = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'src')!r}]\n"
    run = "import runpy; runpy.run_module(sys.argv[-1], run_name='__main__')\n"
    (tmp_path / "worker.py").write_text(found + run)
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -I {tmp_path}/worker.py "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An environment that names the tests, which a sandbox shows only because it is told to."""
    demand_sandbox("root" if os.geteuid() == 0 else "ordinary")  # by the layout that is
    made = [sys.executable, "-m", "venv", "--without-pip", "--symlinks", tmp_path / "made"]
    subprocess.run(made, check=True)
    (packages,) = (tmp_path / "made" / "lib").glob("python*/site-packages")
    found = [ROOT, ROOT / "src", *(one for one in sys.path if one.endswith("site-packages"))]
    (packages / "tests.pth").write_text("".join(f"{one}\n" for one in found))
    python = str(tmp_path / "made" / "bin" / "python")
    known = layout_of(python)
    shown = (one for one in found if not known.shows(Path(one)))
    wider = Layout((*known.paths, *map(Path, shown)), known.links)
    monkeypatch.setattr(bubblewrap, "layout_of", lambda python: wider)
    return python


async def test_a_worker_process_runs_what_the_agent_was_put_together_with(
    tmp_path: Path, python: str
) -> None:
    """Started from nothing: the module that is named, with its own table, and no other one."""
    await _tallied(tmp_path, WorkerConfig("tests.kinds.worker", python=python))


@pytest.mark.full
async def test_it_runs_in_the_sandbox_too(tmp_path: Path, environment: str) -> None:
    sandbox, files = BubblewrapSandbox(), tmp_path / "models"
    await _tallied(
        tmp_path,
        WorkerConfig("tests.kinds.worker", python=environment, sandbox=sandbox, files=files),
    )


async def _tallied(tmp_path: Path, config: WorkerConfig) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("age\n39\n40\n41\n42\n")
    dataset = parse(
        DatasetConfig,
        {
            "name": "rows", "path": str(rows), "format": "csv",
            "columns": [{"name": "age", "type": "number"}],
        },
        "dataset",
    )  # fmt: skip
    roster = [{"party": f"bank-{c}", "key": c * 43 + "=", "dataset": "rows"} for c in "abc"]
    named = {"project": "prj_0123456789", "name": "ages", "purpose": "p", "submitter": "usr_a"}
    spec = dump(parse(TallyingSpec, {**named, "roster": roster, "column": "age", "above": ABOVE}))
    workers = await Workers.start(config)
    try:
        await workers.prepare("job", spec, dataset)
        answer = await workers.compute("job", "tally", {"above": ABOVE})
        assert answer["sums"] == [2]
    finally:
        await workers.stop()
    workers = await Workers.start()  # SecureFlow's own
    with pytest.raises(SecureFlowError, match="'tallying' is not a kind of job"):
        await workers.prepare("job", spec, dataset)
    await workers.stop()
