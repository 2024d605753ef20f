"""From columns and steps to a preparation's spec, its price, and what its masked sums become."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from secureflow.application.jobs.declarations import (
    agreed_column,
    bounds_notes,
    budget_notes,
    check_keyed,
    check_label,
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
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.passes import schedule
from secureflow.domain.specs.preparation import PreparationSpec, check_preparation
from secureflow.engines.recipes.kind import PREPARATION_ENGINE
from secureflow.engines.run.kind import EngineKind
from secureflow.kit.canonical import JSON, digest

if TYPE_CHECKING:  # NumPy loads with the first job
    from secureflow.engines.recipes.plan import Known

_REQUESTED: Final = ("steps", "label", "held_out", "limits", "min_contributors")


class RecipeSums:
    """`application.running.aggregation.SumHandler` of a preparation.

    It keeps what follows from the totals of a job so far, which can be found again from them.

    Args:
        artifacts: where totals and recipes go.
    """

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._known: dict[str, Known] = {}

    async def release(self, opened: OpenedSum) -> dict[str, JSON]:
        """Return the totals' digest, what was fitted from them, and the recipe after the last.

        Raises:
            SecureFlowError: `sum_inconsistent`, `totals_malformed`.
        """
        from secureflow.engines.secagg.wholenumbers import opened_totals

        totals = opened_totals(opened.plan, opened.total, len(opened.survivors))
        request, spec = opened.request, opened.spec
        before = b"" if request.model is None else await self._read(request.model.digest)
        whole = before + totals.astype("<i8").tobytes()
        earlier = self._known.get(request.job)
        known, fitted, recipe = await asyncio.to_thread(
            _learned, spec, request, before, whole, earlier
        )
        self._known[request.job] = known
        stored = await self._store(whole)
        answer: dict[str, JSON] = {
            "base": request.base,
            "model": stored,
            "artifact": stored,
            "size": len(whole),
            "sums_digest": digest(totals.tolist()),
            "fitted": fitted,
        }
        if recipe:
            answer["recipe"] = {"digest": await self._store(recipe), "size": len(recipe)}
        return answer

    def forget(self, job: str) -> None:
        """Drop what is known of a job."""
        self._known.pop(job, None)

    async def _read(self, name: str) -> bytes:
        return b"".join([chunk async for chunk in await self._artifacts.open(name)])

    async def _store(self, data: bytes) -> str:
        async def chunks() -> AsyncIterator[bytes]:
            yield data

        return (await self._artifacts.put(chunks(), limit=len(data))).digest


def _learned(
    spec: PreparationSpec, request: Any, before: bytes, whole: bytes, known: Known | None
) -> tuple[Known, list[dict[str, JSON]], bytes]:
    """Return what is known now, what the newest round fitted, and the recipe if it was the last."""
    from secureflow.engines.preparation.recipe import recipe_bytes, recipe_of
    from secureflow.engines.recipes.fitted import newly_fitted
    from secureflow.engines.recipes.plan import replayed

    earlier = replayed(spec, before, known)
    now = replayed(spec, whole, earlier)
    found = newly_fitted(spec, earlier.progress, now.progress)
    if now.progress.rounds < len(schedule(spec).rounds):
        return now, found, b""
    recipe = recipe_of(spec, request.job, request.digest, now.progress)
    return now, found, recipe_bytes(recipe)


class PreparationJobs(SummingJobs):
    """`application.jobs.kind.JobKind`."""

    engine: Final[EngineKind] = PREPARATION_ENGINE

    def sum_handler(self, artifacts: Artifacts) -> SumHandler:
        """Return the handler of the job's masked sums: totals, and the recipe."""
        return RecipeSums(artifacts)

    async def unpriced(self, work: UnitOfWork, wanted: Wanted, submitter: str, now: int) -> Drafted:
        """Fill in the owners' declarations; see `draft_preparation`."""
        return await draft_preparation(work, wanted, submitter, now)


PREPARATION_JOBS: Final = PreparationJobs()


async def draft_preparation(work: UnitOfWork, wanted: Wanted, submitter: str, now: int) -> Drafted:
    """Fill in the roster and the owners' declarations, and check everything that is known here.

    Raises:
        SecureFlowError: `charter_missing`, `not_found` (dataset), `contradictory_spec`,
            `charter_mismatch`, `invalid_spec`, `unknown_column`, `unknown_category`,
            `malformed_label`, `column_not_granted`, `budget_undeclared`, `budget_unit_mismatch`.
    """
    floor = contributors_floor(wanted.datasets, wanted.parts, everybody=True)
    parts = {**wanted.parts, **floor}
    charter = await adopted_charter(work)
    chosen = await granted_datasets(work, wanted.project, wanted.datasets)
    names = [one for one in parts.get("columns") or () if isinstance(one, str)]
    spec = parse(
        PreparationSpec,
        {
            **spec_head(wanted, submitter, chosen, charter.keys),
            "columns": [agreed_column(name, chosen, texts=True) for name in names],
            **private_parts(parts, chosen),
            **{k: parts[k] for k in _REQUESTED if parts.get(k) is not None},
        },
    )
    check_preparation(spec)
    if spec.label is not None:
        check_label(spec.label, chosen)
    if spec.splits_by_key:
        check_keyed(chosen)
    await check_grants(work, spec, chosen, now)
    return Drafted(spec, spec_digest(spec), charter, tuple(_notes(spec, chosen)), _details(spec))


def _notes(spec: PreparationSpec, chosen: Mapping[str, Dataset]) -> Iterator[str]:
    yield from dropout_notes(spec)
    yield from two_party_notes(spec)
    if spec.privacy is None:
        yield (
            "Without differential privacy what is fitted is exact: a mean, a quantile or a count "
            "over all rows can tell about single ones."
        )
    else:
        yield from unit_notes(spec.privacy.unit)
    yield from budget_notes(spec, chosen)
    yield from bounds_notes(spec, chosen)


def _details(spec: PreparationSpec) -> dict[str, Any]:
    rounds = schedule(spec).rounds
    return {
        "parties": list(spec.parties),
        "steps": len(spec.steps),
        "rounds": len(rounds),
        "numbers": sum(query.slots for each in rounds for query in each),
        "quorum": quorum_of(len(spec.roster)),
        "dropouts_tolerated": spare_parties(spec),
    }
