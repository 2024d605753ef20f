"""A party's noised sums of a statistics job: drawn once, kept, and deleted with the job.

The library's noise cannot be generated again from a seed. So the vector is on this organisation's
disk, in the transaction of the round's record, before the first byte derived from it is sent; a
repeated request masks exactly that vector. A vector that was drawn and lost before that transaction
was seen by nobody, and was charged before its rows were read (`paid_reading`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.statistics import check_installed
from secureflow.agent.compute.columns import (
    check_asked,
    check_bounds,
    check_contributions,
)
from secureflow.agent.compute.statistics import SUMS
from secureflow.agent.job.context import AgentContext, Computing, Fetching
from secureflow.agent.job.reading import paid_reading
from secureflow.agent.kinds.kind import Contributing, LocalContribution, RoundStart
from secureflow.agent.kinds.wholesums import whole_sums
from secureflow.agent.record.records import JobRecord, RoundRecord
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.domain.specs.summed import LIMIT
from secureflow.engines.run.kind import EngineKind
from secureflow.engines.run.messages import AdmitRequest, MaskRequest, TrainRequest
from secureflow.engines.sealing import Manifest, tensor_digest
from secureflow.engines.secagg import MaskingPlan
from secureflow.engines.secagg.encoding import Contribution
from secureflow.engines.secagg.wholenumbers import masked_values
from secureflow.engines.statistics.kind import STATISTICS_ENGINE
from secureflow.engines.statistics.layout import slots
from secureflow.engines.statistics.stage import STAGE
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class NoisedSums:
    """Makes and stores noised sums.

    Args:
        context: the party.
        computing: reads the rows, and draws noise.
    """

    def __init__(self, context: AgentContext, computing: Computing) -> None:
        self._context = context
        self._computing = computing
        self._prepared: set[str] = set()

    async def prepare(self, job: JobRecord, spec: StatisticsSpec) -> None:
        """Reserve the budget and check everything that can be checked without rows, once.

        Raises:
            SecureFlowError: `dataset_changed`, before anything is charged; `budget_…`, those of
                `check_declared`, `library_missing`; errors of the file, which name a column.
        """
        if job.job in self._prepared:
            return
        pinned = await self._context.unchanged(job, spec)
        if pinned is not None:
            check_declared(spec, pinned.dataset)
        await self._context.budgets.reserve(job, spec)
        dataset = None if pinned is None else pinned.dataset
        await self._computing.check(job.job, job.spec, dataset)
        self._prepared.add(job.job)

    async def hand_over(self, job: JobRecord, request: AdmitRequest) -> dict[str, JSON]:
        """Return nothing: no enclave takes part."""
        del job, request
        return {}

    def rows(self, job: str) -> int:
        """Return 0: the number of rows is not revealed."""
        del job
        return 0

    async def start(
        self, job: JobRecord, spec: StatisticsSpec, request: TrainRequest | MaskRequest
    ) -> RoundStart:
        """Refuse a model or moments: the job starts from its spec alone.

        Raises:
            SecureFlowError: `invalid_request`.
        """
        del spec
        check_no_model(request)
        return RoundStart(job.digest)

    def check_follows(self, newest: RoundRecord, request: TrainRequest | MaskRequest) -> None:
        """Refuse nothing else: the plan has one round."""

    async def contribute(
        self,
        job: JobRecord,
        spec: StatisticsSpec,
        request: TrainRequest | MaskRequest,
        record: RoundRecord | None,
        start: RoundStart,
    ) -> LocalContribution:
        """Return the recorded sums, or draw them if the round is not on record yet.

        Raises:
            SecureFlowError: those of `prepare` and `paid_reading`; `state_unreadable` for a record
                without its sums.
        """
        del request, start
        if record is not None:
            kept = self._context.store.noised_sums(job.job)
            if kept is None or tensor_digest(memoryview(kept)) != record.content:
                raise SecureFlowError(
                    "state_unreadable",
                    Text(
                        "{party} no longer holds the sums that it recorded for {job}.",
                        party=self._context.party,
                        job=job.job,
                    ),
                    "Leave this job: other noise on the same sums would let it be averaged away.",
                )
            return _held(kept, record.seconds)
        await self.prepare(job, spec)
        async with paid_reading(self._context, job, spec, (1, STAGE), job.digest):
            pinned = self._context.pinned(job, spec)
            await self._computing.prepare(job.job, job.spec, *self._context.reading(pinned))
            answer = await self._computing.compute(job.job, SUMS)
            vector = whole_sums(answer, slots(spec), LIMIT)
        return _held(vector, float(answer["seconds"]))

    def keep(self, job: str, held: LocalContribution) -> None:
        """Store the sums: their noise cannot be drawn again."""
        self._context.store.keep_noised_sums(job, bytes(held.plaintext))

    def manifest(self, spec: StatisticsSpec, stage: str) -> Manifest:
        """Refuse: sums are only sent masked."""
        raise AssertionError(spec.protection, stage)

    def masked(
        self, plan: MaskingPlan, spec: StatisticsSpec, held: LocalContribution
    ) -> Contribution:
        """Return the sums in the form that a client masks."""
        del plan, spec
        return Contribution(masked_values(sums_of(held)), 1, {}, None)

    def reveals_nothing(self, spec: StatisticsSpec) -> bool:
        """Return False: sums depend on rows."""
        del spec
        return False

    def may_repeat(self, spec: StatisticsSpec) -> bool:
        """Return True: its one round starts from the spec."""
        del spec
        return True

    def check_outcome(
        self, spec: StatisticsSpec, rounds: Sequence[RoundRecord], model: str | None
    ) -> str:
        """Return "": statistics have no model."""
        del spec, rounds, model
        return ""

    async def forget(self, job: str) -> None:
        """Drop the rows of a finished job; the stored sums are deleted when its record ends."""
        if job in self._prepared:
            self._prepared.discard(job)
            await self._computing.close(job)


class StatisticsAgentKind:
    """`agent.kinds.kind.AgentKind`."""

    engine: Final[EngineKind] = STATISTICS_ENGINE

    def check_columns(self, spec: StatisticsSpec, dataset: DatasetConfig) -> None:
        """Refuse columns that do not match; adds `library_missing` to every kind's errors."""
        check_declared(spec, dataset)

    def contributing(
        self, context: AgentContext, computing: Computing, link: Fetching
    ) -> Contributing:
        """Return a party's part in statistics."""
        del link
        return NoisedSums(context, computing)


