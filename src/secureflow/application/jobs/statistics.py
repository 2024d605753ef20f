"""From queries to a statistics spec: the owners' declarations are filled in, never requested.

An analyst names datasets, queries and how much they may cost. Bounds, categories, the unit and how
many of its rows count are the widest in the granted datasets' descriptions; each agent compares
them again with its own configuration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from secureflow.application.jobs.declarations import agreed_column, declared_in, unit_of_owners
from secureflow.application.jobs.kind import Drafted, Wanted
from secureflow.application.jobs.pricing import (
    calibrated,
    capped_cost,
    check_unchanged,
    epsilon_notes,
    first_noise,
)
from secureflow.application.jobs.rosters import (
    adopted_charter,
    check_grants,
    contributors_floor,
    granted_datasets,
    spare_parties,
    spec_head,
    two_party_notes,
)
from secureflow.application.jobs.summing import unit_notes
from secureflow.application.ports.accountant import Accountant
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import UnitOfWork
from secureflow.application.running.aggregation import OpenedSum, SumHandler
from secureflow.domain.bounds import interval
from secureflow.domain.datasets import Dataset
from secureflow.domain.quorum import quorum_of
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.matchedrows import moved_rows
from secureflow.domain.specs.statistics import StatisticsSpec, check_statistics, slots_of
from secureflow.domain.specs.statistics_request import NoiseRequest
from secureflow.engines.run.kind import EngineKind
from secureflow.engines.statistics.kind import STATISTICS_ENGINE
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:  # NumPy is loaded with the first price
    from secureflow.engines.privacy.accounting import Charge

ROWS: Final = 1000
"""The group size for which a dry run estimates the width of an answer's interval."""
_REQUESTED: Final = ("queries", "limits", "min_contributors")
"""What an analyst chooses, apart from the noise; everything else in a spec is filled in."""


@dataclass(frozen=True)
class StatisticsPrice:
    """A statistics job's cost: the spec with its multiplier, and the accountant's answer."""

    spec: StatisticsSpec
    answer: Mapping[str, JSON]

    @property
    def charge(self) -> Charge:
        """The mechanisms of all queries."""
        from secureflow.engines.statistics.charges import charge

        return charge(self.spec)

    def facts(self) -> dict[str, JSON]:
        """Return the facts shown to people before anything runs."""
        from secureflow.engines.statistics.charges import charge

        privacy = self.spec.privacy
        return {
            "unit": privacy.unit,
            "contributions": self.spec.contributions,
            "mechanism": privacy.mechanism,
            "noise": privacy.noise,
            "noise_multiplier": privacy.multiplier,
            "releases": sum(one.count for one in charge(self.spec)),
            "delta": privacy.delta,
            "epsilon": dict(self.answer["epsilon"]),
            "budget_conversion": "rdp-filter",
        }


class Totals:
    """`application.running.aggregation.SumHandler` of a statistics job; it keeps no state."""

    async def release(self, opened: OpenedSum) -> dict[str, JSON]:
        """Return the integers of the job's total, and their digest for the ledger.

        Raises:
            SecureFlowError: `sum_inconsistent`.
        """
        from secureflow.engines.secagg.wholenumbers import opened_totals

        totals = opened_totals(opened.plan, opened.total, len(opened.survivors)).tolist()
        return {"totals": totals, "sums_digest": digest(totals)}

    def forget(self, job: str) -> None:
        """Do nothing: there is no state."""


class StatisticsJobs:
    """`application.jobs.kind.JobKind`."""

    engine: Final[EngineKind] = STATISTICS_ENGINE

    def sum_handler(self, artifacts: Artifacts) -> SumHandler:
        """Return the handler of the job's masked sum of integers."""
        del artifacts
        return Totals()

    async def draft(
        self,
        work: UnitOfWork,
        wanted: Wanted,
        submitter: str,
        now: int,
        priced: StatisticsPrice | None,
    ) -> Drafted:
        """Fill in the owners' declarations and the priced noise; see `draft_statistics`."""
        drafted = await draft_statistics(work, wanted, submitter, now)
        if priced is None:
            return drafted
        # In a thread: the widths of thousands of answers take a while.
        return await asyncio.to_thread(with_price, drafted, priced)

    async def price(
        self, wanted: Wanted, accountant: Accountant, draft: Callable[[], Awaitable[Drafted]]
    ) -> StatisticsPrice:
        """Return the job's cost; the owners' declarations determine the noise."""
        return await price_statistics(await draft(), wanted.parts, accountant)


STATISTICS_JOBS: Final = StatisticsJobs()


