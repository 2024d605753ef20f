"""Assembles the use cases from ports: one plain function, no container."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from secureflow.adapters.printing import ProcessPrinter
from secureflow.application.agreements import Agreements
from secureflow.application.anchorstatements import AnchorStatements
from secureflow.application.attestations import Attestations
from secureflow.application.audit import Audit
from secureflow.application.auditsearch import AuditSearch
from secureflow.application.charters import Charters
from secureflow.application.components.catalogue import Components
from secureflow.application.continuing import Continuing
from secureflow.application.datasets import Datasets
from secureflow.application.feed import Feed
from secureflow.application.identities import LoginProvider
from secureflow.application.issuing import Issuing
from secureflow.application.jobevidence import JobRecords
from secureflow.application.jobs.drafting import Drafts
from secureflow.application.jobs.driver import Driver
from secureflow.application.jobs.jobs import Jobs
from secureflow.application.jobs.kind import JobKinds
from secureflow.application.jobs.kinds import JOB_KINDS
from secureflow.application.jobs.reachability import Reachability
from secureflow.application.jobs.starting import released_models
from secureflow.application.jobs.timing import Queue
from secureflow.application.jobtemplates import JobTemplates
from secureflow.application.limits import Limits
from secureflow.application.links import Links
from secureflow.application.live import Live
from secureflow.application.logkeychange import LogKeyChange
from secureflow.application.membership import member_keys
from secureflow.application.organisations import CentreDescription, Organisations
from secureflow.application.overview import Overviews
from secureflow.application.ports.accountant import Accountant
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.bus import Bus
from secureflow.application.ports.courier import Courier
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.logkeys import LogKeys, OneKey
from secureflow.application.ports.notifications import Notifier
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.application.projectpeople import ProjectPeople
from secureflow.application.projectrecord import ProjectRecord
from secureflow.application.projects import Projects
from secureflow.application.projectstates import ProjectStates
from secureflow.application.projectstops import ProjectStops
from secureflow.application.questions import Questions
from secureflow.application.quotas import Quotas
from secureflow.application.renewals import Renewals
from secureflow.application.running.asking import Asking
from secureflow.application.running.overdue import OverdueEnds
from secureflow.application.running.recosigning import Recosigning
from secureflow.application.setback import LogGuard
from secureflow.application.settlements import Settlements
from secureflow.application.strategies import Strategies
from secureflow.application.timetables import Timetables
from secureflow.application.transactions import Transactions
from secureflow.application.witnessing import Witnessing
from secureflow.domain.deliveries import Channel
from secureflow.domain.organisations import Agent
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.crypto import SigningKey
from secureflow.kit.pki import Authority
from secureflow.server.bounds import Bounds
from secureflow.server.metrics import Metrics
from secureflow.server.notices import NoticeParts, link_of
from secureflow.server.people import make_people
from secureflow.server.products import make_products
from secureflow.server.services import Notices, Readiness, Services
from secureflow.server.settings import NotificationSettings, ServerSettings

DEFAULT_BOUNDS = Bounds()


@dataclass(frozen=True)
class Notify:
    """The channels of notifications: settings and what links start with, or made elsewhere."""

    settings: NotificationSettings = field(default_factory=NotificationSettings)
    link: str = ""
    notifiers: Mapping[Channel, Notifier] | None = None


@dataclass(frozen=True)
class Ports:
    """The ports that the use cases depend on; `uploads` stores what people upload.

    `providers` are where people may log in besides, by name; `log_keys` is where the log's next key
    is found, `sealing` the key under which secrets lie in the database (`application.secretsroot`).
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
    notify: Notify = field(default_factory=Notify)
    log_keys: LogKeys | None = None
    sealing: SigningKey | None = None

    @property
    def keys(self) -> LogKeys:
        """The log's keys; by default `log_key` is never replaced."""
        return self.log_keys or OneKey(self.log_key)

    @property
    def sealing_key(self) -> SigningKey:
        """What the keys of secrets in the database are derived from."""
        return self.sealing or self.log_key


