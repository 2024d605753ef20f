"""From a program and datasets to the spec of a computation among parties, its price, its totals."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final, cast

from secureflow.application.bundles import named_by_job
from secureflow.application.jobs.declarations import (
    agreed_column,
    bounds_notes,
    budget_notes,
    declared_in,
)
from secureflow.application.jobs.kind import Drafted, Wanted
from secureflow.application.jobs.rosters import (
    adopted_charter,
    check_grants,
    contributors_floor,
    dropout_notes,
    granted_datasets,
    spare_parties,
    spec_head,
    two_party_notes,
)
from secureflow.application.jobs.summing import (
    SummingJobs,
    private_parts,
    unit_notes,
)
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import UnitOfWork
from secureflow.application.running.aggregation import OpenedSum, SumHandler
from secureflow.domain.datasets import Dataset
from secureflow.domain.quorum import quorum_of
from secureflow.domain.schemas import most_rows
from secureflow.domain.specs.base import contradiction, dump, parse, spec_digest
from secureflow.domain.specs.engineprograms import matched_by_place
from secureflow.domain.specs.jointsums import JointSums
from secureflow.domain.specs.mpc import MpcSpec, check_mpc
from secureflow.domain.specs.mpc_programs import VERSIONS, MpcProgram, entry_of
from secureflow.engines.mpc.kind import MPC_ENGINE
from secureflow.engines.run.kind import EngineKind
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_REQUESTED: Final = ("receivers", "attempts", "limits")
_CHUNK: Final = 1 << 20
_CELLS: Final = frozenset({"number", "category", "text"})
"""What a cell of a CSV can hold."""


class JointTotals:
    """`application.running.aggregation.SumHandler` of joint sums; it keeps no state.

    Args:
        artifacts: where the file of totals goes, if a query is told by keys.
    """

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts

    async def release(self, opened: OpenedSum) -> dict[str, JSON]:
        """Return the answers, and what the totals are that they follow from.

        Raises:
            SecureFlowError: `sum_inconsistent`.
        """
        from secureflow.engines.mpc.answers import answers
        from secureflow.engines.secagg.wholenumbers import opened_totals

        spec, survivors = opened.spec, len(opened.survivors)
        totals = opened_totals(opened.plan, opened.total, survivors)
        answered = await asyncio.to_thread(answers, spec, totals, survivors)
        whole: memoryview = totals.astype("<i8", copy=False).data.cast("B")
        sums_digest = await asyncio.to_thread(lambda: hashlib.sha256(whole).hexdigest())
        told: dict[str, JSON] = {"numbers": len(totals), "sha256": sums_digest, "artifact": None}
        if any(one.keys is not None for one in spec.sums.queries):
            told["artifact"] = await self._store(whole)
            told["size"] = len(whole)
        return {"answers": answered, "sums_digest": sums_digest, "totals": told}

    def forget(self, job: str) -> None:
        """Do nothing: there is no state."""

    async def _store(self, whole: memoryview) -> str:
        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(whole), _CHUNK):
                yield bytes(whole[start : start + _CHUNK])

        return (await self._artifacts.put(chunks(), limit=len(whole))).digest


class MpcJobs(SummingJobs):
    """`application.jobs.kind.JobKind`."""

    engine: Final[EngineKind] = MPC_ENGINE

    def sum_handler(self, artifacts: Artifacts) -> SumHandler:
        """Return the handler of the job's masked sum: answers, and the file of totals."""
        return JointTotals(artifacts)

    async def unpriced(self, work: UnitOfWork, wanted: Wanted, submitter: str, now: int) -> Drafted:
        """Fill in the owners' declarations; see `draft_mpc`."""
        return await draft_mpc(work, wanted, submitter, now)


MPC_JOBS: Final = MpcJobs()


