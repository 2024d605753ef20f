"""Consent and admission: nothing is computed before every owner signed and every agent attested.

Consent: each party of the roster signs an approval over the spec's digest; the leaves go into the
ledger. Admission: the enclave creates fresh keys for the job, each agent sends a nonce and verifies
the evidence *itself*. Admission is repeated (a new *generation*) when the enclave was restarted or
a verdict expired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from secureflow.domain.specs.base import dump
from secureflow.engines.run.asking import ask, ask_one
from secureflow.engines.run.messages import (
    AdmitForAll,
    AdmitOwn,
    AdmitReply,
    AttestRequest,
    ChallengeReply,
    ChallengeRequest,
    ConsentReply,
    ConsentRequest,
    ContinuedModel,
    CurrentModel,
    OpenReply,
    OpenRequest,
    Recipient,
    ReleasedModel,
    UnlockRequest,
)
from secureflow.engines.run.run import READMISSION_CODES, Course, record, take_leaves
from secureflow.engines.run.tees import names_of
from secureflow.engines.script import ENCLAVE, Script, Tell
from secureflow.kit.canonical import JSON
from secureflow.kit.crypto import verify
from secureflow.kit.errors import SecureFlowError, reasons_of
from secureflow.kit.text import Text, text_in

MAX_GENERATIONS = 64
EVIDENCE_AT_ONCE = 32
"""Parties whose evidence fits in one message of at most 1 MiB: 14 KiB each with DCAP."""


def ask_consent(course: Course[Any]) -> Script[None]:
    """Ask every owner; wait as long as people need. All must approve."""
    request = consent_request(course, course.context.expires)
    answers = yield from ask(course.parties, request, patience=None)
    take_approvals(course, answers.replies)
    yield from record(course, [])
    for party in course.parties:
        yield Tell("party", {"party": party, "state": "approved"})


def consent_request(course: Course[Any], expires: int) -> ConsentRequest:
    """Return the request for consent, with the time in unix seconds at which approvals expire."""
    return ConsentRequest(**course.named, spec=dump(course.spec), expires=expires)


def take_approvals(course: Course[Any], replies: Mapping[str, ConsentReply]) -> None:
    """Store the approvals that owners signed, and their leaves.

    Raises:
        SecureFlowError: `approval_forged`, those of `take_leaves`.
    """
    for party, reply in replies.items():
        _check_approval(course, party, reply.approval)
        course.admission.approvals[party] = reply.approval
    take_leaves(course, replies)


def _check_approval(course: Course[Any], party: str, approval: Mapping[str, JSON]) -> None:
    """Refuse an approval that this party did not sign for exactly this spec (`approval_forged`)."""
    body = approval.get("body")
    bound = isinstance(body, dict) and (body.get("job"), body.get("spec"), body.get("party")) == (
        course.context.job,
        course.context.digest,
        party,
    )
    signature = approval.get("signature") if bound else None
    key = course.spec.keys[party]
    if not isinstance(signature, str) or not verify(key, "approval", body, signature):
        raise SecureFlowError(
            "approval_forged",
            Text("The approval in {party}'s answer is not {party}'s for this job.", party=party),
            "Its agent is faulty, or somebody speaks in its name: ask the organisation.",
            {"party": party},
        )


def admit(
    course: Course[Any], parties: Sequence[str], *, need: int, only: bool = False
) -> Script[None]:
    """Open the job in the enclave and have each party verify its evidence.

    Args:
        course: the running job.
        parties: the parties to ask.
        need: the minimum number of parties that must accept the evidence.
        only: have the enclave accept updates of exactly these parties (a certified set).

    Raises:
        SecureFlowError: the common reason if agents refuse the evidence; `too_few_answers`.
    """
    while True:
        try:
            yield from _admit_once(course, parties, need, only=only)
        except SecureFlowError as error:
            if error.code not in READMISSION_CODES:
                raise
        else:
            return


def _admit_once(
    course: Course[Any], parties: Sequence[str], need: int, *, only: bool
) -> Script[None]:
    course.admission.generation += 1
    if course.admission.generation > MAX_GENERATIONS:
        raise SecureFlowError(
            "enclave_unstable",
            Text(
                "The enclave was lost {max_generations} times during job {job}.",
                max_generations=MAX_GENERATIONS,
                job=course.context.job,
            ),
            "Look at the enclave's log: it does not stay up.",
        )
    generation = course.admission.generation
    request = ChallengeRequest(**course.named, generation=generation)
    challenges = yield from ask(parties, request, need=need, patience=course.patience)
    nonces = {p: reply.nonce for p, reply in challenges.replies.items()}
    opened = yield from _open(course, challenges.replies, sorted(parties) if only else None)
    evidence = yield from _attest(course, nonces)
    course.admission.uplink = opened.uplink
    yield from _verify(course, evidence, need)


def _attest(course: Course[Any], nonces: dict[str, str]) -> Script[dict[str, JSON]]:
    """Return each party's evidence; split over several answers if a message cannot hold it."""
    evidence: dict[str, JSON] = {}
    parties = sorted(nonces)
    for at in range(0, len(parties), EVIDENCE_AT_ONCE):
        some = {party: nonces[party] for party in parties[at : at + EVIDENCE_AT_ONCE]}
        request = AttestRequest(job=course.context.job, nonces=some)
        attested = yield from ask_one(ENCLAVE, request, patience=course.patience)
        evidence |= attested.evidence
    return evidence


