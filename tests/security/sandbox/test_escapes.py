"""What code in the real sandbox tries, as root and as an ordinary user: nothing of it succeeds.

Each attack is tried with every guard, and again without those that stop it: then it succeeds, which
shows that the first result means something.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import select
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from peers.sandboxes import become_ordinary, counts_in, stands_still

from secureflow.adapters.sandbox import BubblewrapSandbox, bubblewrap
from secureflow.adapters.sandbox.cgroups import Cgroup, Cgroups
from secureflow.adapters.sandbox.layout import Layout, layout_of
from secureflow.adapters.sandbox.numbers import LAST, NUMBERS
from secureflow.adapters.sandbox.syscalls import DENIED
from secureflow.application.ports.sandbox import PRINTED, Limits
from secureflow.kit.errors import SecureFlowError
from tests.security.sandbox.conftest import LIMITS, SECRET, World, asked

HUGE = 100 << 30
_FOREIGN = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of x86 processors")


def wanted(world: World) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return every attack that one process can try beside the others."""
    outside = [
        "/",
        "/etc",
        "/dev",
        "/usr/lib",
        "/inputs",
        "/job",
        "/proc",
        "/sys",
        "/home",
        "/root",
    ]
    agent = world.folder / "agent"
    return {
        "sockets": ("sockets", {}),
        "a connection": ("connect", {"port": world.tcp}),
        "a name": ("name", {"port": world.udp}),
        "the agent's socket": ("unix", {"address": str(agent / "agent.sock")}),
        "an abstract socket": ("unix", {"address": f"@{world.folder.name}"}),
        "the agent's key": ("read", {"path": str(world.key)}),
        "another job's files": ("read", {"path": str(world.other)}),
        "the dataset's folder": ("read", {"path": str(world.dataset.parent)}),
        "the host's users": ("read", {"path": "/etc/passwd"}),
        "the host's files": ("read", {"path": "/home"}),
        "processes": ("processes", {"pid": os.getpid()}),
        "files outside": ("create", {"folders": outside}),
        "the dataset": ("change", {"path": "/inputs/rows.csv"}),
        "the model": ("change", {"path": "/job/model"}),
        "links": ("links", {"target": str(world.key), "output": "/job/update"}),
        "the root": ("climb", {}),
        "ten thousand files": ("files", {"folder": "/job", "count": 10_000}),
        "descriptors": ("descriptors", {}),
        "signals": ("signals", {"pid": os.getpid()}),
        "identity": ("identity", {}),
        "namespaces": ("namespaces", {}),
        "io_uring": ("ring", {}),
        "userfaultfd": ("fault", {}),
        "keys": ("key", {}),
        "ptrace": ("trace", {}),
        "a device": ("device", {"path": "/dev/zero"}),
        "a program with its owner's rights": ("set_user_id", {"path": "/job/update"}),
        "a lease": ("lease", {"paths": ["/inputs/rows.csv", "/job/update"]}),
        "locks of shared files": ("share_locks", {"path": "/inputs/rows.csv"}),
        "a watch of shared files": ("watch", {"path": "/usr/lib"}),
        "a waker": ("wakers", {}),
        "a datagram": ("datagram", {"path": "/inputs/service"}),
        "buffers": ("buffers", {}),
        "flags of a file": ("flags", {"path": "/job/update"}),
        "the parent's end": ("outlive", {}),
        "secrecy": ("secrecy", {}),
        "cached pages": ("cached", {"path": "/inputs/rows.csv"}),
        "the page cache": ("advise", {"path": "/inputs/rows.csv"}),
        "futexes of shared files": ("futexes", {"path": "/inputs/rows.csv"}),
        "marks at shared files": ("hints", {"path": "/inputs/rows.csv"}),
        "memory nodes": ("nodes", {"path": "/inputs/rows.csv"}),
        "cached names": ("names", {"folder": "/usr/lib"}),
        "counts of sockets": ("cookies", {}),
        "a counted name": ("autobind", {}),
        "a handle of a process": ("handle", {}),
        "equal pages": ("merge", {}),
        "counts of waits": ("waits", {}),
        "room of disks": ("room", {}),
        "counts of the host": ("counts", {}),
        "numbers of mounts": ("mounts", {}),
        "writing out": ("writing", {}),
        "huge pages": ("huge", {}),
    }


