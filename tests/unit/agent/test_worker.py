from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from secureflow.adapters.datasources import SourceLimits, open_source
from secureflow.adapters.frameworks import NumpyRunner
from secureflow.agent.compute.kind import WorkerKinds
from secureflow.agent.compute.training import (
    TRAINING_WORKER,
    evaluate_arguments,
    train_arguments,
)
from secureflow.agent.compute.worker import LINE_BYTES, Worker
from secureflow.agent.compute.worker_process import WorkerConfig
from secureflow.agent.compute.workers import Workers
from secureflow.agent.job.context import Computing
from secureflow.agent.settings import WorkerSettings
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs.base import RosterEntry, dump, parse
from secureflow.domain.specs.training import (
    CategoricalFeature,
    FeatureSpec,
    Label,
    ModelSpec,
    NumericFeature,
    TrainingPlan,
    TrainingSpec,
)
from secureflow.domain.specs.updatelimits import Limits
from secureflow.engines.training.models import update_layout
from secureflow.kit.errors import SecureFlowError

pytestmark = pytest.mark.slow

SALT = b"\x05" * 32
SEED = "ab" * 32
SPEC = TrainingSpec(
    project="prj_0000000000",
    name="t",
    purpose="t",
    submitter="t",
    roster=tuple(RosterEntry(f"bank-{n}", f"{n}" * 44, "clients") for n in "abc"),
    features=FeatureSpec(
        Label("y", "1"),
        (NumericFeature("x", (-10.0, 10.0)),),
        (CategoricalFeature("kind", ("a", "b")),),
    ),
    plan=TrainingPlan(local_epochs=2, batch_size=16, learning_rate=0.5, validation=0.2),
)
REHEARSAL = dataclasses.replace(SPEC, features=None, model=ModelSpec("rehearsal", 0.0, 1 << 20))


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetConfig:
    rng = np.random.default_rng(1)
    lines = ["x,kind,y,unused"]
    for x in rng.normal(size=400):
        lines.append(f"{x:.6f},{'b' if x > 1 else 'a'},{int(x + rng.normal() > 0)},SECRET")
    path = tmp_path / "clients.csv"
    path.write_text("\n".join(lines) + "\n")
    columns = (
        ColumnConfig("x", "number", bounds=(-10, 10)),
        ColumnConfig("kind", "category", ("a", "b")),
        ColumnConfig("y", "category", ("0", "1")),
    )
    return DatasetConfig("clients", str(path), "csv", columns)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return raw(tmp_path / "model", np.array([0.1, -0.2, 0.3, 0.0]))


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = await Workers.start()
    yield workers
    await workers.stop()


def raw(path: Path, values: Any) -> Path:
    np.asarray(values, "<f4").tofile(path)
    return path


def append(dataset: DatasetConfig, line: str) -> None:
    with Path(dataset.path).open("a") as file:
        file.write(line)


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def limits_of(pid: int) -> str:
    return " ".join(Path(f"/proc/{pid}/limits").read_text().split())


async def train(workers: Workers, model: Path, update: Path, moments: Any) -> dict[str, Any]:
    return await workers.compute("job", "train", train_arguments(model, update, moments, SEED))


async def evaluate(workers: Workers, model: Path, moments: Any) -> dict[str, Any]:
    return await workers.compute("job", "evaluate", evaluate_arguments(model, moments, SEED))


async def code_of(waiting: Any) -> str:
    with pytest.raises(SecureFlowError) as caught:
        await waiting
    return caught.value.code


def runner(dataset: DatasetConfig, spec: TrainingSpec = SPEC) -> NumpyRunner:
    return NumpyRunner(spec, open_source(dataset).read(["x", "kind", "y"]))


