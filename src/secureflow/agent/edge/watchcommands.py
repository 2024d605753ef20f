"""What changed at this agent, for pages that stay open: they ask for the rest when it did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.agent.edge.control import Command
from secureflow.agent.edge.running import Linked
from secureflow.agent.edge.wiring import Assembly
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError

LOOK_SECONDS: Final = 0.5
"""Between looks at the record: a few numbers of it."""
LONGEST: Final = 60.0
"""Seconds that one question waits at most."""
_NAMES: Final = 200


@dataclass(frozen=True)
class WatchCommands:
    """The command.

    Args:
        assembly: the agent.
        link: to the centre: whether it is connected.
        proposals: returns how many grants of the centre nobody here confirmed.
    """

    assembly: Assembly
    link: Linked
    proposals: Callable[[], int]

    def table(self) -> Mapping[str, Command]:
        """Return the command by its name."""
        return {"changes": self.changes}

    async def changes(self, known: str = "", seconds: float = 0.0) -> dict[str, JSON]:
        """Return how things stand, once it is not as `known`, or after so many seconds.

        Returns:
            `marker`: to ask on with; `actions`: names of what was noted in the agent's log since
            `known`, at most 200; `waiting`, `running`: how many requests wait, how many jobs run;
            `link`: `connected` or `down`.
        """
        if not 0.0 <= seconds <= LONGEST or len(known) > 128:
            raise SecureFlowError("invalid_request", "A page waits for a minute at most.")
        end = asyncio.get_running_loop().time() + seconds
        while True:
            found = await asyncio.to_thread(self._state)
            left = end - asyncio.get_running_loop().time()
            if found["marker"] != known or left <= 0:
                return {**found, "actions": await asyncio.to_thread(self._names, known)}
            await asyncio.sleep(min(LOOK_SECONDS, left))

    def _state(self) -> dict[str, Any]:
        store = self.assembly.context.store
        link = "connected" if self.link.connected.is_set() else "down"
        waiting, running = store.count_waiting(), len(store.open_jobs())
        parts = (store.newest_action(), waiting, running, self.proposals(), link)
        marker = ".".join(map(str, parts))
        return {"marker": marker, "waiting": waiting, "running": running, "link": link}

    def _names(self, known: str) -> list[str]:
        number = known.partition(".")[0]
        if not number.isdecimal():
            return []
        found = self.assembly.context.store.actions_after(int(number), _NAMES)
        return sorted({str(one["action"]) for one in found})
