"""Claims: what verified evidence says, in the same words for every TEE.

Only a verifier makes them (`adapters/tee`), and only after signatures, chain and validity hold
at the given time. Whether they are good enough is the appraisal's question, not the verifier's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from secureflow.engines.attestation.evidence import Evidence
from secureflow.kit.errors import SecureFlowError


@dataclass(frozen=True)
class Claims:
    """Authentic facts about an enclave.

    Args:
        tee: `sgx`, `tdx` or `sev-snp`.
        simulated: the chain ends in a SIMULATED root: the facts are software's word.
        measurement: identity of the code, hex. SGX: MRENCLAVE; TDX: MRTD and RTMR0..3 joined by
            colons; SEV-SNP: the launch measurement.
        signer: MRSIGNER (SGX), MRSIGNERSEAM (TDX) or the author key digest (SNP), hex.
        svn: security version of the code.
        debug: its memory can be read by the host.
        report_data: the 64 bytes that the hardware signed, hex.
        tcb_status: `UpToDate`, `OutOfDate`, …
        advisories: security advisories that apply.
        root: hex SHA-256 of the trust root's DER.
        valid_until: Unix seconds at which the collateral ends, or None.
        platform: facts that a policy must allow when true (`dynamic_platform`, `cached_keys`,
            `smt_enabled`, `migratable`).
    """

    tee: str
    simulated: bool
    measurement: str
    signer: str
    svn: int
    debug: bool
    report_data: str
    tcb_status: str
    advisories: tuple[str, ...]
    root: str
    valid_until: int | None
    platform: Mapping[str, bool] = field(default_factory=dict, hash=False)


class EvidenceVerifier(Protocol):
    """Verifies that evidence is authentic; pure, offline, with the time as an argument."""

    def verify(self, evidence: Evidence, now: int) -> Claims:
        """Return the claims, or raise `evidence_not_authentic` naming the failed leg."""
        ...


STAGE_AUTHENTIC: Final = "authentic"


def not_authentic(leg: str, message: str, hint: str = "", **details: Any) -> SecureFlowError:
    """Return the error of the first stage; `leg` names the part that failed."""
    return SecureFlowError(
        "evidence_not_authentic",
        message,
        hint or "Do not send anything: this may not be a TEE at all.",
        {"stage": STAGE_AUTHENTIC, "leg": leg, **details},
    )
