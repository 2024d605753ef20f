"""The doctor over the control socket: the same checks as `secureflow agent doctor`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from secureflow.agent.edge.control import Command
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import system_clock
from secureflow.kit.text import with_texts


@dataclass(frozen=True)
class DoctorCommands:
    """The command.

    Args:
        config: the settings file of the agent.
        kinds: of job.
        examining: one after the other: each check dials, and takes a thread of the agent.
    """

    config: Path
    kinds: SpecKinds = SPEC_KINDS
    examining: asyncio.Lock = field(default_factory=asyncio.Lock)

    def table(self) -> Mapping[str, Command]:
        """Return the command by its name."""
        return {"doctor": self.doctor}

    async def doctor(self) -> list[dict[str, JSON]]:
        """Return `{check, ok, message, hint, code}` for each check that could be made, in order."""
        from secureflow.agent.edge.doctor import examine  # only where it is asked for

        async with self.examining:
            found = await asyncio.to_thread(
                lambda: list(examine(self.config, system_clock, self.kinds))
            )
        return [with_texts(one) for one in found]
