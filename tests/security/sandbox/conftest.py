"""The world around a sandbox that attacks want to reach, and one start for many of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from peers.sandboxes import (
    IDENTITIES,
    as_identity,
    demand_sandbox,
    folder_of,
    free_uid,
    interpreter,
)

from secureflow.adapters.sandbox import BubblewrapSandbox
from secureflow.application.ports.sandbox import Launch, Limits, SandboxProcess, View

SOURCE = Path(__file__).with_name("attacks.py").read_text()
SECRET = "SECRET-OF-THE-AGENT"
LIMITS = Limits(memory=192 << 20, processes=48, file_size=1 << 20, scratch=4 << 20, open_files=256)


@dataclass(frozen=True)
class World:
    """An agent's surroundings: its folder, another job's files, services of the host."""

    identity: str
    folder: Path
    tcp: int
    udp: int

    @property
    def python(self) -> str:
        return interpreter(self.identity)

    @property
    def key(self) -> Path:
        return self.folder / "agent" / "signing.key"

    @property
    def job(self) -> Path:
        return self.folder / "agent" / "models" / "job_mine"

    @property
    def other(self) -> Path:
        return self.folder / "agent" / "models" / "job_other" / "update"

    @property
    def dataset(self) -> Path:
        return self.folder / "data" / "rows.csv"

    @property
    def service(self) -> Path:
        """Of the host, which a dataset's folder may hold as well as files."""
        return self.folder / "data" / "service"

    def launch(self, **more: Any) -> Launch:
        """Return what a worker of the job would get."""
        given: dict[str, Any] = {
            "command": (self.python, "-I", "-S", "-c", SOURCE),
            "environment": {"LANG": "C.UTF-8"},
            "inputs": (
                View(self.dataset, Path("/inputs/rows.csv")),
                View(self.job, Path("/job")),
                View(self.service, Path("/inputs/service")),
            ),
            "outputs": (View(self.job / "update", Path("/job/update")),),
            "hidden": (self.folder / "agent",),
            "limits": LIMITS,
        }
        return Launch(**{**given, **more})

    def run(self, work: Callable[[], Any]) -> Any:
        """Run a coroutine as the identity."""
        return as_identity(self.identity, work)

    def attack(
        self,
        attacks: list[tuple[str, dict[str, Any]]],
        without: Collection[str] = (),
        *,
        cgroups: bool = True,
        **more: Any,
    ) -> list[Any]:
        """Start a sandbox, without these guards, and return what each attack saw."""

        async def work() -> list[Any]:
            sandbox = BubblewrapSandbox(without=without, cgroups=cgroups)
            process = await sandbox.start(self.launch(**more))
            try:
                return [await asked(process, *one) for one in attacks]
            finally:
                await process.kill()

        found: list[Any] = self.run(work)
        return found


async def asked(process: SandboxProcess, attack: str, arguments: dict[str, Any]) -> Any:
    """Have one attack tried; `ended` with the exit code where it ends the process."""
    process.writer.write(json.dumps([attack, arguments]).encode() + b"\n")
    line = await process.reader.readline()
    if not line:
        return {"ended": await process.wait(), "printed": process.printed.decode()[-300:]}
    return json.loads(line)


@pytest.fixture(scope="module", params=IDENTITIES)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Build it for an identity."""
    demand_sandbox(request.param)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(folder_of(request.param))
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        stack.enter_context(_answering(udp))
        made = World(request.param, folder, tcp.getsockname()[1], udp.getsockname()[1])
        for path in (made.key, made.other, made.dataset, made.job / "update", made.job / "model"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SECRET)
        agent = stack.enter_context(socket.socket(socket.AF_UNIX))
        agent.bind(str(folder / "agent" / "agent.sock"))
        agent.listen()
        service = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        service.bind(str(made.service))
        named = stack.enter_context(socket.socket(socket.AF_UNIX))
        named.bind(f"\0{folder.name}")
        named.listen()
        _own(folder, request.param)
        yield made


def _own(folder: Path, identity: str) -> None:
    for path in (folder, *folder.rglob("*")):
        if identity == "ordinary" and os.geteuid() == 0:
            os.chown(path, free_uid(), free_uid())
        path.chmod(0o700 if path.is_dir() else 0o600)


@contextlib.contextmanager
def _answering(service: socket.socket) -> Iterator[None]:
    """Answer datagrams until the end, which is an empty one."""

    def run() -> None:
        while True:
            asked, peer = service.recvfrom(512)
            if not asked:
                return
            service.sendto(asked, peer)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", service.getsockname())
        thread.join()


def running(work: Callable[[], Any]) -> Any:
    """Run a coroutine here."""
    return asyncio.run(work())
