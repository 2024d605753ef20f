"""Several servers on one database: how they are told apart, and learn what the others did.

They communicate only through the database, which each checks every few seconds; a server that is
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
    """Yield the unique name of this server among those of its database, and hold it.

    Servers may share a folder: each takes the first slot in it that no other process holds. One
    that died gets its slot back, and with it its name and the jobs that it drove.
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
    """If there is another server, read the log's current name and whether it is held.

    Agents dial only one server: what they showed there, and whether the log has continued, reaches
    the others only through the database.
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
        """Wake them to check the database, if there is another server."""
        if not self._others():
            return
        for watched in self._bus.topics:
            job = watched.removeprefix(topic(""))
            if not self._drives(job):
                await self._bus.publish(watched)
