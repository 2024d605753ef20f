"""Maps dcap-qvl's error texts to the part that failed; the texts are never shown to people.

The library reports errors as plain texts; known prefixes name the part, everything else is `quote`.
People get this module's own constant sentences; the library's texts, which can quote the evidence,
go to the local log.
"""

from __future__ import annotations

from typing import Final

from secureflow.engines.attestation import not_authentic
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

_PREFIX: Final = "Verification failed: "
_BEGINNINGS: Final = {
    "collateral_expired": (
        "TCBInfo expired",
        "QEIdentity expired",
        "QE Identity expired",
        "Collateral expired",
        "CrlExpired",
    ),
    "collateral_not_yet_valid": (
        "TCBInfo issue date is in the future",
        "QEIdentity issue date is in the future",
        "QE Identity issue date is in the future",
    ),
    "collateral_signature": (
        "Signature is invalid for tcb_info",
        "Signature is invalid for qe_identity",
    ),
    "collateral_mismatch": (
        "Fmspc mismatch",
        "Unsupported QE Identity",
        "SGX quote with non-SGX TCB info",
        "TDX quote with non-TDX TCB info",
        "TDX TCB Info is missing",
        "TDX component count mismatch",
        "SGX component count mismatch",
    ),
    "collateral_format": (
        "Failed to decode TcbInfo",
        "Failed to decode QeIdentity",
        "Failed to decode TCB FMSPC",
        "Failed to parse TCB Info",
        "Failed to parse QE Identity",
        "Failed to parse QE TCB date",
        "Failed to parse JSON",
        "Failed to parse CRL",
        "Failed to parse certs",
        "Failed to create RevocationOptionsBuilder",
        "Failed to extract PCK certificates from collateral",
        "Certificate chain is too short for",
        "Invalid TCB level tcbDate",
        "Invalid TDX module tcbDate",
        "No TCB levels found",
        "missing field",
        "tdxModule",
    ),
    "certificate_expired": ("CertExpired", "certificate expired"),
    "certificate_not_yet_valid": ("CertNotValidYet",),
    "certificate_chain": ("Failed to verify certificate chain", "Failed to load root ca"),
    "quoting_enclave": ("QE ", "Quoting Enclave"),
    "quote_signature": (
        "Signature is invalid for qe_report",
        "ISV enclave report signature is invalid",
        "QE report hash mismatch",
    ),
    "tcb": (
        "No matching TCB level found",
        "No matching QE TCB level",
        "TCB status is invalid",
        "TDX module",
        "Failed to evaluate the current TDX TCB",
    ),
    "debug": ("Debug mode is enabled",),
    "attributes": (
        "Reserved bits in TD attributes",
        "SEPT_VE_DISABLE is not enabled",
        "Invalid MR service TD",
        "Failed to parse TD attributes",
    ),
    "quote_format": (
        "Failed to decode quote",
        "Failed to parse quote",
        "Failed to decode QE report",
        "Failed to extract PCK certificates from quote",
        "Failed to parse PCK",
        "Failed to find",
        "Failed to get",
        "Failed to decode",
        "Certificate chain is too short in quote",
        "Invalid QE auth data",
        "Unsupported DCAP",
        "Unsupported TEE type",
        "Unsupported certification data type",
        "Unknown QE vendor ID",
        "SGX TEE quote must",
        "TDX TEE quote must",
        "OID is missing",
    ),
}
"""Parts by prefixes of the library's texts; the longest matching prefix decides."""
_PARTS: Final = sorted(
    ((beginning, part) for part, all_of in _BEGINNINGS.items() for beginning in all_of),
    key=lambda pair: -len(pair[0]),
)
_SENTENCES: Final = {
    "collateral_expired": "The collateral that came with the quote has expired.",
    "collateral_not_yet_valid": "The collateral that came with the quote is not valid yet.",
    "collateral_signature": "The collateral that came with the quote is not signed by Intel.",
    "collateral_mismatch": "The collateral that came with the quote belongs to another platform.",
    "collateral_format": "The collateral that came with the quote cannot be read.",
    "certificate_expired": "A certificate of the quote's chain has expired.",
    "certificate_not_yet_valid": "A certificate of the quote's chain is not valid yet.",
    "certificate_chain": "The quote's certificate chain is not valid, or is revoked.",
    "quoting_enclave": "The quote was made by a quoting enclave that Intel does not identify.",
    "quote_signature": "The quote's signature is not valid.",
    "tcb": "Intel knows no acceptable state of the platform that made the quote.",
    "attributes": "The trust domain has attributes that an honest one does not have.",
    "quote_format": "The quote cannot be read.",
    "quote": "The quote does not verify.",
}

_log = get_logger(__name__)


def refusal(text: str) -> SecureFlowError:
    """Return the typed error for a refusal of dcap-qvl; its text stays in the local log."""
    reason = " ".join(text.removeprefix(_PREFIX).split())
    part = next((part for beginning, part in _PARTS if reason.startswith(beginning)), "quote")
    _log.warning("quote_refused", part=part, reason=reason[:300])
    if part == "debug":
        return SecureFlowError(
            "evidence_not_acceptable",
            "The enclave runs in debug mode: its host can read it.",
            "Ask the operator for a production enclave.",
            {"stage": "acceptable", "leg": "debug"},
        )
    return not_authentic(part, _SENTENCES[part])
