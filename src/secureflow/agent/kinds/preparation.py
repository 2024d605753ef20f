"""A party's part in fitting a preparation: its sums of each round, the same for the same totals.

What a round starts from is the file of all totals before it, which the centre stores and the masks
are bound to. The worker replays the fits from it: a party computes with what was opened, not with
what the centre says follows from it. Sums and noise follow from the job's secret, the round and the
file's digest, so that they can be made again, bit by bit, and nothing of them has to be kept.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from secureflow.agent.compute.columns import (
    check_asked,
    check_bounds,
    check_contributions,
    check_label,
)
from secureflow.agent.compute.derivation import derive
from secureflow.agent.compute.preparation import SUMS, sums_arguments
from secureflow.agent.job.context import AgentContext, Computing, Fetching, reading
from secureflow.agent.job.reading import paid_reading, unnamed_rows
from secureflow.agent.job.retrying import retry_while_away
from secureflow.agent.kinds.kind import Contributing, LocalContribution, RoundStart
from secureflow.agent.kinds.wholesums import whole_sums
from secureflow.agent.record.records import JobRecord, RoundRecord
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.passes import schedule
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.engines.preparation.fitting import LIMIT
from secureflow.engines.recipes.kind import PREPARATION_ENGINE
from secureflow.engines.recipes.plan import masked_values, totals_bytes
from secureflow.engines.recipes.stage import STAGE
from secureflow.engines.run.kind import EngineKind
from secureflow.engines.run.messages import AdmitRequest, MaskRequest, ReleasedModel, TrainRequest
from secureflow.engines.sealing import Manifest, tensor_digest
from secureflow.engines.secagg import MaskingPlan
from secureflow.engines.secagg.encoding import Contribution
from secureflow.kit.canonical import JSON
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import file_digest
from secureflow.kit.text import Text

RoundRequest = TrainRequest | MaskRequest


class FittedSums:
    """Makes a party's sums.

    Args:
        context: the party.
        computing: reads the rows.
        link: fetches totals.
    """

    def __init__(self, context: AgentContext, computing: Computing, link: Fetching) -> None:
        self._context = context
        self._computing = computing
        self._link = link
        self._rows: dict[str, int] = {}
        self._totals: dict[str, Path] = {}

    async def prepare(self, job: JobRecord, spec: PreparationSpec) -> None:
        """Reserve the budget and check everything that can be checked before a round, once.

        Raises:
            SecureFlowError: `dataset_changed`, before anything is charged; `budget_…`, those of
                `check_declared`; errors of the file; without privacy those of rows that do not fit.
        """
        if job.job in self._rows:
            return
        pinned = await self._context.unchanged(job, spec)
        if pinned is not None:
            check_declared(spec, pinned.dataset)
        await self._context.budgets.reserve(job, spec)
        if spec.privacy is not None:
            dataset = None if pinned is None else pinned.dataset
            await self._computing.check(job.job, job.spec, dataset)
            self._rows[job.job] = 0
            return
        async with unnamed_rows(self._context, job):
            answer = await self._computing.prepare(job.job, job.spec, *reading(pinned))
        self._rows[job.job] = int(answer["rows"])

    async def hand_over(self, job: JobRecord, request: AdmitRequest) -> dict[str, JSON]:
        """Return nothing: no enclave takes part."""
        del job, request
        return {}

    def rows(self, job: str) -> int:
        """Return the rows behind the job's sums; 0 under differential privacy."""
        return self._rows.get(job, 0)

    async def start(
        self, job: JobRecord, spec: PreparationSpec, request: RoundRequest
    ) -> RoundStart:
        """Fetch the totals that the round starts from; the first starts from the spec alone.

        Raises:
            SecureFlowError: `invalid_request` for anything else, the link's.
        """
        model = _totals_asked(request)
        if model is None:
            return RoundStart(job.digest)
        path = self._folder(job.job) / f"{model.digest}.totals"
        if self._totals.get(job.job) != path:
            size = totals_bytes(spec, request.round - 1)
            await self._fetch(model, path, size)
            self._totals[job.job] = path
        return RoundStart(model.digest)

    def check_follows(self, newest: RoundRecord, request: RoundRequest) -> None:
        """Refuse nothing else: rounds follow one another."""

    async def contribute(
        self,
        job: JobRecord,
        spec: PreparationSpec,
        request: RoundRequest,
        record: RoundRecord | None,
        start: RoundStart,
    ) -> LocalContribution:
        """Return the sums of a round, made (again) bit by bit.

        Raises:
            SecureFlowError: those of `prepare` and `paid_reading`; `state_unreadable` if they are
                others than those on record.
        """
        await self.prepare(job, spec)
        number = request.round
        totals = None if start.model == job.digest else self._totals[job.job]
        async with paid_reading(self._context, job, spec, (number, STAGE), start.model):
            if spec.privacy is not None:
                pinned = self._context.pinned(job, spec)
                await self._computing.prepare(job.job, job.spec, *reading(pinned))
            seed = derive(job.secret, 32, "seed", stage=STAGE, model=start.model).hex()
            key = derive(job.secret, 32, "rows of a unit").hex()
            asked = sums_arguments(totals, number, seed, key)
            async with unnamed_rows(self._context, job):
                answer = await self._computing.compute(job.job, SUMS, asked)
            vector = memoryview(whole_sums(answer, schedule(spec).longest, LIMIT))
        content = tensor_digest(vector)
        if record is not None and content != record.content:
            raise SecureFlowError(
                "state_unreadable",
                Text(
                    "{party} computes other sums than it recorded for round {number} of {job}.",
                    party=self._context.party,
                    number=number,
                    job=job.job,
                ),
                "Leave this job: two sums of one round would show what they differ by.",
            )
        return LocalContribution(number, STAGE, content, vector, float(answer["seconds"]))

    def keep(self, job: str, held: LocalContribution) -> None:
        """Store nothing: the sums can be made again."""

    def manifest(self, spec: PreparationSpec, stage: str) -> Manifest:
        """Refuse: sums are only sent masked."""
        raise AssertionError(spec.protection, stage)

    def masked(
        self, plan: MaskingPlan, spec: PreparationSpec, held: LocalContribution
    ) -> Contribution:
        """Return the sums in the form that a client masks."""
        del plan, spec
        vector = np.frombuffer(held.plaintext, "<i8").astype(np.int64)
        return Contribution(masked_values(vector), 1, {}, None)

    def reveals_nothing(self, spec: PreparationSpec) -> bool:
        """Return False: sums depend on rows."""
        del spec
        return False

    def may_repeat(self, spec: PreparationSpec) -> bool:
        """Return False: each round starts from more totals than the one before."""
        del spec
        return False

    def check_outcome(
        self, spec: PreparationSpec, rounds: Sequence[RoundRecord], model: str | None
    ) -> str:
        """Return "": a preparation has no model."""
        del spec, rounds, model
        return ""

    async def forget(self, job: str) -> None:
        """Drop the rows and the totals of a finished job."""
        self._totals.pop(job, None)
        if self._rows.pop(job, None) is not None:
            await self._computing.close(job)
        # An agent that was started again since has not read the rows, and fetched totals before.
        await asyncio.to_thread(shutil.rmtree, self._folder(job), ignore_errors=True)

    def _folder(self, job: str) -> Path:
        return self._context.settings.models / job

    async def _fetch(self, model: ReleasedModel, path: Path, size: int) -> None:
        place = Place(path.parent, "model files", self._context.party)
        with writing(place, size):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not await asyncio.to_thread(_is_sound, path, model.digest):
            await retry_while_away(lambda: self._link.fetch(model.digest, path, size))
        await asyncio.to_thread(_keep_only, path)


