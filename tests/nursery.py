"""Processes of a platform, forked from one that has imported everything: a start costs nothing.

    Platform(..., child=Born)

A platform's processes import for seconds what they all have in common, and each job's workers do
so again. Here they are forked: of the nursery, one process for each of pytest's, which has loaded
the product and nothing else. What runs is the same code in a process, session and environment of
its own; workers are forked by a nurse beside their agent, which ends with it. That the processes
start from nothing too is tested where they are started by people's commands (`secureflow demo`,
the page of the deployment, the server's process) and under a clock of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, NoReturn

from secureflow.demo.processes import Process

ROOT = Path(__file__).parents[1]
LOADED = (
    "secureflow.adapters.accounting.process",
    "secureflow.adapters.datasources.csv_file",
    "secureflow.adapters.datasources.parquet_file",
    "secureflow.adapters.frameworks",
    "secureflow.adapters.statistics.opendp",
    "secureflow.agent.compute.statistics_rows",
    "secureflow.agent.edge.main",
    "secureflow.agent.compute.worker",
    "secureflow.application.reports.page",
    "secureflow.cli.main",
    "secureflow.enclave.main",
    "secureflow.engines.training.federated",
    "secureflow.server.main",
    *("aiosqlite", "anyio._backends._asyncio", "dp_accounting.pld", "h11", "psycopg"),
    *("pyarrow.dataset", "uvicorn.protocols.http.auto"),
)
WORKERS = {
    "secureflow.agent.compute.worker",
    "secureflow.adapters.accounting.process",
    "tests.kinds.worker",
}
"""What a nurse forks in place of `python -I -m MODULE`."""
START_ENCLAVE = ["secureflow", "enclave", "start"]
"""Its command replaces the process by one that measures and guards itself (`enclave/__main__.py`),
which takes seconds and has its own tests. What is forked from here has loaded more than any enclave
may: it runs the same code without the guard, and shows the same measurement."""
ADOPT_THEMSELVES = {"tests.survival.entry", "tests.peers.enter_disk", "tests.peers.spu_agent"}
"""What forks or becomes another process, which has its own nurse."""
ALONE = "SECUREFLOW_TEST_ALONE"
"""Set in its environment, a process starts its workers from nothing, as it does for people."""
NURSE = "nurse"
MESSAGE = 1 << 17
_PARENT = "SECUREFLOW_WORKER_PARENT"
_PR_SET_PDEATHSIG = 1


_from_nothing = Process._spawn


class Born(Process):
    """A platform's process that is forked, where nothing must be loaded before Python itself."""

    def _spawn(self, output: BinaryIO, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        if self.stays or self.command[1] != "-m" or environment.get("LD_PRELOAD"):
            return _from_nothing(self, output, environment)
        words = self.command[2:]
        return Child(words, environment, output, output)  # type: ignore[return-value]


class Child:
    """What is asked of a `Popen`, of a child of the nursery: `python -m WORDS…`."""

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        output: IO[Any],
        errors: IO[Any],
    ) -> None:
        self._code: int | None = None
        asked = {"words": list(words), "environment": dict(environment)}
        self.pid = _nursery.ask(asked, [output.fileno(), errors.fileno()])
        self._ended = os.pidfd_open(self.pid)
        self._told = threading.Lock()

    def poll(self) -> int | None:
        """Return its exit code, None while it runs."""
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return code

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _look(self, timeout: float | None) -> int | None:
        end = select.poll()
        end.register(self._ended, select.POLLIN)
        if self._code is None and end.poll(None if timeout is None else timeout * 1000):
            with self._told:
                if self._code is None:
                    self._code = _nursery.ask({"ended": self.pid})
        return self._code

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            os.close(self._ended)


