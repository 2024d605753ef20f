"""Virtual time: an event loop that never waits, and lives (processes) whose tasks it runs.

When nothing is ready the clock jumps to the next timer. Work for threads runs in the loop's own
thread after a short virtual time, so one seed gives one order of events. A `Life` is what a process
is elsewhere: everything that is started in its context is its own. It can be stopped (nothing of it
is run, and what falls due waits) and killed (what it holds outside is taken away, then its tasks
end). `time.time` and `time.monotonic` are the virtual ones, shifted by the life's own clock.

Not wholly determined by a seed: keys, nonces and ids are drawn afresh, and sets of tasks come in
the order of their addresses.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import random
import selectors
import sqlite3
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest import mock

import aiosqlite

EPOCH = 1_800_000_000
"""What the clock on the wall shows when virtual time begins."""
START = 1000.0
"""What a loop's own clock shows then."""

LIFE: contextvars.ContextVar[Life | None] = contextvars.ContextVar("life", default=None)
OUTSIDE = contextvars.Context()
"""The context of what is nobody's: the network, the weather."""


class StandstillError(Exception):
    """Nothing is ready, no timer runs, and somebody still waits."""


class Life:
    """One process from its start to its end."""

    def __init__(self, name: str, loop: VirtualLoop, shift: int = 0) -> None:
        self.name = name
        self.loop = loop
        self.shift = shift
        """Seconds by which its clock on the wall is ahead."""
        self.stopped = False
        self.dead = False
        self.disk_full = False
        self.connections: list[sqlite3.Connection] = []
        self.ends: list[Callable[[], None]] = []
        """Called when it is killed, before its tasks end: what it holds outside lets go."""
        self._held: list[tuple[bool, asyncio.Handle]] = []
        self._tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self._context = contextvars.copy_context()
        self._context.run(LIFE.set, self)

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function as this process."""
        return self._context.copy().run(function, *arguments)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin a task of this process."""
        task: asyncio.Task[Any] = self.run(self.loop.create_task, work)
        return task

    def own(self, task: asyncio.Task[Any]) -> None:
        """Count a task as this process's."""
        self._tasks.add(task)

    def hold(self, handle: asyncio.Handle, *, timer: bool) -> None:
        """Keep what fell due while it is stopped."""
        self._held.append((timer, handle))

    def stop(self) -> None:
        """Do nothing from now on (SIGSTOP)."""
        self.stopped = True

    def resume(self) -> None:
        """Go on: what came in first, then the timers that ran out meanwhile (SIGCONT)."""
        self.stopped = False
        held, self._held = self._held, []
        for _, handle in sorted(held, key=lambda one: one[0]):
            self.loop.call_soon(self._late, handle, context=OUTSIDE)

    @staticmethod
    def _late(handle: asyncio.Handle) -> None:
        if not handle.cancelled():
            handle._run()

    def busy(self) -> list[asyncio.Task[Any]]:
        """Return the tasks that have not ended."""
        return [task for task in self._tasks if not task.done()]

    async def kill(self) -> None:
        """End it as SIGKILL does: nothing that it does from now on reaches anybody."""
        self.dead = True
        for end in self.ends:
            end()
        for connection in self.connections:
            with suppress(sqlite3.Error):
                connection.close()  # an open transaction is rolled back, its lock let go
        self.resume()
        for _ in range(100):
            busy = self.busy()
            if not busy:
                return
            for task in busy:
                task.cancel()
            await asyncio.wait(busy, timeout=1.0)
        raise AssertionError(f"{self.name} does not die: {self.busy()}")


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module. `dice` give the moments of what a thread would have done."""

    def __init__(self, seed: object = 0) -> None:
        self.now = START
        self.dice = random.Random(f"{seed}/threads")
        self.real_waits: set[Any] = set()
        """Descriptors of real sockets that somebody waits for: the clock stands still then."""
        super().__init__(_Selector(self))
        self.set_task_factory(_made)
        self.set_exception_handler(_unheard)
        self.unheard: list[dict[str, Any]] = []

    def time(self) -> float:
        return self.now

    def wall(self) -> float:
        """Return the time on the wall of whoever asks."""
        life = LIFE.get()
        return EPOCH + self.now - START + (life.shift if life else 0)

    def wall_ns(self) -> int:
        """Return the same in nanoseconds."""
        return int(self.wall() * 1e9)

    def call_soon(
        self, callback: Callable[..., object], *arguments: Any, context: Any = None
    ) -> asyncio.Handle:
        context = context or contextvars.copy_context()
        life = context.get(LIFE)
        if life is not None and life.stopped:
            handle = asyncio.Handle(callback, arguments, self, context)
            life.hold(handle, timer=False)
            return handle
        return super().call_soon(callback, *arguments, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *arguments: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        context = context or contextvars.copy_context()
        life = context.get(LIFE)
        if life is None:
            return super().call_at(when, callback, *arguments, context=context)
        due = _Due(life, callback, arguments)
        due.timer = super().call_at(when, due, context=context)
        return due.timer

    def run_in_executor(self, executor: Any, function: Any, *arguments: Any) -> Any:
        future = self.create_future()
        self.call_later(self.dice.random() * 0.003, _carry_out, future, function, arguments)
        return future

    def add_reader(self, fd: Any, callback: Any, *arguments: Any) -> None:
        self.real_waits.add((fd, "r"))
        super().add_reader(fd, callback, *arguments)

    def remove_reader(self, fd: Any) -> Any:
        self.real_waits.discard((fd, "r"))
        return super().remove_reader(fd)

    def add_writer(self, fd: Any, callback: Any, *arguments: Any) -> None:
        self.real_waits.add((fd, "w"))
        super().add_writer(fd, callback, *arguments)

    def remove_writer(self, fd: Any) -> Any:
        self.real_waits.discard((fd, "w"))
        return super().remove_writer(fd)

    def jump(self) -> None:
        """Go to the next timer."""
        if not self._scheduled:  # type: ignore[attr-defined]
            raise StandstillError
        self.now = max(self.now, self._scheduled[0]._when)  # type: ignore[attr-defined]


class _Due:
    """A timer of a process: it waits where the process is stopped, and dies with it."""

    __slots__ = ("arguments", "callback", "life", "timer")

    def __init__(self, life: Life, callback: Callable[..., object], arguments: Any) -> None:
        self.life, self.callback, self.arguments = life, callback, arguments
        self.timer: asyncio.TimerHandle

    def __call__(self) -> None:
        if self.life.stopped:
            self.life.hold(_Held(self), timer=True)  # type: ignore[arg-type]
        else:
            self.callback(*self.arguments)


class _Held:
    """A timer that ran out while its process was stopped; it can still be cancelled."""

    def __init__(self, due: _Due) -> None:
        self._due = due
        self._context = contextvars.copy_context()

    def cancelled(self) -> bool:
        return self._due.timer.cancelled()

    def _run(self) -> None:
        self._context.run(self._due)


class _Selector(selectors.DefaultSelector):
    """Looks at real sockets, and lets the clock jump where it would wait."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return super().select(0) if self._loop.real_waits else []
        if self._loop.real_waits:
            return super().select(0.02)
        found = super().select(0)
        if not found:
            self._loop.jump()
        return found


