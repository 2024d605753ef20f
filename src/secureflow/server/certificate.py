"""The server's own certificate: issued by its own CA, renewed while it serves."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from pathlib import Path

from secureflow.adapters.link import SERVER_NAME, CredentialFiles
from secureflow.kit.atomic import write_atomically
from secureflow.kit.certchains import issued_by
from secureflow.kit.clock import Clock
from secureflow.kit.keyfiles import KeyFiles
from secureflow.kit.logging import get_logger
from secureflow.kit.pki import SERVER_LIFE, Authority, make_csr, new_link_key
from secureflow.kit.spiffe import SpiffeId
from secureflow.kit.tlskeys import load_chain

CHECK_SECONDS = 60.0

_log = get_logger(__name__)


class ServerCertificate:
    """The certificate for REST and for the link.

    Args:
        directory: holds `link.pem` and `ca.pem`; made if missing.
        authority: the CA.
        host: the name or address under which clients dial the server.
        clock: unix seconds.
        keys: wraps and unwraps its private key; by default it is plain.
        trusted: PEM of all roots that are trusted while the CA changes; else the authority's.
    """

    def __init__(
        self,
        directory: Path,
        authority: Authority,
        host: str,
        clock: Clock,
        keys: KeyFiles | None = None,
        trusted: str = "",
    ) -> None:
        self._authority = authority
        self._clock = clock
        self._dns, self._ips = _names(host)
        self._directory = directory
        self.credentials = CredentialFiles(directory, keys)
        if not self.credentials.complete:
            key = new_link_key()
            chain = self._issue(make_csr(key))
            CredentialFiles.create(directory, authority.pem, key, chain, keys)
        self._trust(directory / "ca.pem", trusted or authority.pem)
        self.renew_if_due()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._load()

    def renew_if_due(self) -> bool:
        """Replace the certificate if less than a third of its lifetime is left.

        Also one that is not valid yet: it was made while this clock was ahead, and is accepted
        nowhere.
        """
        credentials, now = self.credentials(), self._clock()
        issued = issued_by(credentials.leaf, self._authority.certificate)
        if issued and not credentials.due(now) and now >= credentials.span[0]:
            return False
        self.credentials.install(self._issue(self.credentials.request()), now)
        return True

    def _trust(self, place: Path, trusted: str) -> None:
        """Pin the roots for the clients of the link; the own certificate's stays until renewed."""
        if self.credentials.authority() != trusted:
            write_atomically(place, trusted.encode("ascii"), 0o666)

    def follow(self, trusted: str) -> None:
        """Trust these roots from the next handshake on, and show a certificate of the issuing one.

        Open connections stay.
        """
        self._trust(self._directory / "ca.pem", trusted)
        if self.renew_if_due():
            self._load()

    async def keep_fresh(self) -> None:
        """Renew until cancelled; open connections stay, new handshakes use the new certificate."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                self.renew_if_due()
                if self.credentials().certificate != self._served:  # no matter who renewed it
                    self._load()
                    _log.info("certificate_renewed")
            except Exception:  # noqa: BLE001  the edge of a task: a full disk is emptied in time
                _log.exception("certificate_not_renewed")

    def _issue(self, csr: str) -> str:
        uri = str(SpiffeId(self._authority.trust_domain, "server"))
        return self._authority.issue(
            csr, uri, self._clock(), life=SERVER_LIFE, dns=self._dns, ips=self._ips
        )

    def _load(self) -> None:
        fresh = self.credentials()
        load_chain(self.context, fresh.key + fresh.certificate)
        self._served = fresh.certificate


def _names(host: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the DNS names and addresses of the certificate; loopback is always included."""
    loopback = ("127.0.0.1", "::1")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return tuple(dict.fromkeys((SERVER_NAME, "localhost", host))), loopback
    return (SERVER_NAME, "localhost"), tuple(dict.fromkeys((*loopback, host)))