async def test_a_job_computes_what_the_engine_computes(
    workers: Workers, dataset: DatasetConfig, model: Path, tmp_path: Path
) -> None:
    prepared = await workers.prepare("job", dump(SPEC), dataset, SALT)
    described = await workers.describe(dataset, SALT)
    assert prepared["commitment"] == described["commitment"]
    assert prepared["rows"] + prepared["validation"] == described["rows"] == 400
    assert (described["bucket"], described["name"]) == ("<1k", "clients")
    assert [c["name"] for c in described["columns"]] == ["x", "kind", "y"]
    sums = (await workers.compute("job", "moments"))["sums"]
    trained = await train(workers, model, tmp_path / "update", sums)
    evaluated = await evaluate(workers, model, sums)
    here = runner(dataset)
    assert sums == here.moments().tolist()
    # The worker has one thread; a BLAS with more may add in another order.
    own = here.train(model, tmp_path / "here", sums, b"\xab" * 32)
    np.testing.assert_allclose(trained["sums"], own, rtol=1e-6)
    computed = (np.fromfile(tmp_path / name, "<f4") for name in ("update", "here"))
    np.testing.assert_allclose(*computed, rtol=1e-4, atol=1e-7)
    assert evaluated["sums"] == trained["sums"]
    assert len(trained["sums"]) == update_layout(SPEC).sums
    assert trained["sums"][:2] == [prepared["rows"], prepared["validation"]]
    assert trained["seconds"] > 0
    delta = np.fromfile(tmp_path / "update", "<f4")
    assert delta.shape == (SPEC.parameters,)
    assert np.abs(delta).sum() > 0.1
    assert (tmp_path / "update").stat().st_mode & 0o077 == 0


async def test_the_salt_that_only_the_party_knows_decides_which_rows_are_measured(
    workers: Workers, dataset: DatasetConfig, model: Path
) -> None:
    drawn = SPEC.drawn()
    found = []
    for salt in (SALT, bytes(32), SALT):
        await workers.prepare("job", dump(drawn), dataset, salt)
        sums = (await workers.compute("job", "moments"))["sums"]
        found.append((sums, (await evaluate(workers, model, sums))["sums"]))
    assert found[0] == found[2] != found[1]


async def test_a_killed_worker_is_replaced_and_the_update_is_the_same(
    workers: Workers, dataset: DatasetConfig, model: Path, tmp_path: Path
) -> None:
    await workers.prepare("job", dump(SPEC), dataset, SALT)
    sums = (await workers.compute("job", "moments"))["sums"]
    first = await train(workers, model, tmp_path / "first", sums)
    pid = workers.pids()["job"]
    os.kill(pid, signal.SIGSTOP)  # the request is surely unanswered when the process dies
    asking = asyncio.create_task(train(workers, model, tmp_path / "again", sums))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    again = await asking
    assert workers.pids()["job"] != pid
    assert again["sums"] == first["sums"]
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()


async def test_a_worker_that_always_dies_is_an_error(dataset: DatasetConfig) -> None:
    workers = await Workers.start(WorkerConfig(python="/bin/false"))
    assert await code_of(workers.prepare("job", dump(SPEC), dataset)) == "worker_died"
    assert await code_of(workers.describe(dataset, SALT)) == "worker_died"
    assert await code_of(workers.compute("job", "moments")) == "job_not_prepared"


async def test_changed_data_are_not_silently_trained_on(
    workers: Workers, dataset: DatasetConfig
) -> None:
    await workers.prepare("job", dump(SPEC), dataset)
    append(dataset, "0.5,a,1,z\n")
    os.kill(workers.pids()["job"], signal.SIGKILL)
    assert await code_of(workers.compute("job", "moments")) == "dataset_changed"
    assert await code_of(workers.compute("job", "moments")) == "dataset_changed"
    await workers.prepare("job", dump(SPEC), dataset)
    assert (await workers.compute("job", "moments"))["sums"][0] > 0


