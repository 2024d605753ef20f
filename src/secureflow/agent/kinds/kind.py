"""A kind of job at the agent: the rules for its data, and the party's contribution."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from secureflow.agent.compute.derivation import update_commitment
from secureflow.agent.job.context import AgentContext, Computing, Fetching, RunningEngines
from secureflow.agent.owner.matchedrows import forget_rows
from secureflow.agent.record.records import JobRecord, RoundRecord
from secureflow.application.ports.peers import PeerChannel
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.scoredocument import FORGED
from secureflow.domain.specs.base import JobSpec
from secureflow.engines.run.attempts import Offer
from secureflow.engines.run.kept import KEPT
from secureflow.engines.run.kind import EngineKind, EngineKinds
from secureflow.engines.run.messages import AdmitRequest, KeepRequest, MaskRequest, TrainRequest
from secureflow.engines.sealing import Manifest, SealedUpdate
from secureflow.engines.secagg import MaskingPlan
from secureflow.engines.secagg.encoding import Contribution
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


@dataclass
class LocalContribution:
    """The newest contribution in memory, how it was last sealed, and a secret of its own salt."""

    round: int
    stage: str
    content: str
    plaintext: memoryview
    seconds: float
    evidence: str = ""
    sealed: SealedUpdate | None = None
    salted: bytes = field(default=b"", repr=False)

    def commitment(self, secret: bytes) -> str:
        """Return the hex commitment to it, for the party's leaf; `secret` is the job's."""
        return update_commitment(self.salted or secret, self.round, self.stage, self.content)


@dataclass(frozen=True)
class RoundStart:
    """The verified inputs of a round's contribution: a model's digest, and moments."""

    model: str
    moments: list[float] | None = None


class Contributing(Protocol):
    """One party's part in all jobs of a kind. A `spec` is always of that kind, and checked."""

    async def prepare(self, job: JobRecord, spec: Any) -> None:
        """Reserve the budget, and check once everything that can be checked before a round."""

    async def hand_over(self, job: JobRecord, request: AdmitRequest) -> dict[str, JSON]:
        """Return what a newly verified enclave needs from this party: members of `AdmitReply`."""

    def rows(self, job: str) -> int:
        """Return the rows behind a prepared job's contributions if they may be revealed, else 0."""

    async def start(
        self, job: JobRecord, spec: Any, request: TrainRequest | MaskRequest
    ) -> RoundStart:
        """Verify the model and moments that the centre shows; return what the round starts from.

        Raises:
            SecureFlowError: for a model or moments that were never released, or that do not belong
                to the round.
        """

    def check_follows(self, newest: RoundRecord, request: TrainRequest | MaskRequest) -> None:
        """Refuse a request that may not follow the newest round, although it is later than it.

        Raises:
            SecureFlowError: `stale_round`.
        """

    async def contribute(
        self,
        job: JobRecord,
        spec: Any,
        request: TrainRequest | MaskRequest,
        record: RoundRecord | None,
        start: RoundStart,
    ) -> LocalContribution:
        """Return the recorded contribution, or make it if the round is not on record yet.

        It is the same bit by bit, however often it is requested.
        """

    def keep(self, job: str, held: LocalContribution) -> None:
        """Store what cannot be made again, in the transaction of the round's record."""

    def manifest(self, spec: Any, stage: str) -> Manifest:
        """Return the layout of a contribution that is sealed but not masked."""

    def masked(self, plan: MaskingPlan, spec: Any, held: LocalContribution) -> Contribution:
        """Return the held contribution in the form that a client masks."""

    def reveals_nothing(self, spec: Any) -> bool:
        """Return whether contributions reveal nothing about anyone, so any sum may be opened."""

    def may_repeat(self, spec: Any) -> bool:
        """Return whether an honest run may start two rounds from one model."""

    def check_outcome(self, spec: Any, rounds: Sequence[RoundRecord], model: str | None) -> str:
        """Refuse an output that is not what this party's own rounds led to, as far as it can tell.

        Args:
            spec: the job's.
            rounds: this party's record of them.
            model: digest of what the centre names as the output.

        Returns:
            The model, if this party compared it; "" if it cannot tell, or the kind has no model.

        Raises:
            SecureFlowError: `model_inconsistent`.
        """

    async def forget(self, job: str) -> None:
        """Drop everything of a finished job."""


@runtime_checkable
class Scored(Protocol):
    """One party's part in jobs whose contributions may be scored; besides `Contributing`."""

    def check_scores(self, job: JobRecord, spec: Any, signed: JSON) -> str:
        """Refuse scores that no enclave signed which this party verified.

        Args:
            job: approved.
            spec: its spec, of this kind, checked.
            signed: what the centre names; None for nothing.

        Returns:
            The digest of the scores; "" if there are none, or this party cannot tell.

        Raises:
            SecureFlowError: `scores_forged`.
        """


@dataclass(frozen=True)
class KeptResult:
    """What a party keeps of a job, in a file of its own.

    Args:
        document: what its leaf commits to; it stays with the party, and holds the file's digest.
        facts: what the party's own log says of it.
    """

    document: dict[str, JSON]
    facts: dict[str, JSON]


