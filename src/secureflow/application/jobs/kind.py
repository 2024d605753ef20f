"""The application's part of a kind of job: how a request becomes a spec, and its cost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

from secureflow.application.ports.accountant import Accountant
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import UnitOfWork
from secureflow.application.running.aggregation import SumHandler
from secureflow.application.uploads import Weights
from secureflow.domain.charter import Charter
from secureflow.domain.priorities import USUAL
from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.matchedrows import MatchedRows
from secureflow.domain.specs.request import JobRequest, parts_of
from secureflow.engines.run.kind import EngineKind, EngineKinds
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:  # NumPy is loaded with the first price
    from secureflow.engines.privacy.accounting import Charge


@dataclass(frozen=True)
class Wanted:
    """A data scientist's request.

    Every part is checked when the spec is drafted. `parts` are those of a kind's spec that a person
    chooses. `coming` are digests of uploads that a dry run takes as there, for they are to be sent
    before the job is submitted. `ahead` tells that it is a step of a pipeline, and what it takes of
    other steps is provisional (`domain.specs.provisional`); `rows` that it takes those of another
    step which match.
    """

    project: str
    name: str
    purpose: str
    datasets: tuple[str, ...]
    parts: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "training"
    coming: frozenset[str] = frozenset()
    not_before: int | None = None
    priority: int = USUAL
    ahead: bool = False
    rows: MatchedRows | None = None

    @classmethod
    def of(cls, request: JobRequest) -> Self:
        """Convert a request of any kind."""
        shared = request.project, request.name, request.purpose, request.datasets
        return cls(
            *shared, parts_of(request), request.kind,
            not_before=request.not_before, priority=request.priority,
        )  # fmt: skip


@dataclass(frozen=True)
class Start:
    """The model that a job starts from: what a round of a stage of another job released."""

    job: str
    stage: str
    round: int
    model: str


@dataclass(frozen=True)
class Drafted:
    """A spec that passed every check, with the facts for a dry run.

    `charter` is the adopted one, which gave the roster its keys; `notes` are warnings for people;
    `initial` the weights that must have been uploaded to the project, `start` the released model
    that it starts from instead.
    """

    spec: JobSpec
    digest: str
    charter: Charter
    notes: tuple[str, ...]
    details: dict[str, Any] = field(default_factory=dict)
    initial: Weights | None = None
    start: Start | None = None


class Cost(Protocol):
    """A job's cost, for every kind."""

    @property
    def answer(self) -> Mapping[str, Any]:
        """The accountant's answer."""

    @property
    def charge(self) -> Charge:
        """The mechanisms that were priced, which the spec costs."""


class JobKind(Protocol):
    """One kind of job."""

    @property
    def engine(self) -> EngineKind:
        """The engines' part of the kind."""

    def sum_handler(self, artifacts: Artifacts) -> SumHandler | None:
        """Return the handler of its masked sums at the centre; None if it has none.

        `artifacts` stores what a round releases.
        """

    async def draft(
        self, work: UnitOfWork, wanted: Wanted, submitter: str, now: int, priced: Any
    ) -> Drafted:
        """Fill in the roster and check everything that the centre can check.

        Args:
            work: an open unit of work.
            wanted: the request.
            submitter: who asks.
            now: unix seconds.
            priced: the result of `price`, whose noise is filled in; None before pricing.

        Raises:
            SecureFlowError: for everything that an agent would refuse later.
        """

    async def price(
        self, wanted: Wanted, accountant: Accountant, draft: Callable[[], Awaitable[Drafted]]
    ) -> Cost | None:
        """Return the job's cost; takes seconds; None without differential privacy.

        Args:
            wanted: the request.
            accountant: computes the cost of noise.
            draft: drafts the request without a price, in its own unit of work.
        """


class JobKinds(Mapping[str, JobKind]):
    """A table of kinds by their names."""

    def __init__(self, *kinds: JobKind) -> None:
        self._kinds = {kind.engine.spec.name: kind for kind in kinds}
        self.engines = EngineKinds(*(kind.engine for kind in kinds))

    def __getitem__(self, name: str) -> JobKind:
        """Return a kind by its name."""
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._kinds)

    def __len__(self) -> int:
        """Return how many kinds there are."""
        return len(self._kinds)

    def sum_handlers(self, artifacts: Artifacts) -> dict[str, SumHandler]:
        """Return each kind's handler of masked sums."""
        made = {name: kind.sum_handler(artifacts) for name, kind in self._kinds.items()}
        return {name: one for name, one in made.items() if one is not None}

    def asked(self, wanted: Wanted) -> JobKind:
        """Return the kind of a request.

        Raises:
            SecureFlowError: `invalid_spec` for an unknown one.
        """
        kind = self._kinds.get(wanted.kind)
        if kind is None:
            raise SecureFlowError(
                "invalid_spec",
                Text(
                    "The spec is not valid: kind: {kind!r} is not a kind of job.",
                    kind=wanted.kind[:40],
                ),
                Text("The kinds are: {kinds}.", kinds=", ".join(self._kinds)),
                {"fields": [{"field": "kind", "problem": "unknown"}]},
            )
        return kind
