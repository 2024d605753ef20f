"""What every engine keeps to, whatever computes: `application.ports.mpcengine`."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from dataclasses import replace

import pytest
from peers.deadlines import Deadlines
from peers.engines import EngineDeadlines

from secureflow.adapters.mpcengines.runs import EngineRuns
from secureflow.adapters.sandbox import PlainSandbox
from secureflow.application.ports.mpcengine import EngineLimits, EngineResult, SecurityLabel
from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError
from tests.contract.mpcengines.cases import PARTIES, Bench, soon

QUICK = EngineDeadlines(connect=120.0, idle=1.0, total=240.0)
"""For what must be noticed by silence; honest parts of the contract have all the time they need."""


def failure(found: object) -> SecureFlowError:
    assert isinstance(found, SecureFlowError), found
    return found


def test_it_describes_itself(bench: Bench) -> None:
    info = bench.engine().describe()
    assert re.fullmatch(r"[a-z][a-z0-9-]*", info.name)
    assert info.version
    assert info.protocols
    least, most = info.parties
    assert 2 <= least <= most
    for label in info.protocols.values():
        assert isinstance(label, SecurityLabel)
        assert label.threshold
        assert label.collusion
        told = label.as_json()
        assert parse_json(json.dumps(told).encode(), 1 << 16) == told
    for program in info.programs.values():
        assert re.fullmatch(r"[0-9a-f]{64}", program.digest)
        assert set(program.protocols) <= set(info.protocols)


def test_it_is_available_only_where_something_confines_it(bench: Bench) -> None:
    assert bench.engine().available() is None
    plain = EngineRuns(PlainSandbox(), bench.folder / "plain")
    problem = bench.case.make(plain, bench.folder, "pass").available()
    assert problem is not None
    assert problem.code == "engine_unconfined"
    assert problem.hint


def test_it_estimates_and_refuses_what_it_does_not_take(bench: Bench) -> None:
    engine, job = bench.engine(), bench.job()
    shapes = {one: {"number": (1000, 1)} for one in PARTIES}
    cost = engine.estimate(job.program, job.protocol, shapes)
    assert min(cost.bytes, cost.memory, cost.seconds) > 0
    with pytest.raises(SecureFlowError) as refused:
        engine.estimate("no such", job.protocol, shapes)
    assert refused.value.code == "program_unknown"
    with pytest.raises(SecureFlowError) as refused:
        engine.estimate(job.program, "no such", shapes)
    assert refused.value.code == "protocol_refused"
    with pytest.raises(SecureFlowError) as refused:
        engine.estimate(job.program, job.protocol, {"a": {"number": (1000, 1)}})
    assert refused.value.code == "parties_wrong"


async def test_it_computes_and_only_receivers_get_anything(bench: Bench) -> None:
    table = bench.table()
    found = await table.run()
    for party, result in found.items():
        assert isinstance(result, EngineResult), result
        assert result.seconds > 0
        assert result.peak_bytes > 1 << 20
        folder = bench.folder / f"outputs-{party}"
        if party == "b":
            assert result.outputs == {}
            assert list(folder.iterdir()) == []
        else:
            assert result.outputs[bench.case.output].read_text() == bench.case.expected
            assert set(result.outputs.values()) == set(folder.iterdir())
        phases = list(dict.fromkeys(phase for phase, _ in table.told[party]))
        assert phases[0] == "connect"
        assert phases[-1] == "outputs"
        assert all(0 <= share <= 1 for _, share in table.told[party])
    assert bench.left() == []
    assert list((bench.folder / "engines" / "logs").iterdir()) == []


async def test_two_runs_at_once_do_not_meet(bench: Bench) -> None:
    one, two = bench.table(), bench.table()
    two.folder = bench.folder / "two"
    two.folder.mkdir()
    two.job = replace(two.job, job="job_other")
    for found in await asyncio.gather(one.run(), two.run()):
        outputs = [each for each in found.values() if isinstance(each, EngineResult)]
        assert len(outputs) == 3
        assert outputs[0].outputs[bench.case.output].read_text() == bench.case.expected


async def test_it_is_cancelled_with_all_it_started(bench: Bench) -> None:
    waits = "import time; time.sleep(1000)"
    table = bench.table(b=waits)
    tasks = [table.start(one, **bench.acting("b", waits).get(one, {})) for one in PARTIES]
    await soon(lambda: all(len(told) > 1 for told in table.told.values()))
    for one in tasks:
        one.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in found)
    assert bench.left() == []


async def test_a_peer_that_dies_is_named(bench: Bench) -> None:
    dies = "import os; os._exit(7)"
    found = await bench.table(b=dies).run(**bench.acting("b", dies))
    own = failure(found["b"])
    assert own.code == "engine_failed"
    assert (own.details["party"], bool(own.details["phase"])) == ("b", True)
    for party in ("a", "c"):
        error = failure(found[party])
        assert (error.code, error.details["party"]) == ("peer_broken", "b")
        assert "b" in error.message
    assert not [one for party in PARTIES for one in (bench.folder / f"outputs-{party}").iterdir()]


async def test_a_peer_whose_agent_goes_is_named(bench: Bench) -> None:
    waits = "import time; time.sleep(1000)"
    table = bench.table(b=waits)
    tasks = {one: table.start(one, **bench.acting("b", waits).get(one, {})) for one in PARTIES}
    await soon(lambda: all(len(told) > 1 for told in table.told.values()))
    tasks["b"].cancel()
    for channel in table.channels["b"].values():
        channel.cut()
    found = await asyncio.gather(*tasks.values(), return_exceptions=True)
    for error in (failure(found[0]), failure(found[2])):
        assert (error.code, error.details["party"]) == ("peer_broken", "b")


async def test_a_peer_that_is_absent_is_named(bench: Bench, deadlines: Deadlines) -> None:
    """The time is over once those that are there have heard of one another."""
    table = bench.table(b="away")
    patience = {"a": 4321.0, "c": 4322.0}
    tasks = {
        one: table.start(one, deadlines=replace(QUICK, connect=seconds))
        for one, seconds in patience.items()
    }
    ends = table.channels["a"]["c"], table.channels["c"]["a"]
    await soon(lambda: all(one.sent and one._messages.empty() for one in ends))
    for _ in range(20):  # until what has come is read
        await asyncio.sleep(0)
    for seconds in patience.values():
        deadlines.expire(seconds)
    for error in map(failure, await asyncio.gather(*tasks.values(), return_exceptions=True)):
        assert error.code == "peer_absent"
        assert error.details["party"] == "b"
        assert error.details["parties"] == ["b"]
    assert not (bench.folder / "engines").exists() or bench.left() == []


async def test_a_peer_that_falls_silent_is_ended(bench: Bench) -> None:
    waits = "import time; time.sleep(1000)"
    more = bench.acting("b", waits)
    table = bench.table(b=waits)
    slow = {one: {"deadlines": QUICK, **more.get(one, {})} for one in PARTIES}
    slow |= {one: {**slow[one], "deadlines": replace(QUICK, idle=240.0)} for one in ("a", "c")}
    found = await table.run(**slow)
    assert failure(found["b"]).code == "engine_silent"
    for party in ("a", "c"):
        error = failure(found[party])
        assert (error.code, error.details["party"]) == ("peer_broken", "b")


@pytest.mark.parametrize(
    "other", [{"parameters": {"arguments": ["--x"]}}, {"attempt": 2}, {"receivers": ("b",)}]
)
async def test_another_program_is_named_before_anything_starts(
    bench: Bench, other: dict[str, object]
) -> None:
    table = bench.table()
    found = await table.run(b=other)
    named = {party: failure(found[party]).details["party"] for party in PARTIES}
    assert {failure(one).code for one in found.values()} == {"program_mismatch"}
    assert (named["a"], named["c"]) == ("b", "b")
    assert not any(phase == "inputs" for told in table.told.values() for phase, _ in told)


async def test_it_may_not_have_more_memory_than_allowed(bench: Bench) -> None:
    takes = "x = bytearray(900 << 20); x[::4096] = b'1' * len(x[::4096])"
    limits = {"limits": EngineLimits(memory=400 << 20, scratch=32 << 20)}
    more = bench.acting("b", takes)
    found = await bench.table(b=takes).run(b={**limits, **more["b"]})
    error = failure(found["b"])
    assert error.code == "engine_out_of_memory", found
    assert "400" in error.message


async def test_it_reads_nothing_outside_its_folder(bench: Bench) -> None:
    secret = bench.folder / "secret"
    secret.write_text("SECRET")
    reads = f"open({str(secret)!r})"
    found = await bench.table(b=reads).run(**bench.acting("b", reads))
    assert failure(found["b"]).code == "engine_failed"
    (log,) = (one for one in (bench.folder / "engines" / "logs").iterdir())
    assert b"FileNotFoundError" in log.read_bytes()


async def test_it_reaches_nobody_but_its_peers(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = service.getsockname()[1]
        dials = (
            "import socket\n    try:\n"
            f"        socket.create_connection(('127.0.0.1', {port}), 5)\n"
            "    except ConnectionRefusedError: raise SystemExit(9)"
        )
        found = await bench.table(b=dials).run(**bench.acting("b", dials))
        assert failure(found["b"]).code == "engine_failed"
        service.setblocking(False)
        with pytest.raises(BlockingIOError):
            service.accept()
    away = "import socket; socket.create_connection(('10.0.0.1', 80), 5)"
    found = await bench.table(b=away).run(**bench.acting("b", away))
    assert failure(found["b"]).code == "engine_failed"


async def test_inputs_can_only_be_read(bench: Bench) -> None:
    writes = "import glob; [open(one, 'w') for one in glob.glob('/inputs/*')]"
    found = await bench.table(b=writes).run(**bench.acting("b", writes))
    assert failure(found["b"]).code == "engine_failed"
    assert (bench.folder / "b.txt").read_text().endswith("2\n")


async def test_a_run_whose_time_is_over_ends(bench: Bench) -> None:
    spins = "exec('while True: pass')"
    more = bench.acting("b", spins)
    short = {one: {"deadlines": EngineDeadlines(120.0, 120.0, 2.0)} for one in PARTIES}
    short["b"] |= more["b"]
    found = await bench.table(b=spins).run(**short)
    for one in PARTIES:
        assert failure(found[one]).code in {"engine_silent", "peer_broken"}