class Keeping(ABC):
    """One party's part in all jobs of a kind whose results stay with each party."""

    @abstractmethod
    async def keep(self, job: JobRecord, spec: Any, request: KeepRequest) -> KeptResult:
        """Compute what this party keeps, and write it: the same, bit by bit, until it is recorded.

        Args:
            job: approved.
            spec: its spec, of this kind, checked.
            request: what the centre asks for.

        Raises:
            SecureFlowError: for what the approved spec does not say, and for rows that do not fit.
        """

    @abstractmethod
    def goes_to(self, spec: Any) -> str:
        """Return the party to which the spec has the others' results handed over; "" for nobody."""

    @abstractmethod
    async def forget(self, job: str, *, recorded: bool) -> None:
        """Drop everything of a finished job but what is kept.

        Args:
            job: its id.
            recorded: whether this party has committed to what it keeps; without, that goes too.
        """


@dataclass(frozen=True)
class Entered:
    """What a party puts into an attempt.

    Args:
        inputs: hex commitment to it, the same in every attempt as long as it is the same.
        count: how much it is, by the kind's measure.
    """

    inputs: str
    count: int


@dataclass(frozen=True)
class PeerSession:
    """An attempt whose channels are open.

    Args:
        attempt: its number, from 1.
        channels: peer → the channel to it, of those that the kind names (`Peering.peers`).
        offers: peer → what it entered with.
    """

    attempt: int
    channels: Mapping[str, PeerChannel]
    offers: Mapping[str, Offer] = field(default_factory=dict)


@dataclass(frozen=True)
class PeerOutcome:
    """What came of a run.

    Args:
        figures: what the report may tell: counts.
        kept: what this party keeps, if it gets a result.
        peak: bytes of memory of the engine; 0 if nobody counted.
    """

    figures: dict[str, JSON]
    kept: KeptResult | None = None
    peak: int = 0


class Peering(ABC):
    """One party's part in all jobs of a kind whose parties compute with each other.

    Attributes:
        runs_once: whether a run that ended here is the job's last one. A further one tells others a
            further result, and that they bring the same again is their word.
    """

    runs_once: ClassVar[bool] = False

    @abstractmethod
    def peers(self, spec: Any) -> tuple[str, ...]:
        """Return with whom this party needs channels."""

    @abstractmethod
    def ready(self, spec: Any) -> None:
        """Refuse what cannot run here, before anybody is asked for anything.

        Raises:
            SecureFlowError: `engine_absent`, `engine_unconfined`, `program_mismatch`.
        """

    @abstractmethod
    async def enter(self, job: JobRecord, spec: Any) -> Entered:
        """Make ready what this party puts in, the same in every attempt.

        Args:
            job: approved.
            spec: its spec, of this kind, checked.

        Raises:
            SecureFlowError: `dataset_changed`; for rows that do not fit.
        """

    @abstractmethod
    async def admit(self, job: JobRecord, spec: Any, offers: Mapping[str, Offer]) -> None:
        """Accept what the peers put in, before anything is computed; durable when it returns.

        Args:
            job: approved.
            spec: its spec.
            offers: peer → what it entered with.

        Raises:
            SecureFlowError: for what goes beyond the owner's limits.
        """

    @abstractmethod
    def traffic(self, job: JobRecord, spec: Any, offers: Mapping[str, Offer]) -> int:
        """Return the bytes over channels that an attempt is estimated to take.

        Args:
            job: approved, and entered.
            spec: its spec.
            offers: peer → what it entered with; nobody has admitted it yet.
        """

    @abstractmethod
    async def run(self, job: JobRecord, spec: Any, session: PeerSession) -> PeerOutcome:
        """Run the protocol; write what this party keeps, whole, before this returns.

        Raises:
            SecureFlowError: those of the engine; the kind's own.
        """

    @abstractmethod
    async def forget(self, job: str, *, recorded: bool) -> None:
        """Drop everything of a finished job but what is kept; see `Keeping.forget`."""


class AgentKind(Protocol):
    """One kind of job."""

    @property
    def engine(self) -> EngineKind:
        """The engines' part of the kind."""

    def check_columns(self, spec: Any, dataset: DatasetConfig) -> None:
        """Refuse columns, types, categories and bounds that do not match the owner's declaration.

        Raises:
            SecureFlowError: `column_not_granted`, `unknown_category`; for a job with differential
                privacy also `bounds_undeclared`, `bounds_too_narrow`, `bounds_too_wide`.
        """

    def contributing(
        self, context: AgentContext, computing: Computing, link: Fetching
    ) -> Contributing | Keeping | Peering | None:
        """Return a party's part in jobs of this kind; None if it does nothing in them.

        Args:
            context: the party.
            computing: reads rows.
            link: the centre's blobs and calls.
        """


@runtime_checkable
class SidedKind(Protocol):
    """A kind of job whose parties bring different columns; in addition to `AgentKind`."""

    def check_side(self, spec: Any, dataset: DatasetConfig, party: str) -> None:
        """Refuse what does not match the declaration of this party; see `check_columns`."""


