"""The metadata database: entities, the journal, the outbox, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from secureflow.application.ports.changes import Changes
from secureflow.application.ports.notifications import NotificationStore
from secureflow.domain.anchorstatements import AnchorRecord
from secureflow.domain.bundles import StoredBundle
from secureflow.domain.datasets import Dataset, Grant
from secureflow.domain.deliveries import Delivery, Webhook
from secureflow.domain.jobs import Job
from secureflow.domain.logins import Device, LoginPlaces, SecondFactor, TokenFamily
from secureflow.domain.models import Model, Upload
from secureflow.domain.notifications import Preferences
from secureflow.domain.oidc import Identity, PendingLogin
from secureflow.domain.organisations import Agent, Enrolment, Organisation
from secureflow.domain.projects import Project
from secureflow.domain.questions import Question
from secureflow.domain.queue import QueuedJob
from secureflow.domain.revenue import RevenueRecord
from secureflow.domain.sessions import Session
from secureflow.domain.users import Token, User
from secureflow.engines.ledger.ends import End
from secureflow.kit.canonical import JSON

T = TypeVar("T")
Filter = str | int | Sequence[str]
"""A filter on a column (`Store.list`)."""


@dataclass(frozen=True)
class Page:
    """One page of a list: the items and the cursor of the next page (empty at the end).

    `damaged` are the ids of items that exist but cannot be read.
    """

    items: list[Any]
    next: str = ""
    damaged: tuple[str, ...] = ()


class Store(Protocol[T]):
    """Entities of one kind inside a unit of work."""

    async def get(self, key: str) -> T:
        """Return the entity or raise `not_found`."""

    async def find(self, key: str) -> T | None:
        """Return the entity or None."""

    async def add(self, entity: T) -> None:
        """Insert; an existing id raises `already_exists`."""

    async def save(self, entity: T) -> None:
        """Replace the entity of this id; it must exist (`not_found`)."""

    async def remove(self, key: str) -> None:
        """Remove the entity of this id, if it exists."""

    async def list(self, *, cursor: str = "", limit: int = 100, **equals: Filter) -> Page:
        """Return entities ordered by id, which is by age, after the cursor.

        `equals` filters on columns: a string must equal, a sequence must contain. The number
        `unexpired` leaves out entities that have expired by that time, `expired` all others; `due`
        those that are due later; `since` those created before, `until` those created then or later.
        `text` are words that all must occur in an entity (`listing.WORDS`).
        """

    async def latest(self, *, cursor: str = "", limit: int = 100, **equals: Filter) -> Page:
        """Return the newest entities first; arguments as of `list`."""

    async def count(self, **equals: Filter) -> int:
        """Return how many entities match; arguments as of `list`."""

    async def distinct(self, column: str, **equals: Filter) -> Sequence[str]:
        """Return the different values of a filter column among the entities that match, sorted."""

    async def crowded(self, column: str, **equals: Filter) -> str:
        """Return the value of a filter column that most matching entities have; "" for none.

        Of several the one whose first entity expires first; it is for entities that expire.
        """


@dataclass(frozen=True)
class Journalled:
    """One line of a job's journal: the effect's digest and its outcome (answer or failure)."""

    seq: int
    digest: str
    answer: JSON = None
    failure: dict[str, JSON] | None = None


@dataclass(frozen=True)
class Event:
    """One event for watchers of a job; `id` grows, so a stream can resume after any id.

    One that is not stored has id 0.
    """

    id: int
    job: str
    kind: str
    at: int
    data: dict[str, JSON]


class Journal(Protocol):
    """A job's answered effects. The primary key (job, seq) is the fence between replicas."""

    async def read(self, job: str, first: int = 0) -> list[Journalled]:
        """Return the job's lines from a number on, in order; earlier ones are not read."""

    async def last(self, job: str) -> int:
        """Return the number of the job's last line, even a damaged one; -1 if there is none."""

    async def append(self, job: str, lines: Sequence[Journalled]) -> None:
        """Insert lines; a taken (job, seq) raises `fenced`."""


class Outbox(Protocol):
    """Requests that a job has open at parties, written with the journal in one transaction."""

    async def put(self, job: str, seq: int, verb: str, parties: Sequence[str]) -> None:
        """Note that these parties owe an answer."""

    async def clear(self, job: str, seq: int) -> None:
        """Record that every effect up to this one is answered."""

    async def answered(self, job: str, seq: int, party: str) -> None:
        """Note that a party owes no answer to an effect any more; others may."""

    async def asked(self, verb: str) -> list[tuple[str, str]]:
        """Return (job, party) of the open requests of a verb."""

    async def open_requests(self, job: str) -> list[tuple[str, str]]:
        """Return (party, verb) of open requests of a job."""


class Events(Protocol):
    """The progress events of jobs."""

    async def append(self, job: str, kind: str, at: int, data: Mapping[str, JSON]) -> int:
        """Store and return the event's id."""

    async def after(self, job: str, last: int, limit: int = 500) -> list[Event]:
        """Return the job's events with id > last."""

    async def of(self, ids: Sequence[int]) -> list[Event]:
        """Return the events of these ids."""


