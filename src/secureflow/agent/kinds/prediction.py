"""A party's part in a prediction: a file of what the approved model says of its rows.

The file is written in the agent's own folder, for its owner, and none of it is sent. Its leaf
commits to it, so that the owner can prove later what was predicted, with which model.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from typing import Final

import numpy as np

from secureflow.agent.compute.columns import check_no_code, declared
from secureflow.agent.compute.jobfiles import UPDATE, held_folder
from secureflow.agent.compute.prediction import COUNTS, PREDICT, predict_arguments
from secureflow.agent.job.context import AgentContext, Computing, Fetching
from secureflow.agent.job.reading import unnamed_rows
from secureflow.agent.kinds.basemodels import place_bases
from secureflow.agent.kinds.blobs import Blob, fetched
from secureflow.agent.kinds.kind import Keeping, KeptResult
from secureflow.agent.kinds.training.features import check_features
from secureflow.agent.kinds.wholesums import whole_sums, wrong_sums
from secureflow.agent.owner.keptfiles import keep_file, unfinished
from secureflow.agent.owner.predictions import prediction_file, received_folder
from secureflow.agent.owner.publications import Publication
from secureflow.agent.record.records import JobRecord
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.domain.specs.summed import LIMIT
from secureflow.engines.prediction.kind import PREDICTION_ENGINE
from secureflow.engines.run.kept import RECEIVED
from secureflow.engines.run.kind import EngineKind
from secureflow.engines.run.messages import KeepRequest
from secureflow.engines.training.extras import check_extra
from secureflow.kit.canonical import JSON
from secureflow.kit.disk import remove
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_SCALAR: Final = {"number", "category", "text"}


class PredictedRows(Keeping):
    """Writes a party's predictions.

    Args:
        context: the party.
        computing: reads the rows, and applies the model.
        link: fetches the model.
    """

    def __init__(self, context: AgentContext, computing: Computing, link: Fetching) -> None:
        self._context = context
        self._computing = computing
        self._link = link

    async def keep(self, job: JobRecord, spec: PredictionSpec, request: KeepRequest) -> KeptResult:
        """Write the job's file, the same bytes however often, and return what is told of it.

        Raises:
            SecureFlowError: `invalid_request` for another model than the approved one;
                `dataset_changed`; those of `check_declared`, of the file and of its rows;
                `update_length_wrong`.
            InfrastructureError: `disk_full`.
        """
        _check_model(spec, request)
        pinned = await self._context.unchanged(job, spec)
        if pinned is None:
            raise AssertionError(spec.kind)  # it reads rows
        check_declared(spec, pinned.dataset)
        await asyncio.to_thread(place_bases, self._context, job.job, spec)
        blob = Blob(spec.model.digest, spec.model.bytes)
        model = await fetched(self._context, self._link, job.job, blob)
        written = model.with_name(UPDATE)
        async with unnamed_rows(self._context, job):
            reading = self._context.reading(pinned)
            await self._computing.prepare(job.job, job.spec, *reading)
            arguments = predict_arguments(model, written)
            answer = await self._computing.compute(job.job, PREDICT, arguments)
        counted = _counts(answer)
        path = prediction_file(self._context.settings, job.job)
        size, digest = await asyncio.to_thread(keep_file, written, path, self._context.party)
        return _result(spec, pinned, digest, size, counted)

    def goes_to(self, spec: PredictionSpec) -> str:
        """Return who gets a copy of every party's file."""
        return "" if spec.deliver is None else spec.deliver.to

    async def forget(self, job: str, *, recorded: bool) -> None:
        """Drop the rows and the model of a finished job, and files that nothing commits to."""
        models, store = self._context.settings.models, self._context.store
        await asyncio.to_thread(shutil.rmtree, held_folder(models, job), ignore_errors=True)
        if store.leaf_of(job, RECEIVED) is None:
            arrived = received_folder(self._context.settings, job)
            await asyncio.to_thread(shutil.rmtree, arrived, ignore_errors=True)
        folder = self._context.settings.models / job
        path = prediction_file(self._context.settings, job)
        if not recorded:
            await asyncio.to_thread(remove, path)
        await asyncio.to_thread(remove, unfinished(path))
        if await asyncio.to_thread(folder.exists):
            await self._computing.close(job)
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


class PredictionAgentKind:
    """`agent.kinds.kind.AgentKind`."""

    engine: Final[EngineKind] = PREDICTION_ENGINE

    def check_columns(self, spec: PredictionSpec, dataset: DatasetConfig) -> None:
        """Refuse columns that do not match; adds `missing_extra` to every kind's errors."""
        check_declared(spec, dataset)

    def contributing(
        self, context: AgentContext, computing: Computing, link: Fetching
    ) -> PredictedRows:
        """Return a party's part in predictions."""
        return PredictedRows(context, computing, link)


PREDICTION_AGENT: Final = PredictionAgentKind()


def check_declared(spec: PredictionSpec, dataset: DatasetConfig) -> None:
    """Refuse columns that do not match the owner's declaration; a label need not be declared.

    Raises:
        SecureFlowError: those of `check_features` for what the model reads; `column_not_granted`
            for a column beside it that is no number, category or text; `privacy_required` where
            nothing may leave.
    """
    check_no_code(spec, dataset)
    if spec.deliver is not None and dataset.privacy is not None and dataset.privacy.required:
        raise SecureFlowError(
            "privacy_required",
            Text(
                "The owner of {name!r} demands differential privacy of everything that leaves it: "
                "its predictions go to nobody.",
                name=dataset.name,
            ),
            "Leave `deliver` out: then each owner keeps its own.",
            {"dataset": dataset.name},
        )
    check_extra(spec.reads)
    check_features(spec.reads, dataset)
    for name in spec.columns:
        declared(dataset, name, _SCALAR)


def _check_model(spec: PredictionSpec, request: KeepRequest) -> None:
    model = request.model
    if model is not None and model.digest == model.artifact == spec.model.digest:
        return
    raise SecureFlowError(
        "invalid_request",
        Text("The prediction {job} comes with another model than the approved one.",
             job=request.job),
        "The centre must follow the spec that was approved.",
    )  # fmt: skip


def _counts(answer: Mapping[str, JSON]) -> tuple[int, int]:
    """Return how many rows a worker counted, and of how many nothing is predicted."""
    rows, unfit = np.frombuffer(whole_sums(answer, COUNTS, LIMIT), "<i8").tolist()
    if min(rows, unfit) < 0:
        raise wrong_sums(COUNTS, COUNTS)
    return rows, unfit


def _result(
    spec: PredictionSpec, pinned: Publication, digest: str, size: int, counted: tuple[int, int]
) -> KeptResult:
    """Return what the leaf commits to: which rows, which model, which file."""
    rows, unfit = counted
    facts: dict[str, JSON] = {"rows": rows, "unfit": unfit, "file": digest}
    document = {
        "kind": spec.kind,
        "model": spec.model.digest,
        "dataset": pinned.dataset.name,
        "data": pinned.commitment,
        "outputs": list(spec.outputs),
        "columns": list(spec.columns),
        "bytes": size,
        **facts,
    }
    return KeptResult(document, facts)
