"""Whether the scores that the centre names are those that an attested enclave signed.

The key is the release key in evidence that this party verified for the job; the document names the
job and the digest of its spec, and was made as the plan says, of the roster's rows under the
commitments in the parties' leaves, of which this party knows its own. What else follows from it is
computed again (`domain.scoredocument`).
"""

from __future__ import annotations

from secureflow.agent.job.context import AgentContext
from secureflow.agent.record.records import JobRecord
from secureflow.domain.scoredocument import (
    FORGED,
    KIND,
    Asked,
    document_problem,
    scores_digest,
    signed_parts,
)
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.contribution import VALIDATION
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.canonical import JSON
from secureflow.kit.crypto import verify
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def check_scores(context: AgentContext, job: JobRecord, spec: TrainingSpec, signed: JSON) -> str:
    """Return the digest of scores that this party verified; "" of a job without any.

    Also "" for a party that was away when the model was evaluated: the enclave that signed may be
    one that it never verified.

    Args:
        context: the party.
        job: approved.
        spec: its spec.
        signed: what the centre names: `{document, signature}`, or None.

    Raises:
        SecureFlowError: `scores_forged`.
    """
    plan = spec.plan.contribution
    if plan is None and signed is None:
        return ""
    if plan is None:
        raise _forged(job, "the job asks for none")
    parts = signed_parts(signed)
    if parts is None:
        raise _forged(job, "none came")
    document, signature = parts
    problem = document_problem(document, Asked(job.job, job.digest, dump(plan), spec.parties))
    if problem:
        raise _forged(job, problem)
    _check_own_rows(context, job, document)
    admissions = context.store.admissions(job.job)
    if any(verify(one.release, KIND, document, signature) for one in admissions):
        return scores_digest({"document": document, "signature": signature})
    if _evaluated(context, job):
        raise _forged(job, "no enclave that this party verified signed them")
    return ""


def _check_own_rows(context: AgentContext, job: JobRecord, document: dict[str, JSON]) -> None:
    record = context.store.round(job.job, 0, VALIDATION)
    if record is None or document["scored"] is not True:
        return
    own = context.store.leaf(record.leaf).bundle["document"]["update"]
    if document["commitments"][context.party] != own:
        raise _forged(job, "the rows of this party were others")


def _evaluated(context: AgentContext, job: JobRecord) -> bool:
    """Tell whether this party voted on the evaluation, so that it verified the enclave of it."""
    return any(
        context.store.vote(job.job, one.round, one.stage) is not None
        for one in context.store.rounds(job.job)
        if one.stage == "evaluate"
    )


def _forged(job: JobRecord, reason: str) -> SecureFlowError:
    return SecureFlowError(
        FORGED,
        Text(
            "The scores with which the centre ends {job} are not the enclave's: {reason}.",
            job=job.job,
            reason=reason,
        ),
        "Do not pay by them. Keep this agent's evidence, and ask whoever runs the centre.",
    )