async def test_a_cancelled_request_leaves_the_job_usable(
    workers: Workers, dataset: DatasetConfig
) -> None:
    await workers.prepare("job", dump(SPEC), dataset)
    expected = (await workers.compute("job", "moments"))["sums"]
    pid = workers.pids()["job"]
    os.kill(pid, signal.SIGSTOP)
    asking = asyncio.create_task(workers.compute("job", "moments"))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    with pytest.raises(ProcessLookupError):  # a stopped worker is ended, not left behind
        os.kill(pid, 0)
    assert (await workers.compute("job", "moments"))["sums"] == expected


async def test_closing_ends_the_process_and_the_open_request(
    workers: Workers, dataset: DatasetConfig
) -> None:
    await workers.prepare("job", dump(SPEC), dataset)
    os.kill(workers.pids()["job"], signal.SIGSTOP)
    asking = asyncio.create_task(workers.compute("job", "moments"))
    await asyncio.sleep(0)
    await workers.close("job")
    assert await code_of(asking) == "job_not_prepared"
    assert workers.pids() == {}
    await workers.close("job")


async def test_errors_cross_with_row_and_column(workers: Workers, dataset: DatasetConfig) -> None:
    append(dataset, "SECRET,a,1,z\n")
    with pytest.raises(SecureFlowError) as caught:
        await workers.describe(dataset, SALT)
    error = caught.value
    assert error.code == "schema_mismatch"
    assert error.details == {"dataset": "clients", "column": "x", "row": 401}
    assert "SECRET" not in str(error.as_json())
    assert error.hint
    assert await code_of(workers.prepare("job", dump(SPEC), None)) == "missing_data"
    assert await code_of(workers.prepare("job", {"name": "x"}, dataset)) == "worker_failed"
    assert workers.pids() == {}


async def test_models_that_do_not_fit_are_refused(
    workers: Workers, dataset: DatasetConfig, tmp_path: Path
) -> None:
    await workers.prepare("job", dump(SPEC), dataset)
    sums = (await workers.compute("job", "moments"))["sums"]
    update = tmp_path / "update"
    for number, values in enumerate([[0.0] * 3, [0.0] * 5, [0.0, 0.0, np.nan, 0.0], []]):
        model = raw(tmp_path / f"m{number}", values)
        assert await code_of(train(workers, model, update, sums)) == "invalid_model"
    assert not update.exists()
    good = raw(tmp_path / "good", [0.0] * 4)
    assert await code_of(train(workers, good, update, None)) == "missing_moments"
    wrong = [sums[0], 1e9, *sums[2:]]
    assert await code_of(train(workers, good, update, wrong)) == "invalid_moments"


async def test_memory_is_limited_and_its_end_is_a_typed_error() -> None:
    roomy, cramped = (WorkerConfig(memory=size) for size in (4 << 30, 1 << 20))
    workers = await Workers.start(roomy)
    try:
        await workers.prepare("job", dump(REHEARSAL), None)
        limits = limits_of(workers.pids()["job"])
    finally:
        await workers.stop()
    assert f"Max address space {roomy.memory}" in limits
    assert "Max core file size 0 0" in limits
    workers = await Workers.start(cramped)
    refused = await code_of(workers.prepare("job", dump(REHEARSAL), None))
    # Where exactly memory ends is the allocator's affair: in an import, or before any answer.
    assert refused in {"worker_failed", "worker_out_of_memory", "worker_died"}
    assert workers.pids() == {}


