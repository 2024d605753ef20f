"""The account of a member on a channel: SHA-256 over MSP id and public key of its certificate.

Over the key, because certificates are renewed every year with the key kept, and the member stays
itself; with the MSP id, because only the organisation's own CA may vouch for its key
(`contracts/fabric/lib/identity.js` computes the same).
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from secureflow.kit.errors import SecureFlowError

_ACCOUNT: Final = b"secureflow fabric account v1\0"


def account_of(msp: str, certificate: bytes) -> bytes:
    """Return the account of a certificate (PEM) of an MSP.

    Raises:
        SecureFlowError: `anchor_refused`.
    """
    try:
        key = x509.load_pem_x509_certificate(certificate).public_key()
    except ValueError as error:
        raise SecureFlowError(
            "anchor_refused",
            "The certificate for Fabric cannot be read.",
            "Name a PEM file: the one in signcerts of the member's MSP folder.",
        ) from error
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(_ACCOUNT + msp.encode() + b"\0" + spki).digest()
