"""The process that runs an engine, under the interpreter of the engine's own environment.

    PYTHON -I -B host.py PROGRAM.py

One file without imports of SecureFlow, and nothing but the standard library. Its standard input and
output are a Unix stream socket to the agent; what the engine prints goes to stderr.

    agent → host   {"number", "parties", "program", "protocol", "parameters", "inputs", "kept",
                    "receives", "folder", "code", "entry", "spares"}                  one line, once
    host → agent   {"say": "door", "port"}, of a peer with descriptors         one per party
                   {"say": "progress", "phase", "share"}
                   {"say": "output", "name", "bytes"} and so many raw bytes
                   {"say": "keep", "name", "bytes"} and so many raw bytes
                   {"say": "done", "figures"}      or      {"say": "failed", "word"}

**Doors.** An engine speaks TCP to addresses. Before any of its code is loaded this process opens
one listening socket per peer on 127.0.0.1, and some that are not connected yet, passes them to the
agent (SCM_RIGHTS) and closes its own. So the agent accepts what the engine sends to a peer, and
connects to the engine's own port for what a peer sends: nothing here forwards, and a peer's bytes
meet no code but the engine's. The sockets belong to this process's network, in which nothing else
is. No further one is passed later: whoever shares a socket with the agent could make it block.

`PROGRAM.py` has a function `run(job)` that computes and returns figures; `Job` is what it gets.
A word says why it failed (`Failed`): its caller knows the words, and a trace goes to the log, which
only the owner reads. Nothing here protects anybody (`process.py` trusts no byte of it).
"""

from __future__ import annotations

import array
import contextlib
import errno
import importlib.util
import json
import os
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

LINE_BYTES = 1 << 20
BLOCK = 1 << 20
LOCAL = "127.0.0.1"
RETRY = 0.02
"""Seconds until sockets are passed again that could not be."""
WORDS = ("raised", "memory", "files", "import")
"""Why any engine may fail: it raised, needs more memory, writes more than it may, or its package
cannot be imported."""


class Failed(Exception):  # noqa: N818 - a word for the other side, not an error of its own
    """The run ends with a word that the program's caller knows."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class Channel:
    """The socket to the agent; one message at a time."""

    def __init__(self, channel: socket.socket) -> None:
        self._socket = channel
        self._lock = threading.Lock()

    def line(self) -> dict[str, Any]:
        """Return the one line that the agent sends."""
        found = bytearray()
        while not found.endswith(b"\n"):
            data = self._socket.recv(BLOCK)
            if not data or len(found) > LINE_BYTES:
                sys.exit(3)
            found += data
        told: dict[str, Any] = json.loads(found)
        return told

    def say(self, message: dict[str, Any], sockets: tuple[socket.socket, ...] = ()) -> None:
        """Send a message, with sockets where it has some."""
        with self._lock:
            self._say(message, sockets)

    def _say(self, message: dict[str, Any], sockets: tuple[socket.socket, ...]) -> None:
        data = json.dumps(message, allow_nan=False).encode() + b"\n"
        handles = array.array("i", [one.fileno() for one in sockets])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handles)] if sockets else []
        self._socket.sendall(data[self._passed(data, rights) :])

    def _passed(self, data: bytes, rights: list[Any]) -> int:
        """Send what comes with sockets; return how many bytes went along.

        Of all processes of a user only so many may be under way as one of them may have open
        (unix(7), ETOOMANYREFS): where many engines start at once, one waits for another's agent.
        """
        while True:
            try:
                return self._socket.sendmsg([data], rights)
            except OSError as error:
                if error.errno != errno.ETOOMANYREFS:
                    raise
            time.sleep(RETRY)

    def send(self, kind: str, name: str, path: Path) -> None:
        """Send a file."""
        with path.open("rb") as file:
            left = os.fstat(file.fileno()).st_size
            with self._lock:
                self._say({"say": kind, "name": name, "bytes": left}, ())
                while left:
                    data = file.read(min(left, BLOCK))
                    if not data:  # it was cut meanwhile: the agent waits for the rest in vain
                        raise Failed("raised")
                    self._socket.sendall(data)
                    left -= len(data)

    def until_closed(self) -> None:
        """Wait until the agent has taken everything, and ends this process."""
        with contextlib.suppress(OSError):
            while self._socket.recv(BLOCK):
                pass


class Job:
    """What a program computes, with whom, from what.

    Attributes:
        number: this party's, from 0.
        parties: how many there are.
        addresses: `host:port` of each party in order; this party's is where the engine listens.
        program, protocol, parameters: as all parties agreed.
        inputs: name → path of a file that may only be read.
        kept: name → path of a file that an earlier attempt of the job kept (`keep`).
        receives: whether this party gets outputs.
        folder: an empty one to work in, wiped afterwards.
        code: folder of a program of others, or None; `entry` is its file that runs.
    """

    def __init__(self, channel: Channel, told: dict[str, Any], ports: list[int]) -> None:
        self.number: int = told["number"]
        self.parties: int = told["parties"]
        self.addresses = [f"{LOCAL}:{port}" for port in ports]
        self.program: str = told["program"]
        self.protocol: str = told["protocol"]
        self.parameters: dict[str, Any] = told["parameters"]
        self.inputs = {name: Path(path) for name, path in told["inputs"].items()}
        self.kept = {name: Path(path) for name, path in told["kept"].items()}
        self.receives: bool = told["receives"]
        self.folder = Path(told["folder"])
        self.code = None if told["code"] is None else Path(told["code"])
        self.entry: str = told["entry"]
        self.outputs: dict[str, Path] = {}
        self._channel = channel

    @property
    def port(self) -> int:
        """Where the engine listens."""
        return int(self.addresses[self.number].rpartition(":")[2])

    def progress(self, phase: str, share: float) -> None:
        """Tell the agent how far a phase is, 0 to 1."""
        self._channel.say({"say": "progress", "phase": phase, "share": float(share)})

    def output(self, name: str, path: Path) -> None:
        """Name a file that this party receives; where it receives none the file is left alone."""
        if self.receives:
            self.outputs[name] = path

    def keep(self, name: str, path: Path) -> None:
        """Have a file kept for the job's next attempt, at once; its name must be a new one."""
        self._channel.send("keep", name, path)

    @staticmethod
    def failed(word: str) -> Failed:
        """Return the exception that ends the run with one of the words that the caller knows."""
        return Failed(word)


