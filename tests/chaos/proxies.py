"""TCP proxies between real processes: they cut, hold back and slow what passes.

One thread carries them all. Bytes that are held back pass when it is over, as TCP's would.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.chaos.weather import DOWN, UP, Weather


class Proxy:
    """The way to one port; see `Proxies`."""

    def __init__(self, target: int, port: int) -> None:
        self.port = port
        self.weather = Weather()
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """Where clients dial."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def close(self) -> None:
        """Listen no more, and reset what is open."""
        if self._server is not None:
            self._server.close()
        self.snap()

    def snap(self) -> None:
        """Reset every connection."""
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if time.monotonic() < self.weather.cut:
                return
            with contextlib.suppress(OSError):
                await self._carry(reader, writer)
        finally:
            writer.transport.abort()
            self._open.discard(writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._open.add(far_writer)
        try:
            await asyncio.gather(
                self._pump(reader, far_writer, UP), self._pump(far_reader, writer, DOWN)
            )
        finally:
            far_writer.transport.abort()
            self._open.discard(far_writer)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str
    ) -> None:
        while data := await reader.read(1 << 16):
            now = time.monotonic()
            if now < self.weather.slow:
                await asyncio.sleep(self.weather.delay)
            await asyncio.sleep(max(0.0, self.weather.hole[way] - time.monotonic()))
            writer.write(data)
            await writer.drain()
        writer.write_eof()


class Proxies:
    """All proxies of a platform, by who dials whom."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        self.ways: dict[str, Proxy] = {}

    def add(self, way: str, target: int, port: int) -> Proxy:
        """Begin to carry what passes from `port` to `target`."""
        proxy = self.ways[way] = Proxy(target, port)
        self._do(proxy.start)
        return proxy

    def cut(self, way: str, seconds: float) -> None:
        """Reset what is open, and what is dialled for a time."""
        self.ways[way].weather.cut = time.monotonic() + seconds
        self._loop.call_soon_threadsafe(self.ways[way].snap)

    def hole(self, way: str, seconds: float, ways: tuple[str, ...]) -> None:
        """Hold back what is sent, one way or both."""
        for direction in ways:
            self.ways[way].weather.hole[direction] = time.monotonic() + seconds

    def slow(self, way: str, seconds: float, delay: float) -> None:
        """Carry every piece late."""
        weather = self.ways[way].weather
        weather.slow, weather.delay = time.monotonic() + seconds, delay

    def stop(self) -> None:
        """Close everything."""
        self._do(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        for proxy in self.ways.values():
            proxy.close()
        await asyncio.sleep(0)  # transports close in the next turn
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    def _do(self, work: Callable[[], Awaitable[Any]]) -> None:
        async def done() -> None:
            await work()

        asyncio.run_coroutine_threadsafe(done(), self._loop).result(20)
