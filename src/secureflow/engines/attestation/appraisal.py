"""Appraisal in three stages that are never merged (RFC 9334; docs/threat-model.md, "Sealed mode").

1. *Authentic?* A verifier proves signatures, chain and validity: `evidence_not_authentic`.
2. *Fresh and bound?* The report covers our nonce, this job and these keys:
   `evidence_not_fresh`, `evidence_not_bound`.
3. *Acceptable?* Our own policy accepts what it proves: `evidence_not_acceptable`.

The `details` of every error name the `stage` that failed, and the part of the evidence (key `leg`).
Known failures in the field come from merging the stages: an `OutOfDate` platform taken as success,
a nonce that the prover chose.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from secureflow.engines.attestation.claims import Claims, EvidenceVerifier
from secureflow.engines.attestation.evidence import SUITE, Evidence, report_data
from secureflow.engines.attestation.policy import AppraisalPolicy
from secureflow.engines.attestation.verdict import Verdict
from secureflow.kit.clock import MAX_SKEW
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_NO_FLOOR: Final = (
    "AMD gives no verdict on firmware: name the lowest versions of the product that you accept in "
    "attestation.snp_minimum_tcb."
)


@dataclass(frozen=True)
class Challenge:
    """This agent's challenge: its own nonce (64 hex), job, spec digest, time of asking."""

    nonce: str
    job: str
    spec: str
    asked_at: int


def attest(
    verifier: EvidenceVerifier,
    evidence: Evidence,
    challenge: Challenge,
    policy: AppraisalPolicy,
    now: int,
) -> Verdict:
    """Run all three stages in order.

    Raises:
        SecureFlowError: the error of the first stage that fails.
    """
    return appraise(verifier.verify(evidence, now), evidence, challenge, policy, now)


def appraise(
    claims: Claims, evidence: Evidence, challenge: Challenge, policy: AppraisalPolicy, now: int
) -> Verdict:
    """Run stages two and three on claims that a verifier made from this evidence (stage one).

    Raises:
        SecureFlowError: `evidence_not_fresh`, `evidence_not_bound`, `evidence_not_acceptable`.
    """
    _check_bound(claims, evidence, challenge)
    _check_fresh(evidence, challenge, policy, now)
    for check in _ACCEPTABLE:
        check(claims, policy)
    expires = now + policy.max_age_s
    if claims.valid_until is not None:
        expires = min(expires, claims.valid_until)
    reasons = _reasons(claims)
    return Verdict(
        status="warning" if reasons else "affirming",
        tier="SIMULATED" if claims.simulated else "hardware",
        simulated=claims.simulated,
        tee=claims.tee,
        reasons=reasons,
        policy=policy.digest,
        evidence=evidence.digest,
        measurement=claims.measurement,
        tcb_status=claims.tcb_status,
        advisories=claims.advisories,
        job=challenge.job,
        spec=challenge.spec,
        hpke=evidence.runtime_data["hpke"],
        release=evidence.runtime_data["release"],
        nonce=challenge.nonce,
        issued=now,
        expires=expires,
    )


def _check_bound(claims: Claims, evidence: Evidence, challenge: Challenge) -> None:
    runtime = evidence.runtime_data
    if claims.tee != evidence.tee:
        raise _not_bound(
            "tee",
            Text(
                "The evidence says {tee}, but its report {claims_tee}.",
                tee=evidence.tee,
                claims_tee=claims.tee,
            ),
        )
    if not hmac.compare_digest(claims.report_data, report_data(runtime).hex()):
        raise _not_bound(
            "report_data", "The enclave's report does not cover the keys that came with it."
        )
    if runtime["suite"] != SUITE:
        raise _not_bound(
            "suite", Text("The enclave's HPKE suite {suite} is unknown.", suite=runtime["suite"])
        )
    for part, expected in (("job", challenge.job), ("spec", challenge.spec)):
        if runtime[part] != expected:
            raise _not_bound(
                part,
                Text(
                    "The evidence is for {part} {runtime}, expected {expected}.",
                    part=part,
                    runtime=runtime[part],
                    expected=expected,
                ),
            )


def _check_fresh(
    evidence: Evidence, challenge: Challenge, policy: AppraisalPolicy, now: int
) -> None:
    if not hmac.compare_digest(evidence.runtime_data["nonce"], challenge.nonce):
        raise _not_fresh("nonce", "The evidence answers another nonce: it may be a replay.")
    if not 0 <= now - challenge.asked_at <= policy.max_age_s:
        raise _not_fresh("age", Text("The nonce is {now} s old.", now=now - challenge.asked_at))
    # The prover's clock proves nothing; a large difference still deserves a clear refusal.
    if abs(now - evidence.collected_at) > policy.max_age_s + MAX_SKEW:
        raise _not_fresh(
            "clock", Text("The evidence is {now} s old.", now=now - evidence.collected_at)
        )


def _check_simulated(claims: Claims, policy: AppraisalPolicy) -> None:
    if claims.simulated and not policy.allow_simulated:
        raise _not_acceptable(
            "simulated",
            "The enclave is SIMULATED: it protects nothing from the operator.",
            "Set allow_simulated in this agent's own settings for demos and tests only.",
        )


def _check_debug(claims: Claims, policy: AppraisalPolicy) -> None:
    if claims.debug and not policy.allow_debug:
        raise _not_acceptable("debug", "The enclave runs in debug mode: its host can read it.")