@pytest.fixture(scope="module")
def seen(world: World) -> dict[str, Any]:
    """Try every attack in one process."""
    attacks = wanted(world)
    found = dict(zip(attacks, world.attack(list(attacks.values())), strict=True))
    paths = [Path("/dev/zero"), world.dataset, world.key, world.other, world.job / "model"]
    host = [oct(one.stat().st_mode)[-3:] for one in paths] + [one.read_text() for one in paths[1:]]
    found["host"] = host != ["666", *["600"] * 4, *[SECRET] * 4]
    found["folder"] = sorted(one.name for one in world.job.iterdir()) != ["model", "update"]
    return found


NAMES = [*wanted(World("", Path("/x"), 0, 0)), "host", "folder"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_reached(world: World, seen: dict[str, Any], name: str) -> None:
    assert not seen[name]


WITHOUT: dict[str, tuple[str, ...]] = {
    "sockets": ("sockets",),
    "a connection": ("sockets", "network"),
    "a name": ("sockets", "network"),
    "an abstract socket": ("sockets", "network"),
    "processes": ("no proc", "processes", "capabilities"),
    "signals": ("processes", "capabilities"),
    "files outside": ("read-only root",),
    "the dataset": ("read-only",),
    "the model": ("read-only",),
    "ten thousand files": ("read-only",),
    "namespaces": ("namespaces", "clone", "nested"),
    "userfaultfd": ("userfaultfd",),
    "ptrace": ("tracing",),
    "a program with its owner's rights": ("modes",),
    "identity": ("user",),
    "a lease": ("leases",),
    "locks of shared files": ("flocks", "file locks"),
    "a watch of shared files": ("notices",),
    "a waker": ("timers", "signals of files"),
    "a datagram": ("sockets",),
    "buffers": ("pipe sizes", "socket buffers"),
    "flags of a file": ("file flags",),
    "the parent's end": ("parent's end",),
    "secrecy": ("secrecy",),
    "cached pages": ("cached pages",),
    "the page cache": ("page cache", "pages of files"),
    "futexes of shared files": ("shared futexes",),
    "marks at shared files": ("fcntl", "ioctl"),
    "memory nodes": ("memory nodes",),
    "cached names": ("cached names",),
    "counts of sockets": ("getsockopt", "setsockopt"),
    "a counted name": ("sockets",),
    "a handle of a process": ("clone",),
    "equal pages": ("prctl",),
    "counts of waits": ("counts of waits",),
    "room of disks": ("room of disks",),
    "counts of the host": ("counts of the host",),
    "numbers of mounts": ("numbers of mounts",),
    "writing out": ("writing out",),
}
"""What has to be left out for an attack to succeed, whoever starts the sandbox."""


@pytest.fixture(scope="module")
def unguarded(world: World) -> Callable[[str], Any]:
    """Try attacks without guards; those that need the same ones share a start."""
    attacks, found = wanted(world), {}

    def attempt(name: str) -> Any:
        guards = WITHOUT[name]
        if name not in found:
            together = [one for one, left_out in WITHOUT.items() if left_out == guards]
            results = world.attack([attacks[one] for one in together], guards)
            found.update(zip(together, results, strict=True))
        return found[name]

    return attempt


@pytest.mark.full  # that each escape is one
@pytest.mark.parametrize("name", WITHOUT)
def test_without_its_guards_it_is_reached(
    world: World, unguarded: Callable[[str], Any], name: str
) -> None:
    told = unguarded(name)
    assert told
    assert not (isinstance(told, dict) and "ended" in told), told  # it tried, and did not fail


@pytest.mark.parametrize("cgroups", [True, False])
def test_it_computes_only_when_it_was_asked(world: World, cgroups: bool) -> None:
    """By a group where this user may make one, else by signals, which nobody may send but us."""
    counted = world.job / "update"
    counted.write_bytes(bytes(16))
    launch = world.launch(command=(world.python, "-I", "-S", "-c", counts_in("/job/update")))

    async def work() -> None:
        process = await BubblewrapSandbox(cgroups=cgroups).start(launch)
        try:
            assert await process.reader.readline() == b"1\n"
            await stands_still(process, counted)
        finally:
            await process.kill()

    world.run(work)


@pytest.mark.parametrize(
    ("name", "without"),
    [("a connection", ("sockets",)), ("a name", ("sockets",)), ("an abstract socket", ("sockets",)),
     ("namespaces", ("namespaces", "clone", "clone3")), ("namespaces", ("nested",)),
     ("sockets", ("network",)), ("signals", ("no proc", "capabilities"))],
)  # fmt: skip
def test_one_guard_of_two_is_enough(world: World, name: str, without: tuple[str, ...]) -> None:
    assert not world.attack([wanted(world)[name]], without)[0]


@pytest.mark.parametrize("over", ["", "the agent's", "the environment's"])
def test_what_an_interpreter_lies_beside_is_hidden(world: World, over: str) -> None:
    """The agent's folder may lie within its environment's, which is shown, and links to either."""
    link = world.folder.with_name(f"{world.folder.name}-link")
    link.symlink_to(world.folder)
    shown = link if over == "the environment's" else world.folder
    hidden = (link if over == "the agent's" else world.folder) / "agent"
    try:
        found = [
            world.run(partial(_read_beside, world, without, shown, hidden))
            for without in ((), ("hidden",))
        ]
    finally:
        link.unlink()
    assert found == [False, True]


async def _read_beside(world: World, without: tuple[str, ...], shown: Path, hidden: Path) -> bool:
    known = layout_of(world.python)
    wider = Layout((*known.paths, shown), known.links)
    key = shown / world.key.relative_to(world.folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bubblewrap, "layout_of", lambda python: wider)
        process = await BubblewrapSandbox(without=without).start(world.launch(hidden=(hidden,)))
        try:
            return bool(await asked(process, "read", {"path": str(key)}))
        finally:
            await process.kill()


def test_the_environment_is_what_was_given(world: World) -> None:
    os.environ["SECUREFLOW_TEST_SECRET"] = "x"
    try:
        given = {"environment": {"LANG": "C.UTF-8", "GIVEN": "1"}}
        (names,) = world.attack([("environment", {})], **given)
    finally:
        del os.environ["SECUREFLOW_TEST_SECRET"]
    assert set(names) <= {"LANG", "GIVEN", "HOME", "TMPDIR", "USER", "PWD", "LC_CTYPE"}
    assert "GIVEN" in names


def test_an_output_has_a_size(world: World) -> None:
    huge = [("grow", {"path": "/job/update", "size": HUGE}), ("fill", {"size": 64 << 20})]
    grown, filled = world.attack(huge)
    assert grown <= LIMITS.file_size
    assert filled <= LIMITS.scratch
    grown, filled = world.attack(huge, ("rlimits", "scratch"))
    assert (grown, filled) == (HUGE, 64 << 20)
    os.truncate(world.job / "update", 0)


def test_a_fork_bomb_stays_small(world: World) -> None:
    """Where nothing counts processes there are none: only threads, and these are counted."""
    bombs = [("forks", {"count": 200}), ("threads", {"count": 200})]
    forks, threads = world.attack(bombs)
    assert forks < LIMITS.processes
    assert threads < LIMITS.processes
    forks, threads = world.attack(bombs, ("clone", "rlimits"), cgroups=False)
    assert (forks, threads) == (200, 200)


def test_without_a_cgroup_there_are_threads_alone(world: World) -> None:
    forks, threads = world.attack(
        [("forks", {"count": 9}), ("threads", {"count": 9})], cgroups=False
    )
    assert (forks, threads) == (0, 9)


@pytest.mark.parametrize("counted", ["pids", "memory", "memory pids"])
def test_processes_need_both_counts(
    world: World, counted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has an address space of its own: what none of them may exceed, all of them would."""
    group = Cgroup((), frozenset(counted.split()))
    monkeypatch.setattr(Cgroups, "make", lambda self, limits: group)
    (forks,) = world.attack([("forks", {"count": 9})])
    assert forks == (9 if counted == "memory pids" else 0)


def test_a_share_of_processors_that_nothing_holds_is_refused(world: World) -> None:
    with pytest.raises((SecureFlowError, AssertionError), match="processors"):
        world.attack([("climb", {})], cgroups=False, limits=replace(LIMITS, cpus=0.5))


def test_a_memory_bomb_ends(world: World) -> None:
    bomb = [("memory", {"size": 384 << 20})]
    (taken,) = world.attack(bomb)
    assert taken < LIMITS.memory
    (taken,) = world.attack(bomb, limits=Limits())
    assert taken == 384 << 20


def test_a_cgroup_counts_what_no_address_space_does(world: World) -> None:
    if world.identity != "root":
        pytest.skip("an ordinary user has no cgroups here")
    (ended,) = world.attack([("memory", {"size": 384 << 20})], ("rlimits",))
    assert ended["ended"] == 128 + signal.SIGKILL


def test_an_endless_loop_ends_when_it_is_told_to(world: World) -> None:
    async def work() -> list[Any]:
        process = await BubblewrapSandbox().start(world.launch())
        process.writer.write(json.dumps(["spin", {}]).encode() + b"\n")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(process.reader.readline(), 0.2)
        await process.kill()
        return [await process.wait(), process.pid]

    code, pid = world.run(work)
    assert code == 128 + signal.SIGKILL
    assert not Path(f"/proc/{pid}").exists()


def test_it_ends_with_its_agent_whatever_it_does(world: World) -> None:
    """Its first process is bubblewrap's; and it may not forget its parent."""
    confined, _ = _of_a_killed_agent(world, ("parent's end",))
    with confined:
        assert _ended(confined, 60)
    with pytest.MonkeyPatch.context() as patch:
        own = {**bubblewrap._GUARDS, "processes": ("--unshare-pid", "--as-pid-1")}
        patch.setattr(bubblewrap, "_GUARDS", own)
        confined, cleared = _of_a_killed_agent(world, ())
        with confined:
            assert not cleared
            assert _ended(confined, 60)
        confined, cleared = _of_a_killed_agent(world, ("parent's end",))
        with confined:
            assert cleared
            if world.identity == "root":  # an ordinary user has no cgroups here
                # As any agent that starts meanwhile does, of another test for instance.
                assert BubblewrapSandbox().counted
            else:
                assert not _ended(confined, 0.2)
                signal.pidfd_send_signal(confined.fileno(), signal.SIGKILL)
            assert _ended(confined, 60)


def _of_a_killed_agent(world: World, without: tuple[str, ...]) -> tuple[BinaryIO, list[int]]:
    """Return a handle of a confined process whose agent was killed, and what it could clear."""
    reading, writing = os.pipe()
    agent = os.fork()
    if agent == 0:
        with contextlib.suppress(BaseException):
            if world.identity == "ordinary":
                become_ordinary()
            asyncio.run(_serve(world, without, writing))
        os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as told:
        pid, outer, cleared = json.loads(told.readline())
    handles = [os.fdopen(os.pidfd_open(one), "rb", 0) for one in (pid, outer)]
    os.kill(agent, signal.SIGKILL)
    os.waitpid(agent, 0)
    with handles[1]:
        assert _ended(handles[1], 60)
    return handles[0], cleared


async def _serve(world: World, without: tuple[str, ...], writing: int) -> None:
    process = await BubblewrapSandbox(without=without).start(world.launch())
    cleared = await asked(process, "outlive", {})
    outer = _parent(process.pid)
    process.writer.write(json.dumps(["spin", {}]).encode() + b"\n")
    os.write(writing, json.dumps([process.pid, outer, cleared]).encode() + b"\n")
    await asyncio.Event().wait()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("PPid:")[2].split()[0])


def _ended(handle: BinaryIO, patience: float) -> bool:
    return bool(select.select([handle], [], [], patience)[0])


def test_nothing_is_left_of_a_bomb_that_is_killed(world: World) -> None:
    async def work() -> list[bool]:
        process = await BubblewrapSandbox().start(world.launch())
        inside = _space(process.pid)
        held = os.open(f"/proc/{process.pid}/ns/pid", os.O_RDONLY)  # or its number is another's
        process.writer.write(json.dumps(["forks", {"count": 20}]).encode() + b"\n")
        process.writer.write(json.dumps(["spin", {}]).encode() + b"\n")
        await process.reader.readline()
        await process.kill()
        spaces = _spaces()
        os.close(held)
        return [_space(os.getpid()) in spaces, inside in spaces]

    assert world.run(work) == [True, False]


def _spaces() -> set[int]:
    return {_space(int(one.name)) for one in Path("/proc").glob("[0-9]*")}


def _space(pid: int) -> int:
    """Return the number of a process's namespace of processes, 0 when it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/ns/pid").stat().st_ino
    return 0


def test_a_flood_costs_its_reader_nothing(world: World) -> None:
    async def work() -> list[int]:
        process = await BubblewrapSandbox().start(world.launch())
        await asked(process, "flood", {"size": 1 << 40})
        while len(process.printed) < PRINTED:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        answered = await asked(process, "climb", {})
        kept = len(process.printed)
        await process.kill()
        return [len(answered), kept]

    assert world.run(work) == [0, PRINTED]


@_FOREIGN
@pytest.mark.parametrize("how", ["x32", "32 bit"])
def test_another_architectures_calls_kill(world: World, how: str) -> None:
    (ended,) = world.attack([("foreign", {"how": how})])
    assert ended["ended"] == 128 + signal.SIGSYS
    (ended,) = world.attack([("foreign", {"how": how})], ("seccomp",))
    assert isinstance(ended, int) or ended["ended"] == 128 + signal.SIGSEGV


def test_each_denied_call_ends_as_it_is_said_to(world: World) -> None:
    """And not so without the filter: who has no right to it gets another error then."""
    column = {"x86_64": 0, "aarch64": 1}[platform.machine()]
    calls = {
        name: (code, NUMBERS[name][column])
        for code, names in DENIED.values()
        for name in names
        if NUMBERS[name][column] and name != "sync"  # which would wait for all of the host's disks
    }
    arguments = {"socket": [1, 1], "fchmod": [-1], "fchown": [-1], "seccomp": [99]}
    attacks: list[tuple[str, dict[str, Any]]] = [
        ("call", {"number": number, "arguments": arguments.get(name, [])})
        for name, (_, number) in calls.items()
    ]
    newer = ("call", {"number": LAST + 1, "arguments": []})
    typed = ("call", {"number": 16 if column == 0 else 29, "arguments": [0, 0x5412]})
    *found, unknown, typing = world.attack([*attacks, newer, typed])
    assert dict(zip(calls, found, strict=True)) == {name: code for name, (code, _) in calls.items()}
    assert unknown == 38
    assert typing == 1
    *unfiltered, _, untyped = world.attack([*attacks, newer, typed], ("seccomp",))
    assert untyped == 25  # ENOTTY
    other = dict(zip(calls, unfiltered, strict=True))
    for group, (code, names) in DENIED.items():
        assert any(other[name] != code for name in names if name in calls), group


def test_the_host_sees_every_guard(world: World) -> None:
    async def work() -> dict[str, Any]:
        process = await BubblewrapSandbox().start(world.launch())
        await asked(process, "climb", {})
        proc = Path(f"/proc/{process.pid}")
        status = dict(
            line.split(":\t", 1)
            for line in (proc / "status").read_text().splitlines()
            if ":\t" in line
        )
        spaces = ("user", "pid", "net", "ipc", "uts", "mnt", "cgroup")
        here = Path("/proc/self/ns")
        own = [one for one in spaces if (proc / "ns" / one).samefile(here / one)]
        limits = " ".join((proc / "limits").read_text().split())
        above = int(status["PPid"])
        session = os.getsid(process.pid) == process.pid and os.getsid(above) == above
        await process.kill()
        return {"status": status, "shared": own, "limits": limits, "session": session}

    found = world.run(work)
    status = found["status"]
    assert found["shared"] == []
    assert found["session"], "it could type into our terminal"
    assert {
        name: int(status[name], 16) for name in status if name.startswith("Cap")
    } == dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "Max core file size 0 0" in found["limits"]
    assert f"Max address space {LIMITS.memory} {LIMITS.memory}" in found["limits"]
    assert f"Max file size {LIMITS.file_size} {LIMITS.file_size}" in found["limits"]
    assert f"Max open files {LIMITS.open_files} {LIMITS.open_files}" in found["limits"]
