"""The spec of a computation among parties (MPC): a program of the catalogue, and who learns what.

A *program* has a name and a version, and says what it needs (`mpc_programs`, the catalogue). The
program `joint-sums` is computed by masked sums: nothing but totals over all contributors is opened.
Programs of engines are computed in shares, in *attempts* over channels from agent to agent; results
stay with the receivers that the spec names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from secureflow.domain.bounds import Bounds
from secureflow.domain.partyengines import EngineNeeded
from secureflow.domain.specs.base import (
    MAX_PEER_MEGABYTES,
    STRICT,
    UNLESS_NONE,
    Problem,
    Slug,
    SpecBase,
    dump,
    refuse,
)
from secureflow.domain.specs.bundles import bundle_facts, given_to
from secureflow.domain.specs.engineprograms import (
    MAX_ATTEMPTS,
    EngineProgram,
    EngineRef,
    MpcSide,
    sides_problem,
)
from secureflow.domain.specs.jointsums import JointSums, moved_by, sums_problem
from secureflow.domain.specs.measuredcolumn import MeasuredColumn
from secureflow.domain.specs.mpc_programs import BUILT_IN, MpcProgram, Protocol, entry_of
from secureflow.domain.specs.ownprograms import MpycProgram
from secureflow.domain.specs.partforms import CodePart
from secureflow.domain.specs.rosterrules import roster_problem
from secureflow.domain.specs.summed import SummedPrivacy, summed_problem
from secureflow.kit.canonical import digest
from secureflow.kit.text import Text

Receivers = Literal["all"] | Annotated[tuple[Slug, ...], Field(min_length=1, max_length=256)]
"""Who learns the result: everybody, or these parties alone."""


@dataclass(frozen=True)
class MpcLimits:
    """How long things may take.

    Args:
        patience_seconds: without progress, after which a party counts as silent.
        seconds: of one attempt of an engine's program, at most.
        peer_megabytes: MiB that each party sends and receives over its channels, in all attempts
            together; None for what the estimate lets expect, several times over.
    """

    __pydantic_config__ = STRICT
    patience_seconds: Annotated[float, Field(gt=0.0, le=86_400.0)] = 60.0
    seconds: Annotated[float, Field(ge=1.0, le=86_400.0)] = 3600.0
    peer_megabytes: Annotated[int | None, Field(ge=1, le=MAX_PEER_MEGABYTES), UNLESS_NONE] = None


@dataclass(frozen=True)
class MpcSpec(SpecBase):
    """A computation as every party signs it.

    Args:
        computation: the program, and what it is asked.
        protocol: how, by the name that the program's entry has it under.
        columns: of a masked sum, those that it reads, as their owners declared them.
        sides: of an engine's program, what each party brings, in the roster's order.
        engine: what runs it, with its version; None for a masked sum.
        receivers: who learns the result: of a masked sum everybody, from the report.
        attempts: how often an engine's run may be begun; one that died is repeated from its inputs.
        privacy: noise on the totals of a masked sum; None for exact ones.
        contributions: most rows of one unit that count under privacy.
        limits: of the job.
        min_contributors: the fewest parties whose total is opened; of an engine's program all.
    """

    __pydantic_config__ = STRICT
    computation: MpcProgram
    protocol: Protocol
    columns: Annotated[tuple[MeasuredColumn, ...], Field(max_length=4096)] = ()
    sides: Annotated[tuple[MpcSide, ...], Field(max_length=256)] = ()
    engine: Annotated[EngineRef | None, UNLESS_NONE] = None
    receivers: Receivers = "all"
    attempts: Annotated[int, Field(ge=1, le=MAX_ATTEMPTS)] = 3
    privacy: SummedPrivacy | None = None
    contributions: Annotated[int, Field(ge=1, le=10_000)] = 1
    limits: MpcLimits = field(default_factory=MpcLimits)
    min_contributors: Annotated[int, Field(ge=2, le=256)] = 3
    protection: Literal["secagg", "peers"] = "secagg"
    kind: Literal["mpc"] = "mpc"
    script: Literal["mpc/1"] = "mpc/1"
    v: Literal[1] = 1

    @property
    def sums(self) -> JointSums:
        """The program of a spec whose protocol is a masked sum."""
        if not isinstance(self.computation, JointSums):
            raise AssertionError(self.computation.name)
        return self.computation

    @property
    def program_of_engine(self) -> EngineProgram:
        """The program of a spec that an engine runs."""
        if isinstance(self.computation, JointSums):
            raise AssertionError(self.computation.name)
        return self.computation

    @property
    def masked(self) -> bool:
        """Whether it is a masked sum, and no engine's program."""
        return isinstance(self.computation, JointSums)

    @property
    def program(self) -> str:
        """The digest of what all parties compute: program and parameters, protocol, engine."""
        engine = None if self.engine is None else dump(self.engine)
        return digest(
            {"program": dump(self.computation), "protocol": self.protocol, "engine": engine}
        )

    @property
    def engine_needed(self) -> EngineNeeded | None:
        """The engine that every party must have, in this version; None for a masked sum."""
        return None if self.engine is None else (self.engine.name, self.engine.version)

    @property
    def of_others(self) -> MpycProgram | None:
        """The program, if others wrote it and the job brings it."""
        return self.computation if isinstance(self.computation, MpycProgram) else None

    @property
    def bundle(self) -> CodePart | None:
        """The code of a program of others."""
        return None if self.of_others is None else self.of_others.bundle

    @property
    def learners(self) -> tuple[str, ...]:
        """The parties that learn the result, in the roster's order."""
        if self.receivers == "all":
            return self.parties
        return tuple(one for one in self.parties if one in self.receivers)

    def side(self, party: str) -> MpcSide:
        """Return what a party of the roster brings to an engine's program."""
        return next(one for one in self.sides if one.party == party)

    def columns_of(self, party: str) -> tuple[str, ...]:
        """Every column that is read of a party."""
        return self.column_names if self.masked else self.side(party).columns

    @property
    def held_out(self) -> None:
        """None: all rows count."""
        return

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that the job uses, of any party."""
        if self.masked:
            return tuple(one.column for one in self.columns)
        return tuple(dict.fromkeys(name for one in self.sides for name in one.columns))

    @property
    def bounds(self) -> tuple[tuple[str, Bounds], ...]:
        """The number columns and their bounds: noised values are clamped to them."""
        return tuple((one.column, one.bounds) for one in self.columns if one.bounds is not None)

    @property
    def reads_rows(self) -> bool:
        """Every program reads rows."""
        return True

    @property
    def tells_rows(self) -> bool:
        """Exact totals tell how many rows there are; to an engine parties tell their sizes."""
        return self.privacy is None

    @property
    def all_private(self) -> bool:
        """With differential privacy every number is noised."""
        return self.privacy is not None

    @property
    def planned_rounds(self) -> int:
        """One, in which all totals are opened; of an engine's program the most attempts."""
        return 1 if self.masked else self.attempts

    @property
    def parameters(self) -> int:
        """0: there is no model."""
        return 0

    def facts(self) -> Mapping[str, Any]:
        """Return the policy attributes that only computations among parties have.

        A policy about an engine's program has to look at it: see `agent.owner.consent`.
        """
        measures = {one.measure for one in self.sums.queries} if self.masked else set()
        given = {} if self.of_others is None else given_to(dump(self.of_others))
        return {
            "program": self.computation.name,
            "engine_program": "" if self.masked else self.computation.name,
            "version": self.computation.version,
            "protocol": self.protocol,
            "engine": BUILT_IN if self.engine is None else self.engine.name,
            "measures": tuple(sorted(measures)),
            "receivers": self.learners,
            "attempts": self.attempts,
            "contributions": self.contributions,
            **bundle_facts(self.bundle, self.submitter, given, "", 0.0),
        }


