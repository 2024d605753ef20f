"""Verifies SGX and TDX evidence (Intel DCAP quotes v3, v4, v5) with dcap-qvl, offline.

The same code verifies real and simulated evidence; only the trust anchor differs: Intel's root,
which the library pins, or the SIMULATED root that this agent's owner put into a file. dcap-qvl
proves signatures, chains, revocation and validity at `now`; the TCB status that it reports is a
claim for the policy (a plain "verified" would accept `OutOfDate`).
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import dcap_qvl  # type: ignore[import-untyped]  # its stubs cover the inner module only
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from secureflow.engines.attestation import Claims, Evidence, not_authentic
from secureflow.kit.canonical import canonical_bytes, sha256
from secureflow.kit.errors import SecureFlowError

INTEL_ROOT: Final = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
"""Hex SHA-256 of the Intel SGX Root CA's DER (what dcap-qvl pins)."""

# The library's errors are plain texts: known beginnings name the leg, everything else is `quote`.
_LEGS: Final = (
    ("TCBInfo expired", "collateral_expired"),
    ("QEIdentity expired", "collateral_expired"),
    ("QE Identity expired", "collateral_expired"),
    ("CrlExpired", "collateral_expired"),
    ("CertExpired", "certificate_expired"),
    ("CertNotValidYet", "certificate_not_yet_valid"),
    ("TCBInfo issue date is in the future", "collateral_not_yet_valid"),
    ("QEIdentity issue date is in the future", "collateral_not_yet_valid"),
    ("QE Identity issue date is in the future", "collateral_not_yet_valid"),
    ("Failed to verify certificate chain", "certificate_chain"),
    ("Signature is invalid for qe_report", "quote_signature"),
    ("Signature is invalid for", "collateral_signature"),
    ("Unsupported QE Identity", "collateral_mismatch"),
    ("No matching TCB level found", "tcb"),
    ("TCB status is invalid", "tcb"),
    ("ISV enclave report signature is invalid", "quote_signature"),
    ("QE report hash mismatch", "quote_signature"),
    ("Debug mode is enabled", "debug"),
    ("Failed to decode quote", "quote_format"),
    ("Failed to parse", "collateral_format"),
)
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_END: Final = b"-----END CERTIFICATE-----"
_PREFIX: Final = "Verification failed: "
_HINTS: Final = {
    "collateral_expired": "The operator fetches fresh collateral; compare both clocks as well.",
    "collateral_not_yet_valid": "Compare the clocks of this machine and of the enclave.",
    "certificate_chain": "A certificate is revoked, out of date, or not issued under the root.",
}
_PLATFORM: Final = ("dynamic_platform", "cached_keys", "smt_enabled")
_SGX_DEBUG: Final = 0x02
_TD_DEBUG: Final = 0x01


class DcapVerifier:
    """Stage one of the appraisal for `sgx` and `tdx`.

    Args:
        simulated_root: PEM of a root whose name says SIMULATED, from the agent's own file.

    Raises:
        SecureFlowError: `simulated_root_refused` for any other certificate.
    """

    def __init__(self, simulated_root: str | None = None) -> None:
        self._simulated = None if simulated_root is None else _simulated_root(simulated_root)

    def verify(self, evidence: Evidence, now: int) -> Claims:
        """Return what the quote proves at this time (Unix seconds).

        Raises:
            SecureFlowError: `evidence_not_authentic`; for a debug enclave that the library
                itself refuses `evidence_not_acceptable`.
        """
        if evidence.format != "dcap":
            raise not_authentic("format", f"{evidence.format} is no DCAP quote.")
        if evidence.collateral is None:
            raise not_authentic("collateral", "The quote came without its collateral.")
        named = _named_root(evidence.blob)
        root = self._simulated if named is not None and named == self._simulated else None
        try:
            collateral = dcap_qvl.QuoteCollateralV3.from_json(
                canonical_bytes(dict(evidence.collateral)).decode()
            )
            policy = dcap_qvl.QuotePolicy.claims_only(now)
            verified = dcap_qvl.QuoteVerifier(root).verify_with_policy(
                evidence.blob, collateral, now, policy
            )
            report = json.loads(verified.to_json())
        except (ValueError, OverflowError, SecureFlowError) as error:
            if root is None and named is not None and sha256(named).hex() != INTEL_ROOT:
                raise _unknown_root(named) from error
            raise _refusal(str(error)) from error
        return _claims(report, root, now)


