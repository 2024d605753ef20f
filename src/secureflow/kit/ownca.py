"""An authority that an organisation brings: judged before a centre issues a certificate by it.

It is a self-signed root made for this centre, or the intermediate that a company's CA gives, with
the certificates above it: from the one that issues up to the root, in this order. Every party pins
the root (gRPC takes no intermediate as an anchor), and the chain travels with each certificate.
Each of them is checked (RFC 5280, 4.2.1 and 6.1: CA, keyCertSign, path length, times, no constraint
in the way). The one that issues names the SPIFFE trust domain (SPIFFE X.509-SVID, 4.1), as a URI in
its subjectAltName. The last check is a handshake in memory by which a server and an agent accept
each other under the root.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from secureflow.kit.certchains import MAX_ISSUERS, parse_chain
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import Authority, make_csr, new_link_key, private_pem
from secureflow.kit.text import Text
from secureflow.kit.tlskeys import load_chain

LEAST_LEFT: Final = timedelta(days=90)
"""A root that ends sooner is refused: every party would have to enrol again."""
_NAME: Final = "centre.secureflow.test"
_Kind = TypeVar("_Kind", bound=x509.ExtensionType)
_BEGIN: Final = "-----BEGIN CERTIFICATE-----"


def own_authority(certificate_pem: str, key_pem: bytes, trust_domain: str, now: int) -> Authority:
    """Return the authority of a certificate and its key, once it is known to serve.

    Args:
        certificate_pem: the certificate that issues, and those above it up to the root.
        key_pem: its private key, PEM, not encrypted.
        trust_domain: SPIFFE trust domain of the consortium.
        now: unix seconds.

    Raises:
        SecureFlowError: `ca_refused` naming what is wrong with it, `certificate_malformed`.
    """
    if certificate_pem.count(_BEGIN) > MAX_ISSUERS:
        raise _refused(Text("the chain is longer than {most} certificates", most=MAX_ISSUERS))
    certificate, *above = parse_chain(certificate_pem, MAX_ISSUERS)
    key = _key(key_pem)
    if key.public_key() != certificate.public_key():
        raise _refused("the key does not belong to it, the first certificate of the file")
    _check_root((certificate, *above)[-1])
    _check_links([certificate, *above])
    for below, one in enumerate((certificate, *above)):
        _check_times(one, now)
        _check_extensions(one, below)
    try:
        authority = Authority(key, certificate, above)
    except (SecureFlowError, x509.ExtensionNotFound, ValueError) as error:
        raise _refused(
            Text("its subjectAltName names no trust domain (URI:spiffe://{domain})",
                 domain=trust_domain)
        ) from error  # fmt: skip
    if authority.trust_domain != trust_domain:
        raise _refused(
            Text("it is of the trust domain {found}, not of {wanted}",
                 found=authority.trust_domain, wanted=trust_domain)
        )  # fmt: skip
    _try_handshake(authority, trust_domain, now)
    return authority


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except TypeError as error:
        raise _refused("its key is encrypted; decrypt it first: openssl pkcs8 -in KEY") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refused("its key cannot be read") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _refused("its key is not ECDSA P-256")
    return key


def _check_root(certificate: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise _refused(
            "its last certificate is no self-signed root: add those above it up to the root"
        ) from error


def _check_links(chain: list[x509.Certificate]) -> None:
    """Refuse a chain in another order, or with a certificate that does not belong to it."""
    for one, by in pairwise(chain):
        try:
            one.verify_directly_issued_by(by)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise _refused(
                "its certificates are not in order: each is issued by the next one of the file"
            ) from error
        if one == by:
            raise _refused("a certificate stands in it twice")


def _check_times(certificate: x509.Certificate, now: int) -> None:
    if not isinstance(
        certificate.signature_hash_algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512
    ):
        raise _refused("its signature is not over SHA-256 or stronger")
    instant = datetime.fromtimestamp(now, UTC)
    if certificate.not_valid_before_utc > instant:
        raise _refused(
            Text("it is valid only from {begin}", begin=certificate.not_valid_before_utc)
        )
    if certificate.not_valid_after_utc < instant + LEAST_LEFT:
        raise _refused(
            Text(
                "it ends at {end}; {days} days have to be left",
                end=certificate.not_valid_after_utc,
                days=LEAST_LEFT.days,
            )
        )


def _check_extensions(certificate: x509.Certificate, below: int) -> None:
    """Refuse constraints under which leaves for servers and clients would not be accepted."""
    basic = _extension(certificate, x509.BasicConstraints)
    if basic is None or not basic.value.ca or not basic.critical:
        raise _refused("it is no CA: basicConstraints=critical,CA:TRUE")
    if basic.value.path_length is not None and basic.value.path_length < below:
        raise _refused(
            Text(
                "its path length allows {allowed} CAs below it, and there are {count}",
                allowed=basic.value.path_length,
                count=below,
            )
        )
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None or not usage.value.key_cert_sign:
        raise _refused("it may not sign certificates: keyUsage=critical,keyCertSign,cRLSign")
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    needed = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    if purposes is not None and not needed <= set(purposes.value):
        raise _refused("its extendedKeyUsage excludes servers or clients")
    if _extension(certificate, x509.NameConstraints) is not None:
        raise _refused("it has nameConstraints, which not every TLS library honours for URIs")


def _extension(certificate: x509.Certificate, kind: type[_Kind]) -> x509.Extension[_Kind] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None
    except ValueError as error:
        raise _refused("its extensions cannot be read") from error


def _try_handshake(authority: Authority, trust_domain: str, now: int) -> None:
    """Let a server and an agent accept each other in memory, each under the authority alone."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        for context, uri, dns in (
            (server, f"spiffe://{trust_domain}/server", [_NAME]),
            (client, f"spiffe://{trust_domain}/org/trial/agent/trial", []),
        ):
            context.load_verify_locations(cadata=authority.pem)
            key = new_link_key()
            chain = authority.issue(make_csr(key), uri, now, dns=dns)
            load_chain(context, private_pem(key) + chain.encode())
        ends = (
            server.wrap_bio(there, back, server_side=True),
            client.wrap_bio(back, there, server_hostname=_NAME),
        )
        waiting = [ends[1].do_handshake, ends[0].do_handshake]
        for _ in range(8):
            waiting = [one for one in waiting if not _done(one)]
        if waiting:
            raise _refused("a trial handshake under it does not end")
    except ssl.SSLError as error:
        raise _refused(
            Text("a trial handshake under it fails: {reason}", reason=error.reason)
        ) from error


def _done(step: Callable[[], object]) -> bool:
    try:
        step()
    except ssl.SSLWantReadError:
        return False
    return True


def _refused(problem: str) -> SecureFlowError:
    return SecureFlowError(
        "ca_refused",
        Text("The certificate authority cannot be used: {problem}.", problem=problem),
        "Make a root for this centre, or have an intermediate made for it; docs/keys.md has the "
        "commands.",
    )