async def test_the_environment_is_stripped(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_AGENT_TOKEN", "hunter2")
    await workers.prepare("job", dump(REHEARSAL), None)
    environment = environment_of(workers.pids()["job"])
    assert b"hunter2" not in environment
    assert b"OMP_NUM_THREADS=1\0" in environment


async def test_a_rehearsal_writes_zeros_as_a_sparse_file(workers: Workers, tmp_path: Path) -> None:
    await workers.prepare("job", dump(REHEARSAL), None)
    model, update = tmp_path / "never read", tmp_path / "update"
    assert (await workers.compute("job", "moments"))["sums"] == [1.0]
    assert (await train(workers, model, update, None))["sums"] == [1.0]
    assert (await evaluate(workers, model, None))["sums"] == [1.0]
    written = update.stat()
    assert written.st_size == 4 << 20
    assert written.st_blocks == 0, "a sparse file: nothing was written"
    update.write_bytes(b"short")
    await train(workers, model, update, None)
    assert not np.fromfile(update, "<f4").any()


def test_the_update_is_clipped_and_the_weight_capped(
    dataset: DatasetConfig, model: Path, tmp_path: Path
) -> None:
    free = runner(dataset)
    strict = runner(dataset, dataclasses.replace(SPEC, limits=Limits(50, 0.01)))
    moments = free.moments()
    capped = strict.moments()
    assert capped[0] == 50
    assert np.allclose(capped / capped[0], moments / moments[0])
    before = free.train(model, tmp_path / "free", moments.tolist(), b"s")
    after = strict.train(model, tmp_path / "strict", moments.tolist(), b"s")
    delta, clipped = (np.fromfile(tmp_path / name, "<f4") for name in ("free", "strict"))
    assert np.linalg.norm(delta) > 0.01
    assert 0.0099 < np.linalg.norm(clipped.astype(np.float64)) <= 0.01
    assert np.allclose(clipped / np.linalg.norm(clipped), delta / np.linalg.norm(delta), atol=1e-5)
    assert after[0] == 50
    assert np.allclose(after / after[0], before / before[0])


def test_an_empty_dataset_is_refused(dataset: DatasetConfig) -> None:
    Path(dataset.path).write_text("x,kind,y\n")
    with pytest.raises(SecureFlowError, match="has no rows"):
        runner(dataset)


PARTY = {
    "unit": "party", "mechanism": "central", "party_unit_acknowledged": True, "delta": 0.01,
    "noise_multiplier": 1.0,
}  # fmt: skip
RECORD = {"delta": 1e-6, "noise_multiplier": 1.0, "rows": 1000}


def private(privacy: dict[str, Any], **plan: Any) -> TrainingSpec:
    """Return a job over the same columns that releases nothing without noise."""
    value = dump(SPEC)
    value["features"]["numeric"][0]["scale"] = "bounds"
    value["plan"] |= {"local_epochs": 1, "validation": 0.0, **plan}
    return parse(TrainingSpec, {**value, "privacy": privacy})


@pytest.mark.parametrize("privacy", [PARTY, RECORD])
def test_under_privacy_a_party_without_rows_adds_nothing(
    privacy: dict[str, Any], dataset: DatasetConfig, model: Path, tmp_path: Path
) -> None:
    """Whether there is one row or none must not decide whether the job fails."""
    Path(dataset.path).write_text("x,kind,y\n")
    made = runner(dataset, private(privacy)).train(model, tmp_path / "update", None, bytes(32))
    assert made[0] == 1.0
    assert not np.fromfile(tmp_path / "update", np.float32).any()


def test_a_party_whose_training_diverges_adds_nothing(
    dataset: DatasetConfig, model: Path, tmp_path: Path
) -> None:
    """Its failure would tell of its rows without noise: here, whether there are ten of them."""
    wild = private(PARTY, learning_rate=100.0, batch_size=1)
    spec = dataclasses.replace(wild, model=ModelSpec(l2=100.0))
    plain = dataclasses.replace(spec, privacy=None)
    update = tmp_path / "update"
    with pytest.raises(SecureFlowError, match="diverged"):
        runner(dataset, plain).train(model, update, None, bytes(32))
    runner(dataset, spec).train(model, update, None, bytes(32))
    assert not np.fromfile(update, np.float32).any()
    few = Path(dataset.path).read_text().splitlines()[:8]
    Path(dataset.path).write_text("\n".join(few) + "\n")
    runner(dataset, plain).train(model, update, None, bytes(32))  # told by success, otherwise


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "malformed_json"),
        (b"[]", "worker_failed"),
        (b'{"id": 1, "verb": "__class__", "arguments": {}}', "worker_failed"),
        (b'{"id": 1, "verb": "moments", "arguments": {"job": "j"}}', "job_not_prepared"),
        (b'{"id": 1, "verb": "describe", "arguments": {"dataset": {}, "salt": ""}}',
         "invalid_dataset"),
        (b'{"id": 1, "verb": "moments", "arguments": {"SECRET": 1}}', "worker_failed"),
    ],
)  # fmt: skip
def test_every_line_gets_a_typed_answer(line: bytes, code: str) -> None:
    answer = Worker(SourceLimits()).answer(line)
    assert answer.endswith(b"\n")
    assert json.loads(answer)["error"]["code"] == code
    assert b"SECRET" not in answer


