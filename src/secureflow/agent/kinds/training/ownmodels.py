"""A party's own model of a training: made by the worker, kept before its figures are sent.

It is computed with the sums of the stage `evaluate`. The worker's file is copied first, as all that
it writes; the copy with its card is on the disk, flushed, before the round is recorded: an agent
that is killed then sends the recorded figures, and has the model that they are of.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from secureflow.agent.job.context import AgentContext
from secureflow.agent.kinds.kind import RoundStart
from secureflow.agent.kinds.training.modelfiles import ModelFiles
from secureflow.agent.owner.ownmodels import (
    PLACE,
    forget_own_model,
    keep_own_model,
    sweep_own_models,
)
from secureflow.agent.record.records import JobRecord
from secureflow.domain.specs.strategies import kept_by_party
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.export import card_of
from secureflow.engines.training.measures import figures
from secureflow.engines.training.ownmodels import COUNTS, own_sums
from secureflow.kit.canonical import JSON
from secureflow.kit.filedigest import file_digest

State = Callable[[JobRecord, TrainingSpec], tuple[Path | None, Path]]
"""Returns the trainer's state after the newest recorded update, and where the next one goes."""


class OwnModels:
    """Keeps own models, and removes those of jobs that failed.

    Args:
        context: the party.
        files: what workers write.
    """

    def __init__(self, context: AgentContext, files: ModelFiles) -> None:
        self._context, self._files = context, files
        sweep_own_models(context.settings, context.store)

    def place(
        self, job: JobRecord, spec: TrainingSpec, state: State
    ) -> tuple[Path | None, Path] | None:
        """Return the state from which a worker makes the model, and where; None without a model.

        Raises:
            SecureFlowError: `state_unreadable` if what the strategy keeps here is lost.
            InfrastructureError: `disk_full`.
        """
        if not spec.own_models:
            return None
        before = state(job, spec)[0] if kept_by_party(spec.plan.strategy) else None
        return before, self._files.begin_update(job.job, 4 * spec.model_parameters)

    def keep(
        self, job: JobRecord, spec: TrainingSpec, plaintext: memoryview, start: RoundStart
    ) -> None:
        """Keep the model that a worker has made with these sums, and note what they say.

        Raises:
            SecureFlowError: `update_length_wrong`.
            InfrastructureError: `disk_full`, `disk_failed`.
        """
        if not spec.own_models:
            return
        sums = np.frombuffer(plaintext, "<f8")
        count = (len(sums) - 1 - COUNTS) // 2
        shared, own = (
            figures(spec, sums[1 : 1 + count]),
            figures(spec, own_sums(spec, sums.tolist())),
        )
        written = self._files.own_model(job.job, 4 * spec.model_parameters)
        card = card_of(
            spec, file_digest(written).hex(),
            moments=start.moments, metrics=own, created=int(self._context.clock()),
        )  # fmt: skip
        place: dict[str, JSON] = {
            "party": self._context.party,
            "shared_model": start.model,
            "shared_metrics": shared,
            "gained": bool(sums[-COUNTS]),
        }
        keep_own_model(self._context.settings, job.job, written, {**card, PLACE: place})
        written.unlink(missing_ok=True)
        self._note(job.job, shared, own)

    def forget(self, job: str) -> None:
        """Remove the model of a job that ended without success."""
        forget_own_model(self._context.settings, self._context.store, job)

    def _note(self, job: str, shared: dict[str, float], own: dict[str, float]) -> None:
        told = {"shared": shared.get("loss"), "own": own.get("loss")}
        facts: dict[str, JSON] = {name: one for name, one in told.items() if one is not None}
        with self._context.store.transaction():
            self._context.store.note(self._context.clock(), "job.own_model", job, **facts)
