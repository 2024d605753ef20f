"""The doctor's findings about an agent so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from secureflow.agent.settings import AgentSettings
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import system_clock
from secureflow.kit.errors import SecureFlowError

PATIENCE = 10.0
"""Seconds that one check may take."""
ANSWERED = 10.0
"""Seconds within which the centre answers a question over a link that takes no time itself."""
TURNS = 8
"""Twice the exchanges that a question over the link takes: TCP, TLS, the greeting, the answer."""


@dataclass
class Diagnosis:
    """The results of earlier checks, for later ones."""

    config: Path
    clock: Callable[[], int] = system_clock
    kinds: SpecKinds = SPEC_KINDS
    settings: AgentSettings | None = None
    host: str = ""
    port: int = 0
    status: dict[str, JSON] = field(default_factory=dict)
    time: int | None = None
    """The time at the server's REST address: known even if the link refuses this agent."""
    turn: float = 0.0
    """Seconds that the slowest exchange with the link's address took so far."""

    @property
    def patience(self) -> float:
        """Seconds that a question over the link may take: more where each exchange is slow."""
        return ANSWERED + TURNS * self.turn

    @property
    def known(self) -> AgentSettings:
        """The settings; only checks that depend on `settings` read them."""
        if self.settings is None:
            raise SecureFlowError("invalid_settings", "There are no settings.")
        return self.settings

    def answered(self) -> dict[str, JSON]:
        """The centre's answer; only checks that depend on `authorisation` read it."""
        return self.status