async def draft_mpc(work: UnitOfWork, wanted: Wanted, submitter: str, now: int) -> Drafted:
    """Fill in the roster and the owners' declarations, and check everything that is known here.

    Raises:
        SecureFlowError: `program_unknown`, `charter_missing`, `not_found` (dataset),
            `contradictory_spec`, `charter_mismatch`, `invalid_spec`, `not_a_member`,
            `unknown_column`, `column_not_granted`, `budget_undeclared`, `budget_unit_mismatch`;
            `not_found` for code that the project has no more.
    """
    asked = wanted.parts.get("program")
    if isinstance(asked, dict) and "name" in asked:
        entry_of(str(asked["name"]))  # of an unknown one it says which there are
    program = parse(cast("type[Any]", MpcProgram), asked, "spec")
    masked = isinstance(program, JointSums)
    charter = await adopted_charter(work)
    chosen = await granted_datasets(work, wanted.project, wanted.datasets)
    if masked:
        own = _sums(wanted, program, chosen)
        roster: Mapping[str, Dataset | None] = chosen
    else:
        roster = await _with_computing(work, wanted, chosen)
        own = _computed(wanted, program, roster)
    spec = parse(
        MpcSpec,
        {
            **spec_head(wanted, submitter, roster, charter.keys),
            "computation": dump(program),
            **own,
            **{k: wanted.parts[k] for k in _REQUESTED if wanted.parts.get(k) is not None},
        },
    )
    check_mpc(spec)
    _check_types(spec, chosen)
    await check_grants(work, spec, chosen, now)
    if spec.bundle is not None and spec.bundle.digest not in wanted.coming:
        await named_by_job(work, spec.project, spec.bundle.digest)
    notes = tuple(_notes(spec, chosen))
    return Drafted(spec, spec_digest(spec), charter, notes, _details(spec, chosen))


def _sums(wanted: Wanted, program: JointSums, chosen: Mapping[str, Dataset]) -> dict[str, Any]:
    """Return the parts of a masked sum."""
    for name in ("inputs", "compute"):
        if wanted.parts.get(name):
            raise contradiction(
                name, "every party brings the same columns to joint sums", "Leave it out."
            )
    return {
        "protocol": wanted.parts.get("protocol") or "masked-sum",
        "columns": [agreed_column(name, chosen) for name in program.column_names],
        **contributors_floor(wanted.datasets, wanted.parts),
        **private_parts(wanted.parts, chosen),
    }


async def _with_computing(
    work: UnitOfWork, wanted: Wanted, chosen: Mapping[str, Dataset]
) -> dict[str, Dataset | None]:
    """Return the roster of an engine's program: owners, and parties that compute along.

    Raises:
        SecureFlowError: `not_a_member`; `contradictory_spec` for a party that has a dataset too.
    """
    project = await work.projects.get(wanted.project)
    computing = wanted.parts.get("compute") or ()
    for party in computing:
        if party in chosen:
            raise contradiction(
                "compute",
                Text("{party} brings a dataset, and computes along anyway", party=party),
                "Leave it out.",
            )
        if not project.has_member(party):
            raise SecureFlowError(
                "not_a_member",
                Text(
                    "{party} is not an active member of the project {project}.",
                    party=party,
                    project=wanted.project,
                ),
                "Invite it, and have it accept.",
                {"party": party},
            )
    return dict(sorted({**chosen, **dict.fromkeys(computing)}.items()))


def _computed(wanted: Wanted, program: Any, roster: Mapping[str, Dataset | None]) -> dict[str, Any]:
    """Return the parts of an engine's program: the protocol fits the number of parties."""
    if wanted.parts.get("privacy") is not None:
        raise contradiction(
            "privacy",
            "an engine's result is exact: no noise is added to it",
            "Leave it out, or use joint-sums.",
        )
    known = entry_of(program.name).protocols
    fitting = [
        name for name, one in known.items() if one.parties[0] <= len(roster) <= one.parties[1]
    ]
    protocol = wanted.parts.get("protocol") or next(iter([*fitting, *known]))
    engine = known[protocol].engine if protocol in known else next(iter(known.values())).engine
    asked = wanted.parts.get("inputs") or {}
    strange = next((one for one in asked if one not in roster), None)
    if strange is not None:
        raise contradiction(
            Text("inputs.{party}", party=strange),
            Text("{party} is not on the roster", party=strange),
            "Name the columns of each party that takes part.",
        )
    return {
        "protocol": protocol,
        "protection": "peers",
        "engine": {"name": engine, "version": VERSIONS[engine]},
        "sides": [
            {"party": party, "columns": (asked.get(party) or {}).get("columns", ())}
            for party in roster
        ],
        "min_contributors": wanted.parts.get("min_contributors") or len(roster),
    }


