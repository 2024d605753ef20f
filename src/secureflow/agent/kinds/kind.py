"""What an agent knows of a kind of job: what its data must be, and what the party contributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from secureflow.agent.job.context import AgentContext, Computing, Fetching
from secureflow.agent.record.records import JobRecord, RoundRecord
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import JobSpec
from secureflow.engines.run.kind import EngineKind, EngineKinds
from secureflow.engines.run.messages import AdmitRequest, MaskRequest, TrainRequest
from secureflow.engines.sealing import Manifest, SealedUpdate
from secureflow.engines.secagg import MaskingPlan
from secureflow.engines.secagg.encoding import Contribution
from secureflow.kit.canonical import JSON


@dataclass
class Held:
    """The newest contribution in memory, and how it was sealed last."""

    round: int
    stage: str
    content: str
    plaintext: memoryview
    seconds: float
    evidence: str = ""
    sealed: SealedUpdate | None = None


@dataclass(frozen=True)
class Start:
    """What a round's contribution is made from, verified: a model's digest, and moments."""

    model: str
    moments: list[float] | None = None


class Contributing(Protocol):
    """What one party does for all jobs of a kind. A `spec` is always one of the kind, checked."""

    async def prepare(self, job: JobRecord, spec: Any) -> None:
        """Reserve the budget, and have everything checked, once, that can be before a round."""

    async def hand_over(self, job: JobRecord, request: AdmitRequest) -> dict[str, JSON]:
        """Return what a newly verified enclave needs of this party: members of `AdmitReply`."""

    def rows(self, job: str) -> int:
        """Return the rows behind a prepared job's contributions, as they may be told; else 0."""

    async def start(self, job: JobRecord, spec: Any, request: TrainRequest | MaskRequest) -> Start:
        """Verify what the centre shows and return what the round starts from.

        Raises:
            SecureFlowError: a model or moments that nobody released, or that are no part of it.
        """

    def check_follows(self, newest: RoundRecord, request: TrainRequest | MaskRequest) -> None:
        """Refuse what may not come after the newest round, beyond what is no later than it.

        Raises:
            SecureFlowError: `stale_round`.
        """

    async def held(
        self,
        job: JobRecord,
        spec: Any,
        request: TrainRequest | MaskRequest,
        record: RoundRecord | None,
        start: Start,
    ) -> Held:
        """Return the recorded contribution, or make it where there is no record of the round yet.

        It is the same, bit by bit, however often it is asked for.
        """

    def keep(self, job: str, held: Held) -> None:
        """Keep what cannot be made again, in the transaction of the round's record."""

    def manifest(self, spec: Any, stage: str) -> Manifest:
        """Return how a contribution that is sealed, and not masked, is laid out."""

    def masked(self, plan: MaskingPlan, spec: Any, held: Held) -> Contribution:
        """Return what is held as a client masks it."""

    def tells_nothing(self, spec: Any) -> bool:
        """Tell whether contributions hold nothing of anybody: any sum of them may be opened."""

    def may_repeat(self, spec: Any) -> bool:
        """Tell whether an honest run may start two rounds from one model."""

    async def forget(self, job: str) -> None:
        """Drop everything of a job that is over."""


class AgentKind(Protocol):
    """One kind of job."""

    @property
    def engine(self) -> EngineKind:
        """What the engines know of it."""

    def check_columns(self, spec: Any, dataset: DatasetConfig) -> None:
        """Refuse columns, types, categories and bounds that do not fit what the owner declared.

        Raises:
            SecureFlowError: `column_not_granted`, `unknown_category`; of a job with differential
                privacy `bounds_undeclared`, `bounds_too_narrow`, `bounds_too_wide`.
        """

    def contributing(
        self, context: AgentContext, computing: Computing, link: Fetching
    ) -> Contributing | None:
        """Return what a party does for jobs of this kind; None where it contributes nothing.

        Args:
            context: the party.
            computing: reads rows.
            link: the centre's blobs and calls.
        """


class AgentKinds(Mapping[str, AgentKind]):
    """A table of kinds by their names."""

    def __init__(self, *kinds: AgentKind) -> None:
        self._kinds = {kind.engine.spec.name: kind for kind in kinds}
        self.engines = EngineKinds(*(kind.engine for kind in kinds))

    def __getitem__(self, name: str) -> AgentKind:
        """Return a kind by its name."""
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._kinds)

    def __len__(self) -> int:
        """Return how many kinds there are."""
        return len(self._kinds)

    def check_columns(self, spec: JobSpec, dataset: DatasetConfig) -> None:
        """Refuse columns that do not fit what the owner declared; see `AgentKind`."""
        self._kinds[spec.kind].check_columns(spec, dataset)


class Contributions:
    """What this party does for every kind of job.

    Args:
        kinds: the table.
        context: the party.
        computing: reads rows.
        link: the centre's blobs and calls.
    """

    def __init__(
        self, kinds: AgentKinds, context: AgentContext, computing: Computing, link: Fetching
    ) -> None:
        made = {name: kind.contributing(context, computing, link) for name, kind in kinds.items()}
        self._each = {name: one for name, one in made.items() if one is not None}

    def of(self, spec: JobSpec) -> Contributing:
        """Return what is done for a spec's kind; it is one under whose protection parties do."""
        return self._each[spec.kind]

    async def forget(self, job: str) -> None:
        """Drop everything of a job that is over, of whatever kind it was."""
        for one in self._each.values():
            await one.forget(job)
