"""TLS 1.3 between two agents, through memory: anybody may carry the bytes.

Each end has a fresh Ed25519 key and self-signed certificate per channel, and trusts exactly one
certificate, the one that the peer's signed statement pins. The handshake verifies that the peer has
the key of a trusted certificate; the certificate that it used is then compared with the pinned one
byte by byte. Keys exist in memory only: OpenSSL's loader wants a file, which is one in memory.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from secureflow.engines.peers.faults import ChannelFaultError
from secureflow.kit.text import Text
from secureflow.kit.tlskeys import load_chain

LIFE: Final = timedelta(days=2000)
"""A certificate is pinned and used in one attempt; its dates only keep wrong clocks out of it."""
_RECORD: Final = 16 * 1024
"""Plaintext bytes of one TLS record."""


@dataclass(frozen=True)
class ChannelKey:
    """One end's certificate (DER) for one channel, and its private key."""

    certificate: bytes
    private: Ed25519PrivateKey = field(repr=False)


def new_channel_key() -> ChannelKey:
    """Make a key and its self-signed certificate; the name in it says nothing."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "channel between agents")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LIFE)
        .not_valid_after(now + LIFE)
        .sign(key, None)
    )
    return ChannelKey(certificate.public_bytes(serialization.Encoding.DER), key)


class PeerTls:
    """One end of a TLS session without a socket.

    Args:
        own: this end's key and certificate.
        pinned: the only certificate (DER) accepted from the peer.
        client: whether this end begins.

    Raises:
        ChannelFaultError: the pinned certificate cannot be read.
    """

    def __init__(self, own: ChannelKey, pinned: bytes, *, client: bool) -> None:
        self._pinned = pinned
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = _context(own, pinned, client=client)
        self._tls = context.wrap_bio(self._in, self._out, server_side=not client)
        self.done = False
        """Whether the handshake is done and the peer's certificate is the pinned one."""
        self.usable = False
        """Whether something can be written: the handshake is done, and nothing failed since."""

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Take bytes from the peer; yield what they decrypt to.

        Raises:
            ChannelFaultError: they were changed on their way, or are of somebody else.
        """
        self._in.write(data)
        if not self.done:
            self.shake()
        while self.done:
            try:
                plain = self._tls.read(_RECORD)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLError as error:
                self.usable = False
                raise _refused(error) from error
            if not plain:
                raise ChannelFaultError("the peer ended TLS without closing the channel")
            yield plain

    def shake(self) -> None:
        """Go on with the handshake; what it wants sent is in `pull`.

        Raises:
            ChannelFaultError: the peer has not the key of the pinned certificate.
        """
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise _refused(error) from error
        if self._tls.version() != "TLSv1.3" or self._tls.getpeercert(True) != self._pinned:
            raise ChannelFaultError("the peer showed another certificate than its statement names")
        self.done = self.usable = True

    def write(self, plain: bytes) -> None:
        """Encrypt; the result is in `pull`."""
        self._tls.write(plain)

    def pull(self) -> bytes:
        """Return what is to be sent to the peer."""
        return self._out.read()


def _context(own: ChannelKey, pinned: bytes, *, client: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if client else ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    if not client:
        context.num_tickets = 0
    try:
        context.load_verify_locations(cadata=pinned)
    except (ssl.SSLError, ValueError) as error:
        raise ChannelFaultError("the certificate in the peer's statement cannot be read") from error
    pem = b"".join(
        (
            own.private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            ssl.DER_cert_to_PEM_cert(own.certificate).encode("ascii"),
        )
    )
    load_chain(context, pem)
    return context


def _refused(error: ssl.SSLError) -> ChannelFaultError:
    """Return the fault with OpenSSL's own name for it; the rest of its text is a source line."""
    name = (error.reason or "unknown").replace("_", " ").lower()
    return ChannelFaultError(Text("TLS refuses it ({name})", name=name))
