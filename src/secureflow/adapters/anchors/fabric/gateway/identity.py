"""Who signs: an MSP id, a certificate and its P-256 key.

Fabric takes ECDSA signatures with s in the lower half of the group's order only (its MSP refuses
others, so that nobody can make a second valid signature of one that is there).
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from fabric_protos.msp import identities_pb2

from .failures import Failure

ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256's group (SEC 2, section 2.4.2)."""
_NONCE: Final = 24


class Identity:
    """A client of the channel.

    Args:
        msp: id of its organisation's MSP.
        certificate: PEM, of the key.
        key: PEM, PKCS #8 or SEC 1, not encrypted.

    Raises:
        Failure: `identity`.
    """

    def __init__(self, msp: str, certificate: bytes, key: bytes) -> None:
        try:
            public = x509.load_pem_x509_certificate(certificate).public_key()
            loaded = serialization.load_pem_private_key(key, None)
        except (ValueError, TypeError) as error:
            raise Failure("identity", "certificate or key cannot be read") from error
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or loaded.curve.name != "secp256r1":
            raise Failure("identity", "the key is not on P-256")
        if loaded.public_key() != public:
            raise Failure("identity", "the certificate is another key's")
        self._key = loaded
        made = identities_pb2.SerializedIdentity(mspid=msp, id_bytes=certificate)
        self.creator: bytes = made.SerializeToString()

    def sign(self, message: bytes) -> bytes:
        """Return a signature with low s (DER)."""
        r, s = utils.decode_dss_signature(self._key.sign(message, ec.ECDSA(hashes.SHA256())))
        return utils.encode_dss_signature(r, s if s <= ORDER // 2 else ORDER - s)

    def named(self) -> tuple[str, bytes]:
        """Return a new transaction's id and the nonce that it is made of."""
        nonce = os.urandom(_NONCE)
        return hashlib.sha256(nonce + self.creator).hexdigest(), nonce
