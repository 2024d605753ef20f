"""A bundle's class is called in a process of its own, and what it returns is what was declared."""

from __future__ import annotations

import asyncio
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from secureflow.agent.compute.bundle_process import BundleProcess, BundleTask
from secureflow.agent.compute.tensor_layout import TensorLayout
from secureflow.kit.errors import SecureFlowError
from tests.peers.bundle_hosts import LAYOUT, plain_starter, printed, task

GOOD = """
import sys
import numpy as np

class Model:
    def __init__(self, settings, seed):
        self.step, self.seed = settings["step"], seed
    def initial(self):
        return {"w": np.zeros((2, 3), "float32"), "n": np.int64(self.seed)}
    def prepare(self, training, validation):
        self.training, self.validation = training, validation
        print("prepared", flush=True)
    def train(self, weights, round):
        weights["w"] += self.step * self.training["inputs"].sum()   # its own copy
        return {"n": weights["n"] + round, "w": weights["w"].astype("float64")}
    def evaluate(self, weights):
        return {"rows": len(self.validation["inputs"]), "loss": weights["w"].sum()}
"""
LIMIT = 120.0
WEIGHTS = {"w": np.ones((2, 3), np.float32), "n": np.asarray(5)}


async def start(made: BundleTask, log: Path) -> BundleProcess:
    return await BundleProcess.start(plain_starter, made, log, limit=LIMIT)


async def _whole(made: BundleTask, log: Path) -> None:
    process = await start(made, log)
    try:
        await process.prepare({}, {}, limit=LIMIT)
        await process.train(WEIGHTS, 1, limit=LIMIT)
        await process.evaluate(WEIGHTS, limit=LIMIT)
    finally:
        await process.kill()


async def failing(tmp_path: Path, source: str, **other: object) -> tuple[SecureFlowError, str]:
    """Run all methods of a bundle that must fail; return the error and the log."""
    log = tmp_path / "log"
    with pytest.raises(SecureFlowError) as refusal:
        await _whole(task(tmp_path / "b", source, **other), log)
    return refusal.value, log.read_text()


async def test_a_whole_job(tmp_path: Path) -> None:
    for part in ("training", "validation"):
        np.save(tmp_path / f"{part}.npy", np.arange(4, dtype="float32"))
    made = task(tmp_path / "b", GOOD, settings={"step": 0.5}, seed=9)
    process = await start(made, tmp_path / "log")
    try:
        layout, values = await process.initial(1 << 10, limit=LIMIT)
        assert layout == LAYOUT
        assert values == np.zeros(6, "<f4").tobytes() + np.int64(9).tobytes()
        rows = {
            part: {"inputs": str(tmp_path / f"{part}.npy")} for part in ("training", "validation")
        }
        await process.prepare(**rows, limit=LIMIT)
        trained = await process.train(WEIGHTS, 2, limit=LIMIT)
        assert trained["w"].dtype == np.float32  # rounded to what was declared
        assert np.array_equal(trained["w"], np.full((2, 3), 4.0))
        assert trained["n"] == 7
        assert np.array_equal(WEIGHTS["w"], np.ones((2, 3)))
        assert await process.evaluate(trained, limit=LIMIT) == {"rows": 4.0, "loss": 24.0}
    finally:
        await process.kill()
    assert (tmp_path / "log").read_text() == "prepared\n"
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


CLASS = "class Model:\n    def __init__(self, settings, seed): {0}\n"
METHODS = CLASS + "".join(
    f"    def {name}(self, *_): {{{at}}}\n"
    for at, name in enumerate(("initial", "prepare", "train", "evaluate"), 1)
)


def methods(**bodies: str) -> str:
    names = ("made", "initial", "prepare", "train", "evaluate")
    return "import numpy as np\n" + METHODS.format(*(bodies.get(name, "pass") for name in names))


@pytest.mark.parametrize(
    ("source", "code", "told"),
    [
        ("def f(:", "bundle_unusable", "does not parse"),
        ("import no_such_module", "bundle_unusable", "does not have"),
        ("x = 1", "bundle_unusable", "no class"),
        ("class Model:\n    def __init__(self, a, b): pass", "bundle_unusable", "no class"),
        (methods(made="raise ValueError('row 7')"), "bundle_failed", "raised"),
        (methods(train="raise ValueError('row 7')"), "bundle_failed", "raised"),
        (methods(train="import sys; sys.exit(0)"), "bundle_failed", "raised"),
        (methods(train="raise MemoryError"), "bundle_failed", "memory"),
        (methods(train="return {}"), "bundle_output_refused", "declared"),
        (methods(train="return _[0]", evaluate="return {'rows': 'row 7'}"), "bundle_failed",
         "raised"),
        (methods(train="return {'w': np.zeros((3, 2), 'f4'), 'n': np.int64(1)}"),
         "bundle_output_refused", "declared"),
        (methods(train="return {'w': np.zeros((2, 3), 'f4'), 'n': np.float64(1)}"),
         "bundle_output_refused", "declared"),
        (methods(train="return {'w': np.zeros((2, 3), 'f4'), 'n': np.uint64(2**63 + 1)}"),
         "bundle_output_refused", "declared"),
        (methods(train="return {'w': np.full((2, 3), np.nan, 'f4'), 'n': np.int64(1)}"),
         "bundle_output_refused", "w is not finite"),
        (methods(train="return {'w': np.full((2, 3), 1e300), 'n': np.int64(1)}"),
         "bundle_output_refused", "w is not finite"),
        (methods(train="import os; os._exit(3)"), "bundle_died", "ended"),
        (methods(train="import os; os.kill(os.getpid(), 9)"), "bundle_died", "ended"),
    ],
)  # fmt: skip
async def test_what_goes_wrong_is_a_constant_word(
    source: str, code: str, told: str, tmp_path: Path
) -> None:
    error, log = await failing(tmp_path, source)
    assert error.code == code
    assert told in error.message
    assert error.hint
    assert "row 7" not in str(error.as_json())
    assert "row 7" not in source or "row 7" in log


