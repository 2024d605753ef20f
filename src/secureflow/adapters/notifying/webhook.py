"""Posts notifications to webhooks: signed, over verified TLS, to an address that was checked.

What is sent holds ids, codes, counts and times only. No redirect is followed, no proxy of the
environment is used, no more than the status of the answer is read, and all of it is bounded in
time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit, urlunsplit

from secureflow.adapters.notifying.addresses import Network, Resolver, allowed_address, resolve
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.domain.deliveries import Delivery
from secureflow.domain.notificationkinds import KINDS
from secureflow.domain.notifications import NotificationKind
from secureflow.domain.webhooksignatures import DELIVERY_HEADER, SIGNATURE_HEADER, sign_webhook
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.kit.version import __version__

if TYPE_CHECKING:
    import httpx

DOUBT_SECONDS: Final = 5.0
"""How long a name may take to be found when a webhook is made."""
TIMEOUT: Final = 10.0
"""Seconds for each of connecting, sending and waiting for the status."""
LONGEST: Final = 20.0
"""Seconds for all of it: an answer may come byte by byte."""


class Opener(Protocol):
    """Opens what was sealed."""

    def open(self, sealed: str, belongs: str) -> str:
        """Return the secret."""


class WebhookPoster:
    """Posts signed bodies.

    Args:
        clock: dates signatures.
        networks: beside public addresses, where webhooks may lead.
        ca: PEM file of the CAs to trust; None: the system's.
        resolver: resolves names.
        transport: in place of the network, for tests.
    """

    def __init__(
        self,
        clock: Clock,
        networks: Sequence[Network] = (),
        ca: Path | None = None,
        resolver: Resolver = resolve,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._networks = tuple(networks)
        self._ca = ca
        self._context: ssl.SSLContext | None = None
        self._resolver = resolver
        self._transport = transport

    async def post(self, url: str, secret: str, delivery: str, body: bytes) -> None:
        """Post one delivery.

        Raises:
            SecureFlowError: `address_refused`, `delivery_failed`.
        """
        import httpx  # who posts to no webhooks never loads it

        signature = sign_webhook(secret, delivery, body, self._clock())
        request = await self._request(url, delivery, body, signature)
        try:
            async with asyncio.timeout(LONGEST), self._client() as client:
                response = await client.send(request, stream=True)
                status = response.status_code
                await response.aclose()
        except (httpx.TimeoutException, TimeoutError):
            raise _failed("it took too long") from None
        except (httpx.HTTPError, OSError) as error:
            raise _failed(_reason(error)) from None
        if not 200 <= status < 300:
            raise _failed(Text("it answered with status {status}", status=status))

    async def doubt(self, url: str) -> SecureFlowError | None:
        """Return why nothing can be posted to a URL at present; None if something can."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        try:
            async with asyncio.timeout(DOUBT_SECONDS):
                await allowed_address(host, port, self._networks, self._resolver)
        except SecureFlowError as error:
            return error
        except TimeoutError:
            return _failed("its name was not found in time")
        return None

    async def _request(
        self, target: str, delivery: str, body: bytes, signature: str
    ) -> httpx.Request:
        import httpx

        parts = urlsplit(target)
        host, port = parts.hostname or "", parts.port or 443
        address = await allowed_address(host, port, self._networks, self._resolver)
        dialled = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        named = f"[{host}]" if ":" in host else host
        headers = {
            "Host": named if port == 443 else f"{named}:{port}",
            "Content-Type": "application/json",
            "User-Agent": f"SecureFlow/{__version__}",
            DELIVERY_HEADER: delivery,
            SIGNATURE_HEADER: signature,
        }
        url = urlunsplit(("https", dialled, parts.path or "/", parts.query, ""))
        # The certificate must be the name's, though its address is dialled.
        return httpx.Request(
            "POST",
            url,
            headers=headers,
            content=body,
            extensions={"sni_hostname": host, "timeout": httpx.Timeout(TIMEOUT).as_dict()},
        )

    def _client(self) -> httpx.AsyncClient:
        import httpx

        if self._context is None:
            self._context = ssl.create_default_context(cafile=self._ca)
        return httpx.AsyncClient(
            verify=self._context,
            transport=self._transport,
            follow_redirects=False,
            trust_env=False,
        )


class WebhookNotifier:
    """`application.ports.notifications.Notifier` by HTTPS POST.

    Args:
        begin: reads the webhook of a delivery.
        opener: opens its signing secret.
        poster: posts.
    """

    def __init__(self, begin: UnitOfWorkFactory, opener: Opener, poster: WebhookPoster) -> None:
        self._begin = begin
        self._opener = opener
        self._poster = poster

    async def deliver(self, delivery: Delivery) -> None:
        """Post one delivery.

        Raises:
            SecureFlowError: `not_found`, `key_unreadable`, `address_refused`, `delivery_failed`.
        """
        async with self._begin() as work:
            webhook = await work.webhooks.get(delivery.target)
        secret = self._opener.open(webhook.secret, webhook.id)
        body = body_of(delivery, KINDS[delivery.kind])
        await self._poster.post(webhook.url, secret, delivery.id, body)


def body_of(delivery: Delivery, kind: NotificationKind) -> bytes:
    """Return the JSON that is posted: the same in every try."""
    return canonical_bytes(
        {
            "id": delivery.id,
            "kind": kind.name,
            "severity": kind.severity.value,
            "at": delivery.at,
            "organisation": delivery.organisation,
            "facts": kind.checked(delivery.facts),
            "link": kind.link(kind.checked(delivery.facts)),
        }
    )


def _reason(error: Exception) -> str:
    """Return why nothing came back, in our own words: an answer's are the receiver's."""
    text = str(error).lower()
    if "certificate" in text or "ssl" in text:
        return "its TLS certificate is not valid for its name"
    return "it cannot be reached"


def _failed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "delivery_failed",
        Text("The webhook's receiver did not take the delivery: {reason}.", reason=reason),
        "Check the receiver; a delivery is tried again under the same id.",
    )
