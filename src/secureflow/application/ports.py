"""The ports: what the application needs of the world, named by role.

Each has an embedded default (no service, no root) and a production adapter in `adapters/`, and one
contract suite in `tests/contract/` runs over every adapter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from secureflow.application.running.claims import ClaimStore
from secureflow.domain.datasets import Dataset, Grant
from secureflow.domain.jobs import Job
from secureflow.domain.models import Model
from secureflow.domain.organisations import Agent, Enrolment, Organisation
from secureflow.domain.policies import Decision
from secureflow.domain.projects import Project
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.domain.users import Token, User
from secureflow.engines.ledger.ends import End
from secureflow.engines.ledger.setback import Hold

if TYPE_CHECKING:  # NumPy loads with the first job: a server that only serves stays small
    import numpy as np
    from numpy.typing import NDArray

    from secureflow.engines.preparation import Columns
    from secureflow.engines.privacy.accounting import Charge
    from secureflow.engines.statistics import OwnBounds

JSON = Any
T = TypeVar("T")
Filter = str | int | Sequence[str]
"""What a list asks of a column (`Store.list`)."""


@dataclass(frozen=True)
class Page:
    """One page of a list: the items and the cursor of the next page (empty at the end).

    `damaged` are the ids of items that are there and cannot be read.
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
        """Forget the entity of this id; none there is no error."""

    async def list(self, *, cursor: str = "", limit: int = 100, **equals: Filter) -> Page:
        """Return entities ordered by id after the cursor.

        `equals` filters on indexed columns: a string must equal, a sequence must contain. The
        number `unexpired` leaves out what has expired at that time.
        """

    async def count(self, **equals: Filter) -> int:
        """Return how many entities match; arguments as of `list`."""


@dataclass(frozen=True)
class Journalled:
    """One line of a job's journal: the effect's digest and its outcome (answer or failure)."""

    seq: int
    digest: str
    answer: JSON = None
    failure: dict[str, JSON] | None = None


@dataclass(frozen=True)
class Event:
    """One thing that watchers of a job see; `id` grows, so a stream resumes after any id.

    One that is kept nowhere has id 0.
    """

    id: int
    job: str
    kind: str
    at: int
    data: dict[str, JSON]


class Journal(Protocol):
    """A job's answered effects. The primary key (job, seq) is the fence between replicas."""

    async def read(self, job: str, first: int = 0) -> list[Journalled]:
        """Return the job's lines from a number on, in order; those before it are not looked at."""

    async def last(self, job: str) -> int:
        """Return the number of the job's last line, whatever that holds; -1 where there is none."""

    async def append(self, job: str, lines: Sequence[Journalled]) -> None:
        """Insert lines; a taken (job, seq) raises `fenced`."""


class Outbox(Protocol):
    """Requests that a job has open at parties, written with the journal in one transaction."""

    async def put(self, job: str, seq: int, verb: str, parties: Sequence[str]) -> None:
        """Note that these parties owe an answer."""

    async def clear(self, job: str, seq: int) -> None:
        """Every effect up to this one is answered."""

    async def owed(self, job: str) -> list[tuple[str, str]]:
        """Return (party, verb) of open requests of a job."""


class Events(Protocol):
    """The progress events of jobs."""

    async def append(self, job: str, kind: str, at: int, data: Mapping[str, JSON]) -> int:
        """Store and return the event's id."""

    async def after(self, job: str, last: int, limit: int = 500) -> list[Event]:
        """Return the job's events with id > last."""


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
        """Insert unnumbered; the same (job, seq, position) twice is kept once."""

    async def end(self, job: str, author: str) -> End:
        """Return how many numbered leaves of a job an author has, and the last one's hash."""


class Idempotency(Protocol):
    """Answers by idempotency key (as a route stores it), per user."""

    async def find(self, user: str, key: str) -> tuple[str, int, JSON] | None:
        """Return (request digest, status, body) if the key was used."""

    async def remember(
        self, user: str, key: str, request: str, status: int, body: JSON, at: int
    ) -> None:
        """Store the first answer, and when it was given."""