@pytest.mark.parametrize(
    ("sums", "told"),
    [("{'rows': 1}", "declared"), ("{'rows': 1, 'loss': float('nan')}", "no JSON"),
     ("{'rows': 1, 'loss': 1e16}", "finite"), ("{'rows': 1, 'loss': 1, 'more': 1}", "declared")],
)  # fmt: skip
async def test_sums_are_those_that_were_declared(sums: str, told: str, tmp_path: Path) -> None:
    train = "return {'w': np.zeros((2, 3), 'f4'), 'n': np.int64(1)}"
    source = methods(train=train, evaluate=f"return {sums}")
    error, _ = await failing(tmp_path, source)
    assert error.code == "bundle_output_refused"
    assert told in error.message


@pytest.mark.parametrize("name", ["json", "numpy"])
async def test_a_module_takes_no_name_of_python_or_the_environment(
    name: str, tmp_path: Path
) -> None:
    made = task(tmp_path / "b", GOOD, settings={"step": 1})
    (tmp_path / "b" / f"{name}.py").write_text("raise SystemExit('shadowed')")
    with pytest.raises(SecureFlowError) as refusal:
        await start(made, tmp_path / "log")
    assert refusal.value.code == "bundle_unusable"
    assert "name of one of the environment" in refusal.value.message


@pytest.mark.parametrize("how", ["an array of objects", "a bare pickle"])
async def test_a_pickle_is_no_rows(how: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    if how == "a bare pickle":
        (tmp_path / "x.npy").write_bytes(pickle.dumps([1.0]))
    process = await start(task(tmp_path / "b", GOOD, settings={"step": 1}), tmp_path / "log")
    try:
        with pytest.raises(SecureFlowError) as refusal:
            await process.prepare({"x": str(tmp_path / "x.npy")}, {}, limit=LIMIT)
    finally:
        await process.kill()
    assert refusal.value.code == "bundle_failed"
    assert "rows cannot be read" in refusal.value.message


async def test_a_process_that_failed_goes_on_and_one_that_lied_does_not(tmp_path: Path) -> None:
    once = "self.n = getattr(self, 'n', 0) + 1; return [1][self.n - 2] if self.n == 1 else {}"
    source = methods(train=once)
    process = await start(task(tmp_path / "b", source), tmp_path / "log")
    codes = []
    for _ in range(3):
        try:
            await process.train(WEIGHTS, 1, limit=LIMIT)
        except SecureFlowError as error:
            codes.append(error.code)
    await process.kill()
    assert codes == ["bundle_output_refused", "bundle_died", "bundle_died"] or codes == [
        "bundle_failed", "bundle_output_refused", "bundle_died",
    ]  # fmt: skip


async def test_the_log_names_the_call_that_did_not_answer(tmp_path: Path) -> None:
    """Its owner learns from it alone which one that was, and its limit."""
    source = methods(train="print('in'); import time; time.sleep(600)")
    process = await start(task(tmp_path / "b", source), tmp_path / "log")
    try:
        with pytest.raises(SecureFlowError) as refusal:
            await process.train(WEIGHTS, 1, limit=1.5)
    finally:
        await process.kill()
    assert refusal.value.code == "bundle_silent"
    said = "[secureflow: train, 1.5 seconds at most: The bundle did not answer within its limit"
    assert (tmp_path / "log").read_text().startswith(f"in\n\n{said}")


async def test_a_cancelled_request_leaves_no_process(tmp_path: Path) -> None:
    source = methods(train="print('in', flush=True); import time; time.sleep(600)")
    process = await start(task(tmp_path / "b", source), tmp_path / "log")
    running = process._running
    assert running is not None
    asked = asyncio.create_task(process.train(WEIGHTS, 1, limit=LIMIT))
    await printed(tmp_path / "log", "in")
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    with pytest.raises(ProcessLookupError):
        os.kill(running.pid, 0)


async def test_a_process_that_is_killed_meanwhile_ends_its_request(tmp_path: Path) -> None:
    source = methods(train="print('in', flush=True); import time; time.sleep(600)")
    process = await start(task(tmp_path / "b", source), tmp_path / "log")
    asked = asyncio.create_task(process.train(WEIGHTS, 1, limit=LIMIT))
    await printed(tmp_path / "log", "in")
    await process.kill()
    with pytest.raises(SecureFlowError) as refusal:
        await asyncio.wait_for(asked, LIMIT / 4)
    assert refusal.value.code == "bundle_died"


async def test_weights_of_another_shape_are_the_callers_fault(tmp_path: Path) -> None:
    process = await start(task(tmp_path / "b", methods()), tmp_path / "log")
    for wrong in ({"w": WEIGHTS["w"]}, {**WEIGHTS, "w": np.ones((3, 2), np.float32)}):
        with pytest.raises(ValueError, match="w"):
            await process.train(wrong, 1, limit=LIMIT)
    await process.kill()


def test_a_layout_counts_its_bytes() -> None:
    assert [one.size for one in LAYOUT] == [24, 8]
    tensor = TensorLayout("t", "float16", (2, 0, 3))
    assert tensor.size == 0
    assert tensor.view(tensor.octets(np.zeros((2, 0, 3), "float16"))).shape == (2, 0, 3)
