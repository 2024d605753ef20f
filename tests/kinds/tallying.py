"""Tallying: every party's worker process counts the rows in which a column exceeds a number.

A kind that contributes, under masks alone: one step of its own in the worker process, one masked
sum, no noise. What differs from `counting` is each layer's record that reading rows needs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

import numpy as np

from secureflow.adapters.datasources import SourceLimits, open_source
from secureflow.agent.compute.columns import declared
from secureflow.agent.compute.kind import NO_SECRETS, Prepared, Secrets, Step
from secureflow.agent.job.context import AgentContext, Computing, Fetching
from secureflow.agent.job.reading import paid_reading
from secureflow.agent.kinds.kind import LocalContribution, RoundStart
from secureflow.agent.record.records import JobRecord, RoundRecord
from secureflow.application.jobs.kind import Drafted, Wanted
from secureflow.application.jobs.rosters import (
    adopted_charter,
    check_grants,
    contributors_floor,
    granted_datasets,
    roster_lines,
)
from secureflow.application.ports.accountant import Accountant
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import UnitOfWork
from secureflow.application.running.aggregation import OpenedSum
from secureflow.cli.kinds import WithoutPeers
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import SpecBase, parse, spec_digest
from secureflow.domain.specs.base import refuse as refuse_problem
from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.request import REQUEST, RequestBase
from secureflow.domain.specs.rosterrules import roster_problem
from secureflow.domain.specs.updatelimits import Limits
from secureflow.engines.run.beginning import begin
from secureflow.engines.run.ending import abandon, report_of, succeed
from secureflow.engines.run.kind import Rows
from secureflow.engines.run.messages import AdmitRequest, MaskRequest, TrainRequest
from secureflow.engines.run.protections import protection_of
from secureflow.engines.run.rounds import Step as Round
from secureflow.engines.run.run import Course, JobContext
from secureflow.engines.script import Script, Tell
from secureflow.engines.sealing import Manifest, tensor_digest
from secureflow.engines.secagg import Encoding, MaskingPlan
from secureflow.engines.secagg.encoding import Contribution, total_weight
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.errors import SecureFlowError

STAGE: Final = "tally"
BITS: Final = 20

# --- domain --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TallyingSpec(SpecBase):
    """What every party signs."""

    __pydantic_config__ = REQUEST
    column: str = ""
    above: float = 0.0
    limits: Limits = field(default_factory=Limits)
    min_contributors: int = 3
    protection: Literal["secagg"] = "secagg"
    kind: Literal["tallying"] = "tallying"
    script: Literal["tallying/1"] = "tallying/1"

    privacy = None
    bounds = ()
    reads_rows = True
    tells_rows = False
    all_private = False
    planned_rounds = 1
    parameters = 0

    @property
    def column_names(self) -> tuple[str, ...]:
        """The one that is asked about."""
        return (self.column,)

    def facts(self) -> Mapping[str, Any]:
        """Nothing that policies of this kind alone ask."""
        return {}


@dataclass(frozen=True)
class TallyingRequest(RequestBase):
    """Which rows are to be counted."""

    __pydantic_config__ = REQUEST
    column: str = ""
    above: float = 0.0
    kind: Literal["tallying"] = field(default="tallying", kw_only=True)


def check(spec: TallyingSpec) -> None:
    """Refuse two: each would know the other's rows."""
    refuse_problem(roster_problem(spec, 3))


SPEC: Final = SpecKind("tallying", TallyingSpec, TallyingRequest, check, {})

# --- engines -------------------------------------------------------------------------------------


def plan(spec: TallyingSpec, job: str, spec_digest: str) -> MaskingPlan:
    """Return the plan of the job's one masked sum: one whole number of each party."""
    encoding = Encoding(length=1, clip=float(1 << BITS), bits=BITS, max_weight=1)
    return MaskingPlan(f"{job}-{STAGE}", spec_digest, spec.roster, encoding)


