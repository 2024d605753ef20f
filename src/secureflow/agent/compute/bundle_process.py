"""The caller's end of a bundle's process: it trusts nothing that the other end says.

What comes back has the names, shapes and dtypes that the caller fixed, or it is refused: exactly so
many bytes are read into memory of the caller's own, whatever lengths the answer claims. Every
number is finite. Each request has a limit of time, and between requests the process stands still:
it computes when it was asked and never else. One that answered wrongly, too late or not at all is
killed. Errors are constant words: a bundle could write rows into any other; its trace is in the
log, which only the owner reads.

How the process is started is the starter's business, a sandbox's or a plain one's. It gets one
stream socket as stdin and stdout and one pipe as stderr, and inherits nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secureflow.agent.compute.bundle_errors import PREDICTED, died, failure, refused
from secureflow.agent.compute.predicted_outputs import OutputsFile
from secureflow.agent.compute.tensor_layout import TensorLayout, foreign_layout
from secureflow.engines.bundles import host as bundle_host
from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.printedlog import KEPT, PrintedLog
from secureflow.kit.text import Text

HOST: Final = Path(bundle_host.__file__)
"""The one file that the environment's interpreter runs; it is passed into a sandbox."""
LINE_BYTES: Final = bundle_host.LINE_BYTES
MAX_SUM: Final = 1e15
"""Largest absolute value of a sum of `evaluate`."""
_BLOCK: Final = 1 << 16

Tensors = Mapping[str, NDArray[Any]]


class RunningHost(Protocol):
    """A started process."""

    @property
    def pid(self) -> int:
        """The operating system's process id."""

    async def freeze(self) -> None:
        """Keep it and everything that it started still; it may be dead already.

        Raises:
            OSError: something of it goes on.
        """

    async def thaw(self) -> None:
        """Let it go on."""

    async def kill(self) -> None:
        """Kill it with everything that it started, and reap it; it may be dead already."""


Starter = Callable[[Sequence[str], int, int], Awaitable[RunningHost]]
"""Starts a command with a socket (stdin and stdout) and a pipe (stderr), given as descriptors."""


@dataclass(frozen=True)
class BundleTask:
    """What a bundle's object is made of, and what it must return.

    Args:
        python: interpreter of the environment, as the process sees it.
        folder: the unpacked bundle, as the process sees it.
        entry: `module:Class`.
        settings: the submitter's, from the spec.
        seed: from the spec.
        tensors: of the model, in their order.
        sums: the names of what `evaluate` returns.
        predicts: whether it is asked to predict, and for nothing else.
        host: `host.py`, as the process sees it.
    """

    python: str
    folder: str
    entry: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    tensors: tuple[TensorLayout, ...] = ()
    sums: tuple[str, ...] = ()
    predicts: bool = False
    host: str = str(HOST)

    @property
    def command(self) -> tuple[str, ...]:
        """The command of the process."""
        return self.python, "-I", "-B", self.host