def _made(loop: Any, work: Any, **options: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
    context = options.get("context")
    life = LIFE.get() if context is None else context.get(LIFE)
    if life is not None:
        life.own(task)
    return task


def _unheard(loop: Any, context: dict[str, Any]) -> None:
    loop.unheard.append(context)


def _carry_out(future: asyncio.Future[Any], function: Any, arguments: Any) -> None:
    """Do what a thread would have done; a caller that was cancelled meanwhile does not undo it."""
    life = LIFE.get()
    if life is not None and life.dead:
        future.cancel()
        return
    try:
        result = function(*arguments)
    except BaseException as error:  # noqa: BLE001  as a thread hands it on
        if not future.done():
            future.set_exception(error)
        return
    if not future.done():
        future.set_result(result)


class _Queue:
    """What replaces the queue to aiosqlite's thread: what is put there is done at once."""

    def put_nowait(self, item: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
        future, function = item
        try:
            result = function()
        except Exception as error:  # noqa: BLE001  as the thread hands it on
            if future is not None:
                future.set_exception(error)
        else:
            if future is not None:
                future.set_result(result)


class _Thread:
    """What replaces aiosqlite's thread per connection."""

    daemon = True

    def __init__(self, **_: object) -> None:
        pass

    def start(self) -> None:
        """Do nothing: see `_Queue`."""


_connect = sqlite3.connect


@functools.wraps(_connect)
def _noted_connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
    connection = _connect(*arguments, **options)
    life = LIFE.get()
    if life is not None:
        life.connections.append(connection)
        if life.dead:
            connection.close()
        elif life.disk_full:
            fill(connection, full=True)
    return connection


def fill(connection: sqlite3.Connection, *, full: bool) -> None:
    """Let a database grow no further, or again."""
    with suppress(sqlite3.Error):
        connection.execute(f"PRAGMA max_page_count={1 if full else 1 << 30}")


@contextmanager
def virtual(loop: VirtualLoop) -> Iterator[None]:
    """Have everything in this process live in the loop's time."""
    patches = [
        mock.patch.object(time, "time", loop.wall),
        mock.patch.object(time, "time_ns", loop.wall_ns),
        mock.patch.object(time, "monotonic", loop.time),
        mock.patch.object(sqlite3, "connect", _noted_connect),
        mock.patch.object(sqlite3.dbapi2, "connect", _noted_connect),
        mock.patch.object(aiosqlite.core, "SimpleQueue", _Queue),
        mock.patch.object(aiosqlite.core, "Thread", _Thread),
    ]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in reversed(patches):
            patch.stop()
