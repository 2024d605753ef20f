"""What code says of rows, as its caller takes it: so many bytes, checked, and kept when whole."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from peers.bundle_hosts import lying, plain_starter, task
from peers.scored_jobs import COUNT, WEIGHTS, scored, source

from secureflow.adapters.frameworks.rowsfile import write_arrays
from secureflow.agent.compute import predicted_outputs
from secureflow.agent.compute.bundle_process import BundleProcess, BundleTask
from secureflow.agent.compute.predicted_outputs import OutputsFile
from secureflow.agent.compute.tensor_layout import TensorLayout
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.scored import ScoredModel
from secureflow.engines.training.foreign_outputs import (
    SUREST,
    outputs_from,
    returned_problem,
    returned_shape,
)
from secureflow.kit.errors import SecureFlowError

LAYOUT = (TensorLayout("w", "float32", (2,)),)


def made(folder: Path, form: str = "binary") -> OutputsFile:
    label = parse(ScoredModel, scored(form)).features.label
    shape = returned_shape(label, COUNT)
    return OutputsFile(folder / "outputs", shape, partial(returned_problem, label))


async def asked(folder: Path, of: BundleTask, into: OutputsFile, limit: float = 60.0) -> str:
    """Have a process predict; return what it printed."""
    inputs = np.linspace(-1, 1, 2 * COUNT, dtype="<f4").reshape(COUNT, 2)
    write_arrays(folder / "rows", {"rows/inputs": (inputs.dtype, inputs.shape, inputs)})
    process = await BundleProcess.start(plain_starter, of, folder / "log", limit=60.0)
    try:
        await process.predict({"w": WEIGHTS}, str(folder / "rows"), into, limit=limit)
    finally:
        await process.kill()
    return (folder / "log").read_text()


LEAKS = "raise ValueError(f'the first row is {rows[\"inputs\"][0]}')"
BAD: dict[str, tuple[str, str, str, str]] = {
    "it raises": ("binary", LEAKS, "bundle_failed", "a method raised an exception"),
    "it dies": ("binary", "os._exit(0)", "bundle_died", "ended without an answer"),
    "it hangs": ("binary", "time.sleep(60)", "bundle_silent", "within its limit of time"),
    "nothing": ("binary", "pass", "bundle_output_refused", "than was declared"),
    "a list": ("binary", "return [0.5] * 60", "bundle_output_refused", "than was declared"),
    "labels": ("binary", "return np.ones(60, 'int64')", "bundle_output_refused", "than was"),
    "fewer rows": ("binary", "return np.full(59, 0.5)", "bundle_output_refused", "than was"),
    "a column": ("binary", "return np.full((60, 1), 0.5)", "bundle_output_refused", "than was"),
    "huge": ("binary", "return np.full(5_000_000, .5, 'f4')", "bundle_output_refused", "than was"),
    "no room": ("binary", "return np.ones((1 << 50,))", "bundle_failed", "needs more memory"),
    "NaN": ("binary", "return np.full(60, np.nan)", "bundle_output_refused", "is not finite"),
    "too sure": ("binary", "return np.full(60, 1.01)", "bundle_output_refused", "more than 1"),
    "negative": ("binary", "return np.full(60, -.01)", "bundle_output_refused", "less than 0"),
    "no sum": ("classes", "return np.full((60, 3), .5)", "bundle_output_refused", "add up to 1"),
    "no predict": ("binary", "", "bundle_unusable", "has no method predict"),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_code_does_wrong_is_told_in_constant_words(name: str, tmp_path: Path) -> None:
    form, body, code, words = BAD[name]
    of = task(tmp_path / "b", source(body or None).decode(), tensors=LAYOUT, predicts=True)
    into = made(tmp_path, form)
    with pytest.raises(SecureFlowError) as caught:
        await asked(tmp_path, of, into, 0.3 if name == "it hangs" else 60.0)
    assert (caught.value.code, words in caught.value.message) == (code, True)
    assert "first row" not in str(caught.value)
    assert ("first row" in (tmp_path / "log").read_text()) is (body == LEAKS)
    assert not into.path.exists()


async def test_a_number_may_lie_beyond_its_bounds(tmp_path: Path) -> None:
    of = task(tmp_path / "b", source("return np.full(60, 1.5)").decode(), tensors=LAYOUT)
    into = made(tmp_path, "number")
    await asked(tmp_path, replace(of, predicts=True), into)
    assert into.read().tolist() == [1.5] * COUNT


SIZE = 4 * COUNT
LIES: dict[str, tuple[str, str]] = {
    "one row more": (f'send({{"id": 2, "bytes": {SIZE + 4}}}, bytes({SIZE + 4}))', "length"),
    "one row more, hidden": (f'send({{"id": 2, "bytes": {SIZE}}}, bytes({SIZE + 4}))', ""),
    "a terabyte": ('send({"id": 2, "bytes": 1 << 40}, bytes(1 << 20))', "another length"),
    "nothing": ('send({"id": 2, "bytes": 0})', "another length"),
    "half of it": (f'send({{"id": 2, "bytes": {SIZE}}}, bytes({SIZE // 2})); sys.exit(0)', "ended"),
    "another answer": (f'send({{"id": 3, "bytes": {SIZE}}}, bytes({SIZE}))', "not belong"),
}


@pytest.mark.parametrize("name", LIES)
async def test_lengths_that_a_process_claims_count_for_nothing(name: str, tmp_path: Path) -> None:
    program, words = LIES[name]
    into = made(tmp_path)
    of = lying(tmp_path / "b", program + "; time.sleep(60)\n", tensors=LAYOUT, predicts=True)
    if not words:  # what comes after the answer is nobody's
        with pytest.raises(SecureFlowError, match="longer than was declared"):
            await asked(tmp_path, of, into)
        return
    with pytest.raises(SecureFlowError, match=words):
        await asked(tmp_path, of, into)
    assert not into.path.exists()


def test_outputs_are_log_odds_and_logarithms() -> None:
    binary = parse(ScoredModel, scored()).features.label
    found = outputs_from(binary, np.array([0.0, 0.5, 0.9, 1.0], "f4"))
    assert found.shape == (4, 1)
    assert found[1, 0] == 0
    assert found[2, 0] == pytest.approx(np.log(9), rel=1e-6)
    assert found[3, 0] == -found[0, 0] == pytest.approx(-np.log(SUREST), rel=1e-6)
    several = parse(ScoredModel, scored("classes")).features.label
    shares = np.array([[0.0, 0.25, 0.75]], "f4")
    assert np.exp(outputs_from(several, shares)) == pytest.approx(shares, abs=1e-7)


async def test_blocks_hold_whole_rows_and_each_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predicted_outputs, "BLOCK", 40)
    label = parse(ScoredModel, scored("classes")).features.label
    whole = OutputsFile(tmp_path / "outputs", (100, 3), partial(returned_problem, label))
    assert whole.block == 36
    values = np.full((100, 3), 1 / 3, "<f4")
    octets = values.tobytes()
    async with whole.filled() as take:
        for first in range(0, len(octets), whole.block):
            assert take(memoryview(octets[first : first + whole.block])) is None
        assert not whole.path.exists()
    assert whole.whole
    assert whole.path.stat().st_mode & 0o777 == 0o600
    np.testing.assert_array_equal(whole.read(), values)
    values[99, 2] = 2
    other = replace(whole, path=tmp_path / "other")
    with pytest.raises(ZeroDivisionError):
        await _stopped(other, memoryview(values.tobytes()[-36:]))
    assert not other.path.exists()
    assert not other.path.with_name("other.part").exists()


async def _stopped(whole: OutputsFile, block: memoryview) -> None:
    async with whole.filled() as take:
        assert "more than 1" in str(take(block))
        raise ZeroDivisionError
