"""Consent and admission: nobody trains before every owner signed and every agent attested.

Consent: each party of the roster signs an approval over the spec's digest; the leaves go into the
ledger. Admission: the enclave makes fresh keys for the job, each agent sends a nonce and verifies
the evidence *itself*. Admission is repeated (a new *generation*) when the enclave was restarted or
a verdict expired.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from secureflow.domain.specs.base import dump
from secureflow.engines.run.run import ENCLAVE_GONE, Course, record, take_leaves
from secureflow.engines.script import ENCLAVE, JSON, Ask, Script, Tell
from secureflow.kit.crypto import verify
from secureflow.kit.errors import SecureFlowError

MAX_GENERATIONS = 64
EVIDENCE_AT_ONCE = 32
"""Parties whose evidence comes in one message of at most 1 MiB: 14 KiB each with DCAP."""


def ask_consent(course: Course[Any]) -> Script[None]:
    """Ask every owner; wait as long as people need. All must approve."""
    context = course.context
    body = course.body(spec=dump(course.spec), expires=context.expires)
    answers = yield Ask(course.parties, "consent", body, patience=None)
    for party, reply in answers["replies"].items():
        check_approval(course, party, reply.get("approval"))
        course.approvals[party] = reply["approval"]
    take_leaves(course, answers["replies"])
    yield from record(course, [])
    for party in course.parties:
        yield Tell("party", {"party": party, "state": "approved"})


def check_approval(course: Course[Any], party: str, approval: Any) -> None:
    """Refuse an approval that this party did not sign for this very spec.

    Raises:
        SecureFlowError: `approval_forged`.
    """
    body = approval.get("body") if isinstance(approval, dict) else None
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
            f"The approval in {party}'s answer is not {party}'s for this job.",
            "Its agent is faulty, or somebody speaks in its name: ask the organisation.",
            {"party": party},
        )


def admit(
    course: Course[Any], parties: Sequence[str], *, need: int, only: bool = False
) -> Script[None]:
    """Open the job in the enclave and have each party verify its evidence.

    Args:
        course: the running job.
        parties: whom to ask.
        need: the fewest parties that must accept the evidence.
        only: tell the enclave to take updates of exactly these parties (a certified set).

    Raises:
        SecureFlowError: the common reason when agents refuse the evidence; `too_few_answers`.
    """
    while True:
        try:
            yield from _admit_once(course, parties, need, only=only)
        except SecureFlowError as error:
            if error.code not in ENCLAVE_GONE:
                raise
        else:
            return


def _admit_once(
    course: Course[Any], parties: Sequence[str], need: int, *, only: bool
) -> Script[None]:
    course.generation += 1
    if course.generation > MAX_GENERATIONS:
        raise SecureFlowError(
            "enclave_unstable",
            f"The enclave was lost {MAX_GENERATIONS} times during job {course.context.job}.",
            "Look at the enclave's log: it does not stay up.",
        )
    generation = course.generation
    challenges = yield Ask(
        tuple(parties), "challenge", course.body(generation=generation), need=need,
        patience=course.patience,
    )  # fmt: skip
    nonces = {p: r["nonce"] for p, r in challenges["replies"].items()}
    opened = yield from _open(course, challenges["replies"], sorted(parties) if only else None)
    evidence = yield from _attest(course, nonces)
    course.uplink = opened["uplink"]
    yield from _verify(course, evidence, need)


def _attest(course: Course[Any], nonces: dict[str, str]) -> Script[dict[str, JSON]]:
    """Return each party's evidence; it comes in several answers, as many as a message holds."""
    evidence: dict[str, JSON] = {}
    parties = sorted(nonces)
    for at in range(0, len(parties), EVIDENCE_AT_ONCE):
        some = {party: nonces[party] for party in parties[at : at + EVIDENCE_AT_ONCE]}
        body = {"job": course.context.job, "nonces": some}
        attested = yield Ask((ENCLAVE,), "attest", body, patience=course.patience)
        evidence |= attested["replies"][ENCLAVE]["evidence"]
    return evidence


def _open(course: Course[Any], challenges: dict[str, JSON], only: list[str] | None) -> Script[Any]:
    model = course.model
    body = course.body(
        spec=dump(course.spec),
        approvals=course.approvals,
        generation=course.generation,
        recipients={
            p: {"recipient": r["recipient"], "signature": r["signature"]}
            for p, r in challenges.items()
        },
        expected=only,
        model=model and {k: model[k] for k in ("digest", "artifact", "size", "release")},
    )
    answers = yield Ask((ENCLAVE,), "open", body, patience=course.patience)
    return answers["replies"][ENCLAVE]


def _verify(course: Course[Any], evidence: dict[str, JSON], need: int) -> Script[None]:
    model = course.model
    answers = yield Ask(
        tuple(sorted(evidence)),
        "admit",
        course.body(
            generation=course.generation,
            model=model and {k: model[k] for k in ("digest", "release", "keys")},
        ),
        each={party: {"evidence": own} for party, own in evidence.items()},
        need=0,
        patience=course.patience,
    )
    replies, failures = answers["replies"], answers["failures"]
    if len(replies) < need:
        raise _refused(course, failures)
    course.drop(0, "admit", failures)
    verdict = next(iter(replies.values()))["verdict"]
    course.tee = verdict.get("title") or verdict.get("tier", "")
    take_leaves(course, replies)
    yield from record(course, [])
    yield from _hand_over_model_keys(course, replies)
    for party in replies:
        yield Tell("party", {"party": party, "state": "admitted"}, {"tee": course.tee})


def _hand_over_model_keys(course: Course[Any], replies: dict[str, JSON]) -> Script[None]:
    """After a restart, give the enclave the key of a model that is sealed to the agents."""
    sealed = {p: r["model_key"] for p, r in replies.items() if r.get("model_key")}
    if course.model is None or not course.model.get("keys") or not sealed:
        return
    body = {"job": course.context.job, "model_keys": sealed}
    yield Ask((ENCLAVE,), "unlock", body, patience=course.patience)


def _refused(course: Course[Any], failures: dict[str, JSON]) -> SecureFlowError:
    reasons = "; ".join(f"{party}: {error['message']}" for party, error in failures.items())
    codes = {error["code"] for error in failures.values()}
    code = codes.pop() if len(codes) == 1 else "too_few_answers"
    hint = next((error["hint"] for error in failures.values() if error.get("hint")), "")
    return SecureFlowError(
        code,
        f"Job {course.context.job} is not admitted. {reasons}",
        hint,
        {"verb": "admit", "failures": failures},
    )
