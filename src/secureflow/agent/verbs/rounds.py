"""A party's half of a sealed round: make the update, seal it, upload it; then vote.

Guarantees, whenever the agent is killed:
- the round record (with the digest of the plaintext update) and its leaf are committed before the
  first byte is sent; the vote is committed before it is sent. These are a round's two commits;
- a repeated request finds the record: the same update is made again if it was lost (its seed
  derives from the job's secret and the model), sealed to the currently admitted enclave, under the
  same leaf. An update of another content is never sent;
- rounds only advance, and only from what an attested enclave released (`guards`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from secureflow.agent.job.context import AgentContext, Uploading
from secureflow.agent.job.guards import check_admission, check_position, check_step, check_verb
from secureflow.agent.kinds.drawing import check_survivors
from secureflow.agent.kinds.kind import Contributing, Contributions, LocalContribution
from secureflow.agent.record.going import check_going
from secureflow.agent.record.records import AdmittedEnclave, JobRecord, RoundRecord
from secureflow.agent.witness.witness import Observed
from secureflow.engines.closing import Question, Vote, cast_vote, may_vote, round_context
from secureflow.engines.run.messages import (
    CloseReply,
    CloseRequest,
    TrainReply,
    TrainRequest,
)
from secureflow.engines.sealing import Binding, Manifest, seal
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

ENCLAVE_RESTARTED = frozenset({"job_not_open", "sealed_key_refused", "link_broken", "buffer_lost"})
"""The error of an upload after the enclave was restarted: it must be admitted again."""


class SealedRounds:
    """Answers `train` and `close`.

    Args:
        context: the party.
        contributions: this party's part in each kind of job.
        uplink: the link to the enclave.
    """

    def __init__(
        self, context: AgentContext, contributions: Contributions, uplink: Uploading
    ) -> None:
        self._context = context
        self._contributions = contributions
        self._uplink = uplink

    async def train(self, request: TrainRequest, log_proofs: JSON) -> TrainReply:
        """Make, record, seal and upload this party's update of a round and stage."""
        context = self._context
        job, spec = context.approved(request.job, request.digest)
        check_verb(spec, job.job, "train")
        check_step(context.kinds.of(spec).rounds_of(spec, request.stage), request)
        admissions = context.store.admissions(job.job)
        admission = check_admission(admissions, request.generation, context.clock())
        observed = await context.witness.observe(request.head, log_proofs)
        contributing = self._contributions.of(spec)
        start = await contributing.start(job, spec, request)
        record = check_position(
            context.store.round(job.job, request.round, request.stage),
            context.store.newest_round(job.job),
            request,
            start.model,
            context.kinds.place,
            contributing.check_follows,
        )
        if record is None:
            late = context.witness.earlier(job.job, observed)
            held = await contributing.contribute(job, spec, request, None, start)
            rows = contributing.rows(job.job)
            record = await asyncio.to_thread(
                self._commit, job, request, start.model, held, rows, observed, late, contributing
            )
        else:
            await asyncio.to_thread(self._keep_head, observed)
            held = await contributing.contribute(job, spec, request, record, start)
        manifest = contributing.manifest(spec, request.stage)
        address = request.uplink.address
        receipt = await send_sealed(
            context, self._uplink, job, record.model, held, manifest, admission, address
        )
        return TrainReply(
            receipt=receipt,
            rows=record.rows,
            seconds=record.seconds,
            cosignature=context.witness.cosign(request.head),
            **context.leaf_reply(context.store.leaf(record.leaf)),
        )

    async def close(self, request: CloseRequest, log_proofs: JSON) -> CloseReply:
        """Vote, once, on who contributed to a round that this party contributed to."""
        context = self._context
        job, spec = context.approved(request.job, request.digest)
        check_verb(spec, job.job, "close")
        names = ("job", "round", "stage", "context", "survivors", "dead")
        question = Question.from_json({name: getattr(request, name) for name in names})
        observed = await context.witness.observe(request.cosigned, log_proofs)
        record = self._contributed(request)
        cast = context.store.vote(job.job, request.round, request.stage)
        votes = [] if cast is None else [Vote.from_json(cast)]
        expected = round_context(
            job.job, record.round, record.stage,
            spec=job.digest, model=record.model, roster=spec.parties, noise=request.noise,
        )  # fmt: skip
        vote = may_vote(
            votes, question,
            voter=context.party, context=expected, roster=spec.keys, least=spec.min_contributors,
        )  # fmt: skip
        if vote is None:
            check_survivors(self._contributions.of(spec), job, spec, record, question.survivors)
            context.check_witnessed(request.cosigned, record, spec)
            vote = cast_vote(question, context.party, context.key)
            await asyncio.to_thread(self._commit_vote, vote, observed)
        return CloseReply(vote=vote.as_json())

    def _commit(
        self,
        job: JobRecord,
        request: TrainRequest,
        model: str,
        held: LocalContribution,
        rows: int,
        observed: Observed,
        late: Mapping[str, int],
        contributing: Contributing,
    ) -> RoundRecord:
        """The round's first commit: leaf, record and head, before anything is sent."""
        context = self._context
        commitment = held.commitment(job.secret)
        document = {
            "round": held.round,
            "stage": held.stage,
            "model": model,
            "rows": rows,
            "update": commitment,
        }
        with context.store.transaction():
            check_going(context.store.job(job.job))
            context.witness.keep(observed)
            context.store.miss_leaves(late)
            contributing.keep(job.job, held)
            own = context.witness.leaf("update", job.job, job.digest, document)
            record = RoundRecord(
                job.job, held.round, held.stage, model, held.content,
                rows, held.seconds, observed.checkpoint.size, own.hash,
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

    def _contributed(self, request: CloseRequest) -> RoundRecord:
        record = self._context.store.round(request.job, request.round, request.stage)
        if record is not None:
            return record
        raise SecureFlowError(
            "not_contributed",
            Text(
                "{party} contributed nothing to round {round} ({stage}) of {job} and does"
                " not vote on it.",
                party=self._context.party,
                round=request.round,
                stage=request.stage,
                job=request.job,
            ),
            "Only parties whose updates will be opened vote.",
        )

    def _commit_vote(self, vote: Vote, observed: Observed) -> None:
        """The round's second commit: the vote, before it is sent."""
        context, question = self._context, vote.question
        with context.store.transaction():
            check_going(context.store.job(question.job))
            context.witness.keep(observed)
            context.store.add_vote(*question.slot, vote.as_json())
            facts = {"round": question.round, "stage": question.stage}
            context.store.note(
                context.clock(), "vote.cast", question.job, **facts,
                survivors=list(question.survivors),
            )  # fmt: skip


async def send_sealed(
    context: AgentContext,
    uplink: Uploading,
    job: JobRecord,
    model: str,
    held: LocalContribution,
    manifest: Manifest,
    admission: AdmittedEnclave,
    address: str,
) -> dict[str, JSON]:
    """Seal the held contribution to the admitted enclave, unless it is already, and upload it.

    Raises:
        SecureFlowError: `enclave_lost`, and those of the uplink.
    """
    if held.sealed is None or held.evidence != admission.evidence:
        binding = Binding(
            job=job.job,
            round=held.round,
            stage=held.stage,
            party=context.party,
            spec=job.digest,
            model=model,
            evidence=admission.evidence,
            manifest=manifest,
        )
        held.sealed = seal(binding, held.plaintext, admission.hpke, context.key)
        held.evidence = admission.evidence
    commitment = held.commitment(job.secret)
    try:
        return await uplink.send(address, held.sealed, commitment)
    except SecureFlowError as error:
        if error.code not in ENCLAVE_RESTARTED:
            raise
        raise SecureFlowError(
            "enclave_lost",
            Text(
                "The enclave of generation {generation} does not accept round {round} of "
                "{job}: {message}",
                generation=admission.generation,
                round=held.round,
                job=job.job,
                message=error.message,
            ),
            "It was restarted: the centre must open the job in it again.",
            {"cause": error.code},
        ) from error