def test_the_process_answers_until_its_stdin_ends_or_a_line_is_too_long() -> None:
    command = [sys.executable, "-I", "-m", "secureflow.agent.compute.worker"]
    request = b'{"id": 7, "verb": "close", "arguments": {"job": "j"}}\n'
    ended = subprocess.run(command, input=request * 2, capture_output=True, check=True)
    assert ended.stdout == b'{"id": 7, "answer": {}}\n' * 2
    long = b" " * (LINE_BYTES + 1) + b"\n" + request
    assert subprocess.run(command, input=long, capture_output=True, check=True).stdout == b""


PARENT = """
import asyncio, json, sys
from secureflow.agent.job.context import Computing
from secureflow.agent.compute.workers import Workers

async def main():
    workers = await Workers.start()
    await workers.prepare("job", json.loads(sys.argv[1]), None)
    print(workers.pids()["job"], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_worker_does_not_outlive_its_agent() -> None:
    command = [sys.executable, "-c", PARENT, json.dumps(dump(REHEARSAL))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    ended, _, _ = select.select([worker], [], [], 30)
    os.close(worker)
    assert ended


def test_the_workers_are_what_the_agent_asks_for() -> None:
    computing: Computing = Workers(WorkerConfig())  # held to it by the type checker
    for name in ("check", "prepare", "compute", "close"):
        wanted = inspect.signature(getattr(Computing, name)).parameters
        assert (
            list(inspect.signature(getattr(computing, name)).parameters)[: len(wanted) - 1]
            == [*wanted][1:]
        )


def test_the_agent_side_imports_no_pyarrow() -> None:
    code = "import sys, secureflow.agent.compute.workers; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


WITHOUT_PANDAS = """
import io, runpy, sys
import pandas, pyarrow  # both are here
for name in [name for name in sys.modules if name.partition(".")[0] in ("pandas", "pyarrow")]:
    del sys.modules[name]
runpy.run_module("secureflow.agent.compute.worker", run_name="__main__")
import pyarrow
assert pyarrow.array(["a", None]).to_numpy(zero_copy_only=False).tolist() == ["a", None]
sys.exit("pandas" in sys.modules)
"""


def test_a_worker_loads_no_pandas() -> None:
    """pyarrow would, where it is installed: a quarter of a second and 60 MB of each worker."""
    command = [sys.executable, "-c", WITHOUT_PANDAS]
    ended = subprocess.run(command, input=b"", capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_no_step_takes_the_place_of_a_verb_of_the_workers_own() -> None:
    kind: Any = SimpleNamespace(spec=TRAINING_WORKER.spec, steps={"close": lambda _: 1 / 0})
    with pytest.raises(ValueError, match="has a step 'close'"):
        WorkerKinds(kind)


def test_no_setting_names_what_a_worker_process_runs() -> None:
    with pytest.raises(ValidationError):
        WorkerSettings.model_validate({"module": "tests.kinds.worker"})
