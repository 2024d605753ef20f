"""Keeping processes still by signals: one sandbox's, never another's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.sandboxes import demand_sandbox

from secureflow.adapters.sandbox import BubblewrapSandbox, freezing
from secureflow.adapters.sandbox.freezing import GroupFreezer, SignalFreezer, stands
from secureflow.adapters.sandbox.started import Started
from secureflow.application.ports.sandbox import Launch, SandboxProcess
from secureflow.kit.errors import SecureFlowError

ECHO = "import sys\nfor line in sys.stdin: sys.stdout.write(line.upper()); sys.stdout.flush()"
LAUNCH = Launch((sys.executable, "-I", "-S", "-c", ECHO))
OTHERS = 4


@pytest.fixture
def sandbox() -> BubblewrapSandbox:
    """Return one whose processes are kept still by signals."""
    demand_sandbox("root" if os.geteuid() == 0 else "ordinary")
    return BubblewrapSandbox(cgroups=False)


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Hold a freeze up before it looks for processes: it has begun, and it may go on."""
    begun, go_on = threading.Event(), threading.Event()
    stop = SignalFreezer._stop

    def held_up(freezer: SignalFreezer) -> int:
        begun.set()
        go_on.wait(60)
        return stop(freezer)

    monkeypatch.setattr(SignalFreezer, "_stop", held_up)
    yield begun, go_on
    go_on.set()


async def answers(process: SandboxProcess) -> bool:
    process.writer.write(b"a\n")
    async with asyncio.timeout(20):
        return await process.reader.readline() == b"A\n"


def space(pid: int) -> str:
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    return ""


def numbers() -> list[int]:
    return [int(one.name) for one in Path("/proc").glob("[0-9]*")]


def held() -> list[str]:
    """Return the namespaces that this process holds."""
    found = []
    for one in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(one.readlink()))
    return [one for one in found if one.startswith("pid:[")]


async def test_a_freeze_that_goes_on_after_a_kill_stops_no_other_sandbox(
    sandbox: BubblewrapSandbox, late: tuple[threading.Event, threading.Event]
) -> None:
    """The number of a namespace that nothing holds is another sandbox's at once."""
    begun, go_on = late
    process, others = await sandbox.start(LAUNCH), list[SandboxProcess]()
    own = space(process.pid)
    freeze = asyncio.create_task(process.freeze())
    try:
        await asyncio.to_thread(begun.wait, 60)
        await process.kill()
        assert own in held()
        others += [await sandbox.start(LAUNCH) for _ in range(OTHERS)]
        assert own not in map(space, (one.pid for one in others))
        assert [await answers(one) for one in others] == [True] * OTHERS
        go_on.set()
        await freeze
        assert [await answers(one) for one in others] == [True] * OTHERS
    finally:
        go_on.set()
        await asyncio.gather(freeze, *(one.kill() for one in others))
    assert own not in held()


