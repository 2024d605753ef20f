"""How calls become requests, and which failures are retried, and when (no IO).

Retried, with jittered back-off: a failed connection always; a lost answer, 429, 502, 503 and 504
only if the call is repeatable (`Call.repeatable`). `Retry-After` is honoured. All tries of a call
together have one deadline (`deadline`).
"""

from __future__ import annotations

import ipaddress
import random
import ssl
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from secureflow.kit.clock import Ticks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import reason_of
from secureflow.kit.text import Text
from secureflow.kit.unpicklable import Unpicklable
from secureflow.kit.version import __version__
from secureflow.sdk import answers, deadline
from secureflow.sdk.calls import Call, Pause, Send, T
from secureflow.sdk.events import Subscription
from secureflow.sdk.renewal import OVER, Keeper, renew
from secureflow.sdk.streaming import Streamed

PREFIX = "/api/v1"
TIMEOUT = httpx.Timeout(60.0, connect=10.0)
"""Seconds without progress; event streams carry keep-alives more often than this."""
TRIES = 5
_PASSING = frozenset({429, 502, 503, 504})
_LONGEST_PAUSE = 30.0
STREAM_TRIES = 20
_LONGEST_STREAM_PAUSE = 5.0


@dataclass
class Connection(Unpicklable):
    """Base URL, bearer token, and the refresh token that continues it (`renewal`).

    `keeper` is where both are kept between programs, if they are. `patience` is how many seconds a
    read may take, including retries; `damaged` is called with the ids of items in lists that the
    server cannot read.
    """

    url: str
    token: str = field(default="", repr=False)
    patience: float = deadline.SECONDS
    ticks: Ticks = time.monotonic
    damaged: Callable[[Sequence[str]], None] | None = None
    refresh: str = field(default="", repr=False)
    keeper: Keeper | None = None

    def __post_init__(self) -> None:
        self.url = self.url.rstrip("/")
        _check_url(self.url)

    def report_damaged(self, keys: Sequence[str]) -> None:
        """Report items that a list leaves out: to the callback, else as a warning."""
        if not keys:
            return
        if self.damaged is not None:
            self.damaged(keys)
            return
        named = ", ".join(keys)
        warnings.warn(f"damaged in the server's record: {named}", UserWarning, stacklevel=3)

    def request(
        self, method: str, path: str, *, extra: dict[str, str] | None = None, **rest: Any
    ) -> httpx.Request:
        """Build a request under the API prefix with our token."""
        common = {"Accept": "application/json", "User-Agent": f"secureflow/{__version__}"}
        headers = httpx.Headers({**common, **(extra or {})})
        if self.token:  # not a local variable: verbose tracebacks would show it
            headers["Authorization"] = f"Bearer {self.token}"
        timeout = {"timeout": TIMEOUT.as_dict()}
        url = self.url + PREFIX + path
        return httpx.Request(method, url, headers=headers, extensions=timeout, **rest)

    def request_of(self, call: Call[Any]) -> httpx.Request:
        """Build a call's request.

        Raises:
            SecureFlowError: `invalid_request` for what JSON cannot represent (NaN, a set).
        """
        extra = {"Idempotency-Key": call.key} if call.key else {}
        body: dict[str, Any] = {} if call.body is None else {"json": call.body}
        if call.content is not None:
            extra["Content-Type"] = "application/octet-stream"
            body = {"content": call.content}
        if isinstance(call.content, Streamed):  # httpx sets these for other bodies
            extra["Content-Length"] = str(call.content.size)
            extra["Host"] = httpx.URL(self.url).netloc.decode()
            body = {"stream": call.content}
        params = {name: value for name, value in call.params.items() if value != ""}
        try:
            return self.request(call.method, call.path, extra=extra, params=params, **body)
        except (TypeError, ValueError) as error:
            raise SecureFlowError(
                "invalid_request",
                Text("The request cannot be written as JSON: {error}.", error=error),
                "Use plain JSON values: finite numbers, valid Unicode text, lists and objects.",
            ) from None  # its frames hold the body

    def events_request(self, subscription: Subscription) -> httpx.Request:
        """Build the request that opens or resumes an event stream; raises `timed_out`."""
        return self._within(subscription, subscription.path, subscription.headers())

    def state_request(self, subscription: Subscription) -> httpx.Request:
        """Build the request for the state of a stream's job; raises `timed_out`."""
        return self._within(subscription, subscription.state_path, {})

    def _within(
        self, subscription: Subscription, path: str, headers: dict[str, str]
    ) -> httpx.Request:
        request = self.request("GET", path, extra=headers)
        timeouts = request.extensions["timeout"]
        longest = min(timeouts["read"], subscription.remaining())
        request.extensions["timeout"] = {**timeouts, "read": longest}
        return request