class PreparationAgentKind:
    """`agent.kinds.kind.AgentKind`."""

    engine: Final[EngineKind] = PREPARATION_ENGINE

    def check_columns(self, spec: PreparationSpec, dataset: DatasetConfig) -> None:
        """Refuse columns, categories and bounds that do not match the owner's declaration."""
        check_declared(spec, dataset)

    def contributing(
        self, context: AgentContext, computing: Computing, link: Fetching
    ) -> Contributing:
        """Return a party's part in preparations."""
        return FittedSums(context, computing, link)


PREPARATION_AGENT: Final = PreparationAgentKind()


def check_declared(spec: PreparationSpec, dataset: DatasetConfig) -> None:
    """Refuse columns, bounds and contributions that do not match the owner's declaration.

    Raises:
        SecureFlowError: those of `check_bounds` and `check_label`; `unknown_category`,
            `bounds_too_narrow`.
    """
    check_bounds(spec, dataset)
    check_asked(dataset, spec.columns)
    if spec.label is not None:
        check_label(dataset, spec.label)
    if spec.privacy is not None:
        check_contributions(spec.privacy.unit, spec.contributions, dataset)


def _totals_asked(request: RoundRequest) -> ReleasedModel | None:
    """Return the totals that a round starts from; only the first has none.

    Raises:
        SecureFlowError: `invalid_request`.
    """
    model = request.model
    steps = request.steps if isinstance(request, MaskRequest) else ()
    fits = (model is None) == (request.round == 1) and request.moments is None and not steps
    if not fits or (model is not None and model.artifact != model.digest):
        raise SecureFlowError(
            "invalid_request",
            Text(
                "Round {round} of the preparation {job} comes with other inputs than totals.",
                round=request.round,
                job=request.job,
            ),
            "The centre must follow the spec that was approved.",
        )
    return model


def _is_sound(path: Path, digest: str) -> bool:
    """Tell whether a file is there whole: one of before a power cut may have lost bytes."""
    if not path.exists():
        return False
    if file_digest(path).hex() == digest:
        return True
    path.unlink()
    return False


def _keep_only(path: Path) -> None:
    """Remove the totals of earlier rounds."""
    for other in path.parent.glob("*.totals"):
        if other != path:
            other.unlink(missing_ok=True)