STATISTICS_AGENT: Final = StatisticsAgentKind()


def check_declared(spec: StatisticsSpec, dataset: DatasetConfig) -> None:
    """Refuse columns, bounds and contributions that do not match the owner's declaration.

    Raises:
        SecureFlowError: those of `check_bounds`; `unknown_category`, `library_missing`.
    """
    check_bounds(spec, dataset)
    check_installed(spec.privacy.library)  # before a person is asked, not when rows are read
    check_asked(dataset, spec.columns)
    check_contributions(spec.privacy.unit, spec.contributions, dataset)


def check_no_model(request: TrainRequest | MaskRequest) -> None:
    """Refuse a model, means or moments sent with a statistics job: nothing depends on them.

    Raises:
        SecureFlowError: `invalid_request`.
    """
    steps = request.steps if isinstance(request, MaskRequest) else ()
    if request.model is not None or request.moments is not None or steps:
        raise SecureFlowError(
            "invalid_request",
            Text("The statistics job {job} comes with a model, means or moments.", job=request.job),
            "It has none: the centre must follow the spec that was approved.",
        )


def sums_of(held: LocalContribution) -> NDArray[np.int64]:
    """Return the held vector."""
    return np.frombuffer(held.plaintext, "<i8").astype(np.int64)


def _held(vector: bytes, seconds: float) -> LocalContribution:
    plaintext = memoryview(vector)
    return LocalContribution(1, "statistics", tensor_digest(plaintext), plaintext, seconds)
