"""Parties of an engine's program as plain processes on this machine, joined through forwarders.

Each party has a local port for every peer (`Forwarder`), as an agent gives it one: the bytes that
pass there are counted, and can be cut. `run` is what an engine takes bare: no agent, no sandbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

HOST: Final = Path(__file__).parent / "plainhost.py"
LOCAL: Final = "127.0.0.1"
_BLOCK: Final = 1 << 18
_LINE: Final = 1 << 20
PATIENCE: Final = 120.0
"""Seconds for what comes in any case, on a machine that is busy with other things."""
_RETRY: Final = 0.02


@dataclass(frozen=True)
class Run:
    """What all parties of a run have alike.

    Args:
        python: the interpreter of the engine's environment.
        entry: the file that runs.
        program: its name.
        protocol: one of the engine's.
        parameters: of the program.
        receivers: places of those who learn.
        job: the job's id.
        connect: seconds to connect.
        wait: seconds that a peer may take for a step.
        linger: seconds that the others have to notice that a party failed; then they are killed.
        stays: whether a party's process stays until all have ended: others do not hear that it
            failed by its end.
    """

    python: Path
    entry: Path
    program: str
    protocol: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    receivers: Sequence[int] = (0,)
    job: str = "job_bench"
    connect: float = PATIENCE
    wait: float = PATIENCE
    linger: float = PATIENCE
    stays: bool = False


@dataclass
class Ended:
    """How a party ended: its last line, and what it printed."""

    said: dict[str, Any]
    printed: str
    code: int
    phases: list[str]

    @property
    def outputs(self) -> dict[str, Path]:
        """Name → file."""
        return {name: Path(path) for name, path in self.said.get("outputs", {}).items()}


class Forwarder:
    """A local port that leads to another one, and counts what passes."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.carried = 0
        self.port = 0

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, LOCAL, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cut every connection and listen no more."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            far_reader, far_writer = await self._reached()
        except (TimeoutError, asyncio.CancelledError):
            writer.transport.abort()
            self._tasks.discard(task)
            return
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in (writer, far_writer):
                one.transport.abort()
            self._tasks.discard(task)

    async def _reached(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection to the port: an engine may not listen yet."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    return await asyncio.open_connection(LOCAL, self._target)
                except OSError:
                    await asyncio.sleep(_RETRY)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_BLOCK):
            self.carried += len(data)
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()


@dataclass
class Measured:
    """A whole run: the parties' ends, seconds, bytes through all forwarders, the largest peak."""

    ended: list[Ended]
    seconds: float
    bytes: int

    @property
    def peak(self) -> int:
        """Bytes of memory of the largest party."""
        return max(int(one.said.get("peak", 0)) for one in self.ended)


def run(
    what: Run, inputs: Sequence[Mapping[str, Path]], folder: Path, *, keeping: bool = False
) -> Measured:
    """Run all parties of a program and return how they ended.

    Args:
        what: what is run.
        inputs: of each party.
        folder: where each party gets a folder of its own.
        keeping: whether what a program keeps is there in the next run of the same folder.
    """
    return asyncio.run(Parties(what, inputs, folder, keeping=keeping).run())


class Parties:
    """The processes of one run."""

    def __init__(
        self,
        what: Run,
        inputs: Sequence[Mapping[str, Path]],
        folder: Path,
        *,
        keeping: bool = False,
    ) -> None:
        self._what, self._inputs, self._folder = what, inputs, folder
        self._keeping = keeping
        self._forwarders: dict[tuple[int, int], Forwarder] = {}
        self._printed: list[asyncio.Future[bytes]] = []
        self.processes: list[asyncio.subprocess.Process] = []
        self.told = asyncio.Event()
        """Set with each line that any party says; who waits for a phase clears it."""
        self.phases: list[list[str]] = [[] for _ in inputs]

    async def run(self) -> Measured:
        """Run them all to their ends."""
        count = len(self._inputs)
        ports = [_free_port() for _ in range(count)]
        for one in range(count):
            for other in range(count):
                if one != other:
                    forwarder = Forwarder(ports[other])
                    await forwarder.start()
                    self._forwarders[one, other] = forwarder
        began = time.perf_counter()
        try:
            for number in range(count):
                self.processes.append(await self._start(number, ports))
            ended = await self._all(count)
            took = time.perf_counter() - began
        finally:
            for process in self.processes:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            for forwarder in self._forwarders.values():
                await forwarder.stop()
        carried = sum(one.carried for one in self._forwarders.values())
        return Measured(list(ended), took, carried)

    async def _all(self, count: int) -> list[Ended]:
        """Return how all ended; when one fails the others have `linger` seconds to notice."""
        following = [asyncio.ensure_future(self._follow(number)) for number in range(count)]
        left = set(following)
        while left:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            if any("done" not in one.result() for one in done):
                await asyncio.wait(left, timeout=self._what.linger) if left else None
                break
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
        return [await self._ended(number, one) for number, one in enumerate(following)]

    async def _ended(self, number: int, following: asyncio.Future[dict[str, Any]]) -> Ended:
        """Return how a party ended; one that goes on is killed."""
        process = self.processes[number]
        if not following.done():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        said = await following
        printed = await self._printed[number]
        return Ended(
            said, printed.decode("utf-8", "replace"), await process.wait(), self.phases[number]
        )

    async def _start(self, number: int, ports: Sequence[int]) -> asyncio.subprocess.Process:
        what, own = self._what, self._folder / f"party{number}"
        work, keeping = own / "work", own / "kept"
        for one in (work, keeping):
            one.mkdir(parents=True, exist_ok=True)
        addresses = [
            f"{LOCAL}:{ports[number] if other == number else self._forwarders[number, other].port}"
            for other in range(len(ports))
        ]
        settings = {"receivers": list(what.receivers), "job": what.job, "attempt": 1}
        told = {
            "number": number,
            "parties": len(ports),
            "addresses": addresses,
            "program": what.program,
            "protocol": what.protocol,
            "parameters": {**what.parameters, "secureflow": settings},
            "inputs": {name: str(path) for name, path in self._inputs[number].items()},
            "receives": number in what.receivers,
            "folder": str(work),
            "keeping": str(keeping) if self._keeping else "",
            "stays": what.stays,
        }
        process = await asyncio.create_subprocess_exec(
            *(str(what.python), "-I", "-B", str(HOST), str(what.entry)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE,
            env={
                "PATH": "/usr/bin:/bin",
                "LANG": "C.UTF-8",
                "SECUREFLOW_CONNECT": str(what.connect),
                "SECUREFLOW_WAIT": str(what.wait),
                **{name: one for name, one in os.environ.items() if name == "SECUREFLOW_TESTED_BY"},
            },
        )
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(json.dumps(told).encode() + b"\n")
        self._printed.append(asyncio.ensure_future(process.stderr.read()))
        return process

    async def _follow(self, number: int) -> dict[str, Any]:
        """Return the last line of a party, when there are no more."""
        process = self.processes[number]
        assert process.stdout is not None
        last: dict[str, Any] = {}
        while line := await process.stdout.readline():
            last = json.loads(line)
            if "phase" in last:
                self.phases[number].append(last["phase"])
            self.told.set()
        return last


def _free_port() -> int:
    """Return a port that nobody listens on, and that the system gives to no connection."""
    least = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(1024, least)
        with contextlib.suppress(OSError), socket.create_server((LOCAL, port)):
            return port
