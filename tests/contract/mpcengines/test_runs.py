"""What an agent does around a run: what it refuses first, what it measures, what it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peers.engines import Table, job_of
from peers.sandboxes import demand_sandbox
from peers.toyengine import ToyEngine, numbers

from secureflow.adapters.mpcengines import runs as runs_module
from secureflow.adapters.mpcengines.checks import check_job
from secureflow.adapters.mpcengines.runs import EngineRuns
from secureflow.adapters.sandbox import BubblewrapSandbox, PlainSandbox
from secureflow.application.ports.mpcengine import EngineCode, EngineLimits, EngineResult
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese
from tests.contract.mpcengines.cases import Bench, bench_of, soon

TWO = ("a", "b")


@pytest.fixture
def bench() -> Iterator[Bench]:
    with bench_of("toy") as made:
        yield made


def table(runs: EngineRuns, folder: Path, act: str = "pass", **more: Any) -> Table:
    engines = {"a": ToyEngine(runs, folder, act), "b": ToyEngine(runs, folder)}
    return Table(engines, folder, job_of(TWO, **more), numbers(folder, {"a": 1, "b": 2}))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"program": "other"}, "program_unknown"),
        ({"program": "bundle"}, "program_unknown"),
        ({"protocol": "other"}, "protocol_refused"),
        ({"digest": "1" * 64}, "program_mismatch"),
        ({"parties": ("a",), "channels": {}, "receivers": ()}, "parties_wrong"),
    ],
)
async def test_what_does_not_fit_is_refused_before_any_peer_is_asked(
    bench: Bench, change: dict[str, Any], code: str
) -> None:
    made = table(bench.runs, bench.folder)
    with pytest.raises(SecureFlowError) as refused:
        await made.start("a", **change)
    assert refused.value.code == code
    assert all(channel.sent == 0 for channel in made.channels["a"].values())


@pytest.mark.parametrize(
    "change",
    [{"parties": ("a", "a")}, {"party": "c"}, {"receivers": ("x",)}, {"channels": {}}],
)
def test_a_caller_that_contradicts_itself_is_told(bench: Bench, change: dict[str, Any]) -> None:
    made = table(bench.runs, bench.folder)
    check_job(bench.engine().describe(), made.of("a"))
    with pytest.raises(ValueError, match="contradict"):
        check_job(bench.engine().describe(), replace(made.of("a"), **change))


async def test_memory_is_bounded_where_no_cgroup_counts_it(bench: Bench) -> None:
    demand_sandbox("root")
    runs = EngineRuns(BubblewrapSandbox(cgroups=False), bench.folder / "uncounted")
    takes = (
        "x = bytearray(600 << 20); x[::4096] = b'1' * len(x[::4096])\n"
        "    import time; time.sleep(1000)"
    )
    limits = EngineLimits(memory=300 << 20, scratch=1 << 20)
    found = await table(runs, bench.folder, takes, limits=limits).run()
    assert isinstance(found["a"], SecureFlowError)
    assert found["a"].code == "engine_out_of_memory"


async def test_who_is_killed_without_much_memory_was_not_out_of_it(bench: Bench) -> None:
    """Raising `memory_mb` would not help; and a phase of its own choice is not told."""
    dies = "job.progress('secret', 1.0); import os; os.kill(os.getpid(), 9)"
    made = table(bench.runs, bench.folder, dies)
    found = await made.run()
    error = found["a"]
    assert isinstance(error, SecureFlowError)
    assert (error.code, error.details["phase"]) == ("engine_failed", "inputs")
    assert "was killed" in error.message
    assert chinese(error.message)
    assert "secret" not in str(found["b"]) + str(made.told)


WRITING = {
    "one file": "open('x', 'wb').write(b'x' * (8 << 20))",
    "files together": "[open(str(i), 'wb').write(b'x' * (1 << 20)) for i in range(8)]",
    "said": "job._channel.say({'say': 'output', 'name': 'sum.txt', 'bytes': 8 << 20})",
}


@pytest.mark.parametrize(
    ("how", "others"), [("one file", False), *((how, True) for how in WRITING)]
)  # fmt: skip
async def test_files_are_bounded(bench: Bench, how: str, others: bool) -> None:
    """Those of a program of others by less than the owner gives engines: while it writes."""
    scratch = 32 << 20 if others else 4 << 20
    code = EngineCode(bench.folder, "x.py", 4 << 20) if others else None
    limits = EngineLimits(memory=0, scratch=scratch)
    made = table(bench.runs, bench.folder, WRITING[how], limits=limits, code=code)
    error = (await made.run())["a"]
    assert isinstance(error, SecureFlowError)
    assert error.code == "engine_output_refused"
    assert "larger than the 4 MiB" in error.message
    assert ("programs of others" in error.hint) is others
    assert chinese(error.message)
    assert chinese(error.hint)
    assert list((bench.folder / "outputs-a").iterdir()) == []


async def test_what_is_printed_without_end_ends_the_run(bench: Bench) -> None:
    prints = "[print('x' * 1_000_000) for _ in range(1_000_000)]"
    found = await table(bench.runs, bench.folder, prints).run()
    assert isinstance(found["a"], SecureFlowError)
    assert "without end" in found["a"].message


async def test_where_nothing_confines_its_folder_is_wiped(bench: Bench) -> None:
    """Each party has a place of its own: two agents never share one."""
    places = [bench.folder / "plain-a", bench.folder / "plain-b"]
    own, other = (EngineRuns(PlainSandbox(), one, unconfined=True) for one in places)
    for act in ("import os; os.makedirs('deep/er')", "raise ValueError"):
        made = table(own, bench.folder, act)
        found = await replace(
            made, engines={**made.engines, "b": ToyEngine(other, bench.folder)}
        ).run()
        assert isinstance(found["a"], EngineResult) is (act != "raise ValueError")
        for path in (bench.folder / "outputs-a", bench.folder / "outputs-b"):
            for one in path.iterdir():
                one.unlink()
        assert [[one.name for one in place.iterdir()] for place in places] == [["logs"]] * 2


async def test_logs_are_few_and_named_safely(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_module, "LOGS", 3)
    for number in range(5):
        name = "../../escaped" if number == 4 else f"job_{number}"
        made = table(bench.runs, bench.folder, "raise ValueError", job=name)
        await made.run()
    logs = [one.name for one in (bench.folder / "engines" / "logs").iterdir()]
    assert len(logs) == 3
    assert not any("escaped" in str(one) for one in bench.folder.rglob("*"))


async def test_a_cancelled_run_tells_nobody_anything_else(bench: Bench) -> None:
    made = table(bench.runs, bench.folder, "import time; time.sleep(1000)")
    running = made.start("a"), made.start("b")
    await soon(lambda: any(phase == "inputs" for phase, _ in made.told["a"]))
    running[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await running[0]
    await made.channels["a"]["b"].close()  # as whoever holds the channels does
    with pytest.raises(SecureFlowError) as told:
        await running[1]
    assert (told.value.code, told.value.details["party"]) == ("peer_broken", "a")
