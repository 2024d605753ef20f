"""An engine's process that lies gets a typed refusal that names its party, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import select
import shutil
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from peers.engines import Table, channels_of, job_of
from peers.toyengine import ToyEngine, numbers

from secureflow.adapters.mpcengines import keeping, running
from secureflow.adapters.mpcengines.agreement import BURST, Peers
from secureflow.adapters.mpcengines.forwarding import Doors, Forwarder
from secureflow.adapters.mpcengines.running import HOST
from secureflow.adapters.mpcengines.runs import EngineRuns
from secureflow.adapters.mpcengines.speaking import GREEDY, ImpostorError, Stream, anybody
from secureflow.adapters.sandbox import PlainSandbox
from secureflow.application.ports.mpcengine import EngineDeadlines, EngineInfo, EngineLimits
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese
from tests.contract.mpcengines.cases import soon

LIAR = """#!{python}
import array, importlib.util, json, os, socket, sys
spec = importlib.util.spec_from_file_location("host", {host!r})
host = importlib.util.module_from_spec(spec); spec.loader.exec_module(host)
raw = socket.socket(fileno=os.dup(0))
channel = host.Channel(raw)
told = channel.line()
def say(**message): channel.say(message)
def passing(message, *handles):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", handles))]
    raw.sendmsg([json.dumps(message).encode() + b"\\n"], rights)
def doors(): return host.doors(channel, told)
{lie}
channel.until_closed()
"""
OWN = "say(say='door', port=7000); "
"""Where its own engine would listen; of a peer's the agent wants sockets."""
OUTPUT = "doors(); say(say='output', name={name!r}, bytes={size}); raw.sendall(b'x' * {sent})"
LIES: dict[str, tuple[str, str]] = {
    "no sockets": (OWN + "say(say='door', port=7000)", "sockets are missing"),
    "too few": (OWN + "passing({'say': 'door', 'port': 1}, 0)", "sockets are missing"),
    "files for sockets": (
        OWN + "f = os.open('/etc/passwd', 0); passing({'say': 'door', 'port': 1}, *[f] * 65)",
        "no socket",
    ),
    "sockets of the host": (
        OWN + "passing({'say': 'door', 'port': 1}, *[0] * 65)",
        "no socket of TCP",
    ),
    "no port": ("say(say='door', port='7000')", "did not open its network"),
    "a port beyond": ("say(say='door', port=1 << 16)", "did not open its network"),
    "no door": ("say(say='done', figures={})", "did not open its network"),
    "no JSON": ("doors(); raw.sendall(b'{\\n')", "no JSON"),
    "a list": ("doors(); raw.sendall(b'[]\\n')", "no JSON"),
    "a line without end": (
        "doors()\nwhile True: raw.sendall(b'x' * (1 << 20))",
        "message is too long",
    ),
    "no such word": ("doors(); say(say='hello')", "no engine says"),
    "another reason": ("doors(); say(say='failed', word='SECRET')", "no engine says"),
    "a reason that is no word": ("doors(); say(say='failed', word=['x'])", "no engine says"),
    "no figures": ("doors(); say(say='done')", "figures"),
    "figures of text": ("doors(); say(say='done', figures={'rows': 'SECRET'})", "figures"),
    "many figures": (
        "doors(); say(say='done', figures={str(i): 1 for i in range(65)})",
        "figures",
    ),
    "another file": (OUTPUT.format(name="other", size=1, sent=1), "not declared"),
    "a file elsewhere": (OUTPUT.format(name="../sum.txt", size=1, sent=1), "not declared"),
    "a file twice": (
        OUTPUT.format(name="sum.txt", size=1, sent=1)
        + "; say(say='output', name='sum.txt', bytes=1)",
        "not declared",
    ),
    "less than nothing": (OUTPUT.format(name="sum.txt", size=-1, sent=0), "larger"),
    "too much": (OUTPUT.format(name="sum.txt", size=(1 << 20) + 1, sent=1), "larger"),
    "no size": (OUTPUT.format(name="sum.txt", size="None", sent=1), "larger"),
    "a file that ends early": (
        OUTPUT.format(name="sum.txt", size=9, sent=1) + "; raw.close(); os._exit(0)",
        "ended without an answer",
    ),
}


class Liar(ToyEngine):
    """An engine whose process lies."""

    def __init__(self, runs: EngineRuns, folder: Path, lie: str) -> None:
        path = folder / "liar"
        head, tail = LIAR.split("{lie}")
        filled = head.replace("{python}", sys.executable).replace("{host!r}", repr(str(HOST)))
        path.write_text(filled + lie + tail)
        path.chmod(0o700)
        super().__init__(runs, folder, python=str(path))