class BundleProcess:
    """One process with one object of a bundle's class, and one request at a time."""

    def __init__(
        self,
        task: BundleTask,
        log: Path,
        kept: int = KEPT,
        left: Callable[[asyncio.Task[None]], None] | None = None,
    ) -> None:
        self._task = task
        self._left = left
        self._log = PrintedLog(log, self._flooded, kept)
        self._running: RunningHost | None = None
        self._channel, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._channel.setblocking(False)
        self._rest = b""
        self._next = 0
        self._printed_too_much = False
        self._ending: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        starter: Starter,
        task: BundleTask,
        log: Path,
        *,
        limit: float,
        kept: int = KEPT,
        left: Callable[[asyncio.Task[None]], None] | None = None,
    ) -> BundleProcess:
        """Start a process and load the bundle.

        Args:
            starter: starts the command.
            task: the bundle's.
            log: file for what it prints; only the owner reads it.
            limit: seconds for the load.
            kept: bytes of the log that are kept.
            left: takes the end of a process that failed or was cancelled, and nobody waits for it;
                without it that is waited for.

        Raises:
            SecureFlowError: `bundle_unusable`, and those of `train`.
        """
        process = cls(task, log, kept, left)
        try:
            process._running = await starter(
                task.command, process._theirs.fileno(), process._log.inherited
            )
            process._theirs.close()
            process._log.give_away()
            layout = [[one.name, one.dtype, list(one.shape)] for one in task.tensors]
            made = {"folder": task.folder, "entry": task.entry, "seed": task.seed}
            arguments = {**made, "settings": dict(task.settings), "tensors": layout}
            arguments["predicts"] = task.predicts
            await process._request("load", arguments, limit)
        except BaseException:  # cancellation too: nobody else knows the process
            await process._given_up()
            raise
        return process

    async def prepare(
        self, training: Mapping[str, str], validation: Mapping[str, str], *, limit: float
    ) -> None:
        """Hand over the rows: names → `.npy` files, as the process sees them.

        Raises:
            SecureFlowError: as `train`.
        """
        parts = {"training": dict(training), "validation": dict(validation)}
        await self._request("prepare", parts, limit)

    async def prepare_rows(self, path: str, *, limit: float) -> None:
        """Hand over the rows as one file (`adapters.frameworks.rows`), as the process sees it.

        Raises:
            SecureFlowError: as `train`.
        """
        await self._request("prepare", {"rows": path}, limit)

    async def initial(self, most: int, *, limit: float) -> tuple[tuple[TensorLayout, ...], bytes]:
        """Return the tensors that training begins with: their layout, and their bytes in order.

        Args:
            most: bytes of all of them.
            limit: seconds.

        Raises:
            SecureFlowError: as `train`.
        """
        reply, values = await self._request("initial", {}, limit, most=most)
        return reply["tensors"], values.tobytes()

    async def train(
        self, weights: Tensors, round_number: int, *, limit: float
    ) -> dict[str, NDArray[Any]]:
        """Train from the weights and return what came of them, in the same layout.

        Raises:
            SecureFlowError: `bundle_failed` if it raised; `bundle_output_refused` for anything but
                what was declared; `bundle_silent` after `limit` seconds; `bundle_died`. Except
                after the first one the process is being ended: nothing is asked of it any more.
        """
        size = sum(one.size for one in self._task.tensors)
        arguments = {"round": round_number}
        _, values = await self._request("train", arguments, limit, weights=weights, size=size)
        found, start = {}, 0
        for one in self._task.tensors:
            found[one.name] = one.view(values[start : start + one.size])
            start += one.size
        for name, tensor in found.items():
            if not _finite(tensor):
                self.end()
                raise refused(Text("a number of {name} is not finite", name=name))
        return found

    async def evaluate(self, weights: Tensors, *, limit: float) -> dict[str, float]:
        """Return the declared sums over the validation rows.

        Raises:
            SecureFlowError: as `train`.
        """
        reply, _ = await self._request("evaluate", {}, limit, weights=weights)
        sums = reply.get("sums")
        if not isinstance(sums, dict) or sums.keys() != set(self._task.sums):
            self.end()
            raise refused("the sums are not those that were declared")
        if not all(_is_sum(one) for one in sums.values()):
            self.end()
            raise refused("a sum is no finite number")
        return {name: float(sums[name]) for name in self._task.sums}

    async def predict(
        self, weights: Tensors, rows: str, into: OutputsFile, *, limit: float
    ) -> None:
        """Have the weights applied to a file of rows, and write what is said of each.

        Args:
            weights: of the model.
            rows: the file (`adapters.frameworks.rows`), as the process sees it.
            into: fixes how much that is.
            limit: seconds.

        Raises:
            SecureFlowError: as `train`; `too_large`.
            InfrastructureError: there is no room.
        """
        arguments = {"rows": rows, "shape": list(into.shape)}
        async with into.filled() as take:

            async def block(part: memoryview) -> None:
                if problem := await asyncio.to_thread(take, part):
                    raise refused(problem, PREDICTED)

            sink = _Sink(block, into.block)
            await self._request(
                "predict", arguments, limit, weights=weights, size=into.size, sink=sink
            )

    @property
    def alive(self) -> bool:
        """Whether it can be asked: one that answered wrongly was killed, another may have ended."""
        if self._ending is not None:  # what it has sent before can still be read
            return False
        try:
            return bool(self._channel.recv(1, socket.MSG_PEEK))
        except BlockingIOError:  # nothing to read, and nobody has closed it
            return True
        except OSError:
            return False

    async def kill(self) -> None:
        """Kill the process and keep what it has printed; an open request ends as `bundle_died`."""
        await asyncio.shield(self.end())

    async def _given_up(self) -> None:
        """End the process; who asked for it may not know how long that takes (`start`)."""
        if self._left is None:
            await self.kill()
        else:
            self._left(self.end())

    def end(self) -> asyncio.Task[None]:
        """Have the process killed, and nothing asked of it from now on; nobody waits for its end.

        One that waits for a disk takes as long as that to go, though none of its code runs again.
        """
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._killed())
        return self._ending

    async def _killed(self) -> None:
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        await asyncio.sleep(0)  # whoever waits on the channel is told before it is closed
        if self._running is not None:
            running, self._running = self._running, None
            await running.kill()
            await self._log.close()
        elif self._theirs.fileno() >= 0:
            self._theirs.close()
            await self._log.close(0)
        self._channel.close()

    def _flooded(self) -> None:
        """End it, whether somebody waits for an answer or not."""
        self._printed_too_much = True
        self.end()
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)

    async def _request(
        self,
        verb: str,
        arguments: Mapping[str, Any],
        limit: float,
        *,
        weights: Tensors | None = None,
        size: int = 0,
        most: int | None = None,
        sink: _Sink | None = None,
    ) -> tuple[dict[str, Any], NDArray[np.uint8]]:
        """Send a request, and return its answer and exactly `size` bytes (or at most `most`).

        With a `sink` it gets the bytes, and none are returned.

        A process that does not stand still within the limit is ended; its answer stands.
        """
        if weights is not None and weights.keys() != {one.name for one in self._task.tensors}:
            message = "the weights are not those of the task"
            raise ValueError(message)
        self._next += 1
        answered = False
        try:
            async with asyncio.timeout(limit):
                running = self._runs()
                await running.thaw()
                await self._send(verb, arguments, weights)
                reply = await self._reply()
                if most is not None and "error" not in reply:
                    layout = foreign_layout(reply.get("tensors"), most)
                    reply, size = {**reply, "tensors": layout}, sum(one.size for one in layout)
                failed = "error" in reply
                values = await self._values(reply, 0 if failed else size, sink)
                answered = True
                await running.freeze()
        except BaseException as error:  # cancellation too: an open answer makes it unusable
            reason = self._reason(error)
            told = isinstance(error, TimeoutError | SecureFlowError) and self._ending is None
            if told and not answered and isinstance(reason, SecureFlowError):
                self._log.say(f"{verb}, {limit:g} seconds at most: {reason.message}")
            self.end()
            if not isinstance(error, Exception):  # cancelled: nobody waits for an answer
                await self._given_up()
            if not (answered and isinstance(error, OSError)):  # so is a limit that is over
                raise reason from error
        if failed:
            raise self._failure(reply["error"])
        return reply, values

    def _runs(self) -> RunningHost:
        if self._running is None or self._ending is not None:
            raise _Died
        return self._running

    async def _send(self, verb: str, arguments: Mapping[str, Any], weights: Tensors | None) -> None:
        """Send a request; each tensor is taken when it is sent, and dropped."""
        loop = asyncio.get_running_loop()
        count = 0 if weights is None else sum(one.size for one in self._task.tensors)
        head = {"id": self._next, "verb": verb, "arguments": dict(arguments), "bytes": count}
        line = json.dumps(head, allow_nan=False).encode() + b"\n"
        if len(line) >= LINE_BYTES:
            raise SecureFlowError(
                "too_large",
                Text(
                    "The request {verb!r} exceeds {line_bytes} bytes.",
                    verb=verb,
                    line_bytes=LINE_BYTES,
                ),
            )
        await loop.sock_sendall(self._channel, line)
        if weights is not None:
            for one in self._task.tensors:
                await loop.sock_sendall(self._channel, one.octets(weights[one.name]).data)

    async def _reply(self) -> dict[str, Any]:
        loop, line = asyncio.get_running_loop(), bytearray(self._rest)
        self._rest = b""
        seen = 0
        while (end := line.find(b"\n", seen)) < 0:
            seen = len(line)
            if seen >= LINE_BYTES:
                raise refused("its answer is too long")
            data = await loop.sock_recv(self._channel, _BLOCK)
            if not data:
                raise _Died
            line += data
        self._rest = bytes(line[end + 1 :])
        try:
            reply = parse_json(bytes(line[:end]), LINE_BYTES)
        except SecureFlowError as error:
            raise refused("its answer is no JSON") from error
        if not isinstance(reply, dict) or reply.get("id") != self._next:
            raise refused("its answer does not belong to the request")
        return reply

    async def _values(
        self, reply: Mapping[str, Any], size: int, sink: _Sink | None = None
    ) -> NDArray[np.uint8]:
        """Read exactly so many bytes; what the answer says of them must agree."""
        if type(reply.get("bytes")) is not int or reply["bytes"] != size:
            raise refused("its answer has another length than was declared")
        if len(self._rest) > size:
            raise refused("its answer is longer than was declared")
        values = np.empty(size if sink is None else min(size, sink.block), np.uint8)
        left = size
        while left:
            view = values.data[:left]
            left -= len(view)
            await self._fill(view)
            if sink is not None:
                await sink.take(view)
        return values

    async def _fill(self, view: memoryview) -> None:
        ready = min(len(self._rest), len(view))
        view[:ready] = self._rest[:ready]
        view, self._rest = view[ready:], self._rest[ready:]
        loop = asyncio.get_running_loop()
        while view:
            count = await loop.sock_recv_into(self._channel, view)
            if not count:
                raise _Died
            view = view[count:]

    def _reason(self, error: BaseException) -> BaseException:
        if isinstance(error, TimeoutError):
            return SecureFlowError(
                "bundle_silent",
                "The bundle did not answer within its limit of time.",
                "The job's limits say how long a round may take.",
            )
        if self._printed_too_much:
            return refused("it prints without end")
        return died() if isinstance(error, _Died | OSError) else error

    def _failure(self, kind: object) -> SecureFlowError:
        """Return the error for a word of the host; one that it may not say ends the process."""
        error = failure(kind)
        if error.code != "bundle_failed":
            self.end()
        return error


@dataclass(frozen=True)
class _Sink:
    """Takes what an answer brings, so many bytes at a time; its view is used again."""

    take: Callable[[memoryview], Awaitable[None]]
    block: int


class _Died(Exception):  # noqa: N818 - becomes an error with its reason
    """The channel ended."""


def _finite(tensor: NDArray[Any]) -> bool:
    if tensor.dtype.kind != "f":
        return True
    flat = tensor.reshape(-1)
    blocks = (flat[at : at + _BLOCK] for at in range(0, flat.size, _BLOCK))
    return all(bool(np.isfinite(block).all()) for block in blocks)


def _is_sum(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and abs(value) <= MAX_SUM
    )
