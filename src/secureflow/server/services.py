"""What the edges (REST, link) get: the use cases, and little else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from secureflow.application.agreements import Agreements
from secureflow.application.anchorstatements import AnchorStatements
from secureflow.application.attestations import Attestations
from secureflow.application.audit import Audit
from secureflow.application.auditsearch import AuditSearch
from secureflow.application.charters import Charters
from secureflow.application.components.catalogue import Components
from secureflow.application.continuing import Continuing
from secureflow.application.datasets import Datasets
from secureflow.application.delivering import Delivering
from secureflow.application.expiring import Expiring
from secureflow.application.feed import Feed
from secureflow.application.jobevidence import JobRecords
from secureflow.application.jobs.drafting import Drafts
from secureflow.application.jobs.jobs import Jobs
from secureflow.application.jobs.timing import Queue
from secureflow.application.jobtemplates import JobTemplates
from secureflow.application.limits import Limits
from secureflow.application.links import Links
from secureflow.application.live import Live
from secureflow.application.logkeychange import LogKeyChange
from secureflow.application.notifications import Notifications
from secureflow.application.notifying import Notifying
from secureflow.application.organisations import Organisations
from secureflow.application.outages import Outages
from secureflow.application.overview import Overviews
from secureflow.application.ports.courier import Courier
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.printer import Printer
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.application.projectpeople import ProjectPeople
from secureflow.application.projectrecord import ProjectRecord
from secureflow.application.projects import Projects
from secureflow.application.projectstates import ProjectStates
from secureflow.application.projectstops import ProjectStops
from secureflow.application.questions import Questions
from secureflow.application.renewals import Renewals
from secureflow.application.running.overdue import OverdueEnds
from secureflow.application.setback import LogGuard
from secureflow.application.settlements import Settlements
from secureflow.application.strategies import Strategies
from secureflow.application.timetables import Timetables
from secureflow.application.transactions import Transactions
from secureflow.application.webhooks import Webhooks
from secureflow.kit.errors import SecureFlowError
from secureflow.server.metrics import Metrics
from secureflow.server.people import People
from secureflow.server.products import Products

Readiness = Callable[[], Awaitable[Mapping[str, bool]]]
"""Tells for each dependency of the server whether it works."""


@dataclass(frozen=True)
class Notices:
    """What tells people: their inboxes and webhooks, and what fills them in the background."""

    notifications: Notifications
    webhooks: Webhooks
    notifying: Notifying
    expiring: Expiring
    outages: Outages
    delivering: Delivering


@dataclass(frozen=True)
class Services(People, Products):
    """The use cases behind the API."""

    begin: UnitOfWorkFactory
    transactions: Transactions
    organisations: Organisations
    renewals: Renewals
    charters: Charters
    projects: Projects
    project_people: ProjectPeople
    project_record: ProjectRecord
    project_states: ProjectStates
    project_stops: ProjectStops
    datasets: Datasets
    jobs: Jobs
    drafts: Drafts
    job_templates: JobTemplates
    strategies: Strategies
    components: Components
    queue: Queue
    timetables: Timetables
    anchors: AnchorStatements
    questions: Questions
    agreements: Agreements
    settlements: Settlements
    job_records: JobRecords
    overdue: OverdueEnds
    audit: Audit
    audit_search: AuditSearch
    notices: Notices
    feed: Feed
    live: Live
    links: Links
    overviews: Overviews
    attestations: Attestations
    limits: Limits
    printer: Printer
    courier: Courier
    ledger: Ledger
    guard: LogGuard
    continuing: Continuing
    log_key_change: LogKeyChange
    metrics: Metrics
    readiness: Readiness
    record: Callable[[], SecureFlowError | None] = lambda: None
    """Tells why the record is no longer where it was opened."""

    @property
    def notifications(self) -> Notifications:
        """One's own notifications."""
        return self.notices.notifications

    @property
    def webhooks(self) -> Webhooks:
        """Webhooks of organisations."""
        return self.notices.webhooks
