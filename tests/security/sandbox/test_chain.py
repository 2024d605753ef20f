"""Without a cgroup that freezes, a chain of short-lived processes or threads is kept still, too.

Each counts one more, starts the next by `clone` and ends, in less time than it takes to be looked
at: whoever looks for what runs alone finds none of them.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import platform
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from peers.sandboxes import demand_sandbox

from secureflow.adapters.sandbox import BubblewrapSandbox
from secureflow.adapters.sandbox.cgroups import Cgroup
from secureflow.application.ports.sandbox import Launch, Limits, View

COUNTS = """
import ctypes, mmap, os, time
print(1, flush=True)
count = mmap.mmap(os.open(OUT, os.O_RDWR), 8)
place = ctypes.addressof(ctypes.c_char.from_buffer(count))
step = (
    bytes.fromhex("48bb") + place.to_bytes(8, "little")  # rbx: the count
    + bytes.fromhex("48ff03")                            # one more
    + bytes.fromhex("b838000000bf") + (FLAGS).to_bytes(4, "little")  # clone(FLAGS, the same stack)
    + bytes.fromhex("31f631d24d31d24d31c00f05")
    + bytes.fromhex("85c078e674e1")                      # again; in the child: from "one more"
    + bytes.fromhex("b83c00000031ff0f05")                # exit(0), of a thread alone
)
code = mmap.mmap(-1, 4096, prot=7)
code.write(step)
if FLAGS & CLONE_THREAD or os.fork() == 0:
    ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
time.sleep(3600)
"""
CLONE_THREAD = 0x10000
FLAGS = {
    "processes": 0x111,  # CLONE_VM | SIGCHLD
    "threads": 0xF00 | CLONE_THREAD,  # CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND
}
"""The first thread has ended, where threads are the chain."""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the chain is x86-64's own code")
@pytest.mark.parametrize("what", FLAGS)
async def test_a_chain_stands_still(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demand_sandbox("root" if os.geteuid() == 0 else "ordinary")
    monkeypatch.setattr(Cgroup, "switch", lambda group, pid: None)
    sandbox = BubblewrapSandbox(cgroups=what == "processes")
    counted = tmp_path / "counted"
    if what == "processes" and "pids" not in sandbox.counted:
        pytest.skip("nothing counts processes here: none may be started")
    counted.write_bytes(bytes(8))
    views = (View(counted, Path("/out/counted")),)
    launch = Launch((sys.executable,), outputs=views, limits=Limits(memory=1 << 29, processes=64))
    program = COUNTS.replace("OUT", repr(str(sandbox.inside(launch, counted))))
    program = program.replace("FLAGS", str(FLAGS[what])).replace("CLONE_THREAD", str(CLONE_THREAD))
    command = (sys.executable, "-I", "-S", "-c", program)
    process = await sandbox.start(replace(launch, command=command))
    with counted.open("rb") as file, mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ) as seen:
        try:
            await process.reader.readline()
            for _ in range(10):
                before = seen[:]
                async with asyncio.timeout(60):
                    while seen[:] == before:  # noqa: ASYNC110 - nobody tells
                        await asyncio.sleep(0.01)
                await process.freeze()
                stood = seen[:]
                await asyncio.sleep(0.2)
                assert seen[:] == stood
                await process.thaw()
        finally:
            await process.kill()
