"""From published means to the next global model: computed here, not trusted.

A file `<digest>.model` is only ever written after its content was computed from an earlier one, so
a model on disk is verified (`modelfiles` handles what a power cut leaves of it). Each published
mean must be within the caps of the spec, lead from the model that this party itself masked under in
that round, and result in the claimed digest; if an enclave aggregates, it must also have signed the
outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from secureflow.agent.job.context import AgentContext
from secureflow.agent.job.guards import released
from secureflow.agent.kinds.training.modelfiles import ModelFiles
from secureflow.agent.record.records import JobRecord
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.messages import PublishedStep, read
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class Steps:
    """Computes a party's model up to the one that a round starts from."""

    def __init__(self, context: AgentContext, files: ModelFiles) -> None:
        self._context = context
        self._files = files

    async def ensure_model(
        self,
        job: JobRecord,
        spec: TrainingSpec,
        target: str,
        initial: str,
        published: Sequence[dict[str, JSON]],
    ) -> None:
        """Ensure that the target model's file exists.

        Raises:
            SecureFlowError: `model_inconsistent`, `unreleased_model`, `model_missing`, the link's.
        """
        if target == initial:
            await self._files.model(job, spec, None)
            return
        if await asyncio.to_thread(self._files.existing, job.job, target) is not None:
            return
        steps = [read(PublishedStep, step) for step in published]
        first, base = await self._start(job, spec, initial, steps)
        held = steps[first].base
        for step, raw in zip(steps[first:], published[first:], strict=True):
            self._check(job, spec, step, raw, held)
            base = await self._files.apply(job.job, spec, step, base)
            held = step.model
        if held != target:
            raise _inconsistent(
                Text(
                    "the means lead to model {held}…, not {target}…",
                    held=held[:16],
                    target=target[:16],
                )
            )

    async def _start(
        self, job: JobRecord, spec: TrainingSpec, initial: str, steps: Sequence[PublishedStep]
    ) -> tuple[int, Path]:
        """Return the newest step whose base model is on disk, and the base's file."""
        for at in range(len(steps) - 1, -1, -1):
            path = await asyncio.to_thread(self._files.existing, job.job, steps[at].base)
            if path is not None:
                return at, path
            if steps[at].base == initial:
                return at, await self._files.model(job, spec, None)
        raise SecureFlowError(
            "model_missing",
            Text(
                "{party} holds no model that the published means of {job} start from.",
                party=self._context.party,
                job=job.job,
            ),
            "The centre must show every mean since this party's last round.",
        )

    def _check(
        self, job: JobRecord, spec: TrainingSpec, step: PublishedStep, raw: JSON, held: str
    ) -> None:
        if step.base != held:
            raise _inconsistent(
                Text("round {round} does not start where the one before it ended", round=step.round)
            )
        own = self._context.store.round(job.job, step.round, "train")
        if own is not None and own.model != step.base:
            raise _inconsistent(
                Text("this party masked another model's update in round {round}", round=step.round)
            )
        if not traits_of(spec).enclave:
            return
        release = released(raw, job.job, job.digest, self._context.store.admissions(job.job))
        if (release.stage, release.round, release.model) != ("train", step.round, step.model):
            raise _inconsistent(
                Text("the enclave released another outcome of round {round}", round=step.round)
            )


def _inconsistent(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "model_inconsistent",
        Text("The centre's account of the global model is not valid: {reason}.", reason=reason),
        "Refuse it: from a model of its own choice a centre could learn more than sums.",
    )
