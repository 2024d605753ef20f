"""Asking the agent over its control socket, with the session of the person who asks."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from secureflow.agent.edge.control import (
    MAX_OTHERS,
    away,
    reachable,
    request_line,
    result_of,
    silent,
)
from secureflow.kit.canonical import JSON
from secureflow.kit.disk import size
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

ENDED: Final = frozenset({"session_needed", "session_expired"})
"""Codes of a person who logs in (again)."""
PATIENCE: Final = 15.0
"""Seconds to wait for an answer."""
HASHING: Final = 60.0
"""Seconds to wait where a password is hashed, on a machine that is busy."""
ATTENDED: Final = 60.0
"""Seconds to wait where the agent asks an identity provider."""
STOPPING: Final = 30.0
"""Seconds to wait where jobs are stopped: the agent needs less than five."""
MOST: Final = 12
"""Connections at once: fewer than the agent gives to one Unix user, who has a command line, too."""
EACH: Final = 6
"""Of one session; of all who have none, together: nobody keeps the others from the agent."""
MAX_ANSWER: Final = 16 << 20
"""Bytes of an answer that are read."""

assert MOST < MAX_OTHERS  # noqa: S101  else the page would be refused when it is busy


def mark_of(session: str) -> str:
    """Return by which a session is known in this process, which keeps no secret that lasts."""
    return hashlib.sha256(session.encode()).hexdigest()


class AgentSocket:
    """The agent behind a control socket.

    Args:
        path: of the socket.
        most: connections at once; further questions wait.
        each: connections at once of one session.
    """

    def __init__(self, path: Path, most: int = MOST, each: int = EACH) -> None:
        self._path = path
        self._free = asyncio.Semaphore(most)
        self._each = each
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._asking: Counter[str] = Counter()

    async def ask(
        self,
        command: str,
        session: str = "",
        patience: float = PATIENCE,
        unattended: bool = False,
        /,
        **arguments: JSON,
    ) -> JSON:
        """Send one command and return its result.

        Args:
            command: its name.
            session: the secret of a person's session, or empty.
            patience: seconds to wait.
            unattended: whether no person asks, but a page by itself: the session is not kept alive.
            arguments: the command's.

        Raises:
            SecureFlowError: `agent_not_running`, `agent_silent`, `too_large`, or the agent's own
                refusal.
        """
        line = request_line(command, arguments, session, strict=True, unattended=unattended)
        try:
            async with asyncio.timeout(patience), self._turn(session), self._free:
                return result_of(await self._exchange(line))
        except TimeoutError as error:
            raise silent(command, patience) from error

    @contextlib.asynccontextmanager
    async def _turn(self, session: str) -> AsyncIterator[None]:
        """Wait until one session has a connection free; its turns are forgotten with the last."""
        mark = mark_of(session)
        self._asking[mark] += 1
        turn = self._turns.setdefault(mark, asyncio.Semaphore(self._each))
        try:
            async with turn:
                yield
        finally:
            self._asking[mark] -= 1
            if not self._asking[mark]:
                del self._asking[mark], self._turns[mark]

    async def _exchange(self, line: bytes) -> bytes:
        try:
            with reachable(self._path) as name:
                reader, writer = await asyncio.open_unix_connection(name, limit=MAX_ANSWER)
            try:
                writer.write(line)
                await writer.drain()
                return await reader.readline()
            finally:
                writer.close()
        except ValueError as error:  # readline's: longer than the limit
            raise SecureFlowError(
                "too_large",
                Text("The agent's answer has more than {most}.", most=size(MAX_ANSWER)),
                "Use the command line.",
            ) from error
        except OSError as error:
            raise away(self._path, error) from error