def descriptors() -> int:
    """Return how many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(mkdtemp(prefix="sf-liars-", dir="/dev/shm"))
    yield made
    shutil.rmtree(made)


def table(folder: Path, lie: str, **more: Any) -> Table:
    runs = EngineRuns(PlainSandbox(), folder / "engines", unconfined=True)
    engines = {"a": Liar(runs, folder, lie), "b": ToyEngine(runs, folder)}
    limits = EngineLimits(memory=0, scratch=1 << 20)
    job = job_of(("a", "b"), limits=limits, **more)
    return Table(engines, folder, job, numbers(folder, {"a": 1, "b": 2}))


@pytest.mark.parametrize("name", LIES)
async def test_a_lie_is_refused(folder: Path, name: str) -> None:
    lie, reason = LIES[name]
    before = descriptors()
    found = await table(folder, lie).run()
    error = found["a"]
    assert isinstance(error, SecureFlowError), error
    assert error.code in {"engine_output_refused", "engine_failed"}
    assert reason in error.message
    assert error.details["party"] == "a"
    assert "SECRET" not in str(error)
    other = found["b"]
    assert isinstance(other, SecureFlowError)
    assert (other.code, other.details["party"]) == ("peer_broken", "a")
    assert list((folder / "outputs-a").iterdir()) == []
    assert not (folder / "sum.txt").exists()
    await soon(lambda: descriptors() <= before)
    assert [one.name for one in (folder / "engines").iterdir()] == ["logs"]


async def test_what_it_passes_later_is_closed_unseen(folder: Path) -> None:
    """The doors are taken before an engine's code runs: a socket that both hold could block us."""
    lie = (
        "doors()\nfor _ in range(50):\n"
        "    passing({'say': 'progress', 'phase': 'compute', 'share': 0}, *[0] * 20)\n"
        "say(say='failed', word='raised')"
    )
    made, before, seen = table(folder, lie), descriptors(), list[int]()
    running = made.engines["a"].run(made.of("a"), lambda *_: seen.append(descriptors()))
    other = made.start("b")
    with pytest.raises(SecureFlowError) as failed:
        await running
    await asyncio.gather(other, return_exceptions=True)
    assert failed.value.code == "engine_failed"
    assert len(seen) > 50
    assert max(seen) < before + 300  # two processes, with 65 doors each, and no thousand more
    await soon(lambda: descriptors() <= before)


async def test_messages_are_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MESSAGES", 500)
    lie = "doors()\nwhile True: say(say='progress', phase='compute', share=0.5)"
    found = await table(folder, lie).run()
    assert isinstance(found["a"], SecureFlowError)
    assert found["a"].code == "engine_output_refused"


async def test_a_party_that_receives_nothing_returns_nothing(folder: Path) -> None:
    lie = OUTPUT.format(name="sum.txt", size=1, sent=1)
    found = await table(folder, lie, receivers=("b",)).run()
    assert isinstance(found["a"], SecureFlowError)
    assert "not declared" in found["a"].message