def exchange(connection: Connection, call: Call[T]) -> Generator[Any, Any, T]:
    """Send a call until it is answered or should not be retried; continue the login if it ended.

    Raises:
        SecureFlowError: the server's error, or `unavailable`, `server_untrusted`.
    """
    token = connection.token
    try:
        return (yield from _tries(connection, call))
    except SecureFlowError as error:
        if error.code not in OVER or not (yield from renew(connection, token)):
            raise
    return (yield from _tries(connection, call))


def renewed(
    connection: Connection, error: SecureFlowError, token: str
) -> Generator[Any, Any, bool]:
    """Continue the login of a stream that was refused with this error; False if that is no way."""
    return error.code in OVER and (yield from renew(connection, token))


def _tries(connection: Connection, call: Call[T]) -> Generator[Any, Any, T]:
    time_left = deadline.Deadline(call.patience(connection.patience), connection.ticks)
    for attempt in range(TRIES):
        last = attempt == TRIES - 1
        wait, requested = pause(attempt), ""
        request = connection.request_of(call)
        request.extensions["timeout"] = time_left.next_try()
        try:
            response: httpx.Response = yield Send(request)
        except httpx.TransportError as error:
            reason = answers.unreachable(error, connection.url, time_left.tried)
            never_arrived = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            worth = (call.repeatable or never_arrived) and reason.code != "server_untrusted"
            if last or not worth or not time_left.allows(wait):
                raise reason from error
        else:
            if response.is_success:
                return call.parse(response)
            if last or not call.repeatable or not _passing(response):
                raise answers.problem(response)
            requested = response.headers.get("Retry-After", "")
            wait = pause(attempt, requested)
            if not time_left.allows(wait, requested):
                raise answers.problem(response)
        yield Pause(wait)
    raise AssertionError  # pragma: no cover - the last try returns or raises


def _passing(response: httpx.Response) -> bool:
    """Tell whether the same request may succeed if it is sent again.

    `fenced`: another server of the platform is answering it now, and keeps the answer.
    """
    return response.status_code in _PASSING or answers.problem(response).code == "fenced"


def has_ended(connection: Connection, subscription: Subscription) -> Generator[Any, Any, bool]:
    """Ask once whether the job of a stream that the server closed has ended.

    A server that shuts down closes it too, and is then away for a while: that counts as another
    break.
    """
    response: httpx.Response = yield Send(connection.state_request(subscription))
    if not response.is_success:
        raise refused(response)
    return subscription.ended(answers.document(response))


def refused(response: httpx.Response) -> Exception:
    """Return the error of a stream that did not open; temporary ones look like a broken link."""
    if response.status_code in _PASSING:
        return httpx.RemoteProtocolError(f"the server answered {response.status_code}")
    return answers.problem(response)


def reopen(subscription: Subscription, url: str, error: httpx.TransportError | None) -> float:
    """Return the seconds before a stream is opened again.

    Raises:
        SecureFlowError: `unavailable` after too many breaks without an event in between,
            `server_untrusted` at once, `timed_out`.
    """
    subscription.remaining()
    subscription.forget_partial()
    subscription.failures += 1
    if error is not None:
        reason = answers.unreachable(error, url)
        if subscription.failures >= STREAM_TRIES or reason.code == "server_untrusted":
            raise reason from error
    return min(pause(subscription.failures), _LONGEST_STREAM_PAUSE, subscription.remaining())


def pause(attempt: int, retry_after: str = "") -> float:
    """Return the seconds before the next try: by `Retry-After`, else 0.2 · 2ⁿ, jittered."""
    if retry_after.isascii() and retry_after.isdecimal():
        return min(float(retry_after), _LONGEST_PAUSE)
    longest = min(0.2 * 2.0 ** min(attempt, 16), _LONGEST_PAUSE)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients, hides nothing


def trust(ca: str | Path | None) -> ssl.SSLContext | bool:
    """Return httpx's `verify`: only the pinned CA file if there is one.

    Raises:
        SecureFlowError: `invalid_ca` if the file cannot be read as PEM certificates.
    """
    if ca is None or not str(ca):
        return True
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(cafile=str(ca))
    except OSError as error:  # ssl.SSLError is one too
        raise SecureFlowError(
            "invalid_ca",
            Text(
                "The CA file {ca} cannot be used: {strerror}.",
                ca=ca,
                strerror=reason_of(error),
            ),
            "Give the PEM file that the server's operator published.",
        ) from error
    return context


def _check_url(url: str) -> None:
    parts = httpx.URL(url)
    if parts.scheme == "https" and parts.host:
        return
    if parts.scheme == "http" and _is_loopback(parts.host):
        return
    raise SecureFlowError(
        "invalid_url",
        Text("{url!r} is not a URL that a token may be sent to.", url=url),
        "Use https://HOST[:PORT] (plain http only to a loopback address).",
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
