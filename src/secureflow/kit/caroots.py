"""The roots that a party pins: one, or the old and the new one while a centre changes its CA.

A root is added only with a proof: an ECDSA signature by a root that is pinned already over
`"secureflow/v1" ‖ 0x0A ‖ "ca-successor" ‖ 0x0A ‖ SHA-256(DER of the new root)`. The order is that
of their adoption. A root is dropped only once the party's own certificate comes from a later one:
so whoever holds an old root's key cannot have a newer root forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from secureflow.kit.canonical import b64decode, sha256
from secureflow.kit.certchains import MAX_PEM, issuing_path
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import parse_certificate, trust_domain_of
from secureflow.kit.text import Text

MOST: Final = 4
"""Roots that are pinned at the same time."""
_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_SUCCESSOR: Final = b"secureflow/v1\nca-successor\n"
_FORM: Final = serialization.Encoding.PEM


def roots(pem: str) -> list[x509.Certificate]:
    """Parse the roots of a bounded PEM text, the oldest first.

    Raises:
        SecureFlowError: `certificate_malformed`.
    """
    parts = pem.split(_BEGIN)[1:]
    if not parts or len(parts) > MOST or len(pem) > MAX_PEM:
        raise SecureFlowError(
            "certificate_malformed",
            Text(
                "The certificate is malformed: {error}.",
                error=Text("{count} roots", count=len(parts)),
            ),
        )
    return [parse_certificate(_BEGIN + part) for part in parts]


def joined(certificates: Collection[x509.Certificate]) -> str:
    """Return the PEM text of roots."""
    return "".join(one.public_bytes(_FORM).decode("ascii") for one in certificates)


def root_name(certificate: x509.Certificate) -> str:
    """Return the hex SHA-256 of a root's DER bytes, as people compare it."""
    return sha256(certificate.public_bytes(serialization.Encoding.DER)).hex()


def successor_message(certificate: x509.Certificate) -> bytes:
    """Return what an old root's key signs for a new root."""
    return _SUCCESSOR + sha256(certificate.public_bytes(serialization.Encoding.DER))


def issuer_of(
    leaf: x509.Certificate,
    pinned: Collection[x509.Certificate],
    between: Sequence[x509.Certificate] = (),
) -> str:
    """Return the name of the pinned root that vouches for a leaf; empty if none does.

    `between` are the certificates that came with the leaf.
    """
    path = issuing_path(leaf, between, list(pinned))
    return root_name(path[-1]) if path else ""


def with_successor(pinned: str, pem: str, proof: str) -> str:
    """Return the pinned roots (PEM) with a new one that one of them vouches for.

    Raises:
        SecureFlowError: `ca_mismatch` without a valid proof, or for another trust domain;
            `certificate_malformed`.
    """
    known, (new,) = roots(pinned), roots(pem)
    if root_name(new) in map(root_name, known):
        return pinned
    valid = any(_vouches(one, new, proof) for one in known)
    if not valid or len(known) >= MOST or trust_domain_of(new) != trust_domain_of(known[-1]):
        raise SecureFlowError(
            "ca_mismatch",
            Text("The centre shows the CA {found}, which no pinned CA vouches for.",
                 found=root_name(new)),
            "Tell the operator; someone may be between you and the centre.",
        )  # fmt: skip
    return joined([*known, new])


def without_left(
    pinned: str,
    trusted: Collection[str],
    leaf: x509.Certificate,
    between: Sequence[x509.Certificate] = (),
) -> str:
    """Return the pinned roots without those that the centre no longer trusts.

    Only those are dropped that the party's own certificate has left behind.
    """
    known = roots(pinned)
    own = issuer_of(leaf, known, between)
    at = next((n for n, one in enumerate(known) if root_name(one) == own), 0)
    kept = [one for n, one in enumerate(known) if n >= at or root_name(one) in trusted]
    return joined(kept)


def _vouches(old: x509.Certificate, new: x509.Certificate, proof: str) -> bool:
    key = old.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        new.verify_directly_issued_by(new)
        constraints = new.extensions.get_extension_for_class(x509.BasicConstraints).value
        key.verify(b64decode(proof, 256), successor_message(new), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError, TypeError, SecureFlowError, x509.ExtensionNotFound):
        return False
    return constraints.ca
