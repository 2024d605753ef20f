"""Several servers on one database: how each is told from the others, and hears what they did.

Nothing but the database lies between them. Every few seconds a server looks there; one that is
alone writes nothing for it.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from secureflow.adapters.messaging import InProcessBus
from secureflow.application.jobs.jobs import topic
from secureflow.application.ports.ledger import Ledger
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folderlock import folder_lock
from secureflow.kit.text import Text


@contextmanager
def own_name(directory: Path) -> Iterator[str]:
    """Yield what tells a server from all others of its database, while it holds that name.

    Servers may share a folder: each takes the first place in it that no other process holds. One
    that died comes back to its place, so to its name and the jobs that it drove.
    """
    taken = SecureFlowError(
        "server_running", Text("Another server runs in {directory}.", directory=directory)
    )
    for place in itertools.count():
        held = folder_lock(lock := directory / f"server-{place}.lock", taken)
        try:
            held.__enter__()
        except SecureFlowError:
            continue
        try:
            yield f"{socket.gethostname()}:{lock.resolve()}:{lock.stat().st_ino}"
        finally:
            held.__exit__(None, None, None)
        return


async def poll_log(ledger: Ledger, others: Callable[[], Collection[str]]) -> None:
    """Learn, if there is another server, what the log is called now and whether it is held.

    Agents dial one of them: what they showed there, and whatever let the log go on, is told here by
    the database alone.
    """
    if others():
        await ledger.judge(lambda hold, _size: hold)


class Watchers:
    """Wakes those who watch jobs that another server drives."""

    def __init__(
        self,
        bus: InProcessBus,
        drives: Callable[[str], bool],
        others: Callable[[], Collection[str]],
    ) -> None:
        self._bus = bus
        self._drives = drives
        self._others = others

    async def poll(self) -> None:
        """Let them look at the database, if there is another server."""
        if not self._others():
            return
        for watched in self._bus.topics:
            job = watched.removeprefix(topic(""))
            if not self._drives(job):
                await self._bus.publish(watched)
