"""A process's limits and signals.

SIGTERM and SIGINT end it in an orderly way. SIGHUP never ends it silently: it reloads the settings
if the process supports that, and is otherwise only logged. A closed terminal sends SIGHUP too: a
process that was started in it without nohup then ends as on SIGTERM, since nobody could end it
otherwise.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from secureflow.kit.logging import get_logger

MOST_DESCRIPTORS: Final = 1 << 20

_log = get_logger(__name__)


def stat_fields(stat: Path) -> list[str]:
    """Return what a file `/proc/…/stat` says from the state on (proc(5), field 3).

    Before it is what the process calls itself: any bytes, which code of others chooses.

    Raises:
        OSError: it has ended.
    """
    return stat.read_text(errors="replace").rpartition(")")[2].split()


def raise_descriptors() -> int:
    """Raise this process's limit of open files as far as the system allows; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # the hard limit is above what the kernel allows
            return soft
    return wanted


class Hangup:
    """The action of SIGHUP: nothing, until one is set."""

    def __init__(self) -> None:
        self._reload: Callable[[], object] | None = None
        self._shielded = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        self._terminals = [one for one in (0, 1, 2) if _is_terminal(one)]

    def reloads(self, reload: Callable[[], object]) -> None:
        """Set the reload, which is called on the event loop."""
        self._reload = reload

    def received(self, end: Callable[[], object]) -> None:
        """Handle the signal; `end` is called if the terminal is gone."""
        gone = any(not _is_terminal(one) for one in self._terminals)
        if gone and not self._shielded:
            _log.warning("hangup", message="the terminal was closed: stopping")
            end()
        elif self._reload is not None:
            self._reload()
        else:
            _log.warning("hangup", message="settings are read at the start: restart to apply them")


def run_until_stopped(serving: Coroutine[Any, Any, None], hangup: Hangup | None = None) -> None:
    """Run a coroutine in a fresh event loop until it ends or the process is told to stop.

    Whatever `serving` raises is passed on; being told to stop is not an error.
    """
    told_by = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in told_by}
    try:
        asyncio.run(_until_stopped(serving, hangup or Hangup()))
    finally:
        for number, handler in before.items():  # the loop resets it to the default, nohup or not
            if handler is not None:
                signal.signal(number, handler)


async def _until_stopped(serving: Coroutine[Any, Any, None], hangup: Hangup) -> None:
    task = asyncio.create_task(serving)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    loop.add_signal_handler(signal.SIGHUP, hangup.received, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        _log.info("stopped")


def _is_terminal(handle: int) -> bool:
    try:
        return os.isatty(handle)
    except OSError:
        return False
