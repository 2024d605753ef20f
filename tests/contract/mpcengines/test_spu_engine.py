"""SPU and openmined-psi as engines: whole runs, confined where a sandbox is, over channels."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers import mpc_references as references
from peers.engine_environments import demand_engine
from peers.engines import Table, job_of
from peers.mpc_references import key_file, matches
from peers.sandboxes import demand_sandbox

from secureflow.adapters.mpcengines import openmined
from secureflow.adapters.mpcengines.openmined import OpenminedEngine
from secureflow.adapters.mpcengines.runs import EngineRuns
from secureflow.adapters.mpcengines.spu import SpuEngine
from secureflow.adapters.sandbox import BubblewrapSandbox
from secureflow.application.ports.mpcengine import EngineLimits, EngineResult, MpcEngine
from secureflow.application.ports.sandbox import Launch, SandboxProcess
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese

OURS = [f"id{number}" for number in range(3000)]
THEIRS = [f"id{number}" for number in range(4500, 1500, -1)]


class Found:
    """`Interpreter`: of an environment that was found."""

    def __init__(self, python: Path) -> None:
        self._python = python

    def find(self) -> Path:
        return self._python

    ready = find


def _table(
    tmp_path: Path, name: str, inputs: Mapping[str, Mapping[str, Path]], **job: Any
) -> tuple[Table, MpcEngine]:
    demand_sandbox("root")
    found = Found(demand_engine(name))
    folder = tmp_path / "engines"
    folder.mkdir(exist_ok=True)
    runs = EngineRuns(BubblewrapSandbox(), folder)
    engine: MpcEngine = SpuEngine(runs, found) if name == "spu" else OpenminedEngine(runs, found)
    program = engine.describe().programs[job["program"]]
    made = job_of(list(inputs), digest=program.digest, limits=EngineLimits(4 << 30, 1 << 30), **job)
    return Table(dict.fromkeys(inputs, engine), tmp_path, made, inputs), engine


def _lists(tmp_path: Path) -> dict[str, dict[str, Path]]:
    return {
        "a": {"keys": key_file(tmp_path / "ours", OURS)},
        "b": {"keys": key_file(tmp_path / "theirs", THEIRS)},
    }


def _done(found: Mapping[str, EngineResult | BaseException], party: str) -> EngineResult:
    result = found[party]
    assert isinstance(result, EngineResult), result
    return result


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    """What sandboxes were asked to start."""
    start, seen = BubblewrapSandbox.start, list[Launch]()

    async def noted(sandbox: BubblewrapSandbox, launch: Launch) -> SandboxProcess:
        seen.append(launch)
        return await start(sandbox, launch)

    monkeypatch.setattr(BubblewrapSandbox, "start", noted)
    return seen


async def test_an_intersection_through_the_agents(tmp_path: Path, launched: list[Launch]) -> None:
    table, engine = _table(
        tmp_path, "spu", _lists(tmp_path), program="psi", protocol="RR22", receivers=("b",)
    )
    found = await table.run()
    assert not _done(found, "a").outputs
    result = _done(found, "b")
    rows = np.load(result.outputs["matches"])
    assert set(rows) == matches(THEIRS, OURS)
    assert result.figures == {"keys": 3000, "theirs": 3000, "buckets": 1, "kept": 0}
    told = engine.estimate("psi", "RR22", {"a": {"keys": (3000,)}, "b": {"keys": (3000,)}})
    assert 0 < result.peak_bytes < 3 * told.memory
    phases = [phase for phase, _ in table.told["b"]]
    assert list(dict.fromkeys(phases)) == ["connect", "inputs", "compute", "outputs"]
    assert [one.shared_futexes for one in launched if one.loopback] == [
        True,
        True,
    ]  # or its threads turn


async def test_ranks_through_the_agents(tmp_path: Path) -> None:
    values = {"a": [5, 1, 7], "b": [5, 2, 3], "c": [9, 0, 3]}
    inputs = {}
    for party, numbers in values.items():
        np.save(tmp_path / f"{party}.npy", np.array(numbers))
        inputs[party] = {"values": tmp_path / f"{party}.npy"}
    table, _ = _table(tmp_path, "spu", inputs, program="ranking", protocol="ABY3")
    found = await table.run()
    for party in values:
        ranks = np.load(_done(found, party).outputs["ranks"])
        assert (ranks == references.ranks([np.array(one) for one in values.values()])).all()


async def test_the_size_alone_through_the_agents(tmp_path: Path, launched: list[Launch]) -> None:
    lists = {
        "a": {"keys": key_file(tmp_path / "few", OURS[1500:1700])},
        "b": {"keys": key_file(tmp_path / "fewer", THEIRS[-100:])},
    }
    table, _ = _table(
        tmp_path, "openmined", lists, program="psi", protocol="ECDH-SIZE", receivers=("a",)
    )
    found = await table.run()
    told = json.loads(_done(found, "a").outputs["size"].read_text())
    assert told == {"size": len(matches(OURS[1500:1700], THEIRS[-100:]))}
    assert [one.shared_futexes for one in launched if one.loopback] == [False, False]


async def test_a_peer_that_brings_another_list_than_it_committed_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second party's engine is altered: it does not look at what its own party said."""
    lists, counts = _lists(tmp_path), {"counts": [3000, 2999]}
    table, _ = _table(
        tmp_path, "openmined", lists, program="psi", protocol="ECDH", parameters=counts
    )
    text, check = openmined.PROGRAM.read_text(), "if counts is None:"
    assert text.count(check) == 1
    altered = tmp_path / "altered.py"
    altered.write_text(text.replace(check, "if counts is None or job.number == 1:"))
    monkeypatch.setattr(openmined, "PROGRAM", altered)
    error = (await table.run())["a"]
    assert isinstance(error, SecureFlowError)
    assert (error.code, error.details["party"]) == ("peer_result_malformed", "b")
    assert chinese(error.message)