def tally(context: JobContext[TallyingSpec]) -> Script[dict[str, JSON]]:
    """Open the sum of all parties' counts."""
    course = Course(context)
    try:
        plans = partial(plan, context.spec, context.job, context.digest)
        yield from begin(course, lambda: {STAGE: plans()})
        once = Round(1, STAGE)
        release = yield from protection_of(course).run_round(course, once, context.digest)
        yield Tell("round", {"round": 1, "rounds": 1}, {"round": 1, "rounds": 1})
        rows = release.body["rows"]
        cosigners = yield from succeed(course, rows=rows)
        told = {"disclosure": ENGINE.disclosure(context.spec, ""), "attacks": []}
        return report_of(course, cosigners, rows=rows, survivors=release.survivors, **told)
    except SecureFlowError as error:
        yield from abandon(course, error)
        raise


class TallyingEngine:
    """`engines.run.kind.EngineKind`."""

    spec: Final[SpecKind] = SPEC
    scripts: Final = frozenset({"tallying/1"})
    retired: Final[frozenset[str]] = frozenset()
    stages: Final = (STAGE,)
    contributing: Final = STAGE

    def script(self, version: str, context: JobContext[TallyingSpec]) -> Script[dict[str, JSON]]:
        return tally(context)

    def rounds_of(self, spec: TallyingSpec, stage: str) -> range:
        return range(1, 2) if stage == STAGE else range(0)

    def masked_stages(self, spec: TallyingSpec) -> tuple[str, ...]:
        return self.stages

    def masked_plan(
        self, spec: TallyingSpec, job: str, spec_digest: str, stage: str
    ) -> MaskingPlan:
        return plan(spec, job, spec_digest)

    def session_round(self, stage: str, number: int) -> int:
        return number - 1

    def charge(self, spec: TallyingSpec, read: Mapping[str, int] | None = None) -> tuple[()]:
        return ()

    def disclosure(self, spec: TallyingSpec, tee: str) -> Rows:
        return [{"who": "operator", "sees": "the sum of all counts", "why": "-"}]

    def explanation(
        self,
        spec: TallyingSpec,
        *,
        tee: str,
        accounting: Mapping[str, JSON] | None,
        rounds: Rows,
        dropouts: Rows,
    ) -> dict[str, JSON]:
        return {"disclosure": self.disclosure(spec, tee), "attacks": []}


ENGINE: Final = TallyingEngine()

# --- application ---------------------------------------------------------------------------------


class Rowsums:
    """`application.running.aggregation.SumHandler`."""

    async def release(self, opened: OpenedSum) -> dict[str, JSON]:
        total_weight(opened.plan.encoding, opened.total, len(opened.survivors))
        rows = int(opened.total.view(np.dtype(f"<i{opened.total.itemsize}"))[0])
        return {"rows": rows, "sums_digest": digest([rows])}

    def forget(self, job: str) -> None:
        return None


class TallyingJobs:
    """`application.jobs.kind.JobKind`."""

    engine: Final = ENGINE

    def sum_handler(self, artifacts: Artifacts) -> Rowsums:
        return Rowsums()

    async def draft(
        self, work: UnitOfWork, wanted: Wanted, submitter: str, now: int, priced: None
    ) -> Drafted:
        charter = await adopted_charter(work)
        chosen = await granted_datasets(work, wanted.project, wanted.datasets)
        parts = {**wanted.parts, **contributors_floor(wanted.datasets, wanted.parts)}
        named = {"project": wanted.project, "name": wanted.name, "purpose": wanted.purpose}
        roster = list(roster_lines(chosen, charter.keys))
        spec = parse(TallyingSpec, {**named, "submitter": submitter, "roster": roster, **parts})
        check(spec)
        await check_grants(work, spec, chosen, now)
        return Drafted(spec, spec_digest(spec), charter, ())

    async def price(
        self, wanted: Wanted, accountant: Accountant, draft: Callable[[], Awaitable[Drafted]]
    ) -> None:
        return None


# --- agent ---------------------------------------------------------------------------------------


