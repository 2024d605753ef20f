"""The places of a running agent put together: what opens them, watches them, and sends to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from secureflow.agent.anchorsettings import AnyPlace
from secureflow.agent.edge.anchorcommands import AnchorCommands
from secureflow.agent.edge.anchortelling import AnchorTelling
from secureflow.agent.edge.anchorvotes import AnchorVotes
from secureflow.agent.edge.anchorwatch import AnchorWatch
from secureflow.agent.edge.control import Command
from secureflow.agent.edge.wiring import Assembly
from secureflow.agent.job.context import AgentContext
from secureflow.agent.record.anchoroutbox import RecordOutbox
from secureflow.agent.witness.anchored import AnchoredHeads
from secureflow.agent.witness.headwatch import CentreLink
from secureflow.application.anchoring import Anchoring, Pace
from secureflow.application.ports.anchor import Anchor
from secureflow.kit.canonical import b64decode

Opening = Callable[[AgentContext], Mapping[AnyPlace, Anchor]]
"""Opens the places in the settings."""
CLOSING: Final = 5.0
"""Seconds that a place may take to close its connections."""
SOON: Final = 0.25
"""Seconds from a deed to the look at the outbox: its transaction is over by then, or the next look
finds it."""


class Running(Protocol):
    """A task of the agent's process."""

    async def run(self) -> None:
        """Run until cancelled."""


@dataclass(frozen=True)
class OwnAnchors:
    """What runs for the places, and the owner's commands about them."""

    tasks: tuple[Running, ...]
    commands: AnchorCommands
    votes: AnchorVotes

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {**self.commands.table(), **self.votes.table()}


def own_anchors(
    assembly: Assembly, link: CentreLink, opening: Opening, stack: contextlib.AsyncExitStack
) -> OwnAnchors:
    """Open the places of an agent; they are closed with the stack.

    Raises:
        SecureFlowError: `missing_extra`, `anchor_refused`, `key_…`: its settings or files
            are not those of a place. A place that is only away is no error.
    """
    context = assembly.context
    places = opening(context)
    for one in places.values():
        stack.push_async_callback(_close, one)
    heads = AnchoredHeads(context.store, context.witness, context.charter.pinned, context.clock)
    own_deeds = context.own_deeds
    outbox = RecordOutbox(context.store, heads.hear)
    member = b64decode(context.key.public).hex()
    idle = min((one.poll for one in places), default=Pace.idle)
    sender = Anchoring(outbox, list(places.values()), member, context.clock, Pace(idle=idle))
    watch = AnchorWatch(context, places, own_deeds, heads)
    if places:
        own_deeds.added = _waking(sender)
    telling = AnchorTelling(context, link, lambda: list(places))
    tasks: tuple[Running, ...] = (watch, sender, telling) if places else ()
    commands = AnchorCommands(context, places, watch, sender, heads, assembly.agreements)
    votes = AnchorVotes(context, list(places), own_deeds.added)
    return OwnAnchors(tasks, commands, votes)


def _waking(sender: Anchoring) -> Callable[[], None]:
    """Return what has the sender look soon, from any thread: the deed is committed by then."""
    loop = asyncio.get_running_loop()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is over: the next start sends
            loop.call_soon_threadsafe(lambda: loop.call_later(SOON, sender.wake))

    return wake


async def _close(anchor: Anchor) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSING):
            await anchor.close()
