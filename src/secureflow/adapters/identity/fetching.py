"""Bounded requests to an identity provider: which hosts, how long, how many bytes.

Nothing that a provider sends is trusted before it is verified: only configured hosts are dialled,
redirects are not followed, an answer is read up to a limit as it comes (compressed ones are
refused: a few bytes may unpack to gigabytes) and parsed strictly.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import httpx

from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

SECONDS: Final = 5.0
"""For one request, from dialling to the last byte."""
MAX_URL: Final = 2048
_URL: Final = re.compile(r"[\x21-\x7e]+")
CENTRE_CHECK: Final = "secureflow server check --providers"


class Fetcher:
    """Fetches JSON from one provider.

    Args:
        name: the provider's, for errors.
        hosts: names that may be dialled, and to which its pages may be sent.
        ca: PEM file of the authorities of a private PKI; None for the system's.
        loopback_http: whether plain http is allowed to this machine: for tests only.
        seconds: for one request.
        proxy: through which the provider is reached, if any.
        check: the command that compares both configurations, for hints.
    """

    def __init__(
        self,
        name: str,
        hosts: frozenset[str],
        ca: Path | None = None,
        *,
        loopback_http: bool = False,
        seconds: float = SECONDS,
        proxy: str | None = None,
        check: str = CENTRE_CHECK,
    ) -> None:
        self.name = name
        self._proxy = proxy
        self._check = check
        self._hosts = hosts
        self._ca = ca
        self._loopback_http = loopback_http
        self._seconds = seconds
        self._context: ssl.SSLContext | None = None

    def allowed(self, url: object, what: str) -> str:
        """Return an endpoint's URL from the provider's description, if it may be used.

        Raises:
            SecureFlowError: `provider_untrusted`.
        """
        if not isinstance(url, str) or len(url) > MAX_URL or not _URL.fullmatch(url):
            raise self.untrusted(Text("its {what} is no URL", what=what))
        parts = _split(url)
        if parts is None or not parts.hostname or "@" in parts.netloc or parts.fragment:
            raise self.untrusted(Text("its {what} is no URL", what=what))
        local = self._loopback_http and _is_this_machine(parts.hostname)
        if parts.scheme != "https" and not (parts.scheme == "http" and local):
            raise self.untrusted(Text("its {what} is not https", what=what))
        if parts.hostname not in self._hosts:
            raise self.untrusted(
                Text("its {what} is on a host that is not among `hosts`", what=what)
            )
        return url

    async def get(
        self, url: str, most: int, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the JSON object at a URL, of at most `most` bytes.

        Raises:
            SecureFlowError: `provider_unreachable`, `provider_untrusted`.
        """
        status, found = await self._send("GET", url, most, dict(headers or {}))
        if status != httpx.codes.OK:
            raise self._status(status)
        return found

    async def post(
        self, url: str, body: str, most: int, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        """Send a form; return status (200, 400 or 401) and the JSON object of the answer.

        Raises:
            SecureFlowError: `provider_unreachable`, `provider_untrusted`.
        """
        sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return await self._send("POST", url, most, sent, body)

    async def _send(
        self, method: str, url: str, most: int, headers: dict[str, str], body: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        headers |= {"Accept": "application/json", "Accept-Encoding": "identity"}
        try:
            async with (
                asyncio.timeout(self._seconds),
                httpx.AsyncClient(
                    verify=await self._trust(url),
                    trust_env=False,
                    proxy=self._proxy,
                    follow_redirects=False,
                    timeout=self._seconds,
                ) as client,
                client.stream(method, url, headers=headers, content=body) as answer,
            ):
                status = answer.status_code
                if status not in {200, 400, 401}:
                    raise self._status(status)
                return status, self._parsed(await self._read(answer, most), most)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            if _unvouched(error):
                raise self.untrusted("no authority that is trusted here vouches for it") from error
            raise self._unreachable() from error  # asyncio's TimeoutError is an OSError

    async def _read(self, answer: httpx.Response, most: int) -> bytes:
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise self.untrusted("it compresses an answer although none was asked for")
        read = bytearray()
        async for part in answer.aiter_raw():
            read += part
            if len(read) > most:
                raise self.untrusted(Text("an answer has more than {most} bytes", most=most))
        return bytes(read)

    def _parsed(self, data: bytes, most: int) -> dict[str, Any]:
        try:
            found = parse_json(data, most)
        except SecureFlowError as error:
            raise self.untrusted("an answer is not JSON") from error
        if not isinstance(found, dict):
            raise self.untrusted("an answer is not a JSON object")
        return found

    async def _trust(self, url: str) -> ssl.SSLContext:
        """Return the context for TLS; reading the system's authorities takes a while."""
        if url.startswith("http:"):
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody
        if self._context is None:
            self._context = await asyncio.to_thread(self._make_context)
        return self._context

    def _make_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=str(self._ca) if self._ca else None)
        except OSError as error:  # that of TLS too
            raise SecureFlowError(
                "invalid_ca",
                Text("{path} does not hold PEM certificates.", path=self._ca),
                "Name the file of the authorities of the provider's PKI in `ca`.",
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def untrusted(self, reason: str) -> SecureFlowError:
        """Return the error for an answer that this provider must not give."""
        return SecureFlowError(
            "provider_untrusted",
            Text(
                "What the identity provider {name} answers is refused: {reason}.",
                name=self.name,
                reason=reason,
            ),
            Text(
                "Tell who runs this; the provider's configuration and the one here are compared "
                "by: {command}",
                command=self._check,
            ),
        )

    def _status(self, status: int) -> SecureFlowError:
        if status >= 500 or status == httpx.codes.TOO_MANY_REQUESTS:
            return self._unreachable()
        if 300 <= status < 400:
            return self.untrusted("it redirects to another address")
        return self.untrusted(Text("it answers with status {status}", status=status))

    def _unreachable(self) -> SecureFlowError:
        return SecureFlowError(
            "provider_unreachable",
            Text("The identity provider {name} does not answer.", name=self.name),
            Text("Try again later; the cause is shown by: {command}", command=self._check),
        )


def _unvouched(error: BaseException | None) -> bool:
    """Tell whether a certificate was refused below an error."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for one that is no number
    except ValueError:
        return None
    return parts


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
