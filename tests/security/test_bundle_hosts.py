"""A host that lies gets nothing but a typed refusal, and its caller's memory stays its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from secureflow.agent.compute.bundle_process import LINE_BYTES, BundleProcess
from secureflow.agent.compute.tensor_layout import TensorLayout, foreign_layout
from secureflow.kit import printedlog
from secureflow.kit.errors import SecureFlowError
from tests.peers.bundle_hosts import PlainHost, change, gone, lying, plain_starter

WEIGHTS = {"w": np.ones((2, 3), np.float32), "n": np.asarray(5)}
LIMIT = 120.0


async def refused(
    tmp_path: Path, source: str, verb: str = "train", limit: float = LIMIT
) -> SecureFlowError:
    made = lying(tmp_path / "b", source)
    process = await BundleProcess.start(plain_starter, made, tmp_path / "log", limit=LIMIT)
    running = process._running
    assert running is not None
    with pytest.raises(SecureFlowError) as refusal:
        await _ask(process, verb, limit)
    with pytest.raises(ProcessLookupError):  # it is gone, whatever it did
        os.kill(running.pid, 0)
    return refusal.value


async def _ask(process: BundleProcess, verb: str, limit: float) -> None:
    try:
        if verb == "train":
            await process.train(WEIGHTS, 1, limit=limit)
        else:
            await process.initial(1 << 20, limit=limit)
        await process.evaluate(WEIGHTS, limit=limit)  # what came too much is seen here
    finally:
        await process.kill()


LIES = {
    "longer": "send({'id': asked['id'], 'bytes': 1 << 40}, good)",
    "shorter": "send({'id': asked['id'], 'bytes': size - 1}, good[:-1])",
    "none": "send({'id': asked['id']}, good)",
    "a text": "send({'id': asked['id'], 'bytes': str(size)}, good)",
    "a fraction": "send({'id': asked['id'], 'bytes': float(size)}, good)",
    "true": "send({'id': asked['id'], 'bytes': True}, good)",
    "more than it says": "send({'id': asked['id'], 'bytes': size}, good + b'x' * 100)",
    "not a number": "send({'id': asked['id'], 'bytes': size}, pack(float('nan')))",
    "infinite": "send({'id': asked['id'], 'bytes': size}, pack(float('-inf')))",
    "another id": "send({'id': asked['id'] + 1, 'bytes': size}, good)",
    "no object": "send([1, 2, 3])",
    "no JSON": "send(b'{]\\n')",
    "twice the same key": "send(b'{\"id\": 2, \"id\": 2, \"bytes\": 0}\\n')",
    "nested": "send(b'[' * 500000 + b'\\n')",
    "a pickle": "import pickle; send(pickle.dumps({'id': 2}) + b'\\n')",
    "an unknown error": "send({'id': asked['id'], 'error': 'rows: 1, 2, 3', 'bytes': 0})",
    "an error of a wrong type": "send({'id': asked['id'], 'error': {'a': 1}, 'bytes': 0})",
    "an error with bytes": "send({'id': asked['id'], 'error': 'raised', 'bytes': 9}, b'123456789')",
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_is_refused(lie: str, tmp_path: Path) -> None:
    error = await refused(tmp_path, LIES[lie] + "\ntime.sleep(600)")
    assert error.code == "bundle_output_refused"
    assert "1, 2, 3" not in str(error.as_json())


@pytest.mark.parametrize("said", ["True", "False", "'1'", "[1]", "None", "{'a': 1}"])
async def test_a_sum_is_a_number_and_no_truth_value(said: str, tmp_path: Path) -> None:
    lie = f"send({{'id': asked['id'], 'sums': {{'rows': {said}, 'loss': 1.0}}, 'bytes': 0}})"
    made = lying(tmp_path / "b", lie + "\ntime.sleep(600)")
    process = await BundleProcess.start(plain_starter, made, tmp_path / "log", limit=LIMIT)
    try:
        with pytest.raises(SecureFlowError) as refusal:
            await process.evaluate(WEIGHTS, limit=LIMIT)
        assert refusal.value.code == "bundle_output_refused"
        assert "a sum is no finite number" in refusal.value.message
        assert not process.alive
    finally:
        await process.kill()


LAYOUTS = [
    "[]", "{}", "[['w', 'float32', [-1]]]", "[['w', 'float32', [1 << 50]]]", "[['w', 'O', [1]]]",
    "[['w', 'float32', [1 << 30, 1 << 30]]]", "[['w', 'float32', [1]]] * 2", "[['', 'uint8', [1]]]",
    "[['\\u202e', 'uint8', [1]]]", "[['w', 'uint8', [True]]]", "[['w' * 200, 'uint8', [1]]]",
    "[['w', 'uint8', [1] * 9]]",
    "[['w', 'uint8']]",
    "[[str(n), 'uint8', [0]] for n in range(10_001)]",
]  # fmt: skip


async def test_a_layout_that_lies_is_refused(tmp_path: Path) -> None:
    for text in LAYOUTS:
        with pytest.raises(SecureFlowError) as refusal:
            foreign_layout(eval(text), 1 << 20)
        assert refusal.value.code == "bundle_output_refused", text
    source = "send({'id': asked['id'], 'tensors': [['w', 'uint8', [1 << 40]]], 'bytes': 1 << 40})"
    assert (await refused(tmp_path, source, "initial")).code == "bundle_output_refused"


async def test_a_line_without_end_takes_little_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        error = await refused(tmp_path, "while True: send(b'x' * 65536)")
        assert tracemalloc.get_traced_memory()[1] < 8 * LINE_BYTES
    finally:
        tracemalloc.stop()
    assert error.code == "bundle_output_refused"
    assert "too long" in error.message


@pytest.mark.parametrize(
    "source",
    ["time.sleep(600)", "while True: pass",
     "send({'id': asked['id'], 'bytes': size}, good[:-1]); time.sleep(600)",
     "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 60)); time.sleep(600)"],
)  # fmt: skip
async def test_a_host_that_hangs_ends_with_its_limit(source: str, tmp_path: Path) -> None:
    error = await refused(tmp_path, source, limit=0.2)
    assert error.code == "bundle_silent"


async def test_a_host_that_does_not_read_ends_with_its_limit(tmp_path: Path) -> None:
    large = TensorLayout("w", "uint8", (32 << 20,))
    made = replace(lying(tmp_path / "b", "time.sleep(600)"), tensors=(large,))
    change(made, "asked = line()", "time.sleep(600)")
    process = await BundleProcess.start(plain_starter, made, tmp_path / "log", limit=LIMIT)
    with pytest.raises(SecureFlowError) as refusal:
        await process.train({"w": np.zeros(32 << 20, np.uint8)}, 1, limit=0.2)
    assert refusal.value.code == "bundle_silent"
    await process.kill()


@pytest.mark.parametrize(
    "source", ["sys.exit(0)", "os.kill(os.getpid(), 9)", "os.close(1); os.close(0)"]
)
async def test_a_host_that_dies(source: str, tmp_path: Path) -> None:
    assert (await refused(tmp_path, source)).code == "bundle_died"


async def test_what_it_prints_is_capped(tmp_path: Path) -> None:
    source = "os.write(2, b'x' * (8 << 20)); send({'id': asked['id'], 'bytes': size}, good); line()"
    for _ in range(3):  # a process that follows has what is left of the same room
        await refused(tmp_path, source)
        shutil.rmtree(tmp_path / "b")
    kept = (tmp_path / "log").read_bytes()
    assert len(kept) < printedlog.KEPT + 100
    assert kept.endswith(b"thrown away]\n")


async def test_printing_without_end_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printedlog, "FLOOD", 4 << 20)
    error = await refused(tmp_path, "while True: os.write(2, b'x' * 65536)")
    assert error.code == "bundle_output_refused"
    assert "prints without end" in error.message


async def test_printing_without_end_beside_an_answer_waits_for_the_next_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printedlog, "FLOOD", 4 << 20)
    source = "send({'id': asked['id'], 'bytes': size}, good)\nwhile True: os.write(2, b'x' * 65536)"
    made = lying(tmp_path / "b", source)
    process = await BundleProcess.start(plain_starter, made, tmp_path / "log", limit=LIMIT)
    running = process._running
    assert running is not None
    await process.train(WEIGHTS, 1, limit=LIMIT)
    assert process.alive
    with pytest.raises(SecureFlowError, match="prints without end"):
        await process.train(WEIGHTS, 2, limit=LIMIT)
    async with asyncio.timeout(LIMIT):
        await gone(running.pid)
    await process.kill()


async def test_one_that_is_being_ended_is_asked_nothing(tmp_path: Path) -> None:
    """Whatever it has sent ahead, and however long its end takes."""
    go, theirs = asyncio.Event(), list[int]()

    class Lasting(PlainHost):
        """One that takes its time to end."""

        async def kill(self) -> None:
            await go.wait()
            await super().kill()

    async def starter(command: Sequence[str], channel: int, log: int) -> PlainHost:
        theirs.append(os.dup(channel))
        return Lasting((await plain_starter(command, channel, log)).process)

    made = lying(tmp_path / "b", "time.sleep(600)")
    process = await BundleProcess.start(starter, made, tmp_path / "log", limit=LIMIT)
    os.write(theirs[0], b"{}\n" * 9)
    assert process.alive
    process._flooded()  # it has printed too much: nobody waits for its end
    assert not process.alive
    for _ in range(9):
        await asyncio.sleep(0)
        assert not process.alive
    go.set()
    await process.kill()
    assert not process.alive
    os.close(theirs[0])


async def test_its_children_end_with_it(tmp_path: Path) -> None:
    source = "child = os.fork()\nif child: os.write(2, b'%d' % child)\ntime.sleep(600)"
    await refused(tmp_path, source, limit=1.0)
    child = int((tmp_path / "log").read_text().split()[0])
    await gone(child)


async def test_the_log_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="log"):
        BundleProcess(lying(tmp_path / "b", ""), tmp_path / "log")
    assert not (tmp_path / "elsewhere").exists()


async def test_it_inherits_nothing_else(tmp_path: Path) -> None:
    secret = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(secret, True)
    source = (
        "os.write(2, json.dumps([sorted(os.listdir('/proc/self/fd')), dict(os.environ)]).encode())"
    )
    await refused(tmp_path, source)
    os.close(secret)
    handles, environment = json.loads((tmp_path / "log").read_text())
    assert set(handles) <= {"0", "1", "2", "3"}  # 3 lists them
    assert set(environment) <= {
        "PATH",
        "LANG",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "LC_CTYPE",
    }
