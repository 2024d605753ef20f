"""Whether an engine lives, and whose waiting is whose fault."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from peers.deadlines import Deadlines
from peers.engines import channels_of, job_of

from secureflow.adapters.mpcengines import life, running
from secureflow.adapters.mpcengines.life import Life
from secureflow.adapters.mpcengines.measured import Usage
from secureflow.adapters.mpcengines.plan import Place, Plan
from secureflow.adapters.mpcengines.running import EngineRun
from secureflow.adapters.mpcengines.speaking import anybody
from secureflow.application.ports.mpcengine import EngineDeadlines, EngineInfo
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese
from tests.contract.mpcengines.cases import soon

NAMES = ("a", "b", "c")
WHOLE = 4321.0


class Clock:
    """Seconds, and what a process has used by then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.used = 0.0
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(life, "time", clock)
        monkeypatch.setattr(life, "usage", lambda _: Usage(self.used, 7))

    def looked(self, one: Life, seconds: float, used: float) -> None:
        self.now += seconds
        self.used += used
        one.look(1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_who_computes_is_not_quiet_and_works(clock: Clock) -> None:
    one = Life(lambda: 0.0, 30.0)
    for _ in range(100):
        clock.looked(one, 1.0, 0.5)
        assert not one.quiet
        assert one.works(2.0)
    assert one.peak == 7


def test_who_only_waits_works_no_more_although_it_turns_a_little(clock: Clock) -> None:
    """Each of two that wait for one another must not take the other's waiting for work."""
    one = Life(lambda: 0.0, 30.0)
    for _ in range(100):
        clock.looked(one, 1.0, 0.01)
    assert not one.works(2.0)
    assert not one.quiet


def test_who_does_nothing_is_quiet_until_it_talks(clock: Clock) -> None:
    moved = [0.0]
    one = Life(lambda: moved[0], 30.0)
    clock.looked(one, 31.0, 0.0)
    assert one.quiet
    moved[0] = 31.0
    assert (one.quiet, one.works(2.0)) == (False, True)
    clock.looked(one, 31.0, 0.0)
    assert (one.quiet, one.works(2.0)) == (True, False)
    one.sign()
    assert (one.quiet, one.works(2.0)) == (False, True)


class Run:
    """A run of the first party whose engine is quiet; no process is there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.ends = channels_of(NAMES)
        deadlines = EngineDeadlines(120.0, 0.01, WHOLE)
        job = replace(
            job_of(NAMES), channels=self.ends["a"], outputs=folder, deadlines=deadlines
        )  # fmt: skip
        info = EngineInfo("toy", "1", {}, {}, (2, 16))
        place: Any = Place(None, folder, folder / "log")  # type: ignore[arg-type]
        self.run = EngineRun(
            place, Plan(info, folder, folder, speech=anybody), job, lambda *_: None
        )
        self.looks = 0
        monkeypatch.setattr(running, "TICK", 0.001)
        monkeypatch.setattr(self.run._life, "look", self._look)
        monkeypatch.setattr(Life, "quiet", True)

    def _look(self, _: int) -> None:
        self.looks += 1

    async def alive(self) -> None:
        process: Any = SimpleNamespace(pid=1)
        await self.run._alive(process)

    async def say(self, peer: str, told: bytes, heard: Callable[[], bool]) -> None:
        await self.ends[peer]["a"].send(told)
        await soon(heard)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    return Run(monkeypatch, tmp_path)


WORKS = b'{"say":"beat","works":true}'
WAITS = b'{"say":"beat","works":false}'


async def test_who_waits_for_a_peer_that_works_is_not_silent(quiet: Run) -> None:
    """It is once nobody works; and all of whom nothing came are named, not it alone."""
    peers = quiet.run._peers
    watching = [asyncio.ensure_future(peers.watch(one)) for one in ("b", "c")]
    await quiet.say("b", WORKS, lambda: peers.working == ["b"])
    await quiet.say("c", b'{"say":"done"}', lambda: peers.waiting == ["b"])
    alive = asyncio.ensure_future(quiet.alive())
    await soon(lambda: quiet.looks > 20)
    assert not alive.done()
    await quiet.say("b", WAITS, lambda: not peers.working)
    with pytest.raises(SecureFlowError) as found:
        await alive
    error = found.value
    assert (error.code, error.details["parties"]) == ("engine_silent", ["a", "b"])
    assert "nothing comes from b" in error.message
    assert chinese(error.message)
    for one in watching:
        one.cancel()
    await asyncio.gather(*watching, return_exceptions=True)


async def test_a_peer_that_says_it_works_until_the_time_is_over_is_named(
    quiet: Run, monkeypatch: pytest.MonkeyPatch, deadlines: Deadlines
) -> None:
    """Its agent may lie: not whoever waits for it is late."""
    run = quiet.run

    async def in_process() -> dict[str, Any]:
        watching = asyncio.ensure_future(run._peers.watch("c"))
        await quiet.say("c", WORKS, lambda: run._peers.working == ["c"])
        deadlines.expire(WHOLE)
        try:
            await asyncio.Event().wait()
        finally:
            watching.cancel()
        return {}

    async def agreed(_: float) -> None:
        pass

    monkeypatch.setattr(run._peers, "agree", agreed)
    monkeypatch.setattr(run, "_in_process", in_process)
    with pytest.raises(SecureFlowError, match="not done") as found:
        await run.run()
    assert (found.value.code, found.value.details["party"]) == ("peer_broken", "c")


@pytest.mark.parametrize("seen", [True, False])
async def test_a_process_that_has_gone_is_named_although_a_peer_is_heard_first(
    quiet: Run, seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peers' engines fail with it, and that may be told before the system says how it ended, or
    before it is seen that it did.
    """
    monkeypatch.setattr(running, "MOMENT", 120.0)
    run, peers = quiet.run, quiet.run._peers
    watching = asyncio.ensure_future(peers.watch("b"))
    await quiet.say("b", b'{"say":"failed","sure":false}', watching.done)
    gone, ended = asyncio.Event(), asyncio.Event()

    class Process:
        starved = False

        async def wait(self) -> int:
            await ended.wait()
            return 7

    process: Any = Process()

    async def read() -> dict[str, Any]:
        await gone.wait()
        raise await run._died(process)

    reading: asyncio.Task[Any] = asyncio.create_task(read())
    if seen:
        gone.set()
        await soon(lambda: run._closed)
    met: Any = watching.exception()
    finding = asyncio.create_task(run._own(met, reading))
    for event in (gone, ended):
        for _ in range(9):
            await asyncio.sleep(0)
        event.set()
    own = await finding
    assert own is not None
    assert (own.code, own.details["party"]) == ("engine_failed", "a")
    peers._unsure.clear()
    assert await run._own(met, reading) is None