async def test_a_killed_attempt_goes_on_with_the_next_bucket(tmp_path: Path) -> None:
    """Buckets that both parties have behind them run once."""
    kept = {party: tmp_path / f"kept-{party}" for party in ("a", "b")}
    for folder in kept.values():
        folder.mkdir()
    job = {"program": "psi", "protocol": "RR22", "parameters": {"bucket": 1000}}
    table, _ = _table(tmp_path, "spu", _lists(tmp_path), **job)
    running = [table.start(party, kept=kept[party]) for party in kept]
    while not all(any(folder.glob("bucket-*-0")) for folder in kept.values()):
        assert not any(one.done() and one.exception() for one in running)
        await asyncio.sleep(0.01)
    running[0].cancel()
    table.channels["a"]["b"].cut()
    await asyncio.gather(*running, return_exceptions=True)
    (tmp_path / "again").mkdir()
    again, _ = _table(tmp_path / "again", "spu", _lists(tmp_path), **job)
    found = await again.run(**{party: {"kept": kept[party], "attempt": 2} for party in kept})
    for party, (mine, theirs) in {"a": (OURS, THEIRS), "b": (THEIRS, OURS)}.items():
        result = _done(found, party)
        assert result.figures["buckets"] == 3
        assert 1 <= result.figures["kept"] <= 3
        assert set(np.load(result.outputs["matches"])) == matches(mine, theirs)


async def test_what_another_list_kept_is_not_taken_up(tmp_path: Path) -> None:
    lists = _lists(tmp_path)
    kept = {party: tmp_path / f"kept-{party}" for party in ("a", "b")}
    for folder in kept.values():
        folder.mkdir()
        np.save(folder / "0", np.arange(5))
        (folder / "0.npy").rename(folder / f"bucket-{'0' * 32}-0")
    table, _ = _table(tmp_path, "spu", lists, program="psi", protocol="RR22",
                      parameters={"bucket": 1000})  # fmt: skip
    found = await table.run(**{party: {"kept": kept[party]} for party in kept})
    result = _done(found, "a")
    assert result.figures["kept"] == 0
    assert len(list(kept["a"].iterdir())) == 4
    assert set(np.load(result.outputs["matches"])) == matches(OURS, THEIRS)
