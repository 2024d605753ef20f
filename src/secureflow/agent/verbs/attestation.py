"""The agent verifies the enclave itself, by its own reference values.

The steps are those of docs/threat-model.md, "Sealed mode", 1. A nonce is single-use: it is made
and stored here, and removed with the verdict on the evidence that answers it. Updates are sealed
and releases are verified only with the keys in the verdict.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from secureflow.agent.compute.derivation import recipient_key
from secureflow.agent.job.context import AgentContext
from secureflow.agent.job.guards import check_verb
from secureflow.agent.record.records import AdmittedEnclave, JobRecord
from secureflow.agent.settings import AttestationSettings
from secureflow.engines.attestation import (
    AppraisalPolicy,
    Challenge,
    EvidenceVerifier,
    Verdict,
    attest,
    parse_evidence,
)
from secureflow.engines.run.messages import (
    AdmitReply,
    AdmitRequest,
    ChallengeReply,
    ChallengeRequest,
    ShownVerdict,
    as_body,
)
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

_log = get_logger(__name__)


def appraisal_policy(
    settings: AttestationSettings, installed: Callable[[], str]
) -> AppraisalPolicy:
    """Return the owner's policy; `installed` measures this installation, if it is listed.

    Raises:
        SecureFlowError: `code_unmeasurable`.
    """
    measured = settings.measurements
    return AppraisalPolicy(
        measurements=(installed(),) if measured == "installed" else tuple(measured),
        tcb_statuses=settings.tcb_statuses,
        denied_advisories=settings.denied_advisories,
        allowed_platform=settings.allowed_platform,
        max_age_s=settings.max_age,
        allow_simulated=settings.allow_simulated,
        references=tuple(
            one.reference() for kind in (settings.sgx, settings.tdx, settings.snp) for one in kind
        ),
    )


class Attestation:
    """Answers `challenge` and the verification part of `admit`.

    Args:
        context: the party.
        verifier: verifies that evidence is authentic.
        policy: what the owner accepts.
    """

    def __init__(
        self, context: AgentContext, verifier: EvidenceVerifier, policy: AppraisalPolicy
    ) -> None:
        self._context = context
        self._verifier = verifier
        self._policy = policy

    def replace_policy(self, verifier: EvidenceVerifier, policy: AppraisalPolicy) -> None:
        """Use other reference values from now on; earlier verdicts are valid until they expire."""
        self._verifier, self._policy = verifier, policy

    async def challenge(self, request: ChallengeRequest) -> ChallengeReply:
        """Return this party's nonce for a generation, and the key that models are sealed to."""
        context = self._context
        job, spec = context.approved(request.job, request.digest)
        check_verb(spec, job.job, "challenge")
        nonce = await asyncio.to_thread(self._nonce, request)
        recipient = await asyncio.to_thread(lambda: recipient_key(job.secret).public)
        body = {"job": request.job, "generation": request.generation, "recipient": recipient}
        signature = context.key.sign("recipient", body)
        return ChallengeReply(nonce=nonce, recipient=recipient, signature=signature)

    async def admit(self, request: AdmitRequest) -> dict[str, JSON]:
        """Verify the evidence of a generation and record the verdict.

        Raises:
            SecureFlowError: `evidence_…` with the failed stage in `details`, `not_challenged`.
        """
        context = self._context
        job, _ = context.approved(request.job, request.digest)
        known = f"admit/{request.job}/{request.generation}"
        evidence = parse_evidence(request.evidence)
        stored = context.store.answer(f"{known}/{evidence.digest}")
        if stored is not None:
            return dict(stored)
        challenge = self._challenge(request)
        verdict = await asyncio.to_thread(
            attest, self._verifier, evidence, challenge, self._policy, context.clock()
        )
        _log.info("enclave_verified", job=job.job, verdict=verdict.text)
        return await asyncio.to_thread(
            self._commit, job, request, verdict, f"{known}/{evidence.digest}"
        )

    def _nonce(self, request: ChallengeRequest) -> str:
        store, now = self._context.store, self._context.clock()
        known = store.nonce(request.job, request.generation)
        if known is not None and now - known[1] < self._context.settings.attestation.nonce_age:
            return known[0]
        nonce = secrets.token_hex(32)
        with store.transaction():
            store.set_nonce(request.job, request.generation, nonce, now)
        return nonce

    def _challenge(self, request: AdmitRequest) -> Challenge:
        known = self._context.store.nonce(request.job, request.generation)
        if known is None:
            raise SecureFlowError(
                "evidence_not_fresh",
                Text(
                    "This agent asked for no evidence of generation {generation}, or has "
                    "already judged the one that it asked for.",
                    generation=request.generation,
                ),
                "Evidence counts once, for the nonce that this agent made.",
                {"stage": "fresh", "leg": "nonce"},
            )
        nonce, asked_at = known
        age = self._context.clock() - asked_at
        if age > self._context.settings.attestation.nonce_age:
            raise SecureFlowError(
                "evidence_not_fresh",
                Text(
                    "The nonce of generation {generation} is {age} s old.",
                    generation=request.generation,
                    age=age,
                ),
                "The centre must ask for a fresh one.",
                {"stage": "fresh", "leg": "age"},
            )
        return Challenge(nonce, request.job, request.digest, asked_at)

    def _commit(
        self, job: JobRecord, request: AdmitRequest, verdict: Verdict, answer: str
    ) -> dict[str, JSON]:
        context = self._context
        document = {
            "job": job.job,
            "spec": job.digest,
            "generation": request.generation,
            "evidence": verdict.evidence,
            "hpke": verdict.hpke,
            "release": verdict.release,
            "tier": verdict.tier,
            "simulated": verdict.simulated,
        }
        admission = AdmittedEnclave(
            job.job, request.generation, verdict.evidence, verdict.hpke, verdict.release,
            verdict.tier, verdict.expires,
        )  # fmt: skip
        with context.store.transaction():
            context.store.use_nonce(job.job, request.generation)
            context.store.add_admission(admission)
            leaf = context.witness.leaf("attested", job.job, job.digest, document)
            shown = ShownVerdict(
                title=verdict.title, tier=verdict.tier, simulated=verdict.simulated,
                body={**verdict.as_json(), "title": verdict.title},
            )  # fmt: skip
            reply = as_body(AdmitReply(verdict=shown, **context.leaf_reply(leaf)))
            context.store.keep_answer(answer, job.job, reply)
            facts = {"generation": request.generation, "verdict": verdict.text}
            context.store.note(context.clock(), "enclave.verified", job.job, **facts)
        return reply