class Tally:
    """`agent.kinds.kind.Contributing`."""

    def __init__(self, context: AgentContext, computing: Computing) -> None:
        self._context, self._computing = context, computing
        self._prepared: set[str] = set()

    async def prepare(self, job: JobRecord, spec: TallyingSpec) -> None:
        if job.job in self._prepared:
            return
        pinned = await self._context.unchanged(job, spec)
        await self._context.budgets.reserve(job, spec)
        await self._computing.prepare(job.job, job.spec, *self._context.reading(pinned))
        self._prepared.add(job.job)

    async def hand_over(self, job: JobRecord, request: AdmitRequest) -> dict[str, JSON]:
        raise AssertionError(job.job)

    def rows(self, job: str) -> int:
        return 0

    async def start(
        self, job: JobRecord, spec: TallyingSpec, request: TrainRequest | MaskRequest
    ) -> RoundStart:
        return RoundStart(job.digest)

    def check_follows(self, newest: RoundRecord, request: TrainRequest | MaskRequest) -> None:
        return None

    async def contribute(
        self,
        job: JobRecord,
        spec: TallyingSpec,
        request: TrainRequest | MaskRequest,
        record: RoundRecord | None,
        start: RoundStart,
    ) -> LocalContribution:
        await self.prepare(job, spec)
        async with paid_reading(self._context, job, spec, (1, STAGE), start.model):
            answer = await self._computing.compute(job.job, STAGE, {"above": spec.above})
        content = memoryview(np.asarray(answer["sums"], "<i8").tobytes())
        return LocalContribution(
            1, STAGE, tensor_digest(content), content, float(answer["seconds"])
        )

    def keep(self, job: str, held: LocalContribution) -> None:
        return None

    def manifest(self, spec: TallyingSpec, stage: str) -> Manifest:
        raise AssertionError(stage)

    def masked(
        self, plan: MaskingPlan, spec: TallyingSpec, held: LocalContribution
    ) -> Contribution:
        values = np.frombuffer(held.plaintext, "<i8").astype(np.float64)
        return Contribution(values, 1, {}, None)

    def check_outcome(
        self, spec: TallyingSpec, rounds: Sequence[RoundRecord], model: str | None
    ) -> str:
        return ""  # tallies have no model

    def reveals_nothing(self, spec: TallyingSpec) -> bool:
        return False

    def may_repeat(self, spec: TallyingSpec) -> bool:
        return True

    async def forget(self, job: str) -> None:
        self._prepared.discard(job)
        await self._computing.close(job)


class TallyingAgent:
    """`agent.kinds.kind.AgentKind`."""

    engine: Final = ENGINE

    def check_columns(self, spec: TallyingSpec, dataset: DatasetConfig) -> None:
        declared(dataset, spec.column, {"number"})

    def contributing(self, context: AgentContext, computing: Computing, link: Fetching) -> Tally:
        return Tally(context, computing)


# --- worker process ------------------------------------------------------------------------------


def _above(rows: Any, above: float) -> Any:
    return np.array([int((rows > above).sum())])


class TallyingWorker:
    """`agent.compute.kind.WorkerKind`."""

    spec: Final = SPEC
    steps: Final[Mapping[str, Step]] = {STAGE: _above}

    def check(
        self, job: str, spec: TallyingSpec, config: DatasetConfig | None, limits: SourceLimits
    ) -> None:
        return None

    def prepare(
        self,
        job: str,
        spec: TallyingSpec,
        config: DatasetConfig | None,
        limits: SourceLimits,
        secrets: Secrets = NO_SECRETS,
    ) -> Prepared:
        if config is None:
            raise AssertionError(job)
        read = open_source(config, limits).read(spec.column_names)
        return Prepared(np.asarray(read[spec.column]))


# --- command line --------------------------------------------------------------------------------


class TallyingText(WithoutPeers):
    """`cli.kinds.CliKind`."""

    engine: Final = ENGINE

    def task(self, spec: TallyingSpec) -> str:
        return f"rows with {spec.column} above {spec.above:g}"

    def leaves(self, spec: TallyingSpec) -> str:
        return "one count, masked"

    def label(self, spec: TallyingSpec) -> None:
        return None