async def draft_statistics(work: UnitOfWork, wanted: Wanted, submitter: str, now: int) -> Drafted:
    """Fill in the roster and the owners' declarations, and check everything that is known here.

    A request without a multiplier gets the least one for now; `price_statistics` calibrates it.

    Raises:
        SecureFlowError: `charter_missing`, `not_found` (dataset), `contradictory_spec`,
            `charter_mismatch`, `invalid_spec`, `unknown_column`, `column_not_granted`,
            `budget_undeclared`, `budget_unit_mismatch`.
    """
    _check_requested(wanted.parts)
    parts = {**wanted.parts, **contributors_floor(wanted.datasets, wanted.parts)}
    charter = await adopted_charter(work)
    chosen = await granted_datasets(work, wanted.project, wanted.datasets)
    request = parse(NoiseRequest, parts.get("privacy"), "spec")
    unit, contributions = unit_of_owners(chosen)
    spec = parse(
        StatisticsSpec,
        {
            **spec_head(wanted, submitter, chosen, charter.keys),
            "columns": [agreed_column(one, chosen) for one in _asked(parts.get("queries"))],
            "privacy": {**_with_noise(request), "unit": unit},
            "contributions": contributions,
            **{k: parts[k] for k in _REQUESTED if parts.get(k) is not None},
        },
    )
    check_statistics(spec)
    await check_grants(work, spec, chosen, now)
    return Drafted(spec, spec_digest(spec), charter, tuple(_notes(spec, chosen)))


async def price_statistics(
    drafted: Drafted, parts: Mapping[str, Any], accountant: Accountant
) -> StatisticsPrice:
    """Return a drafted job's cost, with its multiplier calibrated if none was requested.

    Raises:
        SecureFlowError: `contradictory_spec` if it costs more than its own ceiling, or if the
            calibrated noise would drown the answers; `budget_impossible`, `accounting_failed`.
    """
    from secureflow.engines.statistics.charges import charge

    spec = drafted.spec
    if not isinstance(spec, StatisticsSpec):
        raise AssertionError  # the caller drafted it
    request = parse(NoiseRequest, parts["privacy"], "spec")
    noise = await calibrated(request, charge(spec), accountant, moved_rows(spec))
    if noise is not None:
        spec = replace(spec, privacy=replace(spec.privacy, noise_multiplier=noise))
        check_statistics(spec)
    epsilon = await capped_cost(request, charge(spec), accountant)
    return StatisticsPrice(spec, {"noise": spec.privacy.multiplier, "epsilon": epsilon})


def with_price(drafted: Drafted, priced: StatisticsPrice) -> Drafted:
    """Return the draft with the priced noise, if nothing else changed since it was priced.

    Raises:
        SecureFlowError: `stale_version` if an owner has published another declaration meanwhile.
    """
    unpriced = replace(priced.spec, privacy=_unpriced(drafted))
    check_unchanged(unchanged=unpriced == drafted.spec)
    return replace(
        drafted,
        spec=priced.spec,
        digest=spec_digest(priced.spec),
        notes=(*drafted.notes, *epsilon_notes(priced.answer["epsilon"])),
        details={**_details(priced.spec), "privacy": priced.facts()},
    )


def _check_requested(parts: Mapping[str, Any]) -> None:
    for name in sorted(set(parts) - {*_REQUESTED, "privacy"}):
        raise SecureFlowError(
            "invalid_spec",
            Text(
                "The spec is not valid: {name}: it is set by the owners, not by the analyst.",
                name=name,
            ),
            "Bounds, categories, unit and contributions are what the owners declared.",
            {"fields": [{"field": name, "problem": "set by the owners, not by the analyst"}]},
        )


def _unpriced(drafted: Drafted) -> Any:
    return drafted.spec.privacy


def _with_noise(request: NoiseRequest) -> dict[str, JSON]:
    return dump(replace(request, noise_multiplier=first_noise(request)))


def _asked(queries: Any) -> list[str]:
    """Return the columns that queries name, each once; the parser refuses malformed queries."""
    found: dict[str, None] = {}
    for query in queries if isinstance(queries, Iterable) else ():
        for part in ("column", "by"):
            name = query.get(part) if isinstance(query, Mapping) else None
            if isinstance(name, str):
                found[name] = None
    return list(found)


def _notes(spec: StatisticsSpec, chosen: Mapping[str, Dataset]) -> Iterator[str]:
    if spare_parties(spec) == 0:
        yield Text(
            "The sum needs all {count} contributors: it does not survive a dropout.",
            count=len(spec.roster),
        )
    yield from two_party_notes(spec)
    if spec.privacy.noise == "local":
        yield (
            "Local noise hides which value a cell has: in how many rows a column is filled is "
            "revealed exactly, and so is whether a certain row's cell is empty."
        )
    yield from unit_notes(spec.privacy.unit)
    for column in spec.columns:
        if column.bounds is None:
            continue
        for party, dataset in chosen.items():
            own = declared_in(column.column, party, dataset).bounds
            if own is not None and own != column.bounds:
                yield (
                    Text(
                        "{party} declares {column} within {interval}; the noise fits the "
                        "widest bounds of all, {widest}.",
                        party=party,
                        column=column.column,
                        interval=interval(own),
                        widest=interval(column.bounds),
                    )
                )


def _details(spec: StatisticsSpec) -> dict[str, Any]:
    from secureflow.engines.statistics.expectation import expected

    return {
        "parties": list(spec.parties),
        "queries": len(spec.queries),
        "numbers": sum(slots_of(spec, query) for query in spec.queries),
        "quorum": quorum_of(len(spec.roster)),
        "dropouts_tolerated": spare_parties(spec),
        "expected": expected(spec, ROWS),
    }
