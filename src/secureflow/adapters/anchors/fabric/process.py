"""The driver's end of the pipe to the gateway process, which is started when it is needed.

Fabric's official protobuf package needs another release of protobuf than the platform has, so what
speaks to a peer runs in an environment of its own (`gateway.serving` has the messages). It gets the
private key over the pipe, never on a command line or in its environment. What it says is bounded
before it is read; a process that says anything else than an answer is ended. One that ends, however
it does, makes the requests under way unavailable, and the next request starts another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from secureflow.kit.canonical import JSON, canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown

PROGRAM: Final = Path(__file__).with_name("gateway") / "start.py"
LINE_BYTES: Final = 16 << 20
_GRACE: Final = 5.0
"""Seconds that a process has to end by itself, and that an answer may be late."""
_PRINTED: Final = 2000
_WORDS: Final = 400


class GatewayFailure(Exception):  # noqa: N818 - becomes an error of the port in `failures`
    """Why a request came to nothing.

    Args:
        status: a name of gRPC's, or a word of the program or of this module: `gone`.
        words: what the peer said, for people.
        reason: why the chaincode refused, one of its words; else empty.
    """

    def __init__(self, status: str, words: str = "", reason: str = "") -> None:
        super().__init__(status)
        self.status, self.words, self.reason = status, words, reason


class GatewayProcess:
    """One process, opened for one identity.

    Args:
        python: gives its interpreter.
        opening: gives the message that opens it, the private key in it: read anew at each start.
    """

    def __init__(
        self, python: Callable[[], Path], opening: Callable[[], Mapping[str, JSON]]
    ) -> None:
        self._python, self._opening = python, opening
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: list[asyncio.Task[None]] = []
        self._waiting: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._number = 0
        self._printed = b""

    @property
    def pid(self) -> int | None:
        """The running process, for the doctor and for tests that kill it."""
        return None if self._process is None else self._process.pid

    async def ask(self, do: str, patience: float, **more: JSON) -> Mapping[str, Any]:
        """Return the answer to a request.

        Raises:
            GatewayFailure: why there is none.
            SecureFlowError: the process cannot be started.
        """
        async with self._lock:
            if self._process is None:
                await self._start(patience)
        return await self._asked({"do": do, **more}, patience)

    async def close(self) -> None:
        """End the process."""
        async with self._lock:
            process = self._process
            if process is None:
                return
            with contextlib.suppress(OSError):
                if process.stdin is not None:
                    process.stdin.close()
            try:
                async with asyncio.timeout(_GRACE):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await self._ended()

    async def _start(self, patience: float) -> None:
        opening = dict(self._opening())
        command = [str(self._python()), "-I", "-B", str(PROGRAM)]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},
                cwd="/",
                limit=LINE_BYTES,
                start_new_session=True,  # Ctrl-C is the driver's to hand on
            )
        except OSError as error:
            raise GatewayFailure("gone", str(error)) from error
        self._printed = b""
        loop = asyncio.get_running_loop()
        self._reading = [loop.create_task(self._read()), loop.create_task(self._read_printed())]
        try:
            await self._asked({"do": "open", **opening}, patience)
        except BaseException:  # cancelled too: half an opened process serves nobody
            await self._ended()
            raise

    async def _asked(self, message: dict[str, JSON], patience: float) -> Mapping[str, Any]:
        process = self._process
        if process is None or process.stdin is None:
            raise GatewayFailure("gone", self._last_words())
        self._number += 1
        number = self._number
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            process.stdin.write(canonical_bytes({"id": number, **message}) + b"\n")
            await process.stdin.drain()
            async with asyncio.timeout(patience + _GRACE):
                told: Mapping[str, Any] = await answer
        except (OSError, TimeoutError) as error:
            raise GatewayFailure("gone", self._last_words()) from error
        finally:
            self._waiting.pop(number, None)
        return told

    async def _read(self) -> None:
        process = self._process
        assert process is not None  # noqa: S101 - started before
        assert process.stdout is not None  # noqa: S101 - as it was started
        with contextlib.suppress(ValueError, SecureFlowError, OSError):
            while line := await process.stdout.readline():
                self._answered(parse_json(line, LINE_BYTES))
        with contextlib.suppress(ProcessLookupError):
            process.kill()  # it ended, or says what is no answer
        await process.wait()
        if self._process is process:
            self._process = None
        self._fail()

    async def _read_printed(self) -> None:
        process = self._process
        assert process is not None  # noqa: S101 - started before
        assert process.stderr is not None  # noqa: S101 - as it was started
        while data := await process.stderr.read(1 << 14):
            self._printed = (self._printed + data)[-_PRINTED:]

    def _answered(self, told: JSON) -> None:
        """Hand an answer to whoever asked.

        Raises:
            ValueError: it is none.
        """
        if not isinstance(told, dict) or not isinstance(told.get("id"), int):
            raise ValueError("id")
        waiting = self._waiting.get(told["id"])
        answer, error = told.get("answer"), told.get("error")
        if waiting is None or waiting.done():
            return  # whoever asked waits no longer
        if isinstance(answer, dict):
            waiting.set_result(answer)
        elif isinstance(error, dict):
            waiting.set_exception(_failure(error))
        else:
            raise ValueError("answer")

    def _fail(self) -> None:
        for one in self._waiting.values():
            if not one.done():
                one.set_exception(GatewayFailure("gone", self._last_words()))

    async def _ended(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await asyncio.gather(*self._reading, return_exceptions=True)
        self._reading = []
        self._fail()

    def _last_words(self) -> str:
        lines = self._printed.decode("utf-8", "replace").strip().splitlines()
        return shown(lines[-1][:_WORDS]) if lines else ""


def _failure(error: Mapping[str, Any]) -> GatewayFailure:
    texts = [error.get(name) for name in ("status", "words", "reason")]
    status, words, reason = (one if isinstance(one, str) else "" for one in texts)
    return GatewayFailure(status[:64], shown(words[:_WORDS]), reason[:32])
