"""SGX DCAP quotes v3 as bytes (Intel SGX ECDSA QuoteLibReference, appendix A)."""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from secureflow.adapters.tee._pck import PCE_SVN, QE_MEASUREMENT, QE_SVN, TCB_SVN, raw_signature

INITTED: Final = 0x01
DEBUG: Final = 0x02
MODE64: Final = 0x04
PROVISION_KEY: Final = 0x10

_INTEL_QE_VENDOR: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
_XFRM: Final = 0xE7
_ECDSA_P256: Final = 2
_PCK_CHAIN: Final = 5


def report_body(
    measurement: bytes,
    signer: bytes,
    report_data: bytes,
    *,
    product: int = 0,
    svn: int = 0,
    flags: int = INITTED | MODE64,
) -> bytes:
    """Return the 384-byte report body of an enclave."""
    return b"".join(
        (
            bytes([TCB_SVN]) * 16,
            bytes(32),
            struct.pack("<QQ", flags, 0 if flags & PROVISION_KEY else _XFRM),
            measurement,
            bytes(32),
            signer,
            bytes(96),
            struct.pack("<HH", product, svn),
            bytes(60),
            report_data.ljust(64, b"\0"),
        )
    )


def quote(body: bytes, pck_key: ec.EllipticCurvePrivateKey, pck_chain: bytes) -> bytes:
    """Return the quote of a report body, signed by a fresh attestation key that PCK certifies."""
    attestation_key = ec.generate_private_key(ec.SECP256R1())
    public = attestation_key.public_key().public_bytes(
        Encoding.X962, PublicFormat.UncompressedPoint
    )[1:]
    header = struct.pack("<HHIHH", 3, _ECDSA_P256, 0, QE_SVN, PCE_SVN) + _INTEL_QE_VENDOR
    signed = header + bytes(20) + body
    authentication = bytes(32)
    quoting = report_body(
        QE_MEASUREMENT,
        QE_MEASUREMENT,
        hashlib.sha256(public + authentication).digest(),
        product=1,
        svn=QE_SVN,
        flags=INITTED | PROVISION_KEY,
    )
    signature = b"".join(
        (
            raw_signature(attestation_key, signed),
            public,
            quoting,
            raw_signature(pck_key, quoting),
            struct.pack("<H", len(authentication)),
            authentication,
            struct.pack("<HI", _PCK_CHAIN, len(pck_chain)),
            pck_chain,
        )
    )
    return signed + struct.pack("<I", len(signature)) + signature
