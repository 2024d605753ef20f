"""HTTP to an address from somebody's own settings, of which no answer is believed to be short.

Redirects, proxies of the environment and compressed answers are refused; an answer has a limit of
bytes and of seconds. Plain HTTP is for this machine alone.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from secureflow.kit.addresses import is_loopback
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:
    import httpx

MAX_URL: Final = 1000
SECONDS: Final = 15.0


@dataclass(frozen=True)
class HttpAnswer:
    """An answer: its status, its media type without parameters, its body."""

    status: int
    type: str
    body: bytes


def check_base(url: str) -> str:
    """Return an address below which one may ask, without its last slash.

    Raises:
        ValueError: it is no https URL (nor an http one of this machine), or has more than a path.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    plain = parts.scheme == "http" and (host == "localhost" or is_loopback(host))
    clean = url.isascii() and url.isprintable() and " " not in url and len(url) <= MAX_URL
    more = parts.query or parts.fragment or "@" in parts.netloc
    if not host or not clean or more or not (parts.scheme == "https" or plain):
        message = "it takes an https URL without user, query and fragment"
        raise ValueError(message)
    return url.rstrip("/")


class BoundedHttp:
    """Asks at one address.

    Args:
        base: as `check_base` returns it.
        authority: PEM file of the authorities that vouch for it; None: the system's.
        seconds: that one question may take in all.
        transport: in place of the network, for tests.
    """

    def __init__(
        self,
        base: str,
        authority: Path | None = None,
        seconds: float = SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base = check_base(base)
        self._authority = authority
        self._seconds = seconds
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self._making = asyncio.Lock()

    async def ask(
        self, method: str, path: str, most: int, body: bytes | None = None, media: str = ""
    ) -> HttpAnswer:
        """Send a request below the address; return the answer, whatever its status.

        Args:
            method: GET or POST.
            path: with its query, from the slash on.
            most: bytes of the answer's body.
            body: of the request.
            media: its type.

        Raises:
            InfrastructureError: `endpoint_unreachable`, also for an answer without end.
            SecureFlowError: `invalid_ca`.
        """
        import httpx  # who asks nobody never loads it

        headers = {"Accept-Encoding": "identity"} | ({"Content-Type": media} if media else {})
        try:
            async with asyncio.timeout(self._seconds):
                client = await self._connected()
                url = self.base + path
                async with client.stream(method, url, headers=headers, content=body) as answer:
                    read = await self._read(answer, most)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            raise self._unreachable(type(error).__name__) from error
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        return HttpAnswer(answer.status_code, kind[:100], read)

    async def close(self) -> None:
        """Close its connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _connected(self) -> httpx.AsyncClient:
        import httpx

        async with self._making:
            if self._client is None:
                self._client = httpx.AsyncClient(
                    verify=await asyncio.to_thread(self._trust),
                    trust_env=False,
                    follow_redirects=False,
                    timeout=self._seconds,
                    limits=httpx.Limits(max_connections=8, max_keepalive_connections=2),
                    transport=self._transport,
                )
            return self._client

    async def _read(self, answer: httpx.Response, most: int) -> bytes:
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise self._unreachable("compressed")
        read = bytearray()
        async for part in answer.aiter_raw():
            read += part
            if len(read) > most:
                raise self._unreachable("too long")
        return bytes(read)

    def _trust(self) -> ssl.SSLContext:
        try:
            cafile = str(self._authority) if self._authority else None
            context = ssl.create_default_context(cafile=cafile)
        except OSError as error:  # that of TLS too
            raise SecureFlowError(
                "invalid_ca",
                Text("{path} does not hold PEM certificates.", path=self._authority),
                "Name the file of the certificate, or of its authority, in `authority`.",
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context

    def _unreachable(self, reason: str) -> InfrastructureError:
        return InfrastructureError(
            "endpoint_unreachable",
            Text("{address} gives no usable answer ({reason}).", address=self.base, reason=reason),
            "Check the address in the settings, and ask its owner whether it runs.",
        )