def notify_of(settings: ServerSettings) -> Notify:
    """Return the channels that the settings name."""
    return Notify(settings.notifications, link_of(settings))


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
    bounds: Bounds = DEFAULT_BOUNDS,
    room: Callable[[int], None] = lambda _: None,
    waits: Callable[[str], Sequence[dict[str, Any]]] = lambda _: [],
    server: str = "",
    others: Callable[[], Collection[str]] = frozenset,
) -> Services:
    """Return the use cases over the ports.

    Args:
        ports, link: the dependencies; `host:port` of the link, as given to newcomers.
        expel: cuts the open link of a revoked agent.
        notify_disabled: shuts out exactly the organisations that are disabled now.
        coming: called with parties that could not dial in, and have a new certificate now.
        readiness, stopping: tells which parts work; set to end long streams.
        ticks: paces login attempts.
        metrics, bounds: metrics that the adapters already report jobs to; what settings bound.
        room, waits: refuses jobs too large for the disk; tells who waits for what in a job.
        server, others: the names of this server, and of the other servers of the database.
    """
    begin, clock, ledger = ports.begin, ports.clock, ports.ledger
    (transactions, issuing), shut_out = _transactions(ports), (expel, notify_disabled)
    quotas, centre = bounds.quotas, CentreDescription(link, ledger, server, others)
    asking, recosign = _asking(ports, ticks)
    continuing = Continuing(begin, ledger, ports.log_key, ports.driver, clock, keys=ports.keys)
    entering = (ports.sealing_key, ports.log_key), ports.authority.trust_domain, ports.providers
    jobs = _jobs(ports, transactions, quotas, others, stopping, room, waits)
    stored = begin, transactions, ports.artifacts, ports.uploads, clock, quotas
    return Services(
        **vars(make_people(begin, transactions, clock, ticks, bounds, *entering)),
        **vars(make_products(*stored)),
        begin=begin,
        transactions=transactions,
        organisations=Organisations(begin, transactions, issuing, centre, clock, quotas, *shut_out),
        renewals=Renewals(begin, issuing, ports.log_key, clock, ticks, coming),
        charters=Charters(begin, transactions, ports.authority.trust_domain, ledger, continuing),
        log_key_change=LogKeyChange(begin, transactions, ledger, ports.keys, clock),
        **_projects(ports, transactions, quotas),
        **_around_jobs(ports, transactions, bounds, jobs),
        overdue=OverdueEnds(begin, ledger, asking, recosign),
        **_revenue(ports, transactions, Audit(begin, ledger, recosign)),
        notices=_notices(ports, transactions, ticks, stopping, others),
        **_for_pages(ports, bounds, others, ticks, stopping),
        courier=ports.courier,
        ledger=ledger,
        guard=LogGuard(begin, ledger, continuing, clock),
        continuing=continuing,
        metrics=metrics or Metrics(),
        readiness=readiness,
    )


def _projects(ports: Ports, transactions: Transactions, quotas: Quotas) -> dict[str, Any]:
    """Return the use cases around projects and their data, by their names in `Services`."""
    begin, clock = ports.begin, ports.clock
    stops = ProjectStops(begin, ports.driver, clock)
    return {
        "projects": Projects(begin, transactions, clock, quotas, stops),
        "project_people": ProjectPeople(begin, transactions, clock),
        "project_record": ProjectRecord(begin, ports.ledger),
        "project_states": ProjectStates(begin, transactions, clock, stops),
        "project_stops": stops,
        "datasets": Datasets(begin, transactions, clock, quotas),
    }


def _revenue(ports: Ports, transactions: Transactions, audit: Audit) -> dict[str, Any]:
    """Return the ledger for people and the use cases around revenue, by names in `Services`."""
    begin, clock, records = ports.begin, ports.clock, JobRecords(audit)
    return {
        "audit": audit,
        "agreements": Agreements(begin, transactions, ports.ledger, clock),
        "settlements": Settlements(begin, transactions, records, ports.log_key, clock),
        "job_records": records,
    }


def _around_jobs(
    ports: Ports, transactions: Transactions, bounds: Bounds, jobs: Jobs
) -> dict[str, Any]:
    """Return the use cases around jobs, by their names in `Services`."""
    begin, clock = ports.begin, ports.clock
    return {
        "jobs": jobs,
        "drafts": Drafts(begin, jobs),
        "job_templates": JobTemplates(begin, clock),
        "strategies": Strategies(),
        "anchors": AnchorStatements(begin, clock),
        "components": Components(ports.kinds.engines),
        "queue": Queue(begin, transactions, bounds.queue, clock),
        "timetables": Timetables(begin, transactions, clock, ports.driver.start),
        "questions": Questions(begin, transactions, clock),
    }


def _for_pages(
    ports: Ports,
    bounds: Bounds,
    others: Callable[[], Collection[str]],
    ticks: Ticks,
    stopping: Callable[[], bool],
) -> dict[str, Any]:
    """Return what the console's pages ask, by its names in `Services`."""
    begin, ledger, clock = ports.begin, ports.ledger, ports.clock
    feed = Feed(begin, clock)
    reachability = Reachability(ports.courier, others)
    links = Links(begin, ports.courier, reachability, ledger, clock)
    return {
        "feed": feed,
        "live": Live(begin, feed, ticks, stopping),
        "links": links,
        "overviews": Overviews(begin, links, reachability, ledger),
        "attestations": Attestations(begin, ledger),
        "audit_search": AuditSearch(begin, ledger),
        "printer": ProcessPrinter(),
        "limits": Limits(begin, bounds.quotas, bounds.queue, clock),
    }


def _notices(
    ports: Ports,
    transactions: Transactions,
    ticks: Ticks,
    stopping: Callable[[], bool],
    others: Callable[[], Collection[str]],
) -> Notices:
    notify = ports.notify
    return NoticeParts(
        *(ports.begin, ports.ledger, ports.sealing_key, ports.courier, ports.bus, ports.clock),
        *(ticks, stopping, others, notify.settings, notify.link, notify.notifiers),
    ).notices(transactions)


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