@dataclass(frozen=True)
class PendingLeaf:
    """A leaf that waits for its number. `data` is the exact leaf bytes (signed, JCS)."""

    job: str
    seq: int
    position: int
    kind: str
    author: str
    data: bytes
    document: JSON = None
    salt: bytes | None = field(default=None, repr=False)


class PendingLeaves(Protocol):
    """Leaves submitted in a transaction; the sequencer numbers them afterwards."""

    async def submit(self, leaves: Sequence[PendingLeaf]) -> None:
        """Insert unnumbered; a repeated (job, seq, position) is stored once."""

    async def end(self, job: str, author: str) -> End:
        """Return how many numbered leaves of a job an author has, and the last one's hash."""


class Idempotency(Protocol):
    """Answers by idempotency key (as a route stores it), per user."""

    async def find(self, user: str, key: str) -> tuple[str, int, JSON] | None:
        """Return (request digest, status, body) if the key was used."""

    async def remember(
        self, user: str, key: str, request: str, status: int, body: JSON, at: int
    ) -> None:
        """Store the first answer with its time."""

    async def forget(self, user: str) -> None:
        """Remove what was answered to a user, and every answer that names them."""


@dataclass(frozen=True)
class Claim:
    """A server's claim to a job. `called` counts how often others asked it to check the job."""

    job: str
    server: str
    called: int = 0


@dataclass(frozen=True)
class Heartbeat:
    """The heartbeat of a server of the database: its id, its name for people, and its count."""

    server: str
    name: str
    count: int


class ClaimStore(Protocol):
    """Claims and heartbeats in the database."""

    async def of(self, job: str) -> Claim | None:
        """Return a job's claim."""

    async def every(self) -> Sequence[Claim]:
        """Return all claims, those of paused jobs included."""

    async def take(self, job: str, server: str, before: str | None) -> None:
        """Claim a job that is unclaimed, or claimed by the server `before`; else raise `fenced`."""

    async def call(self, job: str) -> None:
        """Ask the server that drives the job to check it."""

    async def release(self, job: str) -> None:
        """Remove the claim of a job that ended."""

    async def heartbeat(self, server: str, name: str) -> None:
        """Increment a server's count, from 0 if it is new."""

    async def heartbeats(self) -> Sequence[Heartbeat]:
        """Return every server's heartbeat."""

    async def forget(self, server: str) -> None:
        """Remove a server that no longer exists."""


class QueueStore(Protocol):
    """The queue of approved jobs (`domain.queue`): a line for each that waits or runs."""

    async def add(self, line: QueuedJob) -> None:
        """Add a job, unless it is there."""

    async def every(self) -> Sequence[QueuedJob]:
        """Return the whole queue."""

    async def of(self, job: str) -> QueuedJob | None:
        """Return a job's line."""

    async def save(self, line: QueuedJob) -> None:
        """Replace a job's line; one that has gone stays gone."""

    async def remove(self, job: str) -> None:
        """Remove a job that ended."""


class UnitOfWork(Protocol):
    """One transaction. Leaving the block without `commit` rolls back."""

    users: Store[User]
    tokens: Store[Token]
    sessions: Store[Session]
    families: Store[TokenFamily]
    devices: Store[Device]
    second_factors: Store[SecondFactor]
    login_places: Store[LoginPlaces]
    organisations: Store[Organisation]
    enrolments: Store[Enrolment]
    agents: Store[Agent]
    projects: Store[Project]
    datasets: Store[Dataset]
    grants: Store[Grant]
    jobs: Store[Job]
    models: Store[Model]
    bundles: Store[StoredBundle]
    uploads: Store[Upload]
    identities: Store[Identity]
    pending_logins: Store[PendingLogin]
    questions: Store[Question]
    revenue: Store[RevenueRecord]
    anchor_statements: Store[AnchorRecord]
    preferences: Store[Preferences]
    webhooks: Store[Webhook]
    deliveries: Store[Delivery]
    notifications: NotificationStore
    journal: Journal
    outbox: Outbox
    events: Events
    leaves: PendingLeaves
    idempotency: Idempotency
    claims: ClaimStore
    queue: QueueStore
    changes: Changes

    async def setting(self, name: str) -> JSON:
        """Return a platform-wide JSON value (e.g. `charter`, `charter_candidate`) or None."""

    async def set_setting(self, name: str, value: JSON) -> None:
        """Store a platform-wide JSON value."""

    async def lock(self, name: str) -> None:
        """Serialise units of work that lock this name, until they commit.

        Later reads see what the previous ones committed. So a rule over several entities (a quota,
        one agent per organisation) holds for concurrent requests, on any database and replica.
        """

    async def sweep(self, now: int) -> int:
        """Delete expired rows; return how many there were.

        Expired tokens, sessions and pending logins; enrolments a month after they were used or
        expired; idempotent answers after a day.
        """

    async def commit(self) -> None:
        """Make everything of this block durable."""

    async def __aenter__(self) -> UnitOfWork:
        """Begin."""

    async def __aexit__(self, *_: object) -> None:
        """Roll back what was not committed."""


class UnitOfWorkFactory(Protocol):
    """Starts units of work."""

    def __call__(self) -> UnitOfWork:
        """Return a fresh unit of work for `async with`."""
