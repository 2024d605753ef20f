"""The identity of the peer of a link: checked at the start of every RPC, not only in the handshake.

TLS has verified the chain. Checked here is what TLS cannot know: the trust domain, revocation, a
certificate that expired while its connection stayed open, and the TLS version.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

import grpc.aio
from cryptography import x509

from secureflow.adapters.link.refusals import refuse, refuse_fault
from secureflow.kit.certchains import issued_by
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import RevocationList, SpiffeId, check_leaf, parse_certificate, serial
from secureflow.kit.text import Text

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True)
class PeerIdentity:
    """An authorised peer.

    Args:
        party: the name that jobs use: the organisation, or `enclave`.
        spiffe: from its certificate.
        serial: the certificate's serial number, lowercase hex.
    """

    party: str
    spiffe: SpiffeId
    serial: str


Authorise = Callable[[SpiffeId, str], Awaitable[PeerIdentity]]
"""Maps (SPIFFE id, certificate serial) to a peer; raises `SecureFlowError` for a revoked serial or
an unknown party."""


class Gate:
    """Admits peers to RPCs.

    Args:
        trust_domain: the only one accepted.
        authorise: knows revocations and parties.
        clock: unix seconds.
        intermediate: returns the intermediate that issues the certificates of this link, if one
            does: its root may have others, which vouch for nobody here.
        whose: how people know this process.
    """

    def __init__(
        self,
        trust_domain: str,
        authorise: Authorise,
        clock: Clock,
        intermediate: Callable[[], x509.Certificate | None] = lambda: None,
        whose: str = "The centre",
    ) -> None:
        self._trust_domain = trust_domain
        self._authorise = authorise
        self._clock = clock
        self._intermediate = intermediate
        self._whose = whose

    async def admit(self, context: Context) -> PeerIdentity:
        """Return the peer, or abort the RPC with the reason."""
        try:
            return await self._identify(context)
        except SecureFlowError as error:
            await refuse(context, error)
        except Exception as error:  # noqa: BLE001  the edge of a call: its peer must not read it
            await self.refuse_fault(context, error)

    async def refuse_fault(self, context: Context, error: Exception) -> NoReturn:
        """End the RPC for an exception that is no refusal; see `refusals.refuse_fault`."""
        await refuse_fault(context, error, self._whose)

    def seconds_left(self, context: Context) -> int:
        """Return how long the peer's certificate is still valid."""
        (pem,) = context.auth_context()["x509_pem_cert"]
        return int(_parse(pem).not_valid_after_utc.timestamp()) - self._clock()

    async def _identify(self, context: Context) -> PeerIdentity:
        facts = context.auth_context()
        certificates = tuple(facts.get("x509_pem_cert", ()))
        if len(certificates) != 1:
            raise SecureFlowError(
                "certificate_missing", "The peer presented no certificate.", "Enrol first."
            )
        if tuple(facts.get("ssl_tls_version", ())) != (b"TLSv1.3",):
            raise SecureFlowError("tls_too_old", "The link does not speak TLS 1.3.")
        certificate = _parse(certificates[0])
        now = self._clock()
        spiffe = check_leaf(certificate, self._trust_domain, now, RevocationList())
        by = self._intermediate()
        if by is not None and not _issued_by(certificate, by):
            raise SecureFlowError(
                "certificate_foreign",
                Text("The certificate of {identity} is not issued by this link's CA.",
                     identity=spiffe),
                "Another CA of the same root issued it: enrol with a token of this centre.",
            )  # fmt: skip
        return await self._authorise(spiffe, serial(certificate))


# Parsing costs more than a small RPC; a party uses one certificate for hours.
_issued_by = lru_cache(maxsize=1024)(issued_by)
_parse = lru_cache(maxsize=1024)(lambda pem: parse_certificate(pem.decode("ascii")))