def doors(channel: Channel, told: dict[str, Any]) -> list[int]:
    """Pass sockets of this network to the agent; return the port of each party."""
    ports: list[int] = []
    for party in range(told["parties"]):
        with contextlib.ExitStack() as stack:
            listening = stack.enter_context(socket.create_server((LOCAL, 0), backlog=128))
            ports.append(listening.getsockname()[1])
            passed: list[socket.socket] = []
            if party != told["number"]:  # there the engine listens itself
                passed.append(listening)
                passed += [stack.enter_context(socket.socket()) for _ in range(told["spares"])]
            else:  # before the agent hears of it: what it connects here would be reset
                listening.close()
            channel.say({"say": "door", "port": ports[-1]}, tuple(passed))
    return ports


def main() -> int:
    """Run one program for one job."""
    channel = Channel(socket.socket(fileno=os.dup(0)))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # what an engine prints must not come between the messages
    told = channel.line()
    job = Job(channel, told, doors(channel, told))
    job.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chdir(job.folder)
    word = "raised"
    try:
        figures = _loaded(sys.argv[1]).run(job)
        for name, path in job.outputs.items():
            channel.send("output", name, path)
        channel.say({"say": "done", "figures": figures or {}})
    except Failed as error:
        traceback.print_exc()
        word = error.word
    except MemoryError:
        word = "memory"
    except OSError as error:
        traceback.print_exc()
        word = "files" if error.errno in {errno.EFBIG, errno.ENOSPC} else "raised"
    except ImportError:
        traceback.print_exc()
        word = "import"
    except BaseException:  # noqa: BLE001 - an engine's own exit too: the other side is told
        traceback.print_exc()
    else:
        word = ""
    sys.stderr.flush()
    if word:
        with contextlib.suppress(OSError):
            channel.say({"say": "failed", "word": word})
    channel.until_closed()
    return 1 if word else 0


def _loaded(path: str) -> Any:
    made = importlib.util.spec_from_file_location("secureflow_program", path)
    if made is None or made.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(made)
    sys.modules[made.name] = module
    made.loader.exec_module(module)
    return module


if __name__ == "__main__":
    code = main()
    os._exit(code)  # threads of an engine that does not end would keep the process