def _named_root(quote: bytes) -> bytes | None:
    """Return the DER of the last certificate in the quote's chain, unparsed.

    It only chooses the anchor to verify under; the library then proves the chain or fails.
    """
    try:
        chain = dcap_qvl.parse_quote(quote).cert_chain_pem_bytes() or b""
        last = chain.rpartition(_BEGIN)[2].partition(_END)[0]
        return base64.b64decode(b"".join(last.split()), validate=True)
    except ValueError:
        return None


def _claims(report: dict[str, Any], root: bytes | None, now: int) -> Claims:
    # The library accepts CRLs from the future: a clock that is wrong must not pass unseen.
    if max(report["latest_issue_date"], report["qe_iden_latest_issue_date"]) > now:
        raise _refusal("TCBInfo issue date is in the future")
    pck = report["platform"]["pck"]
    tcb = report["tcb"]
    ends = (report["earliest_expiration_date"], report["qe_iden_earliest_expiration_date"])
    return Claims(
        **_identity(report["report"]),
        simulated=root is not None,
        tcb_status=str(tcb["status"]),
        advisories=tuple(sorted(tcb["advisory_ids"])),
        root=INTEL_ROOT if root is None else sha256(root).hex(),
        valid_until=min(ends),
        platform={name: pck[name] == "True" for name in _PLATFORM},
    )


def _identity(report: dict[str, Any]) -> dict[str, Any]:
    ((kind, body),) = report.items()
    if kind == "SgxEnclave":
        return {
            "tee": "sgx",
            "measurement": body["mr_enclave"],
            "signer": body["mr_signer"],
            "svn": body["isv_svn"],
            "debug": bool(bytes.fromhex(body["attributes"])[0] & _SGX_DEBUG),
            "report_data": body["report_data"],
        }
    if kind in {"TD10", "TD15"}:
        body = body.get("base", body)
        registers = ("mr_td", "rt_mr0", "rt_mr1", "rt_mr2", "rt_mr3")
        return {
            "tee": "tdx",
            "measurement": ":".join(body[register] for register in registers),
            "signer": body["mr_signer_seam"],
            "svn": 0,
            "debug": bool(bytes.fromhex(body["td_attributes"])[0] & _TD_DEBUG),
            "report_data": body["report_data"],
        }
    raise not_authentic("quote_format", f"A report of kind {kind} is not known.")


def _refusal(text: str) -> SecureFlowError:
    reason = " ".join(text.removeprefix(_PREFIX).split())[:300]
    leg = next((leg for beginning, leg in _LEGS if reason.startswith(beginning)), "quote")
    if leg == "debug":
        return SecureFlowError(
            "evidence_not_acceptable",
            "The enclave runs in debug mode: its host can read it.",
            "Ask the operator for a production enclave.",
            {"stage": "acceptable", "leg": "debug"},
        )
    return not_authentic(
        leg, f"The quote does not verify: {reason}.", _HINTS.get(leg, ""), reason=reason
    )


def _unknown_root(der: bytes) -> SecureFlowError:
    return not_authentic(
        "root",
        f"The quote's chain ends in the unknown root {sha256(der).hex()}.",
        "It is neither Intel's root nor the SIMULATED root in this agent's own file.",
    )


def _simulated_root(pem: str) -> bytes:
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode("utf-8"))
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, x509.InvalidVersion) as error:
        raise _root_refused("it is no certificate") from error
    if not any("SIMULATED" in str(name.value) for name in names):
        raise _root_refused("its name does not say SIMULATED")
    return certificate.public_bytes(serialization.Encoding.DER)


def _root_refused(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "simulated_root_refused",
        f"The file with the simulated root is refused: {reason}.",
        "Name the root.pem of a simulated platform, or none for real hardware.",
    )