class UnitOfWork(Protocol):
    """One transaction. Leaving the block without `commit` rolls back."""

    users: Store[User]
    tokens: Store[Token]
    organisations: Store[Organisation]
    enrolments: Store[Enrolment]
    agents: Store[Agent]
    projects: Store[Project]
    datasets: Store[Dataset]
    grants: Store[Grant]
    jobs: Store[Job]
    models: Store[Model]
    journal: Journal
    outbox: Outbox
    events: Events
    leaves: PendingLeaves
    idempotency: Idempotency
    claims: ClaimStore

    async def setting(self, name: str) -> JSON:
        """Return a platform-wide JSON value (e.g. `charter`, `charter_candidate`) or None."""

    async def set_setting(self, name: str, value: JSON) -> None:
        """Store a platform-wide JSON value."""

    async def lock(self, name: str) -> None:
        """Let units of work that lock this name go on one after another, until they commit.

        What is read after it is what they left. So a rule over several entities (a quota, one agent
        of an organisation) holds when two ask at once, on whichever database and replica.
        """

    async def sweep(self, now: int) -> int:
        """Forget what nobody can use any more; return how many rows that were.

        Expired tokens; enrolments a month after they were used or expired; idempotent answers
        after a day.
        """

    async def commit(self) -> None:
        """Make everything of this block durable."""

    async def __aenter__(self) -> UnitOfWork:
        """Begin."""

    async def __aexit__(self, *_: object) -> None:
        """Roll back what was not committed."""


class Begin(Protocol):
    """Starts units of work."""

    def __call__(self) -> UnitOfWork:
        """Return a fresh unit of work for `async with`."""


@dataclass(frozen=True)
class Recorded:
    """Where leaves landed: their indices under one signed head."""

    note: str
    size: int
    indices: tuple[int, ...]


@dataclass(frozen=True)
class LogEntry:
    """A numbered leaf with its document (if kept) and salt."""

    index: int
    hash: bytes
    data: bytes
    job: str
    kind: str
    author: str
    at: int
    document: JSON = None
    salt: bytes | None = field(default=None, repr=False)


class Ledger(Protocol):
    """The append-only, provable record (RFC 9162 log; anchors may follow it)."""

    public: str

    @property
    def origin(self) -> str:
        """The name that the log goes by now; a continuation opens another one."""

    @property
    def hold(self) -> Hold | None:
        """Why the log signs nothing (`engines.ledger.setback`); None while it does."""

    async def judge(self, decide: Callable[[Hold | None, int], Hold | None]) -> Hold | None:
        """Decide whether the log is held, from what is known of it and its size, alone."""

    async def go_on(self, origin: str, start: int, root: bytes, leaf: PendingLeaf) -> None:
        """Go on under a new origin from the first `start` leaves, with this one as the next.

        What the log holds after them follows it. Done twice it changes nothing.

        Raises:
            SecureFlowError: `log_not_set_back`, `continuation_refused`.
        """

    async def root(self, size: int) -> bytes:
        """Return the root over the first `size` leaves (`not_found` where there are fewer)."""

    async def sequenced(self, job: str, seq: int) -> Recorded:
        """Wait until the submitted leaves of (job, seq) have numbers under a signed head."""

    async def caught_up(self) -> int:
        """Number every leaf that was submitted by now; return the log's size."""

    async def append(self, leaves: Sequence[PendingLeaf]) -> Recorded:
        """Submit and wait, for deeds that belong to no job (users, grants, charter)."""

    async def head(self) -> str:
        """Return the newest signed checkpoint note, with the cosignatures that it has."""

    async def note(self, size: int) -> str:
        """Return the signed checkpoint of this size with its cosignatures (`not_found`)."""

    async def witnessed(self, index: int, names: Iterable[str]) -> str | None:
        """Return the smallest note that holds an index and that most of these cosigned, if any."""

    async def cosign(self, size: int, lines: Iterable[str]) -> None:
        """Store verified cosignature lines for the checkpoint of this size."""

    async def entries(
        self, *, job: str | None = None, start: int = 0, limit: int = 500
    ) -> list[LogEntry]:
        """Return numbered leaves in order, optionally of one job."""

    async def authors(self, job: str, size: int) -> list[tuple[str, str]]:
        """Return author and hex hash of a job's leaves among the first `size`; no more is read."""

    async def story(self, job: str) -> list[LogEntry]:
        """Return every leaf of the job, and those between that complete its authors' chains."""

    async def newest_of(self, author: str, limit: int) -> list[LogEntry]:
        """Return an author's newest leaves, newest first."""

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the inclusion proof (`not_found` when index ≥ size or size too large)."""

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the consistency proof from old to new."""

    async def find(self, leaf_hash: bytes) -> int | None:
        """Return the index of a leaf hash."""


@dataclass(frozen=True)
class Request:
    """One request to one party. `id` (`job/seq/party`) is its idempotency key."""

    id: str
    party: str
    verb: str
    body: dict[str, JSON]
    patience: float | None


