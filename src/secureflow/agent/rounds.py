"""A party's half of a sealed round: make the update, seal it, upload it; then vote.

What holds, whenever the agent is killed:
- the round record (with the digest of the plaintext update) and its leaf are committed before the
  first byte is sent; the vote is committed before it is answered. These are a round's two commits;
- a request that comes again finds the record: the same update is made again if it was lost (its
  seed derives from the job's secret and the model), sealed to the enclave that is admitted now,
  under the same leaf. An update of another content is never sent;
- rounds only go forward, and only from what an attested enclave released (`guards`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from secureflow.agent.context import AgentContext, Computing, Uploading
from secureflow.agent.derivation import training_seed, update_commitment
from secureflow.agent.guards import (
    check_admission,
    check_cosigned,
    check_model,
    check_moments,
    check_position,
)
from secureflow.agent.modelfiles import ModelFiles
from secureflow.agent.records import Admission, JobRecord, OwnLeaf, RoundRecord
from secureflow.agent.requests import CloseRequest, TrainRequest
from secureflow.agent.witness import Observed
from secureflow.domain.specs import TrainingSpec
from secureflow.engines.closing import Question, Vote, cast_vote, may_vote, round_context
from secureflow.engines.sealing import (
    Binding,
    SealedUpdate,
    seal,
    tensor_digest,
    update_manifest,
)
from secureflow.engines.training.models import model_family, update_layout
from secureflow.kit.errors import SecureFlowError

JSON = Any
ENCLAVE_GONE = frozenset({"job_not_open", "sealed_key_refused", "link_broken", "buffer_lost"})
"""What an upload ends with when the enclave was restarted: it is admitted anew."""


@dataclass
class _Held:
    """The newest update in memory, and how it was sealed last."""

    round: int
    stage: str
    content: str
    plaintext: memoryview
    seconds: float
    evidence: str = ""
    sealed: SealedUpdate | None = None


class Rounds:
    """Answers `train` and `close`.

    Args:
        context: the party.
        computing: local training.
        files: models and updates on disk.
        uplink: the way to the enclave.
    """

    def __init__(
        self, context: AgentContext, computing: Computing, files: ModelFiles, uplink: Uploading
    ) -> None:
        self._context = context
        self._computing = computing
        self._files = files
        self._uplink = uplink
        self._held: dict[str, _Held] = {}
        self._rows: dict[str, int] = {}
        self._initial: dict[str, str] = {}

    async def prepare(self, job: JobRecord, spec: TrainingSpec) -> int:
        """Have the rows read and checked, once; return how many there are.

        Raises:
            SecureFlowError: what is wrong with the data, naming row and column.
        """
        if job.job not in self._rows:
            settings = self._context.settings
            name = next(one.dataset for one in spec.roster if one.party == self._context.party)
            dataset = None if spec.features is None else settings.dataset(name)
            answer = await self._computing.prepare(job.job, job.spec, dataset)
            self._rows[job.job] = int(answer["rows"])
        return self._rows[job.job]

    async def train(self, request: TrainRequest, rider: JSON) -> dict[str, JSON]:
        """Make, record, seal and upload this party's update of a round and stage."""
        context = self._context
        job, spec = context.approved(request.job, request.digest)
        admissions = context.store.admissions(job.job)
        admission = check_admission(admissions, request.generation, context.clock())
        observed = await context.witness.observe(request.head, rider)
        initial = await self._initial_digest(job, spec)
        model = check_model(request, initial, admissions)
        record = check_position(
            context.store.round(job.job, request.round, request.stage),
            context.store.newest_round(job.job),
            request,
            model,
        )
        moments = check_moments(request, spec, initial, admissions)
        if record is None:
            late = context.witness.earlier(job.job, observed)
            held = await self._compute(job, spec, request, model, moments)
            record = await asyncio.to_thread(
                self._commit, job, request, model, held, observed, late
            )
        else:
            await asyncio.to_thread(self._keep_head, observed)
            held = await self._again(job, spec, request, record, moments)
        receipt = await self._upload(job, spec, record, held, admission, request.uplink.address)
        return {
            "receipt": receipt,
            "rows": record.rows,
            "seconds": record.seconds,
            "cosignature": context.witness.cosign(request.head),
            **context.leaf_reply(context.store.leaf(record.leaf)),
        }

    async def close(self, request: CloseRequest, rider: JSON) -> dict[str, JSON]:
        """Vote, once, on who contributed to a round that this party contributed to."""
        context = self._context
        job, spec = context.approved(request.job, request.digest)
        names = ("job", "round", "stage", "context", "survivors", "dead")
        question = Question.from_json({name: getattr(request, name) for name in names})
        observed = await context.witness.observe(request.cosigned, rider)
        record = self._contributed(request)
        cast = context.store.vote(job.job, request.round, request.stage)
        votes = [] if cast is None else [Vote.from_json(cast)]
        expected = round_context(
            job.job, record.round, record.stage,
            spec=job.digest, model=record.model, roster=spec.parties,
        )  # fmt: skip
        vote = may_vote(votes, question, voter=context.party, context=expected, roster=spec.keys)
        if vote is None:
            check_cosigned(request.cosigned, record, spec, context.charter.pinned())
            vote = cast_vote(question, context.party, context.key)
            await asyncio.to_thread(self._commit_vote, vote, observed)
        return {"vote": vote.as_json()}

    async def forget(self, job: str) -> None:
        """Drop everything of a job that is over."""
        self._held.pop(job, None)
        self._rows.pop(job, None)
        self._initial.pop(job, None)
        await self._computing.close(job)
        await asyncio.to_thread(self._files.forget, job)

    async def _initial_digest(self, job: JobRecord, spec: TrainingSpec) -> str:
        if job.job not in self._initial:
            self._initial[job.job] = await asyncio.to_thread(initial_digest, spec)
        return self._initial[job.job]

    async def _compute(
        self,
        job: JobRecord,
        spec: TrainingSpec,
        request: TrainRequest,
        model: str,
        moments: list[float] | None,
    ) -> _Held:
        """Compute the update of a round, from a verified model and verified moments."""
        self._held.pop(job.job, None)  # its buffer is about to be written over
        await self.prepare(job, spec)
        layout = update_layout(spec, request.stage)
        if request.stage == "moments":
            answer = await self._computing.moments(job.job)
        else:
            path = await self._files.model(job, spec, request.model)
            if request.stage == "evaluate":
                answer = await self._computing.evaluate(job.job, path, moments)
            else:
                update = self._files.begin_update(job.job, layout.parameters)
                seed = training_seed(job.secret, request.stage, model)
                answer = await self._computing.train(job.job, path, update, moments, seed)
        sums = _checked_sums(answer, layout.sums, request)
        held = await asyncio.to_thread(
            self._hold, job, request, layout.parameters, sums, float(answer["seconds"])
        )
        self._check_one_update(job, request, model, held.content)
        self._held[job.job] = held
        return held

    def _hold(
        self,
        job: JobRecord,
        request: TrainRequest,
        parameters: int,
        sums: list[float],
        seconds: float,
    ) -> _Held:
        """Map the update and take its digest."""
        plaintext = self._files.plaintext(job.job, parameters, sums)
        content = tensor_digest(plaintext)
        return _Held(request.round, request.stage, content, plaintext, seconds)

    def _check_one_update(
        self, job: JobRecord, request: TrainRequest, model: str, content: str
    ) -> None:
        """Never two different updates for one (job, model digest)."""
        for other in self._context.store.rounds_from(job.job, request.stage, model):
            if other.content != content:
                raise SecureFlowError(
                    "update_already_sealed",
                    f"{self._context.party} has already sealed another update of {job.job} from "
                    f"model {model[:16]}… in round {other.round}.",
                    "Two different updates from one model would reveal more than their sums: "
                    "check that data and worker are what they were.",
                )

    async def _again(
        self,
        job: JobRecord,
        spec: TrainingSpec,
        request: TrainRequest,
        record: RoundRecord,
        moments: list[float] | None,
    ) -> _Held:
        """Return the recorded update: from memory, or computed again bit by bit."""
        held = self._held.get(job.job)
        if held is not None and (held.round, held.stage) == (record.round, record.stage):
            return held
        return await self._compute(job, spec, request, record.model, moments)

    def _commit(
        self,
        job: JobRecord,
        request: TrainRequest,
        model: str,
        held: _Held,
        observed: Observed,
        late: list[OwnLeaf],
    ) -> RoundRecord:
        """The round's first commit: leaf, record and head, before anything is sent."""
        context = self._context
        commitment = update_commitment(job.secret, held.round, held.stage, held.content)
        document = {
            "round": held.round,
            "stage": held.stage,
            "model": model,
            "rows": self._rows[job.job],
            "update": commitment,
        }
        with context.store.transaction():
            context.witness.keep(observed)
            for leaf in late:
                context.store.miss_leaf(leaf.hash)
            own = context.witness.leaf("update", job.job, job.digest, document)
            record = RoundRecord(
                job.job, held.round, held.stage, model, held.content, self._rows[job.job],
                held.seconds, observed.checkpoint.size, own.hash,
            )  # fmt: skip
            context.store.add_round(record)
            facts = {"round": held.round, "stage": held.stage, "rows": record.rows}
            context.store.note(
                context.clock(), "update.made", job.job, **facts, generation=request.generation
            )
        return record

    def _keep_head(self, observed: Observed) -> None:
        with self._context.store.transaction():
            self._context.witness.keep(observed)

    async def _upload(
        self,
        job: JobRecord,
        spec: TrainingSpec,
        record: RoundRecord,
        held: _Held,
        admission: Admission,
        address: str,
    ) -> dict[str, JSON]:
        if held.sealed is None or held.evidence != admission.evidence:
            layout = update_layout(spec, held.stage)  # type: ignore[arg-type]
            binding = Binding(
                job=job.job,
                round=held.round,
                stage=held.stage,
                party=self._context.party,
                spec=job.digest,
                model=record.model,
                evidence=admission.evidence,
                manifest=update_manifest(layout.parameters, layout.sums),
            )
            held.sealed = seal(binding, held.plaintext, admission.hpke, self._context.key)
            held.evidence = admission.evidence
        commitment = update_commitment(job.secret, held.round, held.stage, held.content)
        try:
            return await self._uplink.send(address, held.sealed, commitment)
        except SecureFlowError as error:
            if error.code not in ENCLAVE_GONE:
                raise
            raise SecureFlowError(
                "enclave_lost",
                f"The enclave of generation {admission.generation} does not take round "
                f"{held.round} of {job.job}: {error.message}",
                "It was restarted: the centre must open the job in it again.",
                {"cause": error.code},
            ) from error

    def _contributed(self, request: CloseRequest) -> RoundRecord:
        record = self._context.store.round(request.job, request.round, request.stage)
        if record is not None:
            return record
        raise SecureFlowError(
            "not_contributed",
            f"{self._context.party} contributed nothing to round {request.round} "
            f"({request.stage}) of {request.job} and votes on none.",
            "Only those vote whose updates will be opened.",
        )

    def _commit_vote(self, vote: Vote, observed: Observed) -> None:
        """The round's second commit: the vote, before it is answered."""
        context, question = self._context, vote.question
        with context.store.transaction():
            context.witness.keep(observed)
            context.store.add_vote(*question.slot, vote.as_json())
            facts = {"round": question.round, "stage": question.stage}
            context.store.note(
                context.clock(), "vote.cast", question.job, **facts,
                survivors=list(question.survivors),
            )  # fmt: skip


def initial_digest(spec: TrainingSpec) -> str:
    """Return the hex BLAKE3 of the parameters before the first round."""
    if spec.resume is not None:
        return spec.resume.model
    return tensor_digest(model_family(spec).initial(spec))


def _checked_sums(answer: Mapping[str, JSON], length: int, request: TrainRequest) -> list[float]:
    sums = [float(one) for one in answer["sums"]]
    if len(sums) != length or not np.isfinite(sums).all():
        raise SecureFlowError(
            "update_length_wrong",
            f"The worker's sums of round {request.round} ({request.stage}) are {len(sums)} numbers "
            f"instead of {length} finite ones.",
            "The worker and this agent must be of one version.",
        )
    return sums
