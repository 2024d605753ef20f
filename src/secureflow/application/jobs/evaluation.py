"""From models and datasets to an evaluation's spec, its price, and what its sums become."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final

from secureflow.application.access import missing
from secureflow.application.bundles import named_by_job
from secureflow.application.jobs.declarations import budget_notes, check_keyed, code_notes
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
from secureflow.application.jobs.scoredmodels import scored_models
from secureflow.application.jobs.summing import (
    SummingJobs,
    private_parts,
    unit_notes,
)
from secureflow.application.jobs.training import check_columns, extra_notes
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import UnitOfWork
from secureflow.application.running.aggregation import OpenedSum, SumHandler
from secureflow.domain.quorum import quorum_of
from secureflow.domain.specs.base import dump, parse, refuse, spec_digest
from secureflow.domain.specs.evaluation import (
    Baseline,
    EvaluationSpec,
    check_evaluation,
    code_problem,
)
from secureflow.domain.specs.scored import ScoredModel
from secureflow.engines.evaluation.kind import EVALUATION_ENGINE
from secureflow.engines.run.kind import EngineKind
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_REQUESTED: Final = ("held_out", "per_party", "costs", "limits", "min_contributors")


class MeasuredSums:
    """`application.running.aggregation.SumHandler` of an evaluation; it keeps no state."""

    async def release(self, opened: OpenedSum) -> dict[str, JSON]:
        """Return a model's figures, and the digest of the totals that they follow from.

        Raises:
            SecureFlowError: `sum_inconsistent`, `totals_malformed`.
        """
        from secureflow.engines.evaluation.plan import measured
        from secureflow.engines.secagg.wholenumbers import opened_totals

        totals = opened_totals(opened.plan, opened.total, len(opened.survivors))
        request, spec = opened.request, opened.spec
        found = await asyncio.to_thread(measured, spec, request.round, totals, opened.survivors)
        return {
            "base": request.base,
            "model": request.base,
            "sums_digest": digest(totals.tolist()),
            "measured": found,
        }

    def forget(self, job: str) -> None:
        """Do nothing: there is no state."""


class EvaluationJobs(SummingJobs):
    """`application.jobs.kind.JobKind`."""

    engine: Final[EngineKind] = EVALUATION_ENGINE

    def sum_handler(self, artifacts: Artifacts) -> SumHandler:
        """Return the handler of the job's masked sums: figures."""
        del artifacts
        return MeasuredSums()

    async def unpriced(self, work: UnitOfWork, wanted: Wanted, submitter: str, now: int) -> Drafted:
        """Fill in the models; see `draft_evaluation`."""
        return await draft_evaluation(work, wanted, submitter, now)


EVALUATION_JOBS: Final = EvaluationJobs()


async def draft_evaluation(work: UnitOfWork, wanted: Wanted, submitter: str, now: int) -> Drafted:
    """Fill in the roster and the models, and check everything that is known here.

    Raises:
        SecureFlowError: `charter_missing`, `not_found` (dataset, model, job), `contradictory_spec`,
            `charter_mismatch`, `invalid_spec`, those of `check_columns`, `column_not_granted`,
            `budget_undeclared`, `budget_unit_mismatch`, `no_evaluation`; `not_found` for code that
            the project has no more.
    """
    charter = await adopted_charter(work)
    chosen = await granted_datasets(work, wanted.project, wanted.datasets)
    models = await scored_models(work, wanted.project, wanted.parts.get("models"))
    floor = contributors_floor(wanted.datasets, wanted.parts, everybody=len(models) > 1)
    parts = {**wanted.parts, **floor}
    refuse(code_problem(models, private=parts.get("privacy") is not None))
    baseline = await baseline_of(work, wanted.project, parts.get("baseline"), models)
    spec = parse(
        EvaluationSpec,
        {
            **spec_head(wanted, submitter, chosen, charter.keys),
            "models": [dump(one) for one in models],
            **({"baseline": [dump(one) for one in baseline]} if baseline else {}),
            **private_parts(parts, chosen),
            **{k: parts[k] for k in _REQUESTED if parts.get(k) is not None},
        },
    )
    check_evaluation(spec)
    for one in spec.models:
        check_columns(one.trained, chosen)
    if spec.held_out is not None:
        check_keyed(chosen)
    await check_grants(work, spec, chosen, now)
    if spec.bundle is not None and spec.bundle.digest not in wanted.coming:
        await named_by_job(work, spec.project, spec.bundle.digest)
    notes = (*code_notes(spec), *_notes(spec), *budget_notes(spec, chosen))
    return Drafted(spec, spec_digest(spec), charter, notes, _details(spec))


async def baseline_of(
    work: UnitOfWork, project: str, job: Any, models: Sequence[ScoredModel]
) -> list[Baseline]:
    """Return how an earlier evaluation's rows spread over these models' scores; [] without one.

    Raises:
        SecureFlowError: `not_found` (job), `no_evaluation` for a job that measured none of them.
    """
    if job is None:
        return []
    earlier = await work.jobs.find(str(job))
    if earlier is None or earlier.project != project:
        raise missing("job", str(job))
    measured = ((earlier.report or {}).get("evaluation") or {}).get("models") or []
    wanted = {one.digest for one in models}
    found = [
        Baseline(earlier.id, one["model"], tuple(spread["counts"]), tuple(spread.get("edges", ())))
        for one in measured
        if one.get("model") in wanted and (spread := one.get("distribution"))
    ]
    if not found:
        raise SecureFlowError(
            "no_evaluation",
            Text("Job {job} evaluated none of these models.", job=earlier.id),
            "Name a finished evaluation of the same model: secureflow job list --kind evaluation.",
        )
    return found


def _notes(spec: EvaluationSpec) -> Iterator[str]:
    yield from dropout_notes(spec)
    yield from two_party_notes(spec)
    yield from extra_notes(one.model.family for one in spec.models)
    for one in spec.models:
        if seen := one.seen(spec.parties, spec.held_out):
            yield Text(
                "{model} learned from rows of {parties}, perhaps from these, in its training or in "
                "a preparation that learns from labels (woe): its figures are then better than on "
                "rows that it has never seen. Hold rows out by key, in the training (plan.split) "
                "and here (held_out).",
                model=one.called,
                parties=", ".join(seen),
            )
    if spec.per_party:
        yield (
            "Figures of each party are released: every owner is asked about that, and whoever has "
            "the report sees how well the models do at each."
        )
    if spec.privacy is None:
        yield (
            "Without differential privacy counts of scores are exact: they can tell about single "
            "rows, the more so the fewer there are."
        )
    else:
        yield from unit_notes(spec.privacy.unit)


def _details(spec: EvaluationSpec) -> dict[str, Any]:
    from secureflow.engines.evaluation.plan import longest

    return {
        "parties": list(spec.parties),
        "models": [one.called for one in spec.models],
        "rounds": spec.planned_rounds,
        "numbers": longest(spec),
        "quorum": quorum_of(len(spec.roster)),
        "dropouts_tolerated": spare_parties(spec),
    }
