"""The way back in when no owner-admin can log in any more: by the agent's uid, while it is stopped.

Whoever has the uid can replace the record anyway; this is the way that leaves a trace in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from secureflow.agent.edge.main import open_record
from secureflow.agent.edge.ownidentity import read_signing_key
from secureflow.agent.edge.wiring import passwords
from secureflow.agent.owner.acting import Actor, as_actor
from secureflow.agent.owner.people import People
from secureflow.agent.record.folder import locked_folder
from secureflow.agent.settings import AgentSettings
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import system_clock


def recover(config: Path, name: str, password: str) -> dict[str, JSON]:
    """Give an account of a stopped agent another initial password, and no second factor.

    Raises:
        SecureFlowError: `agent_running`, `person_unknown`, `weak_password`, those of `open_record`.
    """
    return asyncio.run(_recover(AgentSettings.load(config), name, password))


async def _recover(settings: AgentSettings, name: str, password: str) -> dict[str, JSON]:
    key = read_signing_key(settings)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(locked_folder(settings.directory))
        store = await open_record(settings, stack)
        people = People(store, key, settings.organisation, system_clock, passwords)
        with as_actor(Actor(user=os.getuid())):
            return await people.recover(name, password)