async def test_what_is_kept_for_the_next_attempt_is_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files without bytes too; and those of attempts before it."""
    monkeypatch.setattr(keeping, "MOST", 5)
    lie = "doors()\nfor i in range({0}, 9): say(say='keep', name='f%d' % i, bytes={1})"
    kept = folder / "kept"
    kept.mkdir()
    (kept / "large").write_bytes(bytes(1 << 20))
    for first, size, count in ((0, 1, 1), (0, 0, 5), (6, 0, 5)):
        found = await table(folder, lie.format(first, size)).run(a={"kept": kept})
        assert isinstance(found["a"], SecureFlowError)
        assert found["a"].code == "engine_output_refused"
        assert len(list(kept.iterdir())) == count


async def test_an_agent_that_beats_without_end_is_named() -> None:
    ends = channels_of(("a", "b"))
    job = replace(job_of(("a", "b")), channels=ends["a"])
    peers = Peers(job, EngineInfo("toy", "1", {}, {}, (2, 2)))
    for _ in range(BURST):
        await ends["b"]["a"].send(b'{"say":"beat"}')
    await ends["b"]["a"].send(b'{"say":"done"}')
    await peers.watch("b")
    for _ in range(100 * BURST):
        await ends["b"]["a"].send(b'{"say":"beat"}')
    await ends["b"]["a"].send(b'{"say":"done"}')
    with pytest.raises(SecureFlowError, match="no agent says") as caught:
        await peers.watch("b")
    assert caught.value.details["party"] == "b"


async def test_a_peer_uses_up_no_sockets_of_others() -> None:
    ends = channels_of(("a", "b", "c"))
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        doors = Doors(engine.getsockname()[1])
        for peer in ("a", "b"):
            doors.listening[peer] = socket.create_server(("127.0.0.1", 0))
            doors.listening[peer].setblocking(False)
            doors.spares[peer] = deque(socket.socket() for _ in range(2))
            for one in doors.spares[peer]:
                one.setblocking(False)
        stack.callback(doors.close)
        forwarder = Forwarder(doors, ends["c"], 30.0, lambda *_: anybody(Stream(0, 1, True)))
        running = [asyncio.create_task(forwarder.run(peer)) for peer in ("a", "b")]
        opened = [await ends["b"]["c"].open() for _ in range(9)]
        with pytest.raises(ImpostorError, match=GREEDY):
            await running[1]
        with pytest.raises(ConnectionResetError):
            await opened[2].read(1)
        honest = await ends["a"]["c"].open()
        await honest.write(b"here")
        taken = [(await asyncio.to_thread(engine.accept))[0] for _ in range(3)]
        for one in taken:
            stack.enter_context(one)
        ready, _, _ = await asyncio.to_thread(select.select, taken, [], [])
        assert [one.recv(4) for one in ready] == [b"here"]
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await forwarder.stop()


def honest(folder: Path, acts: dict[str, str], **limits: int) -> Table:
    runs = EngineRuns(PlainSandbox(), folder / "engines", unconfined=True)
    engines = {party: ToyEngine(runs, folder, act) for party, act in acts.items()}
    job = job_of(tuple(acts), limits=EngineLimits(**{"scratch": 1 << 20, **limits}))
    return Table(engines, folder, job, numbers(folder, dict.fromkeys(acts, 1)))


async def test_a_process_that_is_done_is_still_measured(folder: Path) -> None:
    grows = (
        "import threading; given = job.output; "
        "grow = lambda: globals().update(held=b'x' * (300 << 20)); "
        "job.output = lambda *x: (given(*x), threading.Timer(2, grow).start())"
    )
    go = folder / "go"
    waits = (
        f"import os; wait = lambda: os.path.exists({str(go)!r}) or time.sleep(0.5) or wait(); "
        "given = job.output; job.output = lambda *x: (wait(), given(*x))"
    )
    made = honest(folder, {"a": grows, "b": waits}, memory=150 << 20)
    running, other = made.start("a"), made.start("b")
    with pytest.raises(SecureFlowError) as caught:
        await running
    assert (caught.value.code, caught.value.details["party"]) == ("engine_out_of_memory", "a")
    go.touch()
    await asyncio.gather(other, return_exceptions=True)
    assert list((folder / "outputs-a").iterdir()) == []


async def test_a_peer_that_never_ends_is_named_when_the_time_is_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, real = honest(folder, {"a": "pass", "b": "pass"}, memory=0), asyncio.timeout
    whole: dict[float, asyncio.Timeout] = {}

    def timeout(seconds: float) -> asyncio.Timeout:
        return whole.setdefault(seconds, real(seconds)) if seconds == 4321 else real(seconds)

    monkeypatch.setattr(asyncio, "timeout", timeout)
    say = made.channels["b"]["a"].send

    async def never_done(message: bytes) -> None:
        if b"done" not in message:
            await say(message)

    monkeypatch.setattr(made.channels["b"]["a"], "send", never_done)
    loop = asyncio.get_running_loop()

    def told(phase: str, share: float) -> None:
        if (phase, share) == ("outputs", 1.0):
            whole[4321].reschedule(loop.time())

    job = made.of("a", deadlines=EngineDeadlines(120, 120, 4321))
    running, other = made.engines["a"].run(job, told), made.start("b")
    with pytest.raises(SecureFlowError, match="not done") as caught:
        await running
    assert (caught.value.code, caught.value.details["party"]) == ("peer_broken", "b")
    assert chinese(caught.value.message)
    await asyncio.gather(other, return_exceptions=True)


def _await_end(status: Path) -> None:
    """Wait for the end of a process; the test's own deadline is that of this."""
    with contextlib.suppress(OSError):
        while status.read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.05)


async def test_unconfined_what_a_process_started_ends_with_it(folder: Path) -> None:
    told = folder / "child"
    act = (
        "import subprocess, sys, pathlib; "
        "one = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)']); "
        f"pathlib.Path({str(told)!r}).write_text(str(one.pid))"
    )
    found = await honest(folder, {"a": act, "b": "pass"}, memory=0).run()
    assert not isinstance(found["a"], BaseException), found["a"]
    await asyncio.to_thread(_await_end, Path("/proc", told.read_text(), "stat"))


async def test_a_process_may_open_few_sockets(folder: Path) -> None:
    act = "import resource; assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 300"
    found = await honest(folder, {"a": act, "b": "pass"}, memory=0).run()
    assert not isinstance(found["a"], BaseException), found["a"]


async def test_unconfined_a_deep_folder_is_wiped(folder: Path) -> None:
    act = (
        "import os; before = os.getcwd(); os.chdir(job.folder); "
        "[(os.mkdir('d'), os.chdir('d')) for _ in range(3000)]; os.mkdir('x', 0); "
        "os.chdir(before)"
    )
    found = await honest(folder, {"a": act, "b": "pass"}, memory=0).run()
    assert not isinstance(found["a"], BaseException), found["a"]
    assert [one.name for one in (folder / "engines").iterdir()] == ["logs"]


async def test_a_file_that_is_there_already_is_not_replaced(folder: Path) -> None:
    made = table(folder, OUTPUT.format(name="sum.txt", size=1, sent=1))
    outputs = folder / "outputs-a"
    outputs.mkdir()
    (outputs / "sum.txt").write_text("other")
    found = await made.run()
    assert isinstance(found["a"], SecureFlowError)
    assert "there already" in found["a"].message
    assert (outputs / "sum.txt").read_text() == "other"