async def test_one_that_a_look_misses_is_found(
    sandbox: BubblewrapSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that started another and ended while the list was read hides it once."""
    members, looks = SignalFreezer._members, list[SignalFreezer]()

    def missing(freezer: SignalFreezer) -> Iterator[tuple[int, int]]:
        looks.append(freezer)
        yield from members(freezer) if len(looks) > 1 else ()

    process = await sandbox.start(LAUNCH)
    try:
        assert await answers(process)
        own = space(process.pid)
        inside = [pid for pid in numbers() if pid != process.pid and space(pid) == own]
        monkeypatch.setattr(SignalFreezer, "_members", missing)
        await process.freeze()
        assert list(map(stands, inside)) == [True]
    finally:
        await process.kill()


async def test_a_freeze_that_is_under_way_ends_with_a_kill(
    sandbox: BubblewrapSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds a thread: of a process that waits for a disk it would for as long."""
    looked = threading.Event()

    def never(pid: int) -> bool:
        looked.set()
        return False

    monkeypatch.setattr(freezing, "stands", never)
    monkeypatch.setattr(freezing, "PATIENCE", 600.0)
    process = await sandbox.start(LAUNCH)
    assert await answers(process)  # somebody is there
    freeze = asyncio.create_task(process.freeze())
    assert await asyncio.to_thread(looked.wait, 60)
    members = SignalFreezer._members
    monkeypatch.setattr(SignalFreezer, "_members", lambda own: [*members(own), (1, -1)])
    monkeypatch.setattr(freezing, "_send", lambda *_: None)
    await process.kill()
    await asyncio.wait_for(freeze, 60)


async def test_a_freeze_that_is_under_way_ends_before_a_killed_process_does(
    sandbox: BubblewrapSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, gone = threading.Event(), asyncio.Event()

    def never(pid: int) -> bool:
        looked.set()
        return False

    async def late(process: Started) -> int:
        await gone.wait()
        return await wait(process)

    wait = Started.wait
    monkeypatch.setattr(Started, "wait", late)
    monkeypatch.setattr(freezing, "stands", never)
    monkeypatch.setattr(freezing, "PATIENCE", 600.0)
    monkeypatch.setattr(freezing, "_send", lambda *_: None)
    members = SignalFreezer._members
    monkeypatch.setattr(SignalFreezer, "_members", lambda own: [*members(own), (1, -1)])
    process = await sandbox.start(LAUNCH)
    freeze = asyncio.create_task(process.freeze())
    assert await asyncio.to_thread(looked.wait, 60)
    kill = asyncio.create_task(process.kill())
    try:
        await asyncio.wait_for(freeze, 20)
        assert not kill.done()
    finally:
        gone.set()
        await kill


async def test_what_seems_to_stand_is_stopped_too(
    sandbox: BubblewrapSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads that live shortly have each ended when they are looked at."""
    process = await sandbox.start(LAUNCH)
    try:
        assert await answers(process)
        own = space(process.pid)
        inside = [pid for pid in numbers() if pid != process.pid and space(pid) == own]
        assert list(map(stands, inside)) == [False]
        monkeypatch.setattr(freezing, "stands", lambda _: True)
        await process.freeze()
        async with asyncio.timeout(20):
            while not all(map(stands, inside)):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
    finally:
        await process.kill()


async def test_a_number_that_became_anothers_is_left_alone(
    sandbox: BubblewrapSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the sandbox ended between the look at its namespace and the handle."""
    other = await asyncio.create_subprocess_exec("sleep", "600")
    process = await sandbox.start(LAUNCH)
    namespace, looks = freezing._namespace, list[int]()

    def reused(pid: int) -> int:
        looks.append(pid)
        first = pid == other.pid and looks.count(pid) % 2
        return namespace(process.pid if first else pid)

    try:
        monkeypatch.setattr(freezing, "_namespace", reused)
        await process.freeze()
        assert looks.count(other.pid) >= 4
        assert not stands(other.pid)
    finally:
        await process.kill()
        other.kill()
        await other.wait()


async def test_a_namespace_that_was_not_told_is_not_kept_still() -> None:
    ended = await asyncio.create_subprocess_exec("true")
    await ended.wait()
    with pytest.raises(OSError, match="its namespace of processes cannot be told"):
        SignalFreezer(ended.pid).freeze()


def test_a_group_that_is_closed_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "cgroup.freeze").touch()
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    freezer = GroupFreezer(tmp_path / "cgroup.freeze")
    freezer.close()
    freezer.freeze()
    freezer.thaw()
    assert (tmp_path / "cgroup.freeze").read_text() == ""


async def test_a_freeze_of_a_group_that_is_under_way_ends_with_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freezing, "PATIENCE", 600.0)
    (tmp_path / "cgroup.freeze").touch()
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    freezer = GroupFreezer(tmp_path / "cgroup.freeze")
    freeze = asyncio.create_task(asyncio.to_thread(freezer.freeze))
    while (tmp_path / "cgroup.freeze").read_text() != "1":  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)
    freezer.close()
    await asyncio.wait_for(freeze, 60)


async def test_a_namespace_is_let_go_of_with_its_process(sandbox: BubblewrapSandbox) -> None:
    before = held()
    process = await sandbox.start(LAUNCH)
    assert held() == [*before, space(process.pid)]
    await process.freeze()
    await process.kill()
    assert held() == before
    await process.freeze()  # afterwards is no fault
    await process.thaw()


async def test_a_start_that_fails_holds_no_namespace(
    sandbox: BubblewrapSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, write, seen = held(), os.write, list[str]()

    def broken(handle: int, data: bytes) -> int:
        if data == b"\n":  # what lets it begin
            seen.extend(held())
            raise OSError
        return write(handle, data)

    monkeypatch.setattr(os, "write", broken)
    with pytest.raises(SecureFlowError):
        await sandbox.start(LAUNCH)
    assert len(seen) == len(before) + 1
    assert held() == before