def run(
    *words: str, timeout: float, environment: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    """Run `python -m WORDS…` to its end, and return what it said."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = Child(words, environment, output, errors)
        try:
            code = child.wait(timeout)
        finally:
            child.kill()
        said = []
        for file in (output, errors):
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess(words, code, *said)


class _Nursery:
    """This process's hold on its nursery: it starts when it is first asked."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.line: socket.socket | None = None
        self._lock = threading.Lock()

    def ask(self, question: dict[str, Any], handles: Sequence[int] = ()) -> int:
        """Return its answer, a number."""
        with self._lock:
            line = self.line or self._started()
            socket.send_fds(line, [json.dumps(question).encode()], handles)
            return int(line.recv(MESSAGE))

    def end(self) -> None:
        """End it, and with it whatever it still has."""
        if self.process is not None and self.line is not None:
            self.line.close()
            self.process.wait()
        self.process = self.line = None

    def _started(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")},
        }
        with theirs:
            handle = theirs.fileno()
            command = [sys.executable, "-m", "tests.nursery", str(handle)]
            self.process = subprocess.Popen(
                command, env=environment, cwd=ROOT, pass_fds=[handle], stdin=subprocess.DEVNULL
            )
        self.line = ours
        return ours


_nursery = _Nursery()
end = _nursery.end


def pid() -> int:
    """Return the nursery's process id, 0 where there is none."""
    return _nursery.process.pid if _nursery.process else 0


def working(agent: int) -> list[int]:
    """Return the processes that an agent has begun, through its nurse or without."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{agent}/task").glob("*/children"):
            for child in map(int, task.read_text().split()):
                nurse = Path(f"/proc/{child}/comm").read_text().strip() == NURSE
                found += working(child) if nurse else [child]
    return found


# The nursery's side.


def main(handle: int) -> None:
    """Load everything, and serve."""
    for name in LOADED:
        importlib.import_module(name)
    sys.modules["secureflow.server.rest.app"].described_app()
    sys.modules["secureflow.kit.measurement"].code_measurement()  # one code runs in all of them
    for kind in sys.modules["secureflow.domain.specs.kinds"].SPEC_KINDS.values():
        for described in (kind.spec, kind.request):
            sys.modules["secureflow.domain.specs.base"].adapter(described)
    importlib.import_module("pyarrow").array([0.0])  # it imports pandas, where that is installed
    gc.collect()
    gc.freeze()
    _serve(socket.socket(fileno=handle))


def _serve(line: socket.socket) -> None:
    """Fork whatever is asked for until the line ends."""
    while True:
        message, handles, _, _ = socket.recv_fds(line, MESSAGE, 2)
        if not message:
            return
        question = json.loads(message)
        if "ended" in question:
            _, status = os.waitpid(question["ended"], 0)
            answer = os.waitstatus_to_exitcode(status)
        elif (answer := os.fork()) == 0:
            line.close()
            _be(question["words"], question["environment"], handles)
        for one in handles:
            os.close(one)
        line.send(str(answer).encode())


def _be(words: list[str], environment: dict[str, str], said: list[int]) -> NoReturn:
    """Be `python -m WORDS…` in a session of its own, and end with the nursery."""
    os.setsid()
    die_with_parent(signal.SIGTERM)
    for number, handle in enumerate(said, 1):
        os.dup2(handle, number)
        os.close(handle)
    os.environ.clear()
    os.environ.update(environment)
    become(words)


def become(words: Sequence[str]) -> NoReturn:
    """Be a module with its arguments, in this process."""
    if list(words[:2]) == ["secureflow", "demo"]:
        _branch()
    elif words[0] not in ADOPT_THEMSELVES:
        adopt()
    sys.argv = list(words)
    if list(words[:3]) == START_ENCLAVE:
        _end(lambda: sys.exit(enclave_main().run(Path(words[-1]))))
    _end(lambda: runpy.run_module(words[0], run_name="__main__", alter_sys=True))


def enclave_main() -> Any:
    """Return the enclave's main module, which the nursery has loaded."""
    return importlib.import_module("secureflow.enclave.main")


def _branch() -> None:
    """Have a nursery of this process's own, that ends with it, and have its platform forked."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        die_with_parent(signal.SIGKILL)
        _end(lambda: _serve(theirs))
    theirs.close()
    _nursery.line = ours
    Process._spawn = Born._spawn  # type: ignore[method-assign]


def forked() -> bool:
    """Tell whether this process comes from the nursery."""
    return "secureflow.adapters.frameworks" in sys.modules


def _end(run: Any) -> NoReturn:
    """Run it, and end as the interpreter does, without going back to where this was forked."""
    code: object = 1
    try:
        run()
        code = 0
    except SystemExit as ended:
        code = ended.code
    except Exception:  # noqa: BLE001 - process edge: said as the interpreter would
        traceback.print_exc()
    finally:
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def die_with_parent(how: signal.Signals) -> None:
    """Ask the system to end this process with the one that forked it."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, how)
    if os.getppid() != parent:
        os._exit(1)


# Workers.


def adopt() -> None:
    """Have this process's workers forked by a nurse; nothing, where they are not loaded."""
    if os.environ.get(ALONE) or not forked():
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        die_with_parent(signal.SIGKILL)
        _end(lambda: _nurse(theirs))
    theirs.close()
    start = asyncio.create_subprocess_exec
    # A worker in a sandbox loads everything again: tests of it start it from nothing (`ALONE`).
    plain = importlib.import_module("secureflow.adapters.sandbox")
    edge = importlib.import_module("secureflow.agent.edge.computing")

    async def forked_worker(mode: str) -> Any:
        return plain.Choice(plain.PlainSandbox())

    edge.choose_sandbox = forked_worker  # type: ignore[attr-defined]

    async def fork(*command: str, **options: Any) -> Any:
        if len(command) != 4 or command[3] not in WORKERS:
            return await start(*command, **options)
        given = options.get("stdin")
        if isinstance(given, int) and given >= 0:  # a worker's channel
            asked = {"module": command[3], "environment": options["env"]}
            socket.send_fds(ours, [json.dumps(asked).encode()], [given])
            return _Forked(int(ours.recv(MESSAGE)))
        ends = socket.socketpair()
        with ends[1]:
            asked = {"module": command[3], "environment": options["env"]}
            socket.send_fds(ours, [json.dumps(asked).encode()], [ends[1].fileno()])
        process = int(ours.recv(MESSAGE))
        reader, writer = await asyncio.open_unix_connection(sock=ends[0], limit=options["limit"])
        return _Worker(process, reader, writer)

    asyncio.create_subprocess_exec = fork  # type: ignore[assignment]


class _Forked:
    """What is asked of `asyncio.subprocess.Process`, of a nurse's child whose ends others hold."""

    def __init__(self, process: int) -> None:
        self.pid = process
        self.returncode: int | None = None
        try:
            self._ended = os.pidfd_open(process)
        except ProcessLookupError:  # a nurse waits for nobody
            self.returncode = 0

    def kill(self) -> None:
        """End it."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._ended, signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for its end."""
        if self.returncode is None:
            ended = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.add_reader(self._ended, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(self._ended)
            if self.returncode is None:
                os.close(self._ended)
            self.returncode = 0
        return self.returncode


class _Worker:
    """What is asked of `asyncio.subprocess.Process`, of a nurse's child."""

    def __init__(self, process: int, out: asyncio.StreamReader, into: asyncio.StreamWriter) -> None:
        self.pid = process
        self.stdout, self.stdin = out, _Into(into)

    def kill(self) -> None:
        """End it."""
        if not self.stdout.at_eof():
            os.kill(self.pid, signal.SIGKILL)

    async def wait(self) -> None:
        """Wait until nobody holds the other end."""
        with contextlib.suppress(OSError):
            while await self.stdout.read(1 << 16):
                pass
        self.stdin.writer.close()


class _Into:
    """The way in: closed, it leaves the way out open, as a pipe does."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.write, self.drain = writer.write, writer.drain

    def close(self) -> None:
        """Say that there is no more."""
        with contextlib.suppress(OSError):
            self.writer.write_eof()


def _nurse(line: socket.socket) -> None:
    """Fork a worker for each message, with the stream that comes with it; its name shows it."""
    Path("/proc/self/comm").write_text(NURSE)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody has to wait for them
    while True:
        message, handles, _, _ = socket.recv_fds(line, MESSAGE, 1)
        if not message:
            return
        question, me = json.loads(message), os.getpid()
        if (child := os.fork()) == 0:
            line.close()
            Path("/proc/self/comm").write_text("worker")
            for number in (0, 1):
                os.dup2(handles[0], number)
            os.close(handles[0])
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            die_with_parent(signal.SIGKILL)
            os.environ.clear()
            os.environ.update(question["environment"])
            if _PARENT in os.environ:
                os.environ[_PARENT] = str(me)
            importlib.import_module(question["module"]).main()
            _end(lambda: None)
        os.close(handles[0])
        line.send(str(child).encode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
