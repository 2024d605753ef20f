"""Training, at an agent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, cast

import numpy as np

from secureflow.agent.job.context import AgentContext, Computing, Fetching
from secureflow.agent.job.validationrows import check_rows_leave, fix_rows
from secureflow.agent.kinds.kind import Contributing, LocalContribution, RoundStart
from secureflow.agent.kinds.training.features import check_features
from secureflow.agent.kinds.training.modelfiles import ModelFiles
from secureflow.agent.kinds.training.modelkeys import ModelKeys
from secureflow.agent.kinds.training.scores import check_scores
from secureflow.agent.kinds.training.selfreport import self_report
from secureflow.agent.kinds.training.steps import Steps
from secureflow.agent.kinds.training.updates import Updates
from secureflow.agent.kinds.training.verification import (
    check_masked_moments,
    check_model,
    check_moments,
    check_not_measured,
    check_output,
)
from secureflow.agent.record.records import JobRecord, RoundRecord
from secureflow.agent.record.stepmoments import keep_moments
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.contribution import VALIDATION
from secureflow.domain.specs.roundparties import check_drawn, check_survivors
from secureflow.domain.specs.signedoutputs import moments_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.kind import EngineKind
from secureflow.engines.run.messages import AdmitRequest, MaskRequest, SelfReport, TrainRequest
from secureflow.engines.sealing import Manifest
from secureflow.engines.sealing.wiretypes import BYTES, DTYPES
from secureflow.engines.secagg import MaskingPlan
from secureflow.engines.secagg.encoding import Contribution
from secureflow.engines.training.encodings import masked_parts
from secureflow.engines.training.extras import check_extra
from secureflow.engines.training.kind import TRAINING_ENGINE
from secureflow.engines.training.models import Stage, repeats, update_layout
from secureflow.engines.training.private import noise_shared
from secureflow.engines.training.sending import update_form
from secureflow.kit.canonical import JSON


class TrainingContribution:
    """`agent.kinds.kind.Contributing`: updates from verified models.

    Args:
        context: the party.
        computing: local training.
        link: fetches models and means.
        reproducible: whether a spec's trainer makes the same update again.
    """

    def __init__(
        self,
        context: AgentContext,
        computing: Computing,
        link: Fetching,
        reproducible: Callable[[TrainingSpec], bool],
    ) -> None:
        settings = context.settings
        files = ModelFiles(settings.models, link, context.party, settings.worker.state_mb << 20)
        files.sweep(context.store.is_running)
        self._context = context
        self._keys = ModelKeys(context, files)
        self._updates = Updates(context, computing, files, reproducible)
        self._steps = Steps(context, files)

    async def prepare(self, job: JobRecord, spec: TrainingSpec) -> None:
        """Reserve the budget; see `Updates.prepare`."""
        await self._updates.prepare(job, spec)

    async def hand_over(self, job: JobRecord, request: AdmitRequest) -> dict[str, JSON]:
        """Return the content key of a sealed model, for the enclave; see `ModelKeys`."""
        return await self._keys.hand_over(job, request)

    def rows(self, job: str) -> int:
        """Return the rows behind the job's updates, once it is prepared; 0 under DP."""
        return self._updates.rows(job)

    async def start(
        self, job: JobRecord, spec: TrainingSpec, request: TrainRequest | MaskRequest
    ) -> RoundStart:
        """Return the verified model to start from, and moments.

        An enclave's release authenticates a model; with masks this party computes it itself, from
        the published means.
        """
        initial = await self._updates.initial_digest(job, spec)
        admissions = self._context.store.admissions(job.job)
        if isinstance(request, TrainRequest):
            model = check_model(request, initial, admissions)
            moments = check_moments(request, spec, initial, admissions)
            await self._keep_moments(job, spec, moments)
            return RoundStart(model, moments)
        target = initial if request.model is None else request.model.digest
        moments = check_masked_moments(request, spec, initial, admissions)
        await self._keep_moments(job, spec, moments)
        await self._steps.ensure_model(job, spec, target, initial, request.steps)
        return RoundStart(target, moments)

    async def _keep_moments(
        self, job: JobRecord, spec: TrainingSpec, moments: list[float] | None
    ) -> None:
        """Remember the sums that a step of a pipeline trains with: later steps scale by them."""
        if moments is None or spec.part_of is None or spec.part_of.step is None:
            return
        told = moments_digest(moments)
        await asyncio.to_thread(keep_moments, self._context.store, spec.part_of.job, job.job, told)

    def check_follows(self, newest: RoundRecord, request: TrainRequest | MaskRequest) -> None:
        """Refuse any round after the evaluation, whose model is the output."""
        check_not_measured(newest, request)

    async def contribute(
        self,
        job: JobRecord,
        spec: TrainingSpec,
        request: TrainRequest | MaskRequest,
        record: RoundRecord | None,
        start: RoundStart,
    ) -> LocalContribution:
        """Return the update of a round: from memory, the disk, or computed (again) bit by bit."""
        if request.stage == VALIDATION and isinstance(request, TrainRequest):
            rows, generation = spec.validation_rows, request.generation
            await asyncio.to_thread(check_rows_leave, self._context, job, rows, generation)
            await asyncio.to_thread(fix_rows, self._context, job, dump(spec.plan))
        if request.stage == "train":
            check_drawn(spec, job.digest, request.round, self._context.party)
        if record is None:
            return await self._updates.compute(job, spec, request, start.model, start.moments)
        return await self._updates.recorded(job, spec, request, record, start.moments)

    def check_survivors(
        self, job: JobRecord, spec: TrainingSpec, record: RoundRecord, survivors: Sequence[str]
    ) -> None:
        """Refuse to sign for a party that was not drawn; see `roundparties`."""
        if record.stage == "train":
            check_survivors(spec, job.digest, record.round, survivors)

    def keep(self, job: str, held: LocalContribution) -> None:
        """Store nothing: an update can be made again from the job's secret, or is kept already.

        One that cannot is on the disk under its digest, which the round's record names
        (`Updates`).
        """

    def manifest(self, spec: TrainingSpec, stage: str) -> Manifest:
        """Return the layout of an update: its change of the model, then sums."""
        return update_form(spec, cast("Stage", stage))

    def masked(
        self, plan: MaskingPlan, spec: TrainingSpec, held: LocalContribution
    ) -> Contribution:
        """Return the update's parameters and sums in the form that a client masks."""
        stage = cast("Stage", held.stage)
        wire = spec.wire_type
        size = BYTES[wire] * update_layout(spec, stage).parameters
        values = np.frombuffer(held.plaintext[:size], DTYPES[wire])
        sums = np.frombuffer(held.plaintext[size:], "<f8")
        return masked_parts(spec, stage, plan, values, sums)

    def reveals_nothing(self, spec: TrainingSpec) -> bool:
        """A rehearsal's updates are zeros, and its model is the same in every round."""
        return not spec.reads_rows

    def may_repeat(self, spec: TrainingSpec) -> bool:
        """Training may converge and repeat a model; shared noise changes every model."""
        return not noise_shared(spec)

    def check_outcome(
        self, spec: TrainingSpec, rounds: Sequence[RoundRecord], model: str | None
    ) -> str:
        """Refuse another model than the evaluated one, or with `keep: best` than a released one."""
        return check_output(spec, rounds, model)

    def told(self, spec: TrainingSpec, held: LocalContribution, rows: int) -> SelfReport | None:
        """Return rows and loss, where the spec asks every party for them; see `self_report`."""
        return self_report(spec, held, rows)

    def check_scores(self, job: JobRecord, spec: TrainingSpec, signed: JSON) -> str:
        """Refuse scores that no enclave signed which this party verified; see `check_scores`."""
        return check_scores(self._context, job, spec, signed)

    async def forget(self, job: str) -> None:
        """Drop updates, models and rows."""
        await self._updates.forget(job)


class TrainingAgentKind:
    """`agent.kinds.kind.AgentKind`.

    Args:
        reproducible: whether a spec's trainer makes the same update again; by default as its
            family says.
    """

    engine: Final[EngineKind] = TRAINING_ENGINE

    def __init__(self, reproducible: Callable[[TrainingSpec], bool] | None = None) -> None:
        self._reproducible = reproducible or repeats

    def check_columns(self, spec: TrainingSpec, dataset: DatasetConfig) -> None:
        """Refuse columns that do not match, and a trainer that is not installed.

        Adds `malformed_label` and `missing_extra` to every kind's errors.
        """
        check_extra(spec)
        check_features(spec, dataset)

    def contributing(
        self, context: AgentContext, computing: Computing, link: Fetching
    ) -> Contributing:
        """Return a party's part in training."""
        return TrainingContribution(context, computing, link, self._reproducible)


TRAINING_AGENT: Final = TrainingAgentKind()
