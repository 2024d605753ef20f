"""Who gives the command that runs now: a person with a session, or whoever has the agent's uid.

It is set for the task that answers one command of the control socket, and reaches threads that the
command starts (`asyncio.to_thread` copies the context).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from secureflow.kit.canonical import JSON


@dataclass(frozen=True)
class Actor:
    """Who acts.

    Args:
        person: the id of the person whose session was shown, or empty.
        user: the Unix user at the other end of the socket; -1 for this process itself.
        authorities: in whose places the person may decide: its own first, if it is a decider.
        session: the secret that was shown.
    """

    person: str = ""
    user: int = -1
    authorities: tuple[str, ...] = ()
    session: str = field(default="", repr=False)

    def facts(self) -> dict[str, JSON]:
        """Return what the log of actions says of it; nothing of this process itself."""
        found: dict[str, JSON] = {} if self.user < 0 else {"user": self.user}
        return {**found, "person": self.person} if self.person else found


_NOBODY: Final = Actor()
_acting: Final[ContextVar[Actor]] = ContextVar("acting", default=_NOBODY)


def acting() -> Actor:
    """Return who gives the command that runs now."""
    return _acting.get()


@contextmanager
def as_actor(actor: Actor) -> Iterator[None]:
    """Let commands in the block run as given by this actor."""
    token = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(token)