def _check_technology(claims: Claims, policy: AppraisalPolicy) -> None:
    if claims.tee not in policy.allowed_tees:
        raise _not_acceptable(
            "tee",
            Text(
                "{tee} is not one of {allowed_tees}.",
                tee=claims.tee,
                allowed_tees=", ".join(policy.allowed_tees),
            ),
        )
    if policy.trust_roots and claims.root not in policy.trust_roots:
        raise _not_acceptable(
            "root",
            Text("The evidence's root {root} is not an accepted trust root.", root=claims.root),
        )


def _check_code(claims: Claims, policy: AppraisalPolicy) -> None:
    if claims.measurement not in policy.measurements:
        _check_references(claims, policy)
    if policy.signers and claims.signer not in policy.signers:
        raise _not_acceptable(
            "signer", Text("The enclave's signer is {signer}.", signer=claims.signer)
        )
    if claims.svn < policy.min_svn:
        raise _not_acceptable(
            "svn",
            Text(
                "The security version is {svn} < {min_svn}.", svn=claims.svn, min_svn=policy.min_svn
            ),
        )


def _check_references(claims: Claims, policy: AppraisalPolicy) -> None:
    """Accept code that fits a reference value, or report why the nearest one does not fit."""
    if not policy.measurements and not policy.references:
        raise _not_acceptable(
            "measurement",
            "This agent has no reference value for the enclave's code.",
            "Pin the measurement of the code that you reviewed in the agent's own settings.",
        )
    missed = [one.mismatch(claims) for one in policy.references if one.tee == claims.tee]
    if None in missed:
        return
    hint = "Compare versions with the operator; pin the new measurement only after review."
    first = next((one for one in missed if one), None)
    if first is None:
        raise _not_acceptable(
            "measurement",
            Text(
                "The enclave runs code {measurement}, which this agent has not pinned.",
                measurement=claims.measurement,
            ),
            hint,
        )
    reason = Text(
        "{name} is {found}, accepted is {accepted}",
        name=first.name,
        found=first.found,
        accepted=first.accepted,
    )
    more = (
        Text(", and none of {count} other reference values fits", count=len(missed) - 1)
        if missed[1:]
        else ""
    )
    raise _not_acceptable(
        first.part,
        Text(
            "The {tee} enclave does not fit this agent's reference values: {reason}{more}.",
            tee=claims.tee,
            reason=reason,
            more=more,
        ),
        hint,
    )


def _check_platform(claims: Claims, policy: AppraisalPolicy) -> None:
    if claims.tcb_status not in policy.tcb_statuses:
        raise _not_acceptable(
            "tcb",
            Text(
                "The platform is {tcb_status} ({advisories}); accepted is {tcb_statuses}.",
                tcb_status=claims.tcb_status,
                advisories=", ".join(claims.advisories) or "no advisory",
                tcb_statuses=", ".join(policy.tcb_statuses) or "none of them",
            ),
            _NO_FLOOR
            if claims.tcb_status == "Unknown"
            else "The operator updates firmware and microcode, or you accept the state explicitly.",
        )
    denied = sorted(set(claims.advisories) & set(policy.denied_advisories))
    if denied:
        raise _not_acceptable(
            "advisory",
            Text(
                ("The platform is affected by {denied}, which the policy does not accept."),
                denied=", ".join(denied),
            ),
        )
    facts = sorted(name for name, true in claims.platform.items() if true)
    refused = [name for name in facts if name not in policy.allowed_platform]
    if refused:
        raise _not_acceptable(
            "platform",
            Text(
                "The platform has {refused}, which the policy does not allow.",
                refused=", ".join(refused),
            ),
            "List them in allowed_platform if the cloud's hosts are like that by design.",
        )


_ACCEPTABLE: Final[tuple[Callable[[Claims, AppraisalPolicy], None], ...]] = (
    _check_simulated,
    _check_debug,
    _check_technology,
    _check_code,
    _check_platform,
)


def _reasons(claims: Claims) -> tuple[str, ...]:
    reasons = []
    if claims.simulated:
        reasons.append("SIMULATED: protects nothing from the operator.")
    if claims.debug:
        reasons.append("Debug mode: the host can read its memory.")
    if claims.tcb_status != "UpToDate":
        reasons.append(f"The platform is {claims.tcb_status}.")
    if claims.advisories:
        reasons.append(f"Open advisories: {', '.join(claims.advisories)}.")
    if claims.unchecked:
        reasons.append(f"Not checked, by this agent's settings: {', '.join(claims.unchecked)}.")
    return tuple(reasons)


def _not_bound(part: str, message: str) -> SecureFlowError:
    return SecureFlowError(
        "evidence_not_bound",
        message,
        "Do not seal to this key: someone may have shown another enclave's report.",
        {"stage": "fresh", "leg": part},
    )


def _not_fresh(part: str, message: str) -> SecureFlowError:
    return SecureFlowError(
        "evidence_not_fresh",
        message,
        "Ask again with a fresh nonce; if it happens again, someone replays old evidence.",
        {"stage": "fresh", "leg": part},
    )


def _not_acceptable(part: str, message: str, hint: str = "") -> SecureFlowError:
    return SecureFlowError(
        "evidence_not_acceptable",
        message,
        hint or "Change the enclave, or this agent's appraisal policy if you accept the risk.",
        {"stage": "acceptable", "leg": part},
    )
