"""Claims: the content of verified evidence, in the same terms for every TEE.

Only a verifier creates them (`adapters/tee`), and only after signatures, chain and validity are
verified for the given time. Whether they are good enough is decided by the appraisal.
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
        simulated: the chain ends in a SIMULATED root: only software vouches for the facts.
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
        registers: everything measured, hex, under the vendor's names (`mrtd`, `host_data`, …).
        numbers: versions and ids under the vendor's names (`isv_svn`, `guest_svn`, …).
        flags: what the guest's own policy allows or demands (SEV-SNP).
        unchecked: checks that the owner let the verifier leave out; a verdict lists them.
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
    registers: Mapping[str, str] = field(default_factory=dict, hash=False)
    numbers: Mapping[str, int] = field(default_factory=dict, hash=False)
    flags: frozenset[str] = frozenset()
    unchecked: tuple[str, ...] = ()


class EvidenceVerifier(Protocol):
    """Verifies that evidence is authentic; pure, offline, with the time as an argument."""

    def verify(self, evidence: Evidence, now: int) -> Claims:
        """Return the claims, or raise `evidence_not_authentic` naming the failed part."""
        ...


STAGE_AUTHENTIC: Final = "authentic"


_SUSPICIOUS: Final = "Nothing was sent: without this proof it may be no TEE at all."
_STALE: Final = "Nothing was sent. The operator fetches fresh collateral; compare both clocks too."
_CLOCKS: Final = "Nothing was sent. Compare the clocks of this machine and of the enclave."
_OTHER: Final = (
    "Nothing was sent. The operator staples the collateral of the machine that made the evidence."
)
_UPDATE: Final = "Nothing was sent. The operator updates firmware and microcode, then tries again."
_VERSION: Final = "Nothing was sent. Ask the operator which enclave and hardware runs."
_CHAIN: Final = (
    "Nothing was sent. The machine's certificate may be revoked: the operator asks its vendor."
)
_REVOKED: Final = "Nothing was sent. Its vendor has revoked the machine: the operator replaces it."
HINTS: Final = {
    "root": _SUSPICIOUS,
    "quote_signature": _SUSPICIOUS,
    "report_signature": _SUSPICIOUS,
    "collateral_signature": _SUSPICIOUS,
    "quoting_enclave": _SUSPICIOUS,
    "attributes": _SUSPICIOUS,
    "chip": _SUSPICIOUS,
    "certificate_chain": _CHAIN,
    "revoked": _REVOKED,
    "certificate_expired": _STALE,
    "certificate_not_yet_valid": _CLOCKS,
    "collateral_expired": _STALE,
    "collateral_not_yet_valid": _CLOCKS,
    "collateral_mismatch": _OTHER,
    "tcb": _UPDATE,
}
"""The next step if a part failed; a part that is not here says nothing about the hardware."""


def not_authentic(part: str, message: str, hint: str = "", **details: Any) -> SecureFlowError:
    """Return the error of the first stage; `part` is the part of the evidence that failed."""
    return SecureFlowError(
        "evidence_not_authentic",
        message,
        hint or HINTS.get(part, _VERSION),
        {"stage": STAGE_AUTHENTIC, "leg": part, **details},
    )
