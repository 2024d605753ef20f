"""The parts of a running agent that its owner's commands reach."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final, Protocol

from secureflow.agent.edge.clockwatch import ClockWatch
from secureflow.agent.edge.reload import Reload
from secureflow.agent.edge.wiring import Assembly
from secureflow.agent.job.context import Fetching
from secureflow.domain.schemas import DatasetConfig
from secureflow.kit.errors import SecureFlowError

PATIENCE: Final = 10.0
"""Seconds for the centre to answer, or a signature: less than the command line waits for us."""


class Describing(Protocol):
    """Reads a whole dataset (`agent.compute.workers.Workers`)."""

    async def describe(
        self, dataset: DatasetConfig, salt: bytes, known: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        """Return `name`, `columns`, `rows`, `bucket`, `salt`, `commitment`."""


class Linked(Fetching, Protocol):
    """The link to the centre, and its state (`adapters.link.Link`)."""

    connected: asyncio.Event
    trouble: SecureFlowError | None


@dataclass(frozen=True)
class RunningAgent:
    """A running agent.

    Args:
        assembly: the agent.
        link: its link.
        describing: reads datasets.
        reloading: compares the settings with their file.
        watch: knows how much the clocks differ.
    """

    assembly: Assembly
    link: Linked
    describing: Describing
    reloading: Reload
    watch: ClockWatch
