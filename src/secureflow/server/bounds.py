"""What a platform's settings bound: quotas, running jobs, sessions, accounts."""

from __future__ import annotations

from dataclasses import dataclass, field

from secureflow.application.peoplerules import PeopleRules
from secureflow.application.quotas import Quotas
from secureflow.application.sessions import SessionLimits
from secureflow.domain.queue import UNLIMITED, QueueLimits


@dataclass(frozen=True)
class Bounds:
    """What a platform's settings bound.

    Args:
        quotas: what one organisation may have.
        queue: how many jobs may run at a time.
        sessions: how long browser sessions last.
        rules: of accounts.
    """

    quotas: Quotas = field(default_factory=Quotas)
    queue: QueueLimits = UNLIMITED
    sessions: SessionLimits = field(default_factory=SessionLimits)
    rules: PeopleRules = field(default_factory=PeopleRules)
