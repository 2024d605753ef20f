"""A party's half of a masked round: keys, one masked vector, one answer (`sf-secagg-1`).

Guarantees, whenever the agent is killed:
- the session's state, the round record and its leaf are committed before the vector's first byte is
  sent; the vote is committed, with the state, before the opening is sent. These are a round's two
  commits. The noised sums of a statistics job, which cannot be drawn again, are in the first one;
- a repeated request finds the record: the same update is masked under the same context with the
  same secrets, so the same bytes are sent;
- the next global model is computed here from the published mean (`steps`), and every mask is bound
  to its digest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from secureflow.agent.job.context import AgentContext, Fetching, Uploading
from secureflow.agent.job.guards import (
    check_admission,
    check_position,
    check_same_contributors,
    check_sealed_too,
    check_step,
    check_verb,
)
from secureflow.agent.job.retrying import retry_while_away
from secureflow.agent.kinds.drawing import check_survivors
from secureflow.agent.kinds.kind import Contributions, LocalContribution
from secureflow.agent.kinds.telling import told_beside
from secureflow.agent.record.records import AdmittedEnclave, JobRecord, RoundRecord
from secureflow.agent.verbs.rounds import send_sealed
from secureflow.agent.verbs.sessions import Sessions
from secureflow.agent.witness.witness import Observed
from secureflow.domain.blobs import BlobPlace
from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.protections import traits_of
from secureflow.engines.closing import Vote
from secureflow.engines.run.masked import model_binding
from secureflow.engines.run.messages import (
    AdvanceReply,
    AdvanceRequest,
    AnswerReply,
    AnswerRequest,
    MaskReply,
    MaskRequest,
    SetupReply,
    SetupRequest,
)
from secureflow.engines.sealing import vector_manifest
from secureflow.engines.secagg import SecAggClient
from secureflow.kit.canonical import JSON, b64decode, b64encode
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

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
        contributions: this party's part in each kind of job.
        sessions: the clients.
        link: uploads vectors that are only masked.
        uplink: uploads vectors that are also sealed to an enclave.
    """

    def __init__(
        self,
        context: AgentContext,
        contributions: Contributions,
        sessions: Sessions,
        link: Fetching,
        uplink: Uploading,
    ) -> None:
        self._context = context
        self._contributions = contributions
        self._sessions = sessions
        self._link = link
        self._uplink = uplink

    async def setup(self, request: SetupRequest) -> SetupReply:
        """Make this party's sealing keys, once, and return them."""
        job, spec = self._masked_job(request, "setup")
        await self._contributions.of(spec).prepare(
            job, spec
        )  # rows that do not fit are found before any round
        clients = self._sessions.begin(job, spec)

        def keep() -> None:
            with self._context.store.transaction():
                self._sessions.save(job.job, clients)

        await asyncio.to_thread(keep)
        setups = {stage: b64encode(one.setup()) for stage, one in clients.items()}
        return SetupReply(setups=setups)

    async def advance(self, request: AdvanceRequest) -> AdvanceReply:
        """Read the others' sealing keys; return keys and sealed shares of coming rounds."""
        job, spec = self._masked_job(request, "advance")

        def make() -> dict[str, str]:
            frames: dict[str, str] = {}
            for stage, number in request.rounds.items():
                client = self._sessions.client(job, spec, stage)
                client.meet(b64decode(request.meet.get(stage, ""), _FRAME_LIMIT))
                frames[stage] = b64encode(client.advance(number))
            with self._context.store.transaction():
                self._sessions.save(job.job, request.rounds)
            return frames

        return AdvanceReply(advances=await asyncio.to_thread(make))

    async def mask(self, request: MaskRequest, log_proofs: JSON) -> MaskReply:
        """Make, mask, record and send this party's update of a round and stage."""
        context = self._context
        job, spec = self._masked_job(request, "mask")
        kind, contributing = context.kinds.of(spec), self._contributions.of(spec)
        check_step(kind.rounds_of(spec, request.stage), request)
        check_sealed_too(spec, request)
        self._admission(job, spec, request)
        observed = await context.witness.observe(request.head, log_proofs)
        start = await contributing.start(job, spec, request)
        known = context.store.round(job.job, request.round, request.stage)
        newest = context.store.newest_round(job.job)
        record = check_position(
            known, newest, request, start.model, context.kinds.place, contributing.check_follows
        )
        client = self._sessions.client(job, spec, request.stage)
        binding = model_binding(start.model, start.moments)
        await asyncio.to_thread(self._begin, client, spec, request, binding)
        late = {} if record else context.witness.earlier(job.job, observed)
        held = await contributing.contribute(job, spec, request, record, start)
        masked = await asyncio.to_thread(self._mask, client, job, spec, held)
        record = await asyncio.to_thread(
            self._commit, job, spec, request, start.model, held, masked, observed, late, record
        )
        await self._send(job, spec, request, record, client, masked)
        return MaskReply(
            told=told_beside(contributing, spec, held, record.rows),
            upload=b64encode(masked.frame),
            vector=masked.digest,
            seconds=record.seconds,
            cosignature=context.witness.cosign(request.head),
            **context.leaf_reply(context.store.leaf(record.leaf)),
        )

    async def answer(self, request: AnswerRequest, log_proofs: JSON) -> AnswerReply:
        """Vote, once, on who contributed, and reveal the shares that open their sum."""
        context = self._context
        job, spec = self._masked_job(request, "answer")
        observed = await context.witness.observe(request.cosigned, log_proofs)
        record = context.store.round(job.job, request.round, request.stage)
        client = self._sessions.client(job, spec, request.stage)
        if record is not None:
            context.check_witnessed(request.cosigned, record, spec)
        frame = b64decode(request.frame, _FRAME_LIMIT)
        answer = await asyncio.to_thread(client.answer, frame)
        self._check_answered(request, job, spec, record, client)
        await asyncio.to_thread(self._commit_answer, job, request, client, observed)
        return AnswerReply(answer=b64encode(answer))

    def _masked_job(
        self, request: SetupRequest | AdvanceRequest | MaskRequest | AnswerRequest, verb: str
    ) -> tuple[JobRecord, JobSpec]:
        job, spec = self._context.approved(request.job, request.digest)
        check_verb(spec, job.job, verb)
        return job, spec

    def _admission(
        self, job: JobRecord, spec: JobSpec, request: MaskRequest
    ) -> AdmittedEnclave | None:
        """Return the verdict on the enclave that the vector is sealed to; None with masks alone.

        Raises:
            SecureFlowError: `not_admitted`, `attestation_expired`.
        """
        if not traits_of(spec).enclave:
            return None
        admissions = self._context.store.admissions(job.job)
        generation = 0 if request.uplink is None else request.generation or 0
        return check_admission(admissions, generation, self._context.clock())

    def _begin(
        self, client: SecAggClient, spec: JobSpec, request: MaskRequest, binding: str
    ) -> None:
        """Fix the round's context; the frame must be of the requested round."""
        client.begin(b64decode(request.begin, _FRAME_LIMIT), binding)
        number = self._context.kinds.of(spec).session_round(request.stage, request.round)
        if client.number != number:
            raise SecureFlowError(
                "stale_round",
                Text(
                    "Round {round} ({stage}) of {job} comes with the keys of another "
                    "round, number {number}.",
                    round=request.round,
                    stage=request.stage,
                    job=request.job,
                    number=client.number,
                ),
                "A round is masked under its own keys.",
            )

    def _mask(
        self, client: SecAggClient, job: JobRecord, spec: JobSpec, held: LocalContribution
    ) -> _Masked:
        given = self._contributions.of(spec).masked(client.plan, spec, held)
        buffer = self._sessions.vector(job.job, client.plan.vector_bytes)
        vector = buffer.view(client.plan.ring)
        frame, digest = client.contribute(
            given.values, given.weight, given.metrics, given.noise, vector
        )
        return _Masked(frame, buffer.data, digest)

    def _commit(
        self,
        job: JobRecord,
        spec: JobSpec,
        request: MaskRequest,
        model: str,
        held: LocalContribution,
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
                "update": held.commitment(job.secret),
            }
            own = context.witness.leaf("update", job.job, job.digest, document)
            contributing = self._contributions.of(spec)
            contributing.keep(job.job, held)
            rows = contributing.rows(job.job)
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
        client: SecAggClient,
        masked: _Masked,
    ) -> None:
        admission = self._admission(job, spec, request)
        if admission is None or request.uplink is None:
            place = BlobPlace(job.job, request.stage, request.round)
            await retry_while_away(lambda: self._link.store(masked.vector, masked.digest, place))
            return
        manifest = vector_manifest(client.plan.encoding.slots, client.plan.ring.itemsize)
        held = LocalContribution(
            record.round, record.stage, record.content, masked.vector, record.seconds
        )
        await send_sealed(
            self._context, self._uplink, job, record.model, held, manifest, admission,
            request.uplink.address,
        )  # fmt: skip

    def _check_answered(
        self,
        request: AnswerRequest,
        job: JobRecord,
        spec: JobSpec,
        record: RoundRecord | None,
        client: SecAggClient,
    ) -> None:
        """Refuse to send an answer for a round other than the one that was checked."""
        number = self._context.kinds.of(spec).session_round(request.stage, request.round)
        if record is None or client.number != number:
            raise SecureFlowError(
                "stale_round",
                Text(
                    "Round {round} ({stage}) of {job} comes with the question of another round.",
                    round=request.round,
                    stage=request.stage,
                    job=request.job,
                ),
                "The round's own record determines what its vote needs, witnesses included.",
            )
        if client.vote is not None:
            survivors = client.vote.question.survivors
            check_survivors(self._contributions.of(spec), job, spec, record, survivors)
            self._check_same_contributors(spec, record, survivors)

    def _check_same_contributors(
        self, spec: JobSpec, record: RoundRecord, survivors: Sequence[str]
    ) -> None:
        contributing = self._contributions.of(spec)
        if contributing.reveals_nothing(spec):
            return
        store, earlier = self._context.store, {}
        for other in store.rounds_from(record.job, record.stage, record.model):
            cast = store.vote(other.job, other.round, other.stage)
            if other.round != record.round and cast is not None:
                earlier[other.round] = Vote.from_json(cast).question.survivors
        may_repeat = contributing.may_repeat(spec)
        check_same_contributors(record.model, survivors, earlier, may_repeat=may_repeat)

    def _commit_answer(
        self, job: JobRecord, request: AnswerRequest, client: SecAggClient, observed: Observed
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
