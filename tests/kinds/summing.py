"""Summing: a kind that contributes, with a stage and a sum of its own, through the tables alone.

In each of a few rounds every party brings a small vector of whole numbers, masked (`secagg`) or
sealed to an enclave that has a fold for them, and only the total is opened. Nothing is trained and
no rows are read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from secureflow.application.jobs.kind import Drafted, JobKinds, Wanted
from secureflow.application.jobs.kinds import JOB_KINDS
from secureflow.application.jobs.rosters import adopted_charter, contributors_floor, roster_lines
from secureflow.application.ports.accountant import Accountant
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import UnitOfWork
from secureflow.application.running.aggregation import OpenedSum
from secureflow.domain.specs.base import SpecBase, parse, refuse, spec_digest
from secureflow.domain.specs.kind import SpecKind
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.request import REQUEST, RequestBase
from secureflow.domain.specs.rosterrules import roster_problem
from secureflow.domain.specs.updatelimits import Limits
from secureflow.enclave.folds import Fold, Seed
from secureflow.enclave.kind import EnclaveKinds
from secureflow.enclave.kinds import ENCLAVE_KINDS
from secureflow.enclave.models import GlobalModel
from secureflow.engines.run.beginning import begin
from secureflow.engines.run.ending import abandon, report_of, succeed
from secureflow.engines.run.kind import Rows
from secureflow.engines.run.protections import protection_of
from secureflow.engines.run.rounds import Step
from secureflow.engines.run.run import Course, JobContext
from secureflow.engines.script import JSON, Script, Tell
from secureflow.engines.sealing import Manifest, OpenedUpdate
from secureflow.engines.sealing.manifest import Tensor
from secureflow.engines.secagg import Encoding, MaskingPlan, Opened
from secureflow.engines.secagg.encoding import decode
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError

STAGE: Final = "add-up"
LENGTH, LARGEST = 3, 1 << 10

# --- domain --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SummingSpec(SpecBase):
    """What every party signs."""

    __pydantic_config__ = REQUEST
    rounds: int = 2
    limits: Limits = field(default_factory=Limits)
    min_contributors: int = 3
    protection: Literal["secagg", "sealed"] = "secagg"
    kind: Literal["summing"] = "summing"
    script: Literal["summing/1"] = "summing/1"

    privacy = None
    column_names = ()
    bounds = ()
    reads_rows = False
    tells_rows = False
    all_private = False
    parameters = 0

    @property
    def planned_rounds(self) -> int:
        return self.rounds

    def facts(self) -> Mapping[str, Any]:
        return {"rounds": self.rounds}


@dataclass(frozen=True)
class SummingRequest(RequestBase):
    """How often members of a project are to add up."""

    __pydantic_config__ = REQUEST
    parties: tuple[str, ...] = ()
    rounds: int = 2
    kind: Literal["summing"] = field(default="summing", kw_only=True)


def check(spec: SummingSpec) -> None:
    refuse(roster_problem(spec, 3))


SPEC: Final = SpecKind("summing", SummingSpec, SummingRequest, check, {"rounds": "number"})


def brought(party: str, number: int) -> list[int]:
    """Return what a party brings to a round."""
    return [1, number, sum(party.encode())]


# --- engines -------------------------------------------------------------------------------------


def summing_plan(spec: SummingSpec, job: str, spec_digest: str) -> MaskingPlan:
    """One ring step is one: whole numbers pass unchanged."""
    encoding = Encoding(length=LENGTH, clip=float(LARGEST), bits=10, max_weight=1)
    return MaskingPlan(f"{job}-{STAGE}", spec_digest, spec.roster, encoding, rounds=spec.rounds)


def add_up(context: JobContext[SummingSpec]) -> Script[dict[str, JSON]]:
    """Open one total a round."""
    course = Course(context)
    try:
        yield from begin(course, partial(_plans, context))
        totals: list[JSON] = []
        for number in range(1, context.spec.rounds + 1):
            step = Step(number, STAGE, number - 1)
            release = yield from protection_of(course).run_round(course, step, context.digest)
            totals.append(release.body["totals"])
            told = {"round": number, "rounds": context.spec.rounds}
            yield Tell("round", {**told, "parties": release.survivors}, told)
        cosigners = yield from succeed(course, totals=digest(totals))
        rows = {"disclosure": ENGINE.disclosure(context.spec, ""), "attacks": []}
        return report_of(course, cosigners, totals=totals, **rows)
    except SecureFlowError as error:
        yield from abandon(course, error)
        raise


def _plans(context: JobContext[SummingSpec]) -> dict[str, MaskingPlan]:
    return {STAGE: summing_plan(context.spec, context.job, context.digest)}


class SummingEngine:
    """`engines.run.kind.EngineKind`."""

    spec: Final[SpecKind] = SPEC
    scripts: Final = frozenset({"summing/1"})
    retired: Final[frozenset[str]] = frozenset()
    stages: Final = (STAGE,)
    contributing: Final = STAGE

    def script(self, version: str, context: JobContext[SummingSpec]) -> Script[dict[str, JSON]]:
        return add_up(context)

    def rounds_of(self, spec: SummingSpec, stage: str) -> range:
        return range(1, spec.rounds + 1) if stage == STAGE else range(0)

    def masked_stages(self, spec: SummingSpec) -> tuple[str, ...]:
        return self.stages if traits_of(spec).masks else ()

    def masked_plan(self, spec: SummingSpec, job: str, spec_digest: str, stage: str) -> MaskingPlan:
        return summing_plan(spec, job, spec_digest)

    def session_round(self, stage: str, number: int) -> int:
        return number - 1

    def charge(self, spec: SummingSpec, *made: Any, **how: Any) -> tuple[()]:
        return ()

    def disclosure(self, spec: SummingSpec, tee: str) -> Rows:
        return [{"who": "everybody", "sees": "the totals of each round", "why": "-"}]

    def explanation(
        self,
        spec: SummingSpec,
        *,
        tee: str,
        accounting: Mapping[str, JSON] | None,
        rounds: Rows,
        dropouts: Rows,
    ) -> dict[str, JSON]:
        return {"disclosure": self.disclosure(spec, tee), "attacks": [], "summed": len(rounds)}


ENGINE: Final = SummingEngine()

# --- application ---------------------------------------------------------------------------------


class Totals:
    """`application.running.aggregation.SumHandler`: whole numbers."""

    async def release(self, opened: OpenedSum) -> dict[str, JSON]:
        summed = decode(opened.plan.encoding, opened.total, opened.survivors)
        totals = [round(value) for value in (summed.mean * summed.weight).tolist()]
        return {"totals": totals, "sums_digest": digest(totals)}

    def forget(self, job: str) -> None:
        return None


class SummingJobs:
    """`application.jobs.kind.JobKind`."""

    engine: Final = ENGINE

    def sum_handler(self, artifacts: Artifacts) -> Totals:
        return Totals()

    async def draft(
        self, work: UnitOfWork, wanted: Wanted, submitter: str, now: int, priced: None
    ) -> Drafted:
        parts = dict(wanted.parts)
        charter = await adopted_charter(work)
        parties = parts.pop("parties", ())
        parts |= contributors_floor(parties, parts)
        roster = list(roster_lines(dict.fromkeys(parties), charter.keys))
        named = {"project": wanted.project, "name": wanted.name, "purpose": wanted.purpose}
        spec = parse(SummingSpec, {**named, "submitter": submitter, "roster": roster, **parts})
        check(spec)
        return Drafted(spec, spec_digest(spec), charter, ())

    async def price(
        self, wanted: Wanted, accountant: Accountant, draft: Callable[[], Awaitable[Drafted]]
    ) -> None:
        return None


# --- enclave -------------------------------------------------------------------------------------


class TotalFold:
    """`enclave.folds.Fold`: whole numbers; there is no model to move."""

    def __init__(self) -> None:
        self.count = 0
        self._total = np.zeros(LENGTH, np.int64)

    def fold(self, update: OpenedUpdate) -> bytes:
        numbers = update.tensors["numbers"]
        if (np.abs(numbers) > LARGEST).any():
            raise SecureFlowError("norm_exceeded", "A number is too large.")
        self._total += numbers
        self.count += 1
        return b""

    def open(self, number: int, opened: Opened | None) -> None:
        return None

    def advance(self, model: GlobalModel, seed: Seed) -> None:
        return None

    def sums(self, seed: Seed) -> list[float]:
        return [float(self.count), *map(float, self._total)]

    def reset(self) -> None:
        self._total.fill(0)
        self.count = 0


class SummingEnclave:
    """`enclave.kind.EnclaveKind`."""

    engine: Final = ENGINE

    def manifest(self, spec: SummingSpec, stage: str, plan: MaskingPlan | None) -> Manifest:
        return MANIFEST

    def check_asked(
        self, spec: SummingSpec, digest: str, stage: str, number: int, party: str
    ) -> None:
        return

    def fold(
        self,
        spec: SummingSpec,
        stage: str,
        plan: MaskingPlan | None,
        beside: Mapping[str, Fold],
    ) -> TotalFold:
        return TotalFold()

    def starts(self, fold: Fold, model: GlobalModel) -> None:
        return

    def check_committed(self, fold: Fold, update: OpenedUpdate, commitment: str) -> None:
        return

    def told(
        self, spec: SummingSpec, stage: str, folds: Mapping[str, Fold]
    ) -> dict[str, dict[str, JSON]]:
        return {}

    def starts_from(self, spec: SummingSpec) -> str:
        return ""

    def start(self, spec: SummingSpec) -> int:
        return 0

    def started(self, spec: SummingSpec, model: NDArray[np.float32]) -> NDArray[np.float32]:
        return model

    def initial(self, spec: SummingSpec) -> NDArray[np.float32]:
        return np.zeros(0, np.float32)

    def model_audience(self, spec: SummingSpec, stage: str, number: int) -> str:
        return ""


# --- what a party brings, masked and sealed ------------------------------------------------------

MANIFEST: Final = (Tensor("numbers", "i64", (LENGTH,)),)


def values_of(party: str, number: int) -> NDArray[np.float64]:
    """Return what a party brings, as its upload holds it (weight 1, no metrics, no noise)."""
    return np.array(brought(party, number), np.float64)


def sealed_of(party: str, number: int) -> bytes:
    """Return what a party brings, as it is sealed."""
    return np.array(brought(party, number), "<i8").tobytes()


# --- the tables ----------------------------------------------------------------------------------

JOBS: Final = JobKinds(*JOB_KINDS.values(), SummingJobs())
ENCLAVES: Final = EnclaveKinds(*ENCLAVE_KINDS.values(), SummingEnclave())
