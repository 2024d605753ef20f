"""The use cases around people and how they come in, and the limits of what one may have."""

from __future__ import annotations

from dataclasses import dataclass, field

from secureflow.application.failedlogins import FailedLogins
from secureflow.application.logins import Logins
from secureflow.application.passwords import Passwords
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.application.quotas import Quotas
from secureflow.application.sessions import SessionLimits, Sessions
from secureflow.application.tokens import Tokens
from secureflow.application.transactions import Transactions
from secureflow.application.users import Users
from secureflow.domain.queue import UNLIMITED, QueueLimits
from secureflow.kit.clock import Clock, Ticks


@dataclass(frozen=True)
class Bounds:
    """What a platform's settings bound.

    Args:
        quotas: what one organisation may have.
        queue: how many jobs may run at a time.
        sessions: how long browser sessions last.
    """

    quotas: Quotas = field(default_factory=Quotas)
    queue: QueueLimits = UNLIMITED
    sessions: SessionLimits = field(default_factory=SessionLimits)


@dataclass(frozen=True)
class People:
    """The use cases around people."""

    failed_logins: FailedLogins
    logins: Logins
    tokens: Tokens
    sessions: Sessions
    users: Users


def make_people(
    begin: UnitOfWorkFactory, transactions: Transactions, clock: Clock, ticks: Ticks, bounds: Bounds
) -> People:
    """Return the use cases around people; `ticks` paces their guesses."""
    passwords, quotas = Passwords(), bounds.quotas
    failed = FailedLogins(transactions, clock)
    logins = Logins(begin, passwords, ticks, failed)
    return People(
        failed_logins=failed,
        logins=logins,
        tokens=Tokens(begin, transactions, logins, clock, quotas.tokens),
        sessions=Sessions(begin, transactions, clock, bounds.sessions),
        users=Users(begin, transactions, passwords, clock, quotas, ticks, logins.forget),
    )
