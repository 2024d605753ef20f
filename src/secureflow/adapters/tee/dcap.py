"""Verifies SGX and TDX evidence (Intel DCAP quotes v3, v4, v5) with dcap-qvl, offline.

The same code verifies real and simulated evidence; only the trust anchor differs: Intel's root,
which the library pins, or the SIMULATED root from a file of this agent's owner. dcap-qvl proves
signatures, chains, revocation and validity at `now`; the TCB status that it reports is a claim for
the policy (just "verified" would accept `OutOfDate`).
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import dcap_qvl  # type: ignore[import-untyped]  # its stubs cover the inner module only
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from secureflow.adapters.tee._dcap_errors import refusal
from secureflow.engines.attestation import Claims, Evidence, not_authentic
from secureflow.kit.canonical import canonical_bytes, sha256
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

INTEL_ROOT: Final = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
"""Hex SHA-256 of the Intel SGX Root CA's DER (what dcap-qvl pins)."""

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_END: Final = b"-----END CERTIFICATE-----"
_PLATFORM: Final = ("dynamic_platform", "cached_keys", "smt_enabled")
_TDX_REGISTERS: Final = {
    "mrtd": "mr_td",
    "rtmr0": "rt_mr0",
    "rtmr1": "rt_mr1",
    "rtmr2": "rt_mr2",
    "rtmr3": "rt_mr3",
    "mrseam": "mr_seam",
    "mrsignerseam": "mr_signer_seam",
    "mrconfigid": "mr_config_id",
    "mrowner": "mr_owner",
    "mrownerconfig": "mr_owner_config",
    "td_attributes": "td_attributes",
    "xfam": "xfam",
}
"""Register names in settings → in the library; the first five identify the code."""
_SGX_DEBUG: Final = 0x02
_TD_DEBUG: Final = 0x01


class DcapVerifier:
    """Stage one of the appraisal for `sgx` and `tdx`.

    Args:
        simulated_root: PEM of a root whose name contains SIMULATED, from the agent's own file.

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
            raise not_authentic(
                "format", Text("{format} is not a DCAP quote.", format=evidence.format)
            )
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
            raise refusal(str(error)) from error
        return _claims(report, root, now)


def _named_root(quote: bytes) -> bytes | None:
    """Return the DER of the last certificate in the quote's chain, unparsed.

    It only selects the trust anchor; the library then verifies the chain or fails.
    """
    try:
        chain = dcap_qvl.parse_quote(quote).cert_chain_pem_bytes() or b""
        last = chain.rpartition(_BEGIN)[2].partition(_END)[0]
        return base64.b64decode(b"".join(last.split()), validate=True)
    except ValueError:
        return None


def _claims(report: dict[str, Any], root: bytes | None, now: int) -> Claims:
    # The library accepts CRLs from the future: a wrong clock must be detected.
    if max(report["latest_issue_date"], report["qe_iden_latest_issue_date"]) > now:
        raise refusal("TCBInfo issue date is in the future")
    pck = report["platform"]["pck"]
    tcb = report["tcb"]
    ends = (report["earliest_expiration_date"], report["qe_iden_earliest_expiration_date"])
    return Claims(
        **_identity(report["report"], tcb["eval_data_number"]),
        simulated=root is not None,
        tcb_status=str(tcb["status"]),
        advisories=tuple(sorted(tcb["advisory_ids"])),
        root=INTEL_ROOT if root is None else sha256(root).hex(),
        valid_until=min(ends),
        platform={name: pck[name] == "True" for name in _PLATFORM},
    )


def _identity(report: dict[str, Any], evaluation: int) -> dict[str, Any]:
    ((kind, body),) = report.items()
    if kind == "SgxEnclave":
        return {
            "tee": "sgx",
            "measurement": body["mr_enclave"],
            "signer": body["mr_signer"],
            "svn": body["isv_svn"],
            "debug": bool(bytes.fromhex(body["attributes"])[0] & _SGX_DEBUG),
            "report_data": body["report_data"],
            "registers": {
                "mrenclave": body["mr_enclave"],
                "mrsigner": body["mr_signer"],
                "attributes": body["attributes"],
            },
            "numbers": {
                "isv_prod_id": body["isv_prod_id"],
                "isv_svn": body["isv_svn"],
                "tcb_evaluation": evaluation,
            },
        }
    if kind in {"TD10", "TD15"}:
        body = body.get("base", body)
        return {
            "tee": "tdx",
            "measurement": ":".join(body[name] for name in list(_TDX_REGISTERS.values())[:5]),
            "signer": body["mr_signer_seam"],
            "svn": 0,
            "debug": bool(bytes.fromhex(body["td_attributes"])[0] & _TD_DEBUG),
            "report_data": body["report_data"],
            "registers": {name: body[field] for name, field in _TDX_REGISTERS.items()},
            "numbers": {"tcb_evaluation": evaluation},
        }
    raise not_authentic("quote_format", "A report of this kind is not known.")


def _unknown_root(der: bytes) -> SecureFlowError:
    return not_authentic(
        "root",
        Text(
            "The quote's chain ends in the unknown root {sha256}: neither Intel's nor the"
            " SIMULATED one in this agent's own file.",
            sha256=sha256(der).hex(),
        ),
    )


def _simulated_root(pem: str) -> bytes:
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode("utf-8"))
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, x509.InvalidVersion) as error:
        raise _root_refused("it is not a certificate") from error
    if not any("SIMULATED" in str(name.value) for name in names):
        raise _root_refused("its name does not contain SIMULATED")
    return certificate.public_bytes(serialization.Encoding.DER)


def _root_refused(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "simulated_root_refused",
        Text("The file with the simulated root is refused: {reason}.", reason=reason),
        "Name the root.pem of a simulated platform, or none for real hardware.",
    )
