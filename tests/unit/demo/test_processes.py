"""Children of a local platform: they start beside gRPC's threads, and end with who started them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import pytest

from secureflow.demo import processes
from secureflow.demo.platform import free_ports
from secureflow.demo.processes import Process
from tests.peers.running import runs

READY = "import sys, pathlib; pathlib.Path(sys.argv[1], 'ready.json').write_text('{}')"
MEMBER = """
import json, os, pathlib, sys, time
member = os.fork()
if member:
    ready = pathlib.Path(sys.argv[1], 'ready.json')
    ready.with_suffix('.part').write_text(json.dumps({'member': member}))
    ready.with_suffix('.part').rename(ready)
time.sleep(600)
"""
STARTER = """
import sys, time
from pathlib import Path
from secureflow.demo.platform import free_ports
from secureflow.demo.processes import Process

from tests.peers.running import runs
here = Path(sys.argv[1])
child = Process("child", ("-c", "import time; time.sleep(600)"), here, here / "log")
child.start()
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.full
async def test_children_start_where_grpc_is_at_work(tmp_path: Path) -> None:
    """Its fork handlers, run between fork and exec, would kill one child in six."""
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        busy = [asyncio.create_task(_calls(channel)) for _ in range(3)]
        try:
            for first in range(0, 40, 8):  # side by side, as a platform's are
                places = [tmp_path / str(number) for number in range(first, first + 8)]
                await asyncio.gather(*(asyncio.to_thread(_start_one, one) for one in places))
        finally:
            for one in busy:
                one.cancel()
            await asyncio.gather(*busy, return_exceptions=True)
            await server.stop(None)


async def _calls(channel: grpc.aio.Channel) -> None:
    call = channel.unary_unary("/none/none")
    while True:
        with contextlib.suppress(grpc.RpcError):
            await call(b"")
        await asyncio.sleep(0.002)  # as many children die without the guard, in a third of the time


def _start_one(directory: Path) -> None:
    directory.mkdir()
    child = Process(
        "child", ("-I", "-S", "-c", READY, str(directory)), directory, directory / "log"
    )
    child.start()
    assert child.wait(120) == 0
    assert child.tail() == ""
    assert json.loads((directory / "ready.json").read_text()) == {}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs PR_SET_PDEATHSIG")
def test_a_child_ends_with_who_started_it(tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdin is not None
    assert starter.stdout is not None
    child = int(starter.stdout.readline())
    os.kill(child, 0)
    starter.kill()
    starter.wait()
    starter.stdin.close()
    starter.stdout.close()
    deadline = time.monotonic() + 30
    while runs(child):
        assert time.monotonic() < deadline, "the child was left behind"
        time.sleep(0.02)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_kill_waits_for_what_the_child_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel ends the processes of a group one after another, on a busy machine much later."""
    words = ("-I", "-S", "-c", MEMBER, str(tmp_path))
    child = Process("child", words, tmp_path, tmp_path / "log")
    child.start()
    member = int(child.ready()["member"])
    later = threading.Timer(0.2, os.kill, (member, signal.SIGKILL))

    def one_after_another(pid: int, how: signal.Signals) -> None:
        os.kill(pid, how)
        later.start()

    monkeypatch.setattr(processes, "kill_group", one_after_another)
    child.kill()
    assert not runs(member)
    later.join()


def test_ports_are_none_that_others_get_by_chance() -> None:
    """A server that is killed and started again finds its own still free."""
    drawn = free_ports(3)
    assert len(set(drawn)) == 3
    given = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert not any(int(given[0]) <= port <= int(given[1]) for port in drawn), (drawn, given)
