"""Certificates, CRLs and TCB collateral in Intel's formats, under a SIMULATED root.

Formats: Intel SGX PCK Certificate and CRL Profile Specification; PCS API v4 (TCB info v3, QE
identity v2). All formats are genuine, so the production verifier runs unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from secureflow.adapters.tee._der import enumerated, identifier, integer, octets, sequence

ROOT_NAME: Final = "SIMULATED SGX Root CA - NOT SECURE"
PLATFORM_NAME: Final = "SIMULATED SGX PCK Platform CA - NOT SECURE"
PCK_NAME: Final = "SIMULATED SGX PCK Certificate - NOT SECURE"
TCB_NAME: Final = "SIMULATED SGX TCB Signing - NOT SECURE"

FMSPC: Final = bytes.fromhex("510510510510")
TCB_SVN: Final = 1
PCE_SVN: Final = 1
QE_MEASUREMENT: Final = b"\x51" * 32
QE_SVN: Final = 1
COLLATERAL_LIFE: Final = timedelta(days=30)
BACKDATED: Final = timedelta(hours=1)

_OID: Final = "1.2.840.113741.1.13.1"
_CERTIFICATE_LIFE: Final = timedelta(days=3650)


def instant(now: int) -> datetime:
    """Return Unix seconds as an aware datetime."""
    return datetime.fromtimestamp(now, UTC)


def raw_signature(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return the 64-byte r ‖ s of an ECDSA P-256/SHA-256 signature."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def certificate(
    subject: str,
    public: ec.EllipticCurvePublicKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: int,
    *,
    ca: bool = False,
    sgx: bytes | None = None,
) -> x509.Certificate:
    """Return one certificate of the chain; `sgx` is the PCK leaf's extension."""
    usage = x509.KeyUsage(not ca, not ca, False, False, False, ca, ca, False, False)
    point = x509.DistributionPoint(
        [x509.UniformResourceIdentifier("https://simulated.invalid/crl")], None, None, None
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(instant(now) - BACKDATED)
        .not_valid_after(instant(now) + _CERTIFICATE_LIFE)
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_authority(issuer_key), critical=False)
        .add_extension(x509.CRLDistributionPoints([point]), critical=False)
    )
    if sgx is not None:
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(_OID), sgx)
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def sgx_extension() -> bytes:
    """Return the PCK certificate's SGX extension: PPID, TCB, PCE id, FMSPC, SGX type."""
    levels = [
        sequence(identifier(f"{_OID}.2.{component}"), integer(TCB_SVN))
        for component in range(1, 17)
    ]
    pce = sequence(identifier(f"{_OID}.2.17"), integer(PCE_SVN))
    svn = sequence(identifier(f"{_OID}.2.18"), octets(bytes([TCB_SVN]) * 16))
    return sequence(
        sequence(identifier(f"{_OID}.1"), octets(b"SIMULATED PPID 0")),
        sequence(identifier(f"{_OID}.2"), sequence(*levels, pce, svn)),
        sequence(identifier(f"{_OID}.3"), octets(bytes(2))),
        sequence(identifier(f"{_OID}.4"), octets(FMSPC)),
        sequence(identifier(f"{_OID}.5"), enumerated(0)),
    )


def crl(
    issuer: str, key: ec.EllipticCurvePrivateKey, now: int, revoked: Iterable[int] = ()
) -> bytes:
    """Return a DER CRL that is valid around now."""
    start = instant(now) - BACKDATED
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(_name(issuer))
        .last_update(start)
        .next_update(start + COLLATERAL_LIFE)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(_authority(key), critical=False)
    )
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(start)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def tcb_info(now: int, status: str, advisories: tuple[str, ...] = ()) -> str:
    """Return TCB info v3 with one level of this status."""
    level = {
        "tcb": {"sgxtcbcomponents": [{"svn": TCB_SVN}] * 16, "pcesvn": PCE_SVN},
        "tcbDate": _dates(now)["issueDate"],
        "tcbStatus": status,
        "advisoryIDs": list(advisories),
    }
    return _json(
        {
            "id": "SGX",
            "version": 3,
            **_dates(now),
            "fmspc": FMSPC.hex(),
            "pceId": "0000",
            "tcbType": 0,
            "tcbEvaluationDataNumber": 1,
            "tcbLevels": [level],
        }
    )


def qe_identity(now: int) -> str:
    """Return QE identity v2 for the simulated quoting enclave."""
    level = {
        "tcb": {"isvsvn": QE_SVN},
        "tcbDate": _dates(now)["issueDate"],
        "tcbStatus": "UpToDate",
    }
    return _json(
        {
            "id": "QE",
            "version": 2,
            **_dates(now),
            "tcbEvaluationDataNumber": 1,
            "miscselect": "00000000",
            "miscselectMask": "FFFFFFFF",
            "attributes": "11" + "00" * 15,
            "attributesMask": "FB" + "FF" * 7 + "00" * 8,
            "mrsigner": QE_MEASUREMENT.hex(),
            "isvprodid": 1,
            "tcbLevels": [level],
        }
    )


def pem(*chain: x509.Certificate) -> str:
    """Return certificates as one PEM text."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in chain).decode("ascii")


def _dates(now: int) -> dict[str, str]:
    start = instant(now) - BACKDATED
    form = "%Y-%m-%dT%H:%M:%SZ"
    return {
        "issueDate": start.strftime(form),
        "nextUpdate": (start + COLLATERAL_LIFE).strftime(form),
    }


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