@dataclass(frozen=True)
class PartyStatus:
    """What the centre knows of a party's link; an enclave's TEE and code are claims, no evidence.

    `clock_ahead`: seconds, when it dialled in; `server`: another one that it dialled last.
    """

    party: str
    connected: bool
    last_progress: float
    version: str = ""
    log_size: int = 0
    address: str = ""
    tee: str = ""
    measurement: str = ""
    clock_ahead: int | None = None
    server: str = ""


class Courier(Protocol):
    """Carries requests to parties over links that the parties opened."""

    async def ask(self, request: Request) -> JSON:
        """Deliver (again after a reconnect) until answered.

        Raises:
            SecureFlowError: the party's own refusal, or `party_silent` after `patience` seconds
                without connection or progress.
        """

    def status(self, party: str) -> PartyStatus:
        """Return the party's link status."""

    @property
    def connected(self) -> int:
        """How many parties have an open link."""

    async def withdraw(self, job: str) -> None:
        """Forget the job's open requests and tell parties to stop (cancellation)."""


@dataclass(frozen=True)
class Artifact:
    """A stored blob: BLAKE3 hex digest and size in bytes."""

    digest: str
    size: int


class Artifacts(Protocol):
    """Content-addressed blobs (BLAKE3)."""

    def demand(self, size: int) -> None:
        """Refuse what there is no room for (`disk_full`, an `InfrastructureError`)."""

    async def put(self, chunks: AsyncIterator[bytes], *, limit: int, expect: str = "") -> Artifact:
        """Store a stream of at most `limit` bytes; identical content is stored once.

        A longer stream raises `too_large`, one of another digest than `expect` (if given)
        `digest_mismatch`; neither leaves anything behind.
        """

    async def open(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
        """Stream the blob from the offset (`not_found`)."""

    async def stat(self, digest: str) -> Artifact:
        """Return the blob's size (`not_found`)."""

    def path(self, digest: str) -> Path | None:
        """Return a local path where the adapter has one, for zero-copy reads."""

    async def delete(self, digest: str) -> None:
        """Remove the blob if it is there."""


class Bus(Protocol):
    """Wakes waiters: something happened on a topic (payloads live in the database)."""

    async def publish(self, topic: str) -> None:
        """Wake the topic's listeners."""

    def listen(self, topic: str) -> AsyncIterator[None]:
        """Yield once at once, then after every publish (merged when slow)."""


class Policies(Protocol):
    """Decides a dataset-use request by reviewed policy files."""

    def decide(self, request: Mapping[str, JSON]) -> Decision:
        """Return allow, refuse, or ask (a person)."""


class Accountant(Protocol):
    """Says what noise costs (`adapters.accounting`)."""

    async def quote(
        self,
        *,
        delta: float,
        sampling: float,
        count: int,
        noise: float | None = None,
        epsilon: float | None = None,
        besides: Charge = (),
    ) -> dict[str, JSON]:
        """Return `noise`, `epsilon` by conversion, and the Rényi `curve` of one release."""

    async def fit(
        self, charges: Sequence[Mapping[str, JSON]], delta: float, epsilon: float | None = None
    ) -> dict[str, JSON]:
        """Return `noise`, the least factor on the charges' noise within (ε, δ), and `epsilon`."""


class Statistician(Protocol):
    """Computes and noises one party's sums (`adapters.statistics`), where its rows are."""

    def noised_sums(
        self,
        spec: StatisticsSpec,
        own: OwnBounds,
        columns: Columns,
        units: NDArray[Any] | None,
        honest: int,
    ) -> NDArray[np.int64]:
        """Return the party's vector as `engines.statistics.layout` lays it out, noise included.

        The noise is drawn afresh, from the system's randomness: a second call for the same job
        would let two answers be averaged. So the caller stores the vector before anything derived
        from it leaves, and uploads that one again after a crash.

        Args:
            spec: checked and signed.
            own: this owner's declaration, which values and units are held to.
            columns: every column that the spec names; where it names none (rows are counted) any
                one of the dataset, for its length. A missing value leaves its row out of the
                queries that need it; an infinite one counts as the bound; an unknown category as
                missing. So no row can make the answer fail.
            units: the unit of each row where units may have several rows, else None: each row is
                a unit. Rows without one do not count.
            honest: `honest_shares` of the job's plan.

        Returns:
            int64, shape `(slots(spec),)`, each within ±`LIMIT`.

        Raises:
            SecureFlowError: `library_missing`, `missing_column`, `malformed_cell` for text in a
                number column, `statistics_refused` when the library accounts for more than the
                spec does.
        """


@dataclass(frozen=True)
class Submission:
    """What a dry run or a submission answers: digest, checks and expected disclosure."""

    digest: str
    spec: dict[str, JSON]
    notes: tuple[str, ...] = ()
    details: dict[str, JSON] = field(default_factory=dict)
