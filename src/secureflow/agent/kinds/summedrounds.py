"""A party's part in jobs whose rounds are masked sums of whole numbers that can be made again.

Sums and noise follow from the job's secret, the round and the blob that the round starts from: they
can be made again, bit by bit, by the same code of NumPy. The newest are kept all the same
(`HeldSums`): they are made again only after a power cut. The blob is fetched by the digest to
which masks are bound, and the worker reads it from a file.
"""

from __future__ import annotations

import asyncio
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from secureflow.agent.compute.derivation import derive
from secureflow.agent.compute.jobfiles import held_folder
from secureflow.agent.job.context import AgentContext, Computing, Fetching
from secureflow.agent.job.reading import PrivateRows, paid_reading, unnamed_rows
from secureflow.agent.kinds.basemodels import place_bases
from secureflow.agent.kinds.blobs import Blob, fetched
from secureflow.agent.kinds.heldsums import HeldSums
from secureflow.agent.kinds.kind import LocalContribution, RoundStart
from secureflow.agent.kinds.wholesums import whole_sums
from secureflow.agent.record.records import JobRecord, RoundRecord
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.summed import LIMIT
from secureflow.engines.run.messages import AdmitRequest, MaskRequest, TrainRequest
from secureflow.engines.sealing import Manifest, tensor_digest
from secureflow.engines.secagg import MaskingPlan
from secureflow.engines.secagg.encoding import Contribution
from secureflow.engines.secagg.wholenumbers import masked_values
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.kit.threads import run_to_its_end

RoundRequest = TrainRequest | MaskRequest


@dataclass(frozen=True)
class Asked:
    """What a round's sums are made from.

    Args:
        job: its id.
        number: the round's, from 1.
        blob: the file of what it starts from; None for a round that starts from the spec alone.
        seed: hex, of the noise; it belongs to this round and this blob.
        key: hex, which selects among the rows of a unit that has too many.
    """

    job: str
    number: int
    blob: Path | None
    seed: str
    key: str