def _open(
    course: Course[Any], challenges: Mapping[str, ChallengeReply], only: list[str] | None
) -> Script[OpenReply]:
    model = course.start.model
    request = OpenRequest(
        **course.named,
        spec=dump(course.spec),
        approvals=course.admission.approvals,
        generation=course.admission.generation,
        recipients={
            party: Recipient(recipient=reply.recipient, signature=reply.signature)
            for party, reply in challenges.items()
        },
        expected=only,
        model=None if model is None else _continued_model(model),
    )
    return (yield from ask_one(ENCLAVE, request, patience=course.patience))


def _continued_model(model: ReleasedModel) -> ContinuedModel:
    return ContinuedModel(
        digest=model.digest, artifact=model.artifact, size=model.size, release=model.release
    )


def _verify(course: Course[Any], evidence: dict[str, JSON], need: int) -> Script[None]:
    model = course.start.model
    request = AdmitForAll(
        **course.named,
        generation=course.admission.generation,
        model=None if model is None else CurrentModel(model.digest, model.release, model.keys),
    )
    each = {party: AdmitOwn(evidence=own) for party, own in evidence.items()}
    answers = yield from ask(sorted(evidence), request, each, need=0, patience=course.patience)
    replies, failures = answers.replies, answers.failures
    if len(replies) < need:
        raise _refused(course, failures)
    course.drop(0, "admit", failures)
    verdicts = (reply.verdict for reply in replies.values())
    course.admission.names = names_of(verdicts, course.admission.names)
    take_leaves(course, replies)
    yield from record(course, [])
    yield from _hand_over_model_keys(course, replies)
    for party in replies:
        yield Tell("party", {"party": party, "state": "admitted"}, {"tee": course.admission.tee})


def _hand_over_model_keys(course: Course[Any], replies: Mapping[str, AdmitReply]) -> Script[None]:
    """After a restart, give the enclave the key of a model that is sealed to the agents."""
    sealed = {p: reply.model_key for p, reply in replies.items() if reply.model_key}
    if course.start.model is None or not course.start.model.keys or not sealed:
        return
    request = UnlockRequest(job=course.context.job, model_keys=sealed)
    yield from ask_one(ENCLAVE, request, patience=course.patience)


def _refused(course: Course[Any], failures: dict[str, JSON]) -> SecureFlowError:
    reasons = reasons_of(failures)
    codes = {error["code"] for error in failures.values()}
    code = codes.pop() if len(codes) == 1 else "too_few_answers"
    hint = next((text_in(error, "hint") for error in failures.values() if error.get("hint")), "")
    return SecureFlowError(
        code,
        Text("Job {job} is not admitted. {reasons}", job=course.context.job, reasons=reasons),
        hint,
        {"verb": "admit", "failures": failures},
    )
