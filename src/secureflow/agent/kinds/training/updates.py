"""A party's updates: computed by the local worker, one per model, the same however often asked for.

The newest stays in memory, mapped from this agent's own copy of it, and is read from that file
after a restart. What a power cut took is computed again, bit by bit, from the seed derived from the
job's secret and the model; where that makes another update now (other code of NumPy), this party is
out of the round. A trainer that cannot repeat itself is run once for a model: its update, and its
own state after it, are flushed before the round is recorded (`ModelFiles.keep_update`), and what is
recorded is sent again, never trained again. How an update is sent (sealed, masked, both) is not
decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np

from secureflow.agent.compute.derivation import commitment_salt, training_seed
from secureflow.agent.compute.training import (
    EVALUATE,
    MOMENTS,
    TRAIN,
    VALIDATION,
    evaluate_arguments,
    train_arguments,
    validation_arguments,
)
from secureflow.agent.job.context import AgentContext, Computing
from secureflow.agent.job.reading import PrivateRows, paid_reading, unnamed_rows
from secureflow.agent.job.validationrows import row_secret
from secureflow.agent.kinds.basemodels import place_bases
from secureflow.agent.kinds.kind import LocalContribution, RoundStart
from secureflow.agent.kinds.training.features import check_features
from secureflow.agent.kinds.training.modelfiles import ModelFiles
from secureflow.agent.kinds.training.ownmodels import OwnModels
from secureflow.agent.kinds.training.verification import check_private_update
from secureflow.agent.record.records import JobRecord, RoundRecord
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import LEAST_VALIDATION
from secureflow.engines.run.messages import MaskRequest, TrainRequest
from secureflow.engines.sealing import manifest_length, tensor_digest
from secureflow.engines.training.models import Stage, initial_model_digest, update_layout
from secureflow.engines.training.order import public_order, shuffle_seed
from secureflow.engines.training.private import reads_rows
from secureflow.engines.training.sending import change_bytes, update_form
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.kit.threads import run_to_its_end

RoundRequest = TrainRequest | MaskRequest
"""The origin of an update: round, stage and model."""


class Updates:
    """Computes this party's updates.

    Args:
        context: the party.
        computing: local training.
        files: models and updates on disk.
        reproducible: whether a spec's trainer makes the same update again.
    """

    def __init__(
        self,
        context: AgentContext,
        computing: Computing,
        files: ModelFiles,
        reproducible: Callable[[TrainingSpec], bool],
    ) -> None:
        self._reproducible = reproducible
        self._context = context
        self._computing = computing
        self._files = files
        self._held: dict[str, LocalContribution] = {}
        self._rows: dict[str, int] = {}
        self._private = PrivateRows(context, computing)
        self._own = OwnModels(context, files)
        self._initial: dict[str, str] = {}

    async def prepare(self, job: JobRecord, spec: TrainingSpec) -> None:
        """Reserve the budget; check once everything that can be checked before a round.

        With differential privacy no row is read yet: that must be charged first (`paid_reading`).
        Otherwise rows that do not fit are found here.

        Raises:
            SecureFlowError: `dataset_changed`, before anything is charged; `budget_…`,
                `privacy_required`, those of `check_features`; errors of the data, which name the
                column: the row stays in this agent's log.
        """
        if job.job in self._rows:
            return
        pinned = await self._context.unchanged(job, spec)
        if pinned is not None:
            check_features(spec, pinned.dataset)
        await asyncio.to_thread(place_bases, self._context, job.job, spec)
        await self._context.budgets.reserve(job, spec)
        if spec.privacy is not None:
            dataset = None if pinned is None else pinned.dataset
            await self._computing.check(job.job, job.spec, dataset)
            self._rows[job.job] = 0  # the exact number of rows is not revealed either
        else:
            async with unnamed_rows(self._context, job):
                read = self._context.reading(pinned)
                answer = await self._computing.prepare(job.job, job.spec, *read)
            self._rows[job.job] = int(answer["rows"])
            if spec.reads_rows and spec.plan.validation and not answer["validation"]:
                await asyncio.to_thread(self._note_unmeasured, job.job)

    def _note_unmeasured(self, job: str) -> None:
        """Tell the owner that these rows say nothing of how good the model is."""
        with self._context.store.transaction():
            facts = {"least": LEAST_VALIDATION}
            self._context.store.note(self._context.clock(), "job.not_measured", job, **facts)

    def rows(self, job: str) -> int:
        """Return the rows behind the job's updates, once it is prepared."""
        return self._rows[job]

    async def initial_digest(self, job: JobRecord, spec: TrainingSpec) -> str:
        """Return the digest of the model before the first round."""
        if job.job not in self._initial:
            self._initial[job.job] = await asyncio.to_thread(initial_model_digest, spec)
        return self._initial[job.job]

    async def compute(
        self,
        job: JobRecord,
        spec: TrainingSpec,
        request: RoundRequest,
        model: str,
        moments: list[float] | None,
    ) -> LocalContribution:
        """Compute the update of a round, from a verified model and verified moments."""
        self._held.pop(job.job, None)  # its buffer is about to be overwritten
        await self.prepare(job, spec)
        stage = cast("Stage", request.stage)  # `check_step` accepts no other
        layout = update_layout(spec, stage)
        sent = await self._sent(job, spec, request, model)
        if sent is not None:
            return sent
        length = change_bytes(spec, stage)
        if not reads_rows(spec, stage):
            answer: Mapping[str, JSON] = {"sums": [1.0], "seconds": 0.0}
            held = await self._taken(job, spec, request, (length, layout.sums), answer)
        else:
            path = None
            if stage != "moments":
                path = await self._files.model(job, spec, request.model)
            async with paid_reading(self._context, job, spec, (request.round, stage), model):
                answer = await self._computed(job, spec, stage, path, model, moments, request.round)
                # What the worker left in its files is as much its word as its answer.
                held = await self._taken(job, spec, request, (length, layout.sums), answer)
                if stage == "evaluate":
                    start = RoundStart(model, moments)
                    await run_to_its_end(self._own.keep, job, spec, held.plaintext, start)
        self._check_one_update(job, request, model, held.content)
        self._held[job.job] = held
        return held

    async def _computed(
        self,
        job: JobRecord,
        spec: TrainingSpec,
        stage: Stage,
        path: Path | None,
        model: str,
        moments: list[float] | None,
        number: int,
    ) -> Mapping[str, JSON]:
        """Have the worker compute; a private job's rows are read now, once, and not before."""
        await self._private.read(job, spec)
        if path is None:
            return await self._computing.compute(job.job, MOMENTS)
        seed = self._seed(job, spec, stage, model)
        if stage == "evaluate":
            own = await run_to_its_end(self._own.place, job, spec, self._state)
            asked = evaluate_arguments(path, moments, seed, own)
            return await self._computing.compute(job.job, EVALUATE, asked)
        size = change_bytes(spec, stage)
        update = await run_to_its_end(self._files.begin_update, job.job, size)
        if stage == "validation":
            secret = row_secret(self._context, job)
            salt = commitment_salt(secret, number, stage).hex()
            drawn = training_seed(secret, stage, "")  # whatever model and job: of the grant
            asked = validation_arguments(update, moments, drawn, salt)
            return await self._computing.compute(job.job, VALIDATION, asked)
        state = None if self._reproducible(spec) else await run_to_its_end(self._state, job, spec)
        asked = train_arguments(path, update, moments, seed, state, number)
        return await self._computing.compute(job.job, TRAIN, asked)

    def _seed(self, job: JobRecord, spec: TrainingSpec, stage: Stage, model: str) -> str:
        """Return the hex seed of this party's training, public if the plan says so."""
        if public_order(spec):
            return shuffle_seed(spec, self._context.party, stage, model).hex()
        return training_seed(job.secret, stage, model)

    async def _sent(
        self, job: JobRecord, spec: TrainingSpec, request: RoundRequest, model: str
    ) -> LocalContribution | None:
        """Return the update that was recorded for a model, whatever round it was of, or None."""
        for other in self._context.store.rounds_from(job.job, request.stage, model):
            return await self._read_kept(job, spec, request, other)
        return None

    async def _read_kept(
        self, job: JobRecord, spec: TrainingSpec, request: RoundRequest, record: RoundRecord
    ) -> LocalContribution | None:
        """Return a recorded update from the disk; None if it is lost and can be made again.

        Raises:
            SecureFlowError: `state_unreadable` if it is gone or damaged, and cannot.
        """
        size = manifest_length(update_form(spec, cast("Stage", record.stage)))
        kept = await asyncio.to_thread(self._files.kept_update, job.job, record.content, size)
        if kept is None and self._reproducible(spec):
            return None
        if kept is None:
            raise SecureFlowError(
                "state_unreadable",
                Text(
                    "{party} no longer holds the update that it recorded for round {round} of "
                    "{job}.",
                    party=self._context.party,
                    round=record.round,
                    job=job.job,
                ),
                "Leave this job: its trainer would make another update, which reveals more.",
            )
        held = LocalContribution(request.round, request.stage, record.content, kept, record.seconds)
        held.salted = self._salted(job, held.stage)
        self._held[job.job] = held
        return held

    async def _taken(
        self,
        job: JobRecord,
        spec: TrainingSpec,
        request: RoundRequest,
        layout: tuple[int, int],
        answer: Mapping[str, JSON],
    ) -> LocalContribution:
        """Return the update that a worker made, as this agent holds it; kept, if it must be.

        A request that is withdrawn meanwhile waits for what writes: it would go on beside its own
        repetition, and remove what that one keeps.
        """
        length, count = layout
        sums = _checked_sums(answer, count, request)
        seconds = float(answer["seconds"])
        held = await run_to_its_end(self._hold, job, request, length, sums, seconds)
        if spec.privacy is not None:
            stage = cast("Stage", request.stage)
            checked = spec, stage, request.round, held.plaintext
            await asyncio.to_thread(check_private_update, *checked)
        if not self._reproducible(spec):
            await run_to_its_end(self._keep, job, held, filed=length > 0)
        elif not length:
            await run_to_its_end(self._files.sums.keep, job.job, held.plaintext)
        return held

    def _keep(self, job: JobRecord, held: LocalContribution, *, filed: bool) -> None:
        newest = self._context.store.newest_round(job.job)
        kept = {held.content} if newest is None else {held.content, newest.content}
        self._files.keep_update(job.job, held.content, held.plaintext, filed=filed)
        self._files.drop_kept(job.job, kept)

    def _state(self, job: JobRecord, spec: TrainingSpec) -> tuple[Path | None, Path]:
        """Return where the trainer's state after the newest recorded update is, and goes.

        Raises:
            SecureFlowError: `state_unreadable` if it is gone and the job cannot do without.
        """
        newest = self._context.store.newest_round(job.job)
        found = self._files.trainer_state(job.job, "" if newest is None else newest.content)
        trained = newest is not None and newest.stage == "train"
        if newest is not None and trained and spec.kept_at_parties and not found[0]:
            raise SecureFlowError(
                "state_unreadable",
                Text(
                    "{party} no longer holds what {strategy} keeps of it since round {round} of "
                    "{job}.",
                    party=self._context.party,
                    strategy=spec.kept_at_parties,
                    round=newest.round,
                    job=job.job,
                ),
                "Leave this job: from another state the trainer would make another update.",
            )
        return found

    def _hold(
        self,
        job: JobRecord,
        request: RoundRequest,
        length: int,
        sums: list[float],
        seconds: float,
    ) -> LocalContribution:
        """Copy the update, map the copy and take its digest."""
        plaintext = self._files.plaintext(job.job, length, sums)
        content = tensor_digest(plaintext)
        held = LocalContribution(request.round, request.stage, content, plaintext, seconds)
        held.salted = self._salted(job, held.stage)
        return held

    def _salted(self, job: JobRecord, stage: str) -> bytes:
        """Return what the salt of the commitment follows from, where it is not the job's secret."""
        return row_secret(self._context, job) if stage == "validation" else b""

    def _check_one_update(
        self, job: JobRecord, request: RoundRequest, model: str, content: str
    ) -> None:
        """Refuse a second, different update for one (job, model digest)."""
        for other in self._context.store.rounds_from(job.job, request.stage, model):
            if other.content != content:
                raise SecureFlowError(
                    "update_already_sealed",
                    Text(
                        "{party} has lost the update of {job} that it recorded in round {round}, "
                        "and makes another one from model {model}… now.",
                        party=self._context.party,
                        job=job.job,
                        model=model[:16],
                        round=other.round,
                    ),
                    "It is left out of this round: two different updates from one model would "
                    "reveal more than their sums. Check that data, worker, NumPy and kind of "
                    "processor have not changed (`worker: kernels` in agent.yaml).",
                    {"innocent": True},
                )

    async def recorded(
        self,
        job: JobRecord,
        spec: TrainingSpec,
        request: RoundRequest,
        record: RoundRecord,
        moments: list[float] | None,
    ) -> LocalContribution:
        """Return the recorded update: from memory, the disk, or computed again bit by bit."""
        held = self._held.get(job.job)
        if held is not None and (held.round, held.stage) == (record.round, record.stage):
            return held
        kept = await self._read_kept(job, spec, request, record)
        if kept is not None:
            return kept
        return await self.compute(job, spec, request, record.model, moments)

    async def forget(self, job: str) -> None:
        """Drop everything of a finished job."""
        self._held.pop(job, None)
        self._rows.pop(job, None)
        self._private.forget(job)
        self._initial.pop(job, None)
        await self._computing.close(job)
        await asyncio.to_thread(self._files.forget, job)
        await asyncio.to_thread(self._own.forget, job)


def _checked_sums(answer: Mapping[str, JSON], length: int, request: RoundRequest) -> list[float]:
    sums = [float(one) for one in answer["sums"]]
    if len(sums) != length or not np.isfinite(sums).all():
        raise SecureFlowError(
            "update_length_wrong",
            Text(
                "The worker's sums of round {round} ({stage}) must be {length} finite"
                " numbers; it sent {count}.",
                round=request.round,
                stage=request.stage,
                count=len(sums),
                length=length,
            ),
            "The worker and this agent must have the same version.",
        )
    return sums
