"""Code of others at an agent: what it is given, what becomes of what it returns, and its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers import bundle_jobs
from peers.bundle_jobs import FEATURES, JOB, Place, code_spec, gone, model_source, rows_of
from peers.sandboxes import demand_sandbox

from secureflow.adapters.frameworks import NumpyRunner, runner_of
from secureflow.adapters.sandbox import BubblewrapSandbox, PlainSandbox
from secureflow.adapters.sandbox.started import Started
from secureflow.agent.compute import bundle_workers, code_logs
from secureflow.agent.compute.bundle_process import BundleProcess
from secureflow.agent.compute.bundle_workers import BundleWorkers
from secureflow.agent.compute.code_logs import Whose
from secureflow.agent.compute.jobfiles import ROWS, UPDATE, code_folder
from secureflow.agent.compute.kinds import CODE_KINDS
from secureflow.agent.compute.training import MOMENTS, train_arguments
from secureflow.agent.compute.worker_process import WorkerConfig
from secureflow.agent.compute.workers import Workers
from secureflow.application.ports.sandbox import Launch, SandboxProcess
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.bundle_family import writing_seconds
from secureflow.domain.specs.privacy import AdaptiveClipping, Privacy
from secureflow.domain.specs.tensors import TensorSpec, layout_digest
from secureflow.domain.specs.training import (
    Initial,
    ModelSpec,
    NumberLabel,
    NumericFeature,
    SampleWeight,
    TrainingPlan,
    TrainingSpec,
)
from secureflow.domain.specs.updatelimits import Limits
from secureflow.engines.bundles.host import _prepared
from secureflow.engines.preparation import (
    declared_moments,
    design_matrix,
    moments_from_sums,
    split_validation,
    weight_vector,
)
from secureflow.engines.training.private import norm_cap, private_sums
from secureflow.kit import printedlog
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent.test_worker import dataset

__all__ = ["dataset"]

pytestmark = pytest.mark.slow

PRIVACY = Privacy(1e-5, 1.0, "party", "central", "enclave", 2.0, party_unit_acknowledged=True)
SEED = bytes.fromhex(bundle_jobs.SEED)


@pytest.fixture
def at(tmp_path: Path) -> Any:
    """Return what prepares a job with code, in the real sandbox."""
    demand_sandbox("root" if os.geteuid() == 0 else "ordinary")
    return partial(bundle_jobs.place, tmp_path / "agent")


async def code_of(waiting: Any) -> str:
    with pytest.raises(SecureFlowError) as caught:
        await waiting
    return caught.value.code


async def printed(place: Place, text: str, asked: asyncio.Task[Any]) -> None:
    """Wait until the code that was asked has printed this."""
    while not place.log.exists() or text not in place.log.read_text():
        assert not asked.done(), asked
        await asyncio.sleep(0.01)


async def killed(place: Place) -> None:
    """Kill the code's process, as the system does where memory is short, and see it noticed."""
    process = place.workers._jobs[JOB].process
    assert process is not None
    os.kill(place.pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        while process.alive:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


# --- what it is given ----------------------------------------------------------------------

FORMS: dict[str, TrainingSpec] = {
    "a class": code_spec(),
    "federated": code_spec(
        features=replace(FEATURES, numeric=(NumericFeature("x", (-10.0, 10.0), "federated"),))
    ),
    "weights": code_spec(features=replace(FEATURES, weight=SampleWeight("weight", (1.0, 3.0)))),
    "a number": code_spec(features=replace(FEATURES, label=NumberLabel("price", (-50.0, 50.0)))),
    "no label": code_spec(features=replace(FEATURES, label=None)),
    "no validation": code_spec(plan=TrainingPlan(validation=0.0)),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_rows_are_those_that_were_prepared(form: str, tmp_path: Path) -> None:
    spec, columns = FORMS[form], rows_of()
    assert spec.features is not None
    features = spec.features
    runner: Any = runner_of(spec, columns)
    sums = runner.moments().tolist() if features.federated else None
    moments = declared_moments(features)
    if sums is not None:
        moments = moments_from_sums(features, np.asarray(sums))
    counts = runner.write_rows(tmp_path / "rows", sums)
    handed = _prepared({"rows": str(tmp_path / "rows")})
    parts = split_validation(60, spec.plan.seed, spec.plan.validation)
    assert counts.tolist() == [len(part) for part in parts]
    for at, (part, found) in enumerate(zip(parts, handed, strict=True)):
        own = {name: columns[name][part] for name in features.columns}
        inputs, labels = design_matrix(features, moments, own)
        np.testing.assert_array_equal(found["inputs"], inputs)
        assert ("labels" in found) == (form != "no label")
        if "labels" in found:
            np.testing.assert_array_equal(found["labels"], labels)
            kind = "float32" if form == "a number" else "int64"
            assert found["labels"].dtype == kind
        assert ("weights" in found) == (form == "weights" and at == 0)
        if "weights" in found:
            np.testing.assert_array_equal(found["weights"], weight_vector(features, own))
        assert not any(one.flags.writeable for one in found.values())


@pytest.mark.parametrize("weighed", [False, True])
def test_the_rows_under_differential_privacy(tmp_path: Path, *, weighed: bool) -> None:
    features = replace(FEATURES, weight=SampleWeight("weight", (1.0, 3.0)) if weighed else None)
    spec = code_spec(features=features, privacy=PRIVACY)
    columns = {**rows_of(), "y": np.array(["1", None, "2"] * 20, object)}  # no error by any row
    runner: Any = runner_of(spec, columns)
    runner.write_rows(tmp_path / "rows", None)
    handed = _prepared({"rows": str(tmp_path / "rows")})
    own = NumpyRunner(replace(spec, model=ModelSpec()), columns)._private_rows
    assert own is not None
    for (inputs, labels), found in zip(own, handed, strict=True):
        np.testing.assert_array_equal(
            found["inputs"], np.concatenate([inputs[rows] for rows in inputs.blocks()])
        )
        np.testing.assert_array_equal(found["labels"], labels)
        assert ("weights" in found) == weighed
        if weighed:
            np.testing.assert_array_equal(found["weights"], inputs.weights)


TELLS = """
arrays = {f"{part}/{name}": one.tolist() for part, rows in (("t", training), ("v", validation))
          for name, one in rows.items()}
print(json.dumps(arrays), flush=True)
"""


async def test_the_real_worker_hands_its_rows_to_the_code(
    at: Any, dataset: Any, tmp_path: Path
) -> None:
    """And after the worker and the code's process were killed as well."""
    agent = tmp_path / "agent"
    config = WorkerConfig(
        memory=2 << 30, sandbox=BubblewrapSandbox(), files=agent / "models", hidden=(agent,)
    )
    features = replace(FEATURES, numeric=(NumericFeature("x", (-10.0, 10.0)),))
    spec = code_spec(features=features, initial=Initial("ef" * 32, layout_digest(bundle_jobs.W)))
    code = bundle_jobs.Code({"model.py": model_source(prepare=TELLS)})
    real = await Workers.start(config)
    workers = BundleWorkers(real, lambda: code, agent, CODE_KINDS)
    try:
        (agent / "models" / JOB).mkdir(parents=True)
        prepared = await workers.prepare(JOB, dump(spec), dataset)
        moments = (await workers.compute(JOB, MOMENTS))["sums"]
        place = Place(workers, code, spec, agent, real, moments)
        found = [await place.train(), json.loads(place.log.read_text())]
        os.kill(real.pids()[JOB], signal.SIGKILL)
        await killed(place)
        found += [await place.train(2), json.loads(place.log.read_text().splitlines()[-1])]
    finally:
        await workers.stop()
    assert found[:2] == found[2:]
    arrays = found[1]
    counts = [len(arrays["t/labels"]), len(arrays["v/labels"])]
    assert counts == [prepared["rows"], prepared["validation"]]
    inputs = np.array(arrays["t/inputs"] + arrays["v/inputs"])
    assert inputs.shape == (400, 3)
    assert abs(inputs[:, 0].mean()) < 0.2  # standardised by the moments
    assert place.log.stat().st_mode & 0o777 == 0o600
    assert place.log.parent.stat().st_mode & 0o777 == 0o700


# --- what becomes of what it returns -------------------------------------------------------

RETURNS = """
kind = ["", "nothing", "a little", "huge", "negative"][round]
weights["w"] += {"nothing": 0, "a little": 0.25, "huge": 1e30, "negative": -1e30}[kind]
return weights
"""
BOASTS = "return {'rows': 1e9, 'loss': -1e14, 'hits': 1e14}"


async def test_the_agent_clips_and_caps_what_code_returns(at: Any) -> None:
    limits = Limits(max_weight=24, clip_norm=2.0)
    spec = code_spec(sums=("rows", "loss", "hits"), limits=limits)
    async with at(model_source(train=RETURNS, evaluate=BOASTS), spec) as place:
        updates, sums = [], []
        for number in range(1, 5):
            sums.append(await place.train(number, 0.5))
            updates.append(place.update)
        evaluated = await place.evaluate()
    assert [one.tolist() for one in updates[:2]] == [[0.0] * 3, [0.25] * 3]
    for one, sign in zip(updates[2:], (1, -1), strict=True):
        norm = float(np.linalg.norm(one.astype(np.float64)))
        assert 1.99 < norm <= limits.clip_norm
        assert (np.sign(one) == sign).all()
    share = 24 / 49  # of 60 rows, 49 train and 11 validate
    assert sums == [sums[0]] * 4
    assert evaluated == sums[0]
    weight, rows, loss, hits = sums[0]
    assert (weight, rows) == pytest.approx((24.0, 11.0 * share))
    assert loss == -hits < 0
    assert abs(hits) <= 11.0 * 1000  # whatever one row says, it is bounded


@pytest.mark.parametrize("wire", ["float16", "bfloat16"])
async def test_rounding_to_the_wire_does_not_lift_it_over_the_limit(at: Any, wire: str) -> None:
    from secureflow.engines.sealing.wiretypes import widened

    limits = Limits(clip_norm=2.0)
    weights = (TensorSpec("w", (2000,)),)
    source = model_source(train="weights['w'] += np.linspace(1, 9, 2000); return weights")
    async with at(source, code_spec(weights=weights, limits=limits, wire=wire)) as place:
        await place.train()
        raw = np.fromfile(place.job / UPDATE, "<f2" if wire == "float16" else "<u2")
    assert 1.9 < np.linalg.norm(widened(wire, raw).astype(np.float64)) <= 2.0  # type: ignore[arg-type]


FAILS = """
if round == 2: weights["w"][0] = np.nan
if round == 3: weights["w"][0] = np.inf
if round == 4: weights["w"] = np.full(3, 3e38, "f4")
if round == 5: weights = {"w": np.zeros((2, 2), "f4")}
if round == 6: raise ValueError("row 7 is there")
if round == 7: os._exit(0)
if round == 8: sys.exit(1)
if round == 9: weights = [1, 2, 3]
if round == 10: weights["w"] = weights["w"].astype("O")
if round == 11: weights["w"] += 1e-9
return weights
"""
ADAPTIVE = replace(PRIVACY, adaptive=AdaptiveClipping())


@pytest.mark.parametrize("privacy", [PRIVACY, ADAPTIVE], ids=["fixed", "adaptive"])
async def test_under_privacy_all_that_code_does_is_a_clipped_change_on_the_lattice(
    at: Any, privacy: Privacy
) -> None:
    """A failure would be told without noise, and could be made to depend on a row."""
    spec = code_spec(privacy=privacy, sums=("rows", "loss"))
    rounds = (1, 2, 4, 5, 6, 7, 10, 11) if privacy is PRIVACY else (2, 3, 4, 8, 9)
    async with at(model_source(train=FAILS, evaluate="raise OSError"), spec) as place:
        for number in rounds:
            sums = await place.train(number, 1.0)
            assert sums == private_sums(spec, SEED).tolist()
            steps = place.update
            assert (steps == np.rint(steps)).all(), number
            assert np.linalg.norm(steps) <= norm_cap(spec)
            changed = np.linalg.norm(steps[:3]) > 0
            assert changed == (number == 4), number
    assert "prepare" in place.reader.calls


CHOOSES = """
if round == 2: time.sleep(1.2)
if round == 3: time.sleep(600)
if round == 4: os._exit(0)
return weights
"""


async def test_under_privacy_a_step_takes_its_time_whatever_the_code_does(at: Any) -> None:
    """Else the code tells as many bits of the rows as a clock has, in every round.

    Nor is it loaded anew because it died: every step has a process of its own.
    """
    pace = 8
    source = b"print('loaded')\n" + model_source(prepare="time.sleep(0.3)", train=CHOOSES)
    async with at(source, code_spec(privacy=PRIVACY, seconds=pace)) as place:
        for number in (1, 2, 3, 4, 5):
            began = time.monotonic()
            update, model = place.job / UPDATE, place.model()
            asked = train_arguments(model, update, None, bundle_jobs.SEED, number=number)
            found = await place.workers.compute(JOB, "train", {**asked, "round": number})
            held, answered = place.waited
            place.waited.clear()
            whole = time.monotonic() - began + answered
            assert held < pace
            assert found["seconds"] == 0.0
            assert place.log.read_text().count("loaded") == number
            assert whole > pace + writing_seconds(0) - 0.1, number
            assert whole < 60, number
    async with at(source) as place:
        asked = train_arguments(place.model(), place.job / UPDATE, None, bundle_jobs.SEED, number=2)
        found = await place.workers.compute(JOB, "train", {**asked, "round": 2})
        assert found["seconds"] > 1.2
        assert place.waited == []


async def test_what_was_answered_stands_though_the_process_does_not_stand_still(
    at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is the code run again for it: only its next call finds a new process."""
    source = b"print('loaded')\n" + model_source(
        train="print('trains'); weights['w'] += 9; return weights"
    )
    real = Started.freeze

    async def freeze(started: Started) -> None:
        await real(started)
        if place.log.read_text().endswith("trains\n"):
            raise OSError

    async with at(source) as place:
        monkeypatch.setattr(Started, "freeze", freeze)
        for number in (1, 2):
            await place.train(number)
            assert place.update.any()
            assert place.log.read_text().count("loaded") == number
            assert place.log.read_text().count("trains") == number


@pytest.mark.parametrize("known", [False, True], ids=["first", "later"])
async def test_under_privacy_the_start_of_its_process_is_part_of_a_steps_time(
    at: Any, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that saw rows leaves traces in the page cache by which the next one starts late."""
    source, real = model_source(train="weights['w'] += 9; return weights"), BundleProcess.start
    late = [0.0]

    async def start(*words: Any, **more: Any) -> BundleProcess:
        await asyncio.sleep(late[0])
        return await real(*words, **more)

    async with at(source, code_spec(privacy=PRIVACY, seconds=8)) as place:
        monkeypatch.setattr(BundleProcess, "start", start)
        spent = []
        for late[0] in (0.0, 2.0):
            began = time.monotonic()
            await place.train()
            held, told = place.waited
            spent.append(time.monotonic() - began + told)
            place.waited.clear()
            assert place.update.any()
            assert held < 8
        assert spent[0] == pytest.approx(spent[1], abs=1.0)
    asleep = b"import time\ntime.sleep(600)\n" + source
    async with at(asleep, code_spec(privacy=PRIVACY, seconds=1)) as place:
        place.workers._jobs[JOB].seen = known
        if known:
            await place.train()
            assert not place.update.any()
        else:
            assert await code_of(place.train()) == "bundle_silent"
        assert 0.0 < place.waited[-1] <= writing_seconds(0)


async def test_under_privacy_a_larger_answer_is_told_later(
    at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes longer to write than zeros do: what came too late was told by its kind."""
    monkeypatch.setattr(bundle_workers, "writing_seconds", lambda size: 1000.0 * size)
    async with at(model_source(), code_spec(privacy=PRIVACY)) as place:
        await place.train()
        assert 2990 < place.waited[-1] <= 3000 + place.spec.model.seconds
    assert writing_seconds(150_000_000) == 8.0


async def test_under_privacy_a_failure_to_take_up_rows_is_not_told(at: Any) -> None:
    prepare = "if len(training['labels']): raise ValueError('there are rows')"
    async with at(model_source(prepare=prepare), code_spec(privacy=PRIVACY)) as place:
        await place.train()
        assert not place.update.any()
        assert "there are rows" in place.log.read_text()
    async with at(model_source(prepare=prepare)) as place:
        assert await code_of(place.train()) == "bundle_failed"
        process = place.workers._jobs[JOB].process
        assert process is not None
        assert not process.alive  # half prepared it is of no use


async def test_whether_code_can_be_imported_depends_on_no_row(at: Any) -> None:
    """It is told under privacy as well, so the code is imported before the rows are there."""
    looks = b"import os\nif os.path.exists('/rows/rows'):\n    raise ImportError\n"
    source = model_source(train="assert os.path.getsize('/rows/rows'); return weights")
    async with at(looks + source) as place:
        await place.train()
        await killed(place)
        await place.train(2)
    broken = b"import a_module_that_is_not_there\n" + source
    async with at(broken, code_spec(privacy=PRIVACY)) as place:
        assert await code_of(place.train()) == "bundle_unusable"


# --- its life and its end ------------------------------------------------------------------


async def test_a_process_that_ended_is_started_anew(at: Any) -> None:
    counts = "self.n = getattr(self, 'n', 0) + 1; weights['w'] += self.n; return weights"
    async with at(model_source(train=counts)) as place:
        seen = []
        for number in (1, 2):
            await place.train(number)
            seen.append(place.update[0])
        first, pid = place.code.written[0] / "model.py", place.pid
        first.chmod(0o600)
        first.write_bytes(b"raise SystemExit('somebody changed it')")
        await killed(place)
        await place.train(3)
        seen.append(place.update[0])
        assert place.pid != pid
        assert gone(pid)
    assert seen == [1.0, 2.0, 1.0]  # a new object
    assert len(place.code.written) == len(place.code.fetched) == 2
    assert place.reader.calls.count("rows") == 2


async def test_a_process_that_ends_in_a_call_is_asked_once_more(at: Any) -> None:
    source = model_source(train="print('in', flush=True); time.sleep(600 * (round == 1))")
    async with at(source) as place:
        asked = asyncio.create_task(place.train())
        await printed(place, "in", asked)
        first = place.pid
        place.log.unlink()
        os.kill(first, signal.SIGKILL)
        await printed(place, "in", asked)
        assert place.pid != first
        os.kill(place.pid, signal.SIGKILL)
        assert await code_of(asked) == "bundle_died"


async def test_ending_its_process_erases_no_trace_of_code(at: Any) -> None:
    source = model_source(train="print('round', round, flush=True); os._exit(0)")
    async with at(source) as place:
        for number in (1, 2):
            assert await code_of(place.train(number)) == "bundle_died"
        await place.workers.close(JOB)
        told = [line for line in place.log.read_text().splitlines() if line]
    another = "[secureflow: another process]"
    once, twice = "round 1", "round 2"
    assert told == [once, another, once, another, twice, another, twice]


async def test_logs_of_other_jobs_make_room_only_once_they_are_over(
    at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_logs, "MOST", 2)
    async with at(model_source()) as place:
        place.log.parent.mkdir(parents=True)
        await place.workers.prepare("job_open", dump(place.spec), None)
        for age, name in enumerate(("open", "first", "second", "third")):
            log = place.log.with_name(f"job_{name}.log")
            log.touch()
            os.utime(log, (age, age))
        await place.train()
        kept = {path.stem for path in place.log.parent.iterdir()}
    assert kept == {JOB, "job_open", "job_second", "job_third"}


async def test_many_jobs_of_one_submitter_push_out_no_log_of_another(
    at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_logs, "MOST", 4)
    ana, bob, other = Whose("prj_1", "ana"), Whose("prj_1", "bob"), Whose("prj_2", "ana")
    async with at(model_source()) as place:
        place.log.parent.mkdir(parents=True)
        whose = {"old": other, "early": bob, **dict.fromkeys("abcdef", ana), "lost": Whose()}
        for age, (name, who) in enumerate(whose.items()):
            log = place.log.with_name(f"job_{name}.log")
            log.touch()
            os.utime(log, (age, age))
            place.code.owners[log.stem] = who
        await place.train()
        kept = {path.stem for path in place.log.parent.iterdir()}
    assert kept == {JOB, "job_old", "job_early", "job_f", "job_lost"}


async def test_a_log_that_goes_while_another_job_starts_hinders_nobody(
    at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_logs, "MOST", 0)
    glob = Path.glob

    def gone_meanwhile(folder: Path, pattern: str) -> Any:
        for path in glob(folder, pattern):
            if folder.name == "logs":
                path.unlink()
            yield path

    async with at(model_source()) as place:
        place.log.parent.mkdir(parents=True)
        place.log.with_name("job_other.log").touch()
        monkeypatch.setattr(Path, "glob", gone_meanwhile)
        await place.train()


async def test_a_process_of_which_nothing_is_asked_is_ended_and_started_anew(at: Any) -> None:
    async with at(model_source(train="weights['w'] += 0.5; return weights"), idle=0.05) as place:
        for number in (1, 2):
            await place.train(number)
            assert place.update.tolist() == [0.5] * 3
            process = place.workers._jobs[JOB].process
            assert process is not None
            async with asyncio.timeout(60):
                while process.alive:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)
        assert len(place.code.written) == place.reader.calls.count("rows") == 2


async def test_another_job_takes_the_place_of_one_that_rests(at: Any) -> None:
    async with at(model_source(), warm=1) as place:
        await place.train()
        pid = place.pid
        await place.workers.prepare("job_other", dump(place.spec), None)
        model, update = place.model(), place.job / UPDATE
        asked = train_arguments(model, update, None, bundle_jobs.SEED, number=1)
        await place.workers.compute("job_other", "train", {**asked, "round": 1})
        assert gone(pid)
        await place.train(2)
        assert len(place.code.written) == 3


@pytest.mark.parametrize("privacy", [None, PRIVACY], ids=["told", "paced"])
async def test_an_owner_limits_the_time_of_code_whatever_the_job_says(
    at: Any, privacy: Privacy | None
) -> None:
    source = model_source(train="time.sleep(600)")
    spec = code_spec(privacy=privacy, seconds=500)
    limit = 2 if privacy is None else 6  # in which a private job's first process must start
    async with at(source, spec, others_seconds=limit) as place, asyncio.timeout(120):
        if privacy is None:
            assert await code_of(place.train()) == "bundle_silent"
            return
        await place.train()
        assert not place.update.any()
        assert place.waited[0] < 100


async def test_code_is_given_rows_that_no_worker_can_change(at: Any) -> None:
    """Its file is a copy; the worker's, which it could cut while it is mapped, is emptied."""
    async with at(model_source(prepare=TELLS)) as place:
        await place.train()
        written, own = place.job / ROWS, code_folder(place.directory / "models", JOB) / ROWS / ROWS
        assert written.stat().st_size == 0 < own.stat().st_size
        assert not written.samefile(own)
        assert json.loads(place.log.read_text())["t/labels"]


class Noting(BubblewrapSandbox):
    """The real sandbox, which notes what it is told to start."""

    def __init__(self) -> None:
        super().__init__()
        self.launches: list[Launch] = []

    async def start(self, launch: Launch) -> SandboxProcess:
        self.launches.append(launch)
        return await super().start(launch)


async def test_code_does_not_see_what_no_worker_may_see(at: Any, tmp_path: Path) -> None:
    """Even where its interpreter's folders hold it."""
    hidden, sandbox = (tmp_path / "agent", tmp_path / "data"), Noting()
    async with at(model_source(), sandbox=sandbox, hidden=hidden) as place:
        await place.train()
    assert [launch.hidden for launch in sandbox.launches] == [hidden]


async def test_under_privacy_a_later_import_is_not_told_either(at: Any) -> None:
    """It comes after a process has ended, which may depend on a row."""
    files = {"model.py": model_source(train="os._exit(0)")}
    async with at(files, code_spec(privacy=PRIVACY)) as place:
        await place.train()
        place.code.files = {"model.py": b"import a_module_that_is_not_there\n"}
        await place.train(2)
        assert not place.update.any()


async def test_under_privacy_an_import_after_the_agents_restart_is_not_told_either(at: Any) -> None:
    """Rows were seen before it: by the mark of the agent that was there then."""
    async with at(model_source(), code_spec(privacy=PRIVACY)) as place:
        await place.train()
        place.code.files = {"model.py": b"import a_module_that_is_not_there\n"}
        await place.workers.prepare(JOB, dump(place.spec), None)  # as after a start
        await place.train(2)
        assert not place.update.any()


async def test_a_cancelled_request_leaves_no_process(at: Any) -> None:
    source = model_source(train="print('in', flush=True); time.sleep(600)")
    async with at(source) as place:
        asked = asyncio.create_task(place.train())
        await printed(place, "in", asked)
        pid = place.pid
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert gone(pid)
        assert await code_of(asyncio.wait_for(_with_limit(place, 1), 60)) == "bundle_silent"
        assert gone(pid)


async def _with_limit(place: Place, seconds: int) -> None:
    known = place.workers._jobs[JOB]
    spec: Any = known.spec
    known.spec = replace(spec, model=replace(spec.model, seconds=seconds))
    await place.train()


@pytest.mark.parametrize("how", ["close", "stop", "prepare"])
async def test_the_end_of_a_job_is_the_end_of_its_code(at: Any, how: str) -> None:
    source = model_source(train="print('in', flush=True); time.sleep(600)")
    async with at(source) as place:
        asked = asyncio.create_task(place.train())
        await printed(place, "in", asked)
        pid = place.pid
        await _ended(place, how)
        assert gone(pid)
        assert await code_of(asked) == "job_not_prepared"


async def _ended(place: Place, how: str) -> None:
    if how == "close":
        await place.workers.close(JOB)
    elif how == "stop":
        await place.workers.stop()
    else:
        await place.workers.prepare(JOB, dump(place.spec), None)


@pytest.mark.parametrize("how", ["close", "stop", "prepare"])
async def test_a_job_that_ends_while_its_code_is_started_leaves_no_process(
    at: Any, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    begin = BundleProcess.start

    async def start(*given: Any, **more: Any) -> BundleProcess:
        process = await begin(*given, **more)
        assert process._running is not None
        started.append(process._running.pid)
        await _ended(place, how)
        return process

    monkeypatch.setattr(bundle_workers.BundleProcess, "start", start)
    async with at(model_source()) as place:
        assert await code_of(place.train()) == "job_not_prepared"
        assert [gone(pid) for pid in started] == [True]


async def test_the_environment_is_verified_before_anything_and_before_each_start(at: Any) -> None:
    async with at(model_source()) as place:
        await place.workers.check(JOB, dump(place.spec), None)
        await place.train()
        await place.train(2)
        assert place.code.asked == ["cd" * 32] * 3  # prepare, check, one start
        place.code.broken = "environment_broken"
        await killed(place)
        assert await code_of(place.train(3)) == "environment_broken"
        place.reader.calls.clear()
        for asked in (place.workers.check, place.workers.prepare):
            assert await code_of(asked(JOB, dump(place.spec), None)) == "environment_broken"
        assert place.reader.calls == []


async def test_one_process_that_cannot_be_ended_keeps_no_other(
    at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, say, takes no log: every other process ends, SecureFlow's own too."""
    async with at(model_source()) as place:
        await place.workers.prepare("job_other", dump(place.spec), None)
        await place.train()
        end, ended = place.workers._end, []

        async def ending(job: str) -> None:
            await end(job)
            ended.append(job)
            if job == JOB:
                raise OSError("no space left on device")

        async def lingering(after: float) -> None:
            await asyncio.sleep(after)
            ended.append(str(after))
            raise SecureFlowError("disk_full", "no room for a log")

        pid = place.pid
        monkeypatch.setattr(place.workers, "_end", ending)
        for after in (0.0, 0.2):
            place.workers._lingering.add(asyncio.create_task(lingering(after)))
        with pytest.raises(OSError, match="no space"):
            await place.workers.stop()
        assert sorted(ended) == ["0.0", "0.2", JOB, "job_other"]
        assert gone(pid)
        assert place.reader.calls[-1] == "stop"
        place.workers._lingering.clear()


async def test_code_runs_the_numeric_code_that_its_job_needs(at: Any) -> None:
    seen: list[Any] = []

    def chosen(spec: Any) -> dict[str, str]:
        seen.append(spec)
        return {"OPENBLAS_CORETYPE": "Nehalem"}

    told = "print(os.environ.get('OPENBLAS_CORETYPE'), os.environ.get('OPENBLAS_NUM_THREADS'))"
    async with at(model_source(made=told), kernels=chosen) as place:
        await place.train()
        assert "Nehalem 1" in place.log.read_text()
        assert seen == [dump(place.spec)]


async def test_without_a_sandbox_no_code_runs(tmp_path: Path) -> None:
    spec = dump(code_spec())
    code = bundle_jobs.Code({"model.py": model_source()})
    reader = bundle_jobs.Reader(WorkerConfig(sandbox=PlainSandbox(), files=tmp_path), rows_of())
    workers = BundleWorkers(reader, lambda: code, tmp_path, CODE_KINDS)  # type: ignore[arg-type]
    for asked in (workers.check, workers.prepare):
        assert await code_of(asked(JOB, spec, None)) == "sandbox_missing"
    assert (reader.calls, code.asked, code.written) == ([], [], [])


async def test_other_jobs_and_other_steps_are_the_workers_own(at: Any) -> None:
    async with at(model_source()) as place:
        asked = train_arguments(place.model(), place.job / UPDATE, None, bundle_jobs.SEED)
        with pytest.raises(AssertionError):  # the double of the workers takes no such step
            await place.workers.compute("job_other", "train", asked)
        await place.workers.close("job_other")
        assert place.reader.calls[-1] == "close"


async def test_a_model_that_is_none_never_reaches_the_code(at: Any) -> None:
    async with at(model_source(train="print('in', flush=True); return weights")) as place:
        assert await code_of(place.train(1, np.nan)) == "invalid_model"
        await place.workers.close(JOB)
        assert "in" not in place.log.read_text()


LINGERS = {
    "answers": "weights['w'] += 9; return weights",
    "lies": "return 7",
    "raises": "raise OSError",
    "not finite": "weights['w'] += float('nan'); return weights",
    "hangs": "time.sleep(600)",
    "dies": "os._exit(0)",
    "prints": "while True: os.write(2, b'x' * 65536)",
}


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Return what processes that are killed wait for: one in state D waits for a disk."""
    kill, told = Started.kill, asyncio.Event()

    async def late(started: Started) -> None:
        await told.wait()
        await kill(started)

    monkeypatch.setattr(Started, "kill", late)
    return told


@pytest.mark.parametrize("how", LINGERS)
async def test_under_privacy_nobody_waits_for_a_process_that_does_not_go(
    at: Any, monkeypatch: pytest.MonkeyPatch, go: asyncio.Event, how: str
) -> None:
    """One that is killed may still wait for a disk: its end could tell rows by its time."""
    monkeypatch.setattr(printedlog, "FLOOD", 4 << 20)
    rounds = (1,) if how == "hangs" else (1, 2)  # a hang lasts as long as the job lets it
    source = model_source(train=LINGERS[how], evaluate="return {}")
    async with at(source, code_spec(privacy=PRIVACY, seconds=8)) as place:
        try:
            async with asyncio.timeout(120):
                for number in rounds:
                    assert await place.train(number)
                await place.workers.close(JOB)
            assert len(place.workers._lingering) == len(rounds)
        finally:
            go.set()
    assert not place.workers._lingering


@pytest.mark.parametrize("when", ["loading", "called"])
async def test_under_privacy_a_step_that_is_cancelled_waits_for_no_end_either(
    at: Any, go: asyncio.Event, when: str
) -> None:
    """The centre may withdraw it, and is told when it is over."""
    waits = "print('in', flush=True)\nimport time\ntime.sleep(600)\n"
    source = model_source(train=waits.replace("\n", ";").strip(";"))
    files = waits.encode() + source if when == "loading" else source
    async with at(files, code_spec(privacy=PRIVACY, seconds=600)) as place:
        try:
            asked = asyncio.create_task(place.train())
            await printed(place, "in", asked)
            asked.cancel()
            async with asyncio.timeout(60):
                with pytest.raises(asyncio.CancelledError):
                    await asked
            assert len(place.workers._lingering) == 1
        finally:
            go.set()
    assert not place.workers._lingering


async def test_of_other_jobs_the_end_of_every_process_is_awaited(at: Any) -> None:
    async with at(model_source(train=LINGERS["lies"])) as place:
        await place.evaluate()
        pid = place.pid
        assert await code_of(place.train()) == "bundle_output_refused"
        await place.workers.close(JOB)
        assert gone(pid)
