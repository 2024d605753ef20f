"""Certificates and chains of them, as foreign text: bounded, parsed, and followed up to a root.

Signatures, the right to issue and path lengths are checked here (RFC 5280, 6.1); times are the
handshake's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_PEM = 16 * 1024
MAX_ISSUERS = 4
"""Certificates from the one that issues leaves up to the root, both included."""
_BEGIN = "-----BEGIN CERTIFICATE-----"

UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.InvalidVersion)
"""What `cryptography` raises on foreign X.509 bytes."""


def parse_certificate(pem: str) -> x509.Certificate:
    """Parse the first certificate of a bounded PEM text.

    Raises:
        SecureFlowError: `certificate_malformed`.
    """
    try:
        return x509.load_pem_x509_certificate(bounded(pem))
    except UNREADABLE as error:
        raise SecureFlowError(
            "certificate_malformed", Text("The certificate is malformed: {error}.", error=error)
        ) from error


def parse_chain(pem: str, most: int) -> list[x509.Certificate]:
    """Parse all certificates of a bounded PEM text: one at least.

    Raises:
        SecureFlowError: `certificate_malformed`, also for more than `most`.
    """
    parts = pem.split(_BEGIN)[1:]
    if len(pem) > MAX_PEM or len(parts) > most:
        raise SecureFlowError(
            "certificate_malformed",
            Text("A chain of certificates is longer than {most}.", most=most),
        )
    return [parse_certificate(_BEGIN + part) for part in parts or [""]]


def issuing_path(
    leaf: x509.Certificate,
    between: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
) -> list[x509.Certificate]:
    """Return the certificates from a leaf up to the anchor that vouches for it; empty if none does.

    Signatures, the right to issue and path lengths are checked here, times in the handshake (RFC
    5280, 6.1). No certificate is used twice, so that no loop is followed.
    """
    path, left = [leaf], list(between)
    while len(path) <= MAX_ISSUERS:
        for anchor in anchors:
            if issued_by(path[-1], anchor, len(path) - 1):
                return [*path, anchor]
        step = next((one for one in left if issued_by(path[-1], one, len(path) - 1)), None)
        if step is None:
            return []
        left.remove(step)
        path.append(step)
    return []


def issued_by(one: x509.Certificate, by: x509.Certificate, below: int = 0) -> bool:
    """Tell whether a CA issued a certificate, `below` CAs standing between it and the leaf."""
    try:
        one.verify_directly_issued_by(by)
        basic = by.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = by.extensions.get_extension_for_class(x509.KeyUsage).value
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    short = basic.path_length is not None and basic.path_length < below
    return basic.ca and usage.key_cert_sign and not short


def issued_chain(pem: str, ca_pem: str) -> str:
    """Return the PEM of a foreign chain's leaf, and of the CAs up to the pinned one of it.

    Only these are returned: anything else in the text (a key, a comment, another certificate)
    never reaches a file.

    Raises:
        SecureFlowError: `certificate_malformed`, `certificate_foreign`.
    """
    leaf, *between = parse_chain(pem, MAX_ISSUERS + 1)
    anchors = [parse_certificate(_BEGIN + one) for one in ca_pem.split(_BEGIN)[1:] or [""]]
    if path := issuing_path(leaf, between, anchors):
        return pem_of(path)
    raise SecureFlowError(
        "certificate_foreign",
        "The certificate that the server sent is not issued by the link's authority.",
        "Tell the operator; someone may be between you and the server.",
    )


def pem_of(certificates: Iterable[x509.Certificate]) -> str:
    """Return certificates as PEM."""
    form = serialization.Encoding.PEM
    return "".join(one.public_bytes(form).decode("ascii") for one in certificates)


def bounded(pem: str) -> bytes:
    """Return the bytes of a PEM text; raises `ValueError` for one that is too long."""
    if len(pem) > MAX_PEM:
        message = f"longer than {MAX_PEM} characters"
        raise ValueError(message)
    return pem.encode("utf-8")