def _check_types(spec: MpcSpec, chosen: Mapping[str, Dataset]) -> None:
    """Refuse columns of an engine's program that are no numbers, where it needs such.

    Raises:
        SecureFlowError: `unknown_column`, `contradictory_spec` naming the party.
    """
    own = spec.of_others
    if spec.masked:
        return
    types = {"number"} if own is None or own.numbers else _CELLS
    for party, dataset in chosen.items():
        for name in spec.side(party).columns:
            kind = declared_in(name, party, dataset).type
            if kind not in types:
                raise _wrong_type(party, name, kind, cells=types is _CELLS)


def _wrong_type(party: str, column: str, kind: str, *, cells: bool) -> SecureFlowError:
    if cells:
        reason = Text("{party} declares {column} as {kind}, which is no cell of a CSV",
                      party=party, column=column, kind=kind)  # fmt: skip
        hint = "Name columns of numbers, categories or texts."
    else:
        reason = Text("{party} declares {column} as {kind}, and a number is needed",
                      party=party, column=column, kind=kind)  # fmt: skip
        hint = "Name a column of numbers."
    return contradiction(Text("inputs.{party}", party=party), reason, hint)


def _notes(spec: MpcSpec, chosen: Mapping[str, Dataset]) -> Iterator[str]:
    if not spec.masked:
        yield from _engine_notes(spec, chosen)
        return
    yield from dropout_notes(spec)
    yield from two_party_notes(spec)
    if spec.privacy is None:
        yield (
            "Without differential privacy totals are exact: those of small groups and rare keys "
            "can tell about single rows."
        )
    else:
        yield from unit_notes(spec.privacy.unit)
        yield from bounds_notes(spec, chosen)
    yield from budget_notes(spec, chosen)
    for one in spec.sums.decimals:
        yield Text(
            "{column} is rounded, row by row, to {decimals} {decimals:decimal|decimals}.",
            column=one.column,
            decimals=one.decimals,
        )


def _engine_notes(spec: MpcSpec, chosen: Mapping[str, Dataset]) -> Iterator[str]:
    if spec.engine is None:
        raise AssertionError(spec.protocol)
    yield Text(
        "Every party needs the engine {engine} {version}: secureflow engine install {engine}.",
        engine=spec.engine.name,
        version=spec.engine.version,
    )
    if spec.bundle is None:
        yield (
            "Rows are matched by their place: prepare the parties' datasets in one order, as the "
            "result of an intersection is (kind: psi)."
        )
    else:
        yield Text(
            "It brings a program: each owner is shown the source of the bundle {digest}, and "
            "decides about it. What the program opens to whom, it alone says.",
            digest=spec.bundle.digest,
        )
    for line in spec.roster:
        if not line.dataset:
            yield Text(
                "{party} brings nothing and computes along: it must not collude with another.",
                party=line.party,
            )
    if found := _estimated(spec, chosen):
        from secureflow.engines.mpc.sharecost import below

        yield from below(spec, found)
    yield from budget_notes(spec, chosen)


def _details(spec: MpcSpec, chosen: Mapping[str, Dataset]) -> dict[str, Any]:
    from secureflow.engines.mpc.sections import program_of

    told: dict[str, Any] = {"parties": list(spec.parties), "program": program_of(spec)}
    if not spec.masked:
        return {
            **told,
            "receivers": list(spec.learners),
            "inputs": {one.party: list(one.columns) for one in spec.sides},
            "attempts": spec.attempts,
            **({"estimate": found} if (found := _estimated(spec, chosen)) else {}),
        }
    from secureflow.engines.mpc.estimate import estimate
    from secureflow.engines.mpc.places import length_of

    numbers = length_of(spec)
    keyed = any(one.keys is not None for one in spec.sums.queries)
    return {
        **told,
        "queries": len(spec.sums.queries),
        "numbers": numbers,
        "quorum": quorum_of(len(spec.roster)),
        "dropouts_tolerated": spare_parties(spec),
        "estimate": estimate(numbers, len(spec.roster), result=8 * numbers if keyed else 0),
    }


def _estimated(spec: MpcSpec, chosen: Mapping[str, Dataset]) -> dict[str, JSON]:
    """Return what an engine's program costs with as many rows as there may be; {} of others'."""
    from secureflow.engines.mpc.sharecost import SHARES, share_estimate

    if spec.protocol not in SHARES:
        return {}
    matched = matched_by_place(spec.program_of_engine, spec.sides)
    rows = min(most_rows(chosen[party].rows) for party in matched)
    return share_estimate(spec, rows)
