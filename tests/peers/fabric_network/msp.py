"""Who may do what: certificates of two organisations' CAs, and signatures with low s."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from fabric_protos.msp import identities_pb2
from google.protobuf.message import DecodeError

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Denied(Exception):
    """What a peer says of an identity or a signature that does not hold."""


@dataclass(frozen=True)
class Peer:
    """An organisation's endorsing peer."""

    msp: str
    creator: bytes
    key: Any

    def sign(self, data: bytes) -> bytes:
        """Return a signature with low s."""
        r, s = utils.decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
        return utils.encode_dss_signature(r, min(s, ORDER - s))


class Members:
    """The channel's MSPs.

    Args:
        channel: its name.
        orgs: `{msp, ca, certificate, key}` of each; the last two are its peer's.
    """

    def __init__(self, channel: str, orgs: list[dict[str, str]]) -> None:
        self._channel = channel
        self._authorities = {
            one["msp"]: x509.load_pem_x509_certificate(one["ca"].encode()) for one in orgs
        }
        self.peers = [
            Peer(
                one["msp"],
                identities_pb2.SerializedIdentity(
                    mspid=one["msp"], id_bytes=one["certificate"].encode()
                ).SerializeToString(),
                serialization.load_pem_private_key(one["key"].encode(), None),
            )
            for one in orgs
        ]

    def check(self, creator: bytes, data: bytes, signature: bytes) -> str:
        """Return the MSP of whoever signed.

        Raises:
            Denied: no CA of the channel vouches for it now, or the signature is not its.
        """
        msp, certificate = self._identity(creator)
        refused = Denied(f"access denied: channel [{self._channel}] creator org [{msp}]")
        now = datetime.now(UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise refused
        try:
            certificate.verify_directly_issued_by(self._authorities[msp])
            r, s = utils.decode_dss_signature(signature)
            if s > ORDER // 2:
                raise refused
            key = certificate.public_key()
            assert isinstance(key, ec.EllipticCurvePublicKey)
            key.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError, TypeError) as error:
            raise refused from error
        return msp

    def _identity(self, creator: bytes) -> tuple[str, x509.Certificate]:
        unknown = f"access denied: channel [{self._channel}] creator org unknown, "
        try:
            found = identities_pb2.SerializedIdentity.FromString(creator)
            certificate = x509.load_pem_x509_certificate(found.id_bytes)
        except (DecodeError, ValueError) as error:
            raise Denied(unknown + "creator is malformed") from error
        if found.mspid not in self._authorities:
            raise Denied(unknown + "creator is malformed")
        return found.mspid, certificate


def transaction_id(nonce: bytes, creator: bytes) -> str:
    """Return the id that a transaction must have."""
    return hashlib.sha256(nonce + creator).hexdigest()
