"""What the edges (REST, link) get: the use cases, and little else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from secureflow.application.audit import Audit
from secureflow.application.bundles import Bundles
from secureflow.application.charters import Charters
from secureflow.application.continuing import Continuing
from secureflow.application.datasets import Datasets
from secureflow.application.failedlogins import FailedLogins
from secureflow.application.jobs.jobs import Jobs
from secureflow.application.logins import Logins
from secureflow.application.models import Models
from secureflow.application.oidc import OidcLogins
from secureflow.application.organisations import Organisations
from secureflow.application.ports.courier import Courier
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.application.projects import Projects
from secureflow.application.recipes import Recipes
from secureflow.application.renewals import Renewals
from secureflow.application.running.overdue import OverdueEnds
from secureflow.application.sessions import Sessions
from secureflow.application.setback import LogGuard
from secureflow.application.tokens import Tokens
from secureflow.application.totals import Totals
from secureflow.application.transactions import Transactions
from secureflow.application.uploads import Uploads
from secureflow.application.users import Users
from secureflow.kit.errors import SecureFlowError
from secureflow.server.metrics import Metrics

Readiness = Callable[[], Awaitable[Mapping[str, bool]]]
"""Tells for each dependency of the server whether it works."""


@dataclass(frozen=True)
class Services:
    """The use cases behind the API."""

    begin: UnitOfWorkFactory
    transactions: Transactions
    failed_logins: FailedLogins
    logins: Logins
    tokens: Tokens
    sessions: Sessions
    oidc: OidcLogins
    users: Users
    organisations: Organisations
    renewals: Renewals
    charters: Charters
    projects: Projects
    datasets: Datasets
    jobs: Jobs
    overdue: OverdueEnds
    models: Models
    recipes: Recipes
    totals: Totals
    bundles: Bundles
    uploads: Uploads
    audit: Audit
    courier: Courier
    ledger: Ledger
    guard: LogGuard
    continuing: Continuing
    metrics: Metrics
    readiness: Readiness
    record: Callable[[], SecureFlowError | None] = lambda: None
    """Tells why the record is no longer where it was opened."""
