"""Attestation: evidence, verified claims, an agent's own policy, and the verdict."""

from secureflow.engines.attestation.appraisal import Challenge, appraise, attest
from secureflow.engines.attestation.claims import Claims, EvidenceVerifier, not_authentic
from secureflow.engines.attestation.evidence import (
    SUITE,
    Evidence,
    parse_evidence,
    report_data,
    runtime_data,
)
from secureflow.engines.attestation.policy import AppraisalPolicy
from secureflow.engines.attestation.references import Reference
from secureflow.engines.attestation.verdict import Verdict

__all__ = [
    "SUITE",
    "AppraisalPolicy",
    "Challenge",
    "Claims",
    "Evidence",
    "EvidenceVerifier",
    "Reference",
    "Verdict",
    "appraise",
    "attest",
    "not_authentic",
    "parse_evidence",
    "report_data",
    "runtime_data",
]