class SummedRounds(ABC):
    """`agent.kinds.kind.Contributing`, but for what a kind asks of its worker.

    Args:
        context: the party.
        computing: reads the rows.
        link: fetches blobs.
    """

    def __init__(self, context: AgentContext, computing: Computing, link: Fetching) -> None:
        self._context = context
        self._computing = computing
        self._link = link
        self._rows: dict[str, int] = {}
        self._private = PrivateRows(context, computing)
        self._fetched: dict[str, Path] = {}
        self._held = HeldSums(context.settings.models, context.party)

    @property
    @abstractmethod
    def stage(self) -> str:
        """The stage of the rounds."""

    @abstractmethod
    def check_declared(self, spec: Any, dataset: DatasetConfig) -> None:
        """Refuse what does not match the owner's declaration; errors as of `check_columns`."""

    @abstractmethod
    def starts_from(self, spec: Any, request: RoundRequest) -> Blob | None:
        """Return what a round starts from; None for the spec alone.

        Raises:
            SecureFlowError: `invalid_request` for anything else than the spec says.
        """

    @abstractmethod
    def asked(self, spec: Any, asked: Asked) -> tuple[str, dict[str, JSON], int]:
        """Return the worker's step, its arguments, and how many sums it returns."""

    async def made_ready(self, job: str, length: int) -> None:
        """Do nothing: the worker's answer has the sums, unless a kind has them written to a file.

        Args:
            job: its id.
            length: how many sums there will be.
        """
        del job, length

    async def taken(self, job: str, answer: Mapping[str, JSON], length: int) -> bytes:
        """Return the sums as little-endian int64: those of the worker's answer.

        Args:
            job: its id.
            answer: the worker's.
            length: how many sums there must be.

        Raises:
            SecureFlowError: `update_length_wrong`.
        """
        del job
        return whole_sums(answer, length, LIMIT)

    async def prepare(self, job: JobRecord, spec: Any) -> None:
        """Reserve the budget and check everything that can be checked before a round, once.

        Raises:
            SecureFlowError: `dataset_changed`, before anything is charged; `budget_…`, those of
                `check_declared`; errors of the file; without privacy those of rows that do not fit.
        """
        if job.job in self._rows:
            return
        pinned = await self._context.unchanged(job, spec)
        if pinned is not None:
            self.check_declared(spec, pinned.dataset)
        await asyncio.to_thread(place_bases, self._context, job.job, spec)
        await self._context.budgets.reserve(job, spec)
        if spec.privacy is not None:
            dataset = None if pinned is None else pinned.dataset
            await self._computing.check(job.job, job.spec, dataset)
            self._rows[job.job] = 0
            return
        async with unnamed_rows(self._context, job):
            answer = await self._computing.prepare(
                job.job, job.spec, *self._context.reading(pinned)
            )
        self._rows[job.job] = int(answer["rows"])

    async def hand_over(self, job: JobRecord, request: AdmitRequest) -> dict[str, JSON]:
        """Return nothing: no enclave takes part."""
        del job, request
        return {}

    def rows(self, job: str) -> int:
        """Return the rows behind the job's sums; 0 under differential privacy."""
        return self._rows.get(job, 0)

    async def start(self, job: JobRecord, spec: Any, request: RoundRequest) -> RoundStart:
        """Fetch what the round starts from.

        Raises:
            SecureFlowError: `invalid_request`, the link's.
        """
        blob = self.starts_from(spec, request)
        if blob is None:
            return RoundStart(job.digest)
        known = self._fetched.get(job.job)
        if known is None or known.stem != blob.digest:
            self._fetched[job.job] = await fetched(self._context, self._link, job.job, blob)
        return RoundStart(blob.digest)

    def check_follows(self, newest: RoundRecord, request: RoundRequest) -> None:
        """Refuse nothing else: rounds follow one another."""
        del newest, request

    async def contribute(
        self,
        job: JobRecord,
        spec: Any,
        request: RoundRequest,
        record: RoundRecord | None,
        start: RoundStart,
    ) -> LocalContribution:
        """Return the sums of a round: those on record, else made (again) bit by bit.

        Raises:
            SecureFlowError: those of `prepare` and `paid_reading`; `state_unreadable` if they are
                others than those on record.
        """
        if record is not None:
            kept = await asyncio.to_thread(self._held.kept, job.job, record.content)
            if kept is not None:
                number, content = request.round, record.content
                return LocalContribution(number, self.stage, content, kept, record.seconds)
        await self.prepare(job, spec)
        number = request.round
        blob = None if start.model == job.digest else self._fetched[job.job]
        async with paid_reading(self._context, job, spec, (number, self.stage), start.model):
            await self._private.read(job, spec)
            seed = derive(job.secret, 32, "seed", stage=self.stage, model=start.model).hex()
            key = derive(job.secret, 32, "rows of a unit").hex()
            asked = Asked(job.job, number, blob, seed, key)
            step, arguments, length = self.asked(spec, asked)
            await self.made_ready(job.job, length)
            async with unnamed_rows(self._context, job):
                answer = await self._computing.compute(job.job, step, arguments)
            vector = memoryview(await self.taken(job.job, answer, length))
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
        await run_to_its_end(self._held.keep, job.job, vector)
        return LocalContribution(number, self.stage, content, vector, float(answer["seconds"]))

    def keep(self, job: str, held: LocalContribution) -> None:
        """Store nothing in the record: the sums lie in a file, and can be made again."""
        del job, held

    def manifest(self, spec: Any, stage: str) -> Manifest:
        """Refuse: sums are only sent masked."""
        raise AssertionError(spec.protection, stage)

    def masked(self, plan: MaskingPlan, spec: Any, held: LocalContribution) -> Contribution:
        """Return the sums in the form that a client masks."""
        del plan, spec
        vector = np.frombuffer(held.plaintext, "<i8").astype(np.int64)
        return Contribution(masked_values(vector), 1, {}, None)

    def reveals_nothing(self, spec: Any) -> bool:
        """Return False: sums depend on rows."""
        del spec
        return False

    def may_repeat(self, spec: Any) -> bool:
        """Return False: no two rounds start from the same blob."""
        del spec
        return False

    def check_outcome(self, spec: Any, rounds: Sequence[RoundRecord], model: str | None) -> str:
        """Return "": the job makes no model."""
        del spec, rounds, model
        return ""

    async def forget(self, job: str) -> None:
        """Drop the rows and the blobs of a finished job."""
        self._fetched.pop(job, None)
        self._private.forget(job)
        if self._rows.pop(job, None) is not None:
            await self._computing.close(job)
        # An agent that was started again since has not read the rows, and fetched blobs before.
        for folder in (self._folder(job), held_folder(self._context.settings.models, job)):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _folder(self, job: str) -> Path:
        return self._context.settings.models / job