def check_mpc(spec: MpcSpec) -> None:
    """Refuse contradictions between fields.

    Raises:
        SecureFlowError: `contradictory_spec` naming the field and the reason.
    """
    rules: tuple[Callable[[MpcSpec], Problem | None], ...] = (
        *(_roster_rules, _protocol_rules, _receiver_rules),
        _sum_rules if spec.masked else _engine_rules,
    )
    refuse(next((found for rule in rules if (found := rule(spec))), None))


def _roster_rules(spec: MpcSpec) -> Problem | None:
    return roster_problem(spec, 2)


def _protocol_rules(spec: MpcSpec) -> Problem | None:
    entry = entry_of(spec.computation.name)
    found = entry.protocols.get(spec.protocol)
    if found is None:
        reason: str = Text(
            "{program} does not run by {protocol}", program=entry.name, protocol=spec.protocol
        )
        return "protocol", reason, Text("Name one of: {known}.", known=", ".join(entry.protocols))
    least, most = found.parties
    count = len(spec.roster)
    if not least <= count <= most:
        if least == most:
            reason = Text("{protocol} is of {least} parties, and the job has {count}",
                          protocol=spec.protocol, least=least, count=count)  # fmt: skip
        else:
            reason = Text("{protocol} is of {least} to {most} parties, and the job has {count}",
                          protocol=spec.protocol, least=least, most=most,
                          count=count)  # fmt: skip
        hint = "Name another protocol, other datasets, or a party that computes along (`compute`)."
        return "protocol", reason, hint
    return None


def _receiver_rules(spec: MpcSpec) -> Problem | None:
    if spec.receivers == "all":
        return None
    strange = next((one for one in spec.receivers if one not in spec.parties), None)
    if strange is not None:
        reason: str = Text("{party} is not on the roster", party=strange)
        return "receivers", reason, "Name parties that take part: they sign the job as well."
    if len(set(spec.receivers)) != len(spec.receivers):
        return "receivers", "a party is listed twice", "List each party once."
    if spec.masked:
        reason = "what is summed under masks stands in the report, for the whole project"
        return "receivers", reason, 'Set it to "all".'
    return None


def _sum_rules(spec: MpcSpec) -> Problem | None:
    if spec.engine is not None or spec.sides or spec.protection != "secagg":
        return "engine", "a masked sum needs no engine", "Leave engine, inputs and compute out."
    private = spec.privacy is not None
    problem = sums_problem(spec.sums, spec.columns, private=private)
    if problem is not None:
        return problem
    moved = max(moved_by(one, spec.columns) for one in spec.sums.queries) if private else 1
    return summed_problem(spec, moved)


def _engine_rules(spec: MpcSpec) -> Problem | None:
    needed = entry_of(spec.computation.name).protocols[spec.protocol].engine
    if spec.engine is None or spec.engine.name != needed or spec.protection != "peers":
        reason: str = Text("{protocol} is run by {engine}", protocol=spec.protocol, engine=needed)
        return "engine", reason, Text("Name {engine} with its version.", engine=needed)
    if spec.privacy is not None or spec.columns or spec.contributions != 1:
        reason = "an engine's result is exact: no noise is added to it"
        return "privacy", reason, "Leave it out, or use joint-sums."
    if spec.min_contributors != len(spec.roster):
        reason = "without a party there is nothing to compute"
        return "min_contributors", reason, "Leave it out: all take part."
    return sides_problem(spec.program_of_engine, spec.sides, spec.roster)
