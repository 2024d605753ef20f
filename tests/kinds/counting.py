"""Counting to three: parties consent, contribute nothing, and the ledger and the report tell it.

One small record per layer, as `docs/extending.md` says. There is nothing to compute, so workers
have none; and nothing to seal, so enclaves have none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from secureflow.application.jobs.kind import Drafted, Wanted
from secureflow.application.jobs.rosters import adopted_charter, contributors_floor, roster_lines
from secureflow.application.ports.accountant import Accountant
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import UnitOfWork
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
from secureflow.engines.run.run import Course, JobContext, record, witness_by_charter
from secureflow.engines.script import JSON, Script, Tell
from secureflow.kit.errors import SecureFlowError

# --- domain --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CountingSpec(SpecBase):
    """What every party signs."""

    __pydantic_config__ = REQUEST
    to: int = 3
    limits: Limits = field(default_factory=Limits)
    min_contributors: int = 2
    protection: Literal["none"] = "none"
    kind: Literal["counting"] = "counting"
    script: Literal["counting/1"] = "counting/1"

    privacy = None
    column_names = ()
    bounds = ()
    reads_rows = False
    tells_rows = False
    all_private = True
    parameters = 0

    @property
    def planned_rounds(self) -> int:
        """One for each number."""
        return self.to

    def facts(self) -> Mapping[str, Any]:
        """How far it counts."""
        return {"to": self.to}


@dataclass(frozen=True)
class CountingRequest(RequestBase):
    """How far members of a project are to count together."""

    __pydantic_config__ = REQUEST
    parties: tuple[str, ...] = ()
    to: int = 3
    kind: Literal["counting"] = field(default="counting", kw_only=True)


def check(spec: CountingSpec) -> None:
    """Refuse one party alone."""
    refuse_problem(roster_problem(spec, 2))


SPEC: Final = SpecKind("counting", CountingSpec, CountingRequest, check, {"to": "number"})

# --- engines -------------------------------------------------------------------------------------


def count(context: JobContext[CountingSpec]) -> Script[dict[str, JSON]]:
    """Count; each number stands in the ledger."""
    course = Course(context)
    try:
        yield from begin(course, dict)
        for number in range(1, context.spec.to + 1):
            yield from record(course, [{"kind": "job.counted", "document": {"number": number}}])
            yield Tell("round", {"round": number}, {"round": number, "rounds": context.spec.to})
        yield from witness_by_charter(course)
        cosigners = yield from succeed(course, counted=context.spec.to)
        rows = {"disclosure": ENGINE.disclosure(context.spec, ""), "attacks": []}
        told = [
            {"label": "Rounds run", "value": context.spec.to},
            {"label": "Counted", "value": list(range(1, context.spec.to + 1))},
        ]
        sections = [{"title": context.spec.name, "rows": told}]
        return report_of(course, cosigners, counted=context.spec.to, sections=sections, **rows)
    except SecureFlowError as error:
        yield from abandon(course, error)
        raise


class CountingEngine:
    """`engines.run.kind.EngineKind`."""

    spec: Final[SpecKind] = SPEC
    scripts: Final = frozenset({"counting/1"})
    retired: Final[frozenset[str]] = frozenset()
    stages: Final[tuple[str, ...]] = ()
    contributing: Final = ""

    def script(self, version: str, context: JobContext[CountingSpec]) -> Script[dict[str, JSON]]:
        return count(context)

    def rounds_of(self, spec: CountingSpec, stage: str) -> range:
        return range(0)

    def masked_stages(self, spec: CountingSpec) -> tuple[str, ...]:
        return ()

    def masked_plan(self, spec: CountingSpec, job: str, spec_digest: str, stage: str) -> Any:
        raise AssertionError(stage)

    def session_round(self, stage: str, number: int) -> int:
        raise AssertionError(stage)

    def charge(self, spec: CountingSpec, read: Mapping[str, int] | None = None) -> tuple[()]:
        return ()

    def disclosure(self, spec: CountingSpec, tee: str) -> Rows:
        return [{"who": "operator", "sees": "who takes part, when, and how fast", "why": "-"}]

    def explanation(
        self,
        spec: CountingSpec,
        *,
        tee: str,
        accounting: Mapping[str, JSON] | None,
        rounds: Rows,
        dropouts: Rows,
    ) -> dict[str, JSON]:
        counted = len(rounds)
        return {"disclosure": self.disclosure(spec, tee), "attacks": [], "counted": counted}


ENGINE: Final = CountingEngine()

# --- application ---------------------------------------------------------------------------------


class CountingJobs:
    """`application.jobs.kind.JobKind`."""

    engine: Final = ENGINE

    def sum_handler(self, artifacts: Artifacts) -> None:
        return None

    async def draft(
        self, work: UnitOfWork, wanted: Wanted, submitter: str, now: int, priced: None
    ) -> Drafted:
        parts = dict(wanted.parts)
        charter = await adopted_charter(work)
        parties = parts.pop("parties", ())
        parts |= contributors_floor(parties, parts)
        roster = list(roster_lines(dict.fromkeys(parties), charter.keys))
        named = {"project": wanted.project, "name": wanted.name, "purpose": wanted.purpose}
        spec = parse(CountingSpec, {**named, "submitter": submitter, "roster": roster, **parts})
        check(spec)
        return Drafted(spec, spec_digest(spec), charter, ())

    async def price(
        self, wanted: Wanted, accountant: Accountant, draft: Callable[[], Awaitable[Drafted]]
    ) -> None:
        return None


# --- agent ---------------------------------------------------------------------------------------


class CountingAgent:
    """`agent.kinds.kind.AgentKind`."""

    engine: Final = ENGINE

    def check_columns(self, spec: CountingSpec, dataset: DatasetConfig) -> None:
        raise AssertionError(spec)

    def contributing(self, *_: Any) -> None:
        return None


# --- command line --------------------------------------------------------------------------------


class CountingText(WithoutPeers):
    """`cli.kinds.CliKind`."""

    engine: Final = ENGINE

    def task(self, spec: CountingSpec) -> str:
        return f"counting to {spec.to}"

    def leaves(self, spec: CountingSpec) -> str:
        return "nothing"

    def label(self, spec: CountingSpec) -> None:
        return None
