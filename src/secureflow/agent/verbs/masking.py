"""A party's half of a masked round: keys, one masked vector, one answer (`sf-secagg-1`).

What holds, whenever the agent is killed:
- the session's state, the round record and its leaf are committed before the vector's first byte is
  sent; the vote is committed, with the state, before the opening is. These are a round's two
  commits. The noised sums of a statistics job, which nobody can draw again, are in the first one;
- a request that comes again finds the record: the same update is masked under the same context with
  the same secrets, so the same bytes leave;
- the next global model is computed here from the published mean (`steps`), and its digest is part
  of what every mask is bound to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from secureflow.agent.compute.derivation import update_commitment
from secureflow.agent.job.context import AgentContext, Fetching, Uploading
from secureflow.agent.job.guards import (
    check_admission,
    check_masked,
    check_masked_moments,
    check_no_model,
    check_one_set,
    check_position,
    check_sealed_too,
    check_step,
)
from secureflow.agent.job.patience import patiently
from secureflow.agent.job.requests import AdvanceRequest, AnswerRequest, MaskRequest, SetupRequest
from secureflow.agent.kinds.steps import Steps
from secureflow.agent.kinds.tallies import Tallies, sums_of
from secureflow.agent.kinds.updates import Held, Updates
from secureflow.agent.record.records import Admission, JobRecord, RoundRecord
from secureflow.agent.verbs.rounds import send_sealed
from secureflow.agent.verbs.sessions import Sessions
from secureflow.agent.witness.witness import Observed
from secureflow.domain.specs.kinds import JobSpec, touches_data
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.closing import Vote
from secureflow.engines.run.masked import model_binding
from secureflow.engines.sealing import vector_manifest
from secureflow.engines.secagg import Client, Plan
from secureflow.engines.statistics import STAGE, masked_values
from secureflow.engines.training.encodings import Contribution, masked_parts, masked_round
from secureflow.engines.training.models import update_layout
from secureflow.engines.training.private import noise_shared
from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.errors import SecureFlowError

JSON = Any
_FRAME_LIMIT = 1 << 20


@dataclass(frozen=True)
class _Masked:
    """A masked update: the frame for the centre, the vector and its digest."""

    frame: bytes
    vector: memoryview
    digest: str


class Masking:
    """Answers `setup`, `advance`, `mask` and `answer`.

    Args:
        context: the party.
        updates: makes updates.
        tallies: makes noised sums of statistics jobs.
        steps: computes global models.
        sessions: the clients.
        link: takes vectors that only masks protect.
        uplink: takes vectors that are sealed to an enclave as well.
    """

    def __init__(
        self,
        context: AgentContext,
        updates: Updates,
        tallies: Tallies,
        steps: Steps,
        sessions: Sessions,
        link: Fetching,
        uplink: Uploading,
    ) -> None:
        self._context = context
        self._updates = updates
        self._tallies = tallies
        self._steps = steps
        self._sessions = sessions
        self._link = link
        self._uplink = uplink

    async def setup(self, request: SetupRequest) -> dict[str, JSON]:
        """Make this party's sealing keys, once, and show them."""
        job, spec = self._masked_job(request)
        await self._prepare(job, spec)  # rows that do not fit are found before any round
        clients = self._sessions.begin(job, spec)

        def keep() -> None:
            with self._context.store.transaction():
                self._sessions.save(job.job, clients)

        await asyncio.to_thread(keep)
        return {"setups": {stage: b64encode(one.setup()) for stage, one in clients.items()}}

    async def advance(self, request: AdvanceRequest) -> dict[str, JSON]:
        """Learn the others' sealing keys; give keys and sealed shares of coming rounds."""
        job, spec = self._masked_job(request)

        def make() -> dict[str, str]:
            frames: dict[str, str] = {}
            for stage, number in request.rounds.items():
                client = self._sessions.client(job, spec, stage)
                client.meet(b64decode(request.meet.get(stage, ""), _FRAME_LIMIT))
                frames[stage] = b64encode(client.advance(number))
            with self._context.store.transaction():
                self._sessions.save(job.job, request.rounds)
            return frames

        return {"advances": await asyncio.to_thread(make)}

    async def mask(self, request: MaskRequest, rider: JSON) -> dict[str, JSON]:
        """Make, mask, record and send this party's update of a round and stage."""
        context = self._context
        job, spec = self._masked_job(request)
        check_step(spec, request)
        check_sealed_too(spec, request)
        self._admission(job, spec, request)
        observed = await context.witness.observe(request.head, rider)
        target, moments = await self._start(job, spec, request)
        known = context.store.round(job.job, request.round, request.stage)
        newest = context.store.newest_round(job.job)
        record = check_position(known, newest, request, target)
        client = self._sessions.client(job, spec, request.stage)
        await asyncio.to_thread(self._begin, client, request, model_binding(target, moments))
        late = {} if record else context.witness.earlier(job.job, observed)
        held = await self._held(job, spec, request, record, target, moments)
        masked = await asyncio.to_thread(self._mask, client, job, spec, held)
        record = await asyncio.to_thread(
            self._commit, job, request, target, held, masked, observed, late, record
        )
        await self._send(job, spec, request, record, client, masked)
        return {
            "upload": b64encode(masked.frame),
            "vector": masked.digest,
            "seconds": record.seconds,
            "cosignature": context.witness.cosign(request.head),
            **context.leaf_reply(context.store.leaf(record.leaf)),
        }

    async def answer(self, request: AnswerRequest, rider: JSON) -> dict[str, JSON]:
        """Vote, once, on who contributed, and reveal the shares that open their sum."""
        context = self._context
        job, spec = self._masked_job(request)
        observed = await context.witness.observe(request.cosigned, rider)
        record = context.store.round(job.job, request.round, request.stage)
        client = self._sessions.client(job, spec, request.stage)
        if record is not None:
            context.check_witnessed(request.cosigned, record, spec)
        frame = b64decode(request.frame, _FRAME_LIMIT)
        answer = await asyncio.to_thread(client.answer, frame)
        self._check_answered(request, spec, record, client)
        await asyncio.to_thread(self._commit_answer, job, request, client, observed)
        return {"answer": b64encode(answer)}

    def _masked_job(
        self, request: SetupRequest | AdvanceRequest | MaskRequest | AnswerRequest
    ) -> tuple[JobRecord, JobSpec]:
        job, spec = self._context.approved(request.job, request.digest)
        check_masked(spec, job.job)
        return job, spec

    # --- what differs by kind of job -----------------------------------------------------------

    async def _prepare(self, job: JobRecord, spec: JobSpec) -> None:
        if isinstance(spec, StatisticsSpec):
            await self._tallies.prepare(job, spec)
        else:
            await self._updates.prepare(job, spec)

    async def _start(
        self, job: JobRecord, spec: JobSpec, request: MaskRequest
    ) -> tuple[str, list[float] | None]:
        """Return what the round's context is bound to: the verified model, and moments.

        A statistics job starts from its spec alone.
        """
        if isinstance(spec, StatisticsSpec):
            check_no_model(request)
            return job.digest, None
        initial = await self._updates.initial_digest(job, spec)
        target = initial if request.model is None else request.model.digest
        admissions = self._context.store.admissions(job.job)
        moments = check_masked_moments(request, spec, initial, admissions)
        await self._steps.reach(job, spec, target, initial, request.steps)
        return target, moments

    async def _held(
        self,
        job: JobRecord,
        spec: JobSpec,
        request: MaskRequest,
        record: RoundRecord | None,
        model: str,
        moments: list[float] | None,
    ) -> Held:
        if isinstance(spec, StatisticsSpec):
            return await self._tallies.held(job, spec, record)
        if record is None:
            return await self._updates.compute(job, spec, request, model, moments)
        return await self._updates.again(job, spec, request, record, moments)

    def _admission(self, job: JobRecord, spec: JobSpec, request: MaskRequest) -> Admission | None:
        """Return the verdict on the enclave that the vector is sealed to; None under masks alone.

        Raises:
            SecureFlowError: `not_admitted`, `attestation_expired`.
        """
        if not spec.sealed:
            return None
        admissions = self._context.store.admissions(job.job)
        generation = 0 if request.uplink is None else request.generation or 0
        return check_admission(admissions, generation, self._context.clock())

    def _begin(self, client: Client, request: MaskRequest, binding: str) -> None:
        """Fix the round's context; the frame must be of the round that is asked for."""
        client.begin(b64decode(request.begin, _FRAME_LIMIT), binding)
        number = masked_round(request.stage, request.round)
        if client.number != number:
            raise SecureFlowError(
                "stale_round",
                f"Round {request.round} ({request.stage}) of {request.job} comes with the keys of "
                f"another one, number {client.number}.",
                "A round is masked under its own keys.",
            )

    def _mask(self, client: Client, job: JobRecord, spec: JobSpec, held: Held) -> _Masked:
        given = _contribution(client.plan, spec, held)
        buffer = self._sessions.vector(job.job, client.plan.vector_bytes)
        vector = buffer.view(client.plan.ring)
        frame, digest = client.contribute(
            given.values, given.weight, given.metrics, given.noise, vector
        )
        return _Masked(frame, buffer.data, digest)

    def _commit(
        self,
        job: JobRecord,
        request: MaskRequest,
        model: str,
        held: Held,
        masked: _Masked,
        observed: Observed,
        late: Mapping[str, int],
        record: RoundRecord | None,
    ) -> RoundRecord:
        """The round's first commit: session, leaf, record and head, before anything is sent."""
        context = self._context
        with context.store.transaction():
            context.witness.keep(observed)
            self._sessions.save(job.job, [request.stage])
            if record is not None:
                return record
            context.store.miss_leaves(late)
            document = {
                "round": held.round,
                "stage": held.stage,
                "model": model,
                "vector": masked.digest,
                "update": update_commitment(job.secret, held.round, held.stage, held.content),
            }
            own = context.witness.leaf("update", job.job, job.digest, document)
            rows = 0
            if held.stage == STAGE:
                context.store.keep_tally(job.job, bytes(held.plaintext))
            else:
                rows = self._updates.rows(job.job)
            record = RoundRecord(
                job.job, held.round, held.stage, model, held.content, rows, held.seconds,
                observed.checkpoint.size, own.hash,
            )  # fmt: skip
            context.store.add_round(record)
            facts = {"round": held.round, "stage": held.stage, "rows": rows}
            context.store.note(context.clock(), "update.masked", job.job, **facts)
        return record

    async def _send(
        self,
        job: JobRecord,
        spec: JobSpec,
        request: MaskRequest,
        record: RoundRecord,
        client: Client,
        masked: _Masked,
    ) -> None:
        admission = self._admission(job, spec, request)
        if admission is None or request.uplink is None:
            await patiently(lambda: self._link.store(masked.vector, masked.digest))
            return
        manifest = vector_manifest(client.plan.encoding.slots, client.plan.ring.itemsize)
        held = Held(record.round, record.stage, record.content, masked.vector, record.seconds)
        await send_sealed(
            self._context, self._uplink, job, record.model, held, manifest, admission,
            request.uplink.address,
        )  # fmt: skip

    def _check_answered(
        self, request: AnswerRequest, spec: JobSpec, record: RoundRecord | None, client: Client
    ) -> None:
        """Refuse to send an answer whose round is not the one that the request was judged by."""
        if record is None or client.number != masked_round(request.stage, request.round):
            raise SecureFlowError(
                "stale_round",
                f"Round {request.round} ({request.stage}) of {request.job} is put with a question "
                "of another one.",
                "What a vote needs, witnesses among it, is told by the round's own record.",
            )
        if client.vote is not None:
            self._check_one_set(spec, record, client.vote.question.survivors)

    def _check_one_set(self, spec: JobSpec, record: RoundRecord, survivors: Sequence[str]) -> None:
        if not touches_data(spec):
            return  # its updates are zeros, and its model is the same in every round
        store, earlier = self._context.store, {}
        for other in store.rounds_from(record.job, record.stage, record.model):
            cast = store.vote(other.job, other.round, other.stage)
            if other.round != record.round and cast is not None:
                earlier[other.round] = Vote.from_json(cast).question.survivors
        # Shared noise moves every model on; without it training may come to rest.
        innocent = not isinstance(spec, TrainingSpec) or not noise_shared(spec)
        check_one_set(record.model, survivors, earlier, innocent=innocent)

    def _commit_answer(
        self, job: JobRecord, request: AnswerRequest, client: Client, observed: Observed
    ) -> None:
        """The round's second commit: vote and session, before the shares are sent."""
        context, vote = self._context, client.vote
        with context.store.transaction():
            context.witness.keep(observed)
            self._sessions.save(job.job, [request.stage])
            cast = context.store.vote(job.job, request.round, request.stage)
            if vote is not None and cast is None:
                context.store.add_vote(job.job, request.round, request.stage, vote.as_json())
                facts = {"round": request.round, "stage": request.stage}
                survivors = list(vote.question.survivors)
                context.store.note(
                    context.clock(), "vote.cast", job.job, **facts, survivors=survivors
                )


def _contribution(plan: Plan, spec: JobSpec, held: Held) -> Contribution:
    """Return what is held as a client masks it."""
    if isinstance(spec, StatisticsSpec):
        return Contribution(masked_values(sums_of(held)), 1, {}, None)
    layout = update_layout(spec, held.stage)  # type: ignore[arg-type]
    size = 4 * layout.parameters
    parameters = np.frombuffer(held.plaintext[:size], "<f4") if size else np.zeros(0, "<f4")
    sums = np.frombuffer(held.plaintext[size:], "<f8")
    return masked_parts(spec, held.stage, plan, parameters, sums)  # type: ignore[arg-type]
