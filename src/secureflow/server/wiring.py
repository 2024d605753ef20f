"""Assembles the use cases from ports: one plain function, no container."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from secureflow.application.audit import Audit
from secureflow.application.bundles import Bundles
from secureflow.application.charters import Charters
from secureflow.application.continuing import Continuing
from secureflow.application.datasets import Datasets
from secureflow.application.failedlogins import FailedLogins
from secureflow.application.identities import Identities, LoginProvider
from secureflow.application.intake import Intake
from secureflow.application.issuing import Issuing
from secureflow.application.jobs.jobs import Driver, Jobs
from secureflow.application.jobs.kind import JobKinds
from secureflow.application.jobs.kinds import JOB_KINDS
from secureflow.application.jobs.reachability import Reachability
from secureflow.application.jobs.starting import released_models
from secureflow.application.logins import Logins
from secureflow.application.membership import member_keys
from secureflow.application.models import Models
from secureflow.application.oidc import OidcLogins
from secureflow.application.organisations import CentreDescription, Organisations
from secureflow.application.passwords import Passwords
from secureflow.application.ports.accountant import Accountant
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.bus import Bus
from secureflow.application.ports.courier import Courier
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.application.projects import Projects
from secureflow.application.quotas import Quotas
from secureflow.application.recipes import Recipes
from secureflow.application.renewals import Renewals
from secureflow.application.running.asking import Asking
from secureflow.application.running.overdue import OverdueEnds
from secureflow.application.running.recosigning import Recosigning
from secureflow.application.sessions import SessionLimits, Sessions
from secureflow.application.setback import LogGuard
from secureflow.application.tokens import Tokens
from secureflow.application.totals import Totals
from secureflow.application.transactions import Transactions
from secureflow.application.uploads import Uploads
from secureflow.application.users import Users
from secureflow.application.witnessing import Witnessing
from secureflow.domain.organisations import Agent
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.crypto import SigningKey
from secureflow.kit.pki import Authority
from secureflow.server.metrics import Metrics
from secureflow.server.services import Readiness, Services

DEFAULT_QUOTAS = Quotas()
DEFAULT_SESSIONS = SessionLimits()


@dataclass(frozen=True)
class Ports:
    """The ports that the use cases depend on; `uploads` stores what people upload.

    `providers` are where people may log in besides, by name.
    """

    begin: UnitOfWorkFactory
    ledger: Ledger
    log_key: SigningKey
    authority: Authority
    courier: Courier
    driver: Driver
    bus: Bus
    artifacts: Artifacts
    uploads: Artifacts
    clock: Clock
    accountant: Accountant
    kinds: JobKinds = field(default_factory=lambda: JOB_KINDS)
    providers: Mapping[str, LoginProvider] = field(default_factory=dict)


async def always_ready() -> dict[str, bool]:
    """Report no dependency that could fail."""
    return {}


def make_services(
    ports: Ports,
    link: str,
    *,
    expel: Callable[[Agent], None] = lambda _: None,
    notify_disabled: Callable[[Sequence[str]], None] = lambda _: None,
    coming: Callable[[Agent], None] = lambda _: None,
    readiness: Readiness = always_ready,
    stopping: Callable[[], bool] = lambda: False,
    ticks: Ticks = time.monotonic,
    metrics: Metrics | None = None,
    quotas: Quotas = DEFAULT_QUOTAS,
    room: Callable[[int], None] = lambda _: None,
    waits: Callable[[str], Sequence[dict[str, Any]]] = lambda _: [],
    server: str = "",
    others: Callable[[], Collection[str]] = frozenset,
    sessions: SessionLimits = DEFAULT_SESSIONS,
) -> Services:
    """Return the use cases over the ports.

    Args:
        ports, link: the dependencies; `host:port` of the link, as given to newcomers.
        expel: cuts the open link of a revoked agent.
        notify_disabled: shuts out exactly the organisations that are disabled now.
        coming: called with parties that could not dial in, and have a new certificate now.
        readiness, stopping: tells which parts work; set to end long streams.
        ticks, metrics: paces login attempts; metrics that the adapters report jobs to.
        quotas, sessions: limits per organisation, and of browser sessions.
        room, waits: refuses jobs too large for the disk; tells who waits for what in a job.
        server, others: the names of this server, and of the other servers of the database.
    """
    begin, clock, ledger = ports.begin, ports.clock, ports.ledger
    (transactions, issuing), shut_out = _transactions(ports), (expel, notify_disabled)
    centre = CentreDescription(link, ledger, server, others)
    asking, recosign = _asking(ports, ticks)
    continuing = Continuing(begin, ledger, ports.log_key, ports.driver, clock)
    uploading = begin, transactions, ports.uploads, clock, quotas, Intake()
    return Services(
        begin=begin,
        **_people(ports, transactions, ticks, quotas, sessions),
        organisations=Organisations(begin, transactions, issuing, centre, clock, quotas, *shut_out),
        renewals=Renewals(begin, issuing, ports.log_key, clock, ticks, coming),
        charters=Charters(begin, transactions, ports.authority.trust_domain, ledger, continuing),
        projects=Projects(begin, transactions, clock, quotas),
        datasets=Datasets(begin, transactions, clock, quotas),
        jobs=_jobs(ports, transactions, quotas, others, stopping, room, waits),
        overdue=OverdueEnds(begin, ledger, asking, recosign),
        models=Models(begin, ports.artifacts),
        recipes=Recipes(ports.artifacts),
        totals=Totals(ports.artifacts),
        bundles=Bundles(*uploading),
        uploads=Uploads(*uploading),
        audit=Audit(begin, ledger, recosign),
        courier=ports.courier,
        ledger=ledger,
        guard=LogGuard(begin, ledger, continuing, clock),
        continuing=continuing,
        metrics=metrics or Metrics(),
        readiness=readiness,
    )


def _people(
    ports: Ports,
    transactions: Transactions,
    ticks: Ticks,
    quotas: Quotas,
    limits: SessionLimits,
) -> dict[str, Any]:
    """Return the services around accounts, and how their owners come in."""
    begin, clock, passwords = ports.begin, ports.clock, Passwords()
    failed = FailedLogins(transactions, clock)
    logins = Logins(begin, passwords, ticks, failed)
    identities = Identities(begin, transactions, ports.providers, quotas, clock, failed)
    return {
        "transactions": transactions,
        "failed_logins": failed,
        "logins": logins,
        "tokens": Tokens(begin, transactions, logins, clock, quotas.tokens),
        "sessions": (sessions := Sessions(begin, transactions, clock, limits)),
        "oidc": OidcLogins(begin, identities, sessions, failed, clock, ticks),
        "users": Users(begin, transactions, passwords, clock, quotas, ticks, logins.forget),
    }


def _asking(ports: Ports, ticks: Ticks) -> tuple[Asking, Recosigning]:
    keys = partial(member_keys, ports.begin)
    asking = Asking(ports.courier, Witnessing(ports.ledger, keys).cosigned)
    return asking, Recosigning(ports.ledger, ports.courier, asking, ticks)


def _transactions(ports: Ports) -> tuple[Transactions, Issuing]:
    recorded = (ports.ledger, ports.log_key, ports.clock)
    return Transactions(ports.begin, *recorded), Issuing(ports.authority, *recorded)


def _jobs(
    ports: Ports,
    transactions: Transactions,
    quotas: Quotas,
    others: Callable[[], Collection[str]],
    stopping: Callable[[], bool],
    room: Callable[[int], None],
    waits: Callable[[str], Sequence[dict[str, Any]]],
) -> Jobs:
    begin, clock = ports.begin, ports.clock
    return Jobs(
        *(begin, transactions, ports.driver, ports.bus, clock, ports.accountant, quotas),
        *(Reachability(ports.courier, others), ports.kinds, stopping, room, waits),
        partial(released_models, ports.ledger),
    )