@runtime_checkable
class EnginedKind(Protocol):
    """A kind of job that needs an engine at every party; in addition to `AgentKind`."""

    def check_engines(self, spec: Any, engines: RunningEngines, party: str) -> None:
        """Refuse a job whose engine this party does not have, before a person is asked.

        Raises:
            SecureFlowError: `engine_absent` and the others of `RunningEngines.ready`, naming party
                and command; `program_mismatch` for another version.
        """


@runtime_checkable
class ListingKind(Protocol):
    """A kind of job whose worker keeps lists in temporary files; in addition to `AgentKind`."""

    def scratch(self, spec: Any) -> int:
        """Return how many bytes they may take, however small `worker: scratch_mb` is."""


@runtime_checkable
class PeeredKind(Protocol):
    """A kind of job of which some compute with peers and others do not; see `AgentKind`."""

    def peering(self, context: AgentContext, computing: Computing) -> Peering:
        """Return a party's part in those whose parties compute with each other."""


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

    def check_columns(self, spec: JobSpec, dataset: DatasetConfig, party: str = "") -> None:
        """Refuse columns that do not match the owner's declaration; see `AgentKind`."""
        kind = self._kinds[spec.kind]
        kind.check_columns(spec, dataset)
        if isinstance(kind, SidedKind):
            kind.check_side(spec, dataset, party)

    def check_engines(self, spec: JobSpec, engines: RunningEngines, party: str) -> None:
        """Refuse a job whose engine this party does not have; see `EnginedKind`."""
        kind = self._kinds[spec.kind]
        if isinstance(kind, EnginedKind):
            kind.check_engines(spec, engines, party)

    def scratch(self, spec: JobSpec) -> int:
        """Return the bytes of temporary files that a job's worker may need; see `ListingKind`."""
        kind = self._kinds[spec.kind]
        return kind.scratch(spec) if isinstance(kind, ListingKind) else 0


class Contributions:
    """This party's part in every kind of job.

    Args:
        kinds: the table.
        context: the party.
        computing: reads rows.
        link: the centre's blobs and calls.
    """

    def __init__(
        self, kinds: AgentKinds, context: AgentContext, computing: Computing, link: Fetching
    ) -> None:
        self._store = context.store
        self._context = context
        self._each: dict[str, Contributing] = {}
        self._keeping: dict[str, Keeping] = {}
        self._peering: dict[str, Peering] = {}
        for name, kind in kinds.items():
            part = kind.contributing(context, computing, link)
            if isinstance(kind, PeeredKind):
                self._peering[name] = kind.peering(context, computing)
            if isinstance(part, Keeping):
                self._keeping[name] = part
            elif isinstance(part, Peering):
                self._peering[name] = part
            elif part is not None:
                self._each[name] = part

    def of(self, spec: JobSpec) -> Contributing:
        """Return the part for a spec's kind; its protection must involve the parties."""
        return self._each[spec.kind]

    def keeping(self, spec: JobSpec) -> Keeping:
        """Return the part for a spec's kind, whose results stay here.

        Raises:
            SecureFlowError: `protection_unsupported` for a kind of another sort.
        """
        if spec.kind in self._keeping:
            return self._keeping[spec.kind]
        raise SecureFlowError(
            "protection_unsupported",
            Text("Of a job of kind {kind} parties keep nothing.", kind=spec.kind),
            "The centre must follow the spec that was approved.",
        )

    def peering(self, spec: JobSpec) -> Peering:
        """Return the part for a spec's kind, whose parties compute with each other.

        Raises:
            SecureFlowError: `protection_unsupported` for a kind of another sort.
        """
        if spec.kind in self._peering:
            return self._peering[spec.kind]
        raise SecureFlowError(
            "protection_unsupported",
            Text("In a job of kind {kind} parties do not compute with each other.", kind=spec.kind),
            "The centre must follow the spec that was approved.",
        )

    def check_outcome(self, spec: JobSpec, rounds: Sequence[RoundRecord], model: str | None) -> str:
        """See `Contributing.check_outcome`; "" for a kind that has no part here."""
        if spec.kind not in self._each:
            return ""
        return self._each[spec.kind].check_outcome(spec, rounds, model)

    def check_scores(self, job: JobRecord, spec: JobSpec, signed: JSON) -> str:
        """See `Scored.check_scores`; a job of another kind has none."""
        part: object = self._each.get(spec.kind)
        if isinstance(part, Scored):
            return part.check_scores(job, spec, signed)
        if signed is None:
            return ""
        told = Text("Job {job} scores nothing, and the centre ends it with scores.", job=job.job)
        raise SecureFlowError(FORGED, told, "The centre must follow the spec that was approved.")

    async def forget(self, job: str) -> None:
        """Drop everything of a finished job, whatever its kind."""
        for one in self._each.values():
            await one.forget(job)
        known = self._store.job(job)
        kind = "" if known is None else str(known.spec.get("kind"))
        part = self._keeping.get(kind) or self._peering.get(kind)
        if part is not None:
            recorded = self._store.leaf_of(job, KEPT) is not None
            await part.forget(job, recorded=recorded)
        await asyncio.to_thread(forget_rows, self._context.settings, job)
