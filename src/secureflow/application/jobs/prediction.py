"""From a model and datasets to a prediction's spec; it has no price, for nothing is released."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from secureflow.application.bundles import named_by_job
from secureflow.application.jobs.declarations import code_notes, declared_in
from secureflow.application.jobs.kind import Drafted, Wanted
from secureflow.application.jobs.rosters import (
    adopted_charter,
    check_grants,
    contributors_floor,
    granted_datasets,
    spec_head,
)
from secureflow.application.jobs.scoredmodels import scored_model
from secureflow.application.jobs.training import check_columns, extra_notes
from secureflow.application.jobs.unpriced import UnpricedJobs
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.datasets import Dataset
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.prediction import PredictionSpec, check_prediction, usual_outputs
from secureflow.engines.prediction.kind import PREDICTION_ENGINE
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_REQUESTED: Final = ("columns", "deliver", "limits", "min_contributors")
_SCALAR: Final = frozenset({"number", "category", "text"})


async def draft_prediction(work: UnitOfWork, wanted: Wanted, submitter: str, now: int) -> Drafted:
    """Fill in the roster and the model, and check everything that is known here.

    Raises:
        SecureFlowError: `charter_missing`, `not_found` (dataset, model), `contradictory_spec`,
            `charter_mismatch`, `invalid_spec`, those of `check_columns`, `column_not_granted`;
            `not_found` for code that the project has no more.
    """
    parts = {**wanted.parts, **_least(wanted)}
    charter = await adopted_charter(work)
    chosen = await granted_datasets(work, wanted.project, wanted.datasets)
    model = await scored_model(work, wanted.project, parts.get("model"), "model")
    spec = parse(
        PredictionSpec,
        {
            **spec_head(wanted, submitter, chosen, charter.keys),
            "model": dump(model),
            "outputs": list(parts.get("outputs") or usual_outputs(model)),
            **{k: parts[k] for k in _REQUESTED if parts.get(k) is not None},
        },
    )
    check_prediction(spec)
    check_columns(spec.reads, chosen)
    _check_beside(spec, chosen)
    await check_grants(work, spec, chosen, now)
    if spec.bundle is not None and spec.bundle.digest not in wanted.coming:
        await named_by_job(work, spec.project, spec.bundle.digest)
    notes = (*code_notes(spec), *_notes(spec))
    return Drafted(spec, spec_digest(spec), charter, notes, _details(spec))


def _least(wanted: Wanted) -> dict[str, Any]:
    """Return how many parties must be done: as asked for, else all.

    Raises:
        SecureFlowError: `contradictory_spec` for a single party.
    """
    count = len(set(wanted.datasets))
    if count < 2:
        raise SecureFlowError(
            "contradictory_spec",
            "datasets: a job has at least two parties, which witness its log for each other.",
            "Name datasets of two organisations; rows of one file: secureflow model predict.",
            {"field": "datasets"},
        )
    if "min_contributors" in wanted.parts:
        return contributors_floor(wanted.datasets, wanted.parts)
    return {"min_contributors": count}


def _check_beside(spec: PredictionSpec, chosen: Mapping[str, Dataset]) -> None:
    """Refuse columns that an owner's agent could not put beside its scores.

    Raises:
        SecureFlowError: `unknown_column`, `contradictory_spec`.
    """
    for party, dataset in chosen.items():
        for name in spec.columns:
            if declared_in(name, party, dataset).type not in _SCALAR:
                raise SecureFlowError(
                    "contradictory_spec",
                    Text(
                        "columns: {column!r} of {party} is no number, category or text.",
                        column=name,
                        party=party,
                    ),
                    "Leave it out: its owner finds the row by its number.",
                    {"field": "columns", "party": party},
                )


def _notes(spec: PredictionSpec) -> Iterator[str]:
    yield (
        "Scores stay with the owners, in files of their own: this job's report has none. An owner "
        "reads them with secureflow agent prediction."
    )
    if spec.deliver is not None:
        yield Text(
            "{to} gets a copy of every owner's file, sealed to a key of its own: every owner is "
            "asked about that.",
            to=spec.deliver.to,
        )
    yield from extra_notes([spec.model.model.family])
    if spec.min_contributors == len(spec.roster):
        yield "The job succeeds once every party is done; min_contributors lets some be missing."


def _details(spec: PredictionSpec) -> dict[str, Any]:
    return {
        "parties": list(spec.parties),
        "model": spec.model.called,
        "columns": list(spec.column_names),
        "result": list(spec.titles),
        "min_contributors": spec.min_contributors,
    }


class PredictionJobs(UnpricedJobs):
    """`application.jobs.kind.JobKind`."""

    def __init__(self) -> None:
        super().__init__(PREDICTION_ENGINE, draft_prediction)


PREDICTION_JOBS: Final = PredictionJobs()
