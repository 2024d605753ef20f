"""The agent's own address for others, and what it asks others: only what its owner set.

What serves and asks is loaded only where `witness` is in agent.yaml: an agent without it opens no
port and serves nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from secureflow.agent.edge.wiring import Assembly
from secureflow.agent.edge.witnesscommands import WitnessCommands
from secureflow.agent.job.context import Fetching
from secureflow.agent.witnesssettings import WitnessSettings
from secureflow.kit.backoff import Backoff
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

_log = get_logger(__name__)


@contextlib.asynccontextmanager
async def witnessing(assembly: Assembly, link: Fetching) -> AsyncIterator[WitnessCommands]:
    """Answer and ask others while the block runs; yield the owner's commands about it.

    Raises:
        SecureFlowError: `address_unavailable`, `invalid_settings`.
    """
    settings, store = assembly.context.settings.witness, assembly.context.store
    if settings == WitnessSettings():
        yield WitnessCommands(settings, store, None)
        return
    from secureflow.agent.keeper.parts import Witnessing

    parts = Witnessing(assembly.context, link)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(parts.close)
        if settings.listen is not None:
            from secureflow.agent.keeper.serving import listening

            served = listening(settings, parts.endpoints())
            parts.port = await stack.enter_async_context(served)
        running = [asyncio.create_task(_kept_up(one)) for one in parts.background()]
        try:
            yield WitnessCommands(settings, store, parts)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def _kept_up(work: Callable[[], Awaitable[Any]]) -> None:
    """Run something, again after a pause if this machine's disk failed it."""
    pauses = Backoff(1.0, 300.0)
    while True:
        try:
            await work()
        except* SecureFlowError as errors:
            for error in errors.exceptions:
                _log.error("witnessing_failed", error=str(error))
        else:
            return
        await asyncio.sleep(pauses.next())
