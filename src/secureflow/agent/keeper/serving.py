"""The listener of an agent: HTTPS at the address that its owner opened, within limits."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Generator, Iterable
from typing import ClassVar, Final

import uvicorn

from secureflow.agent.connections import BoundedProtocol
from secureflow.agent.consolesettings import address_of
from secureflow.agent.keeper.app import MAX_HEADER, Endpoint, ListenerApp
from secureflow.agent.witnesssettings import WitnessSettings
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.listening import listening_socket
from secureflow.kit.logging import get_logger
from secureflow.kit.oserrors import reason_of
from secureflow.kit.text import Text

BACKLOG: Final = 128
HANDSHAKE_SECONDS: Final = 10.0
HEAD_SECONDS: Final = 15.0
EXCHANGE_SECONDS: Final = 60.0
MOST: Final = 128
PER_ADDRESS: Final = 16
GRACE: Final = 2
"""Seconds that open answers have when the agent ends."""

_open: Final[Counter[str]] = Counter()
_log = get_logger(__name__)


class ListenerProtocol(BoundedProtocol):
    """One connection."""

    open_now: ClassVar[Counter[str]] = _open

    def most(self) -> tuple[int, int]:
        """See `BoundedProtocol.most`."""
        return MOST, PER_ADDRESS

    def head_seconds(self) -> float:
        """See `BoundedProtocol.head_seconds`."""
        return HEAD_SECONDS

    def exchange_seconds(self) -> float:
        """See `BoundedProtocol.exchange_seconds`."""
        return EXCHANGE_SECONDS


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: the process handles signals itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Do not handle signals."""
        yield


@contextlib.asynccontextmanager
async def listening(settings: WitnessSettings, endpoints: Iterable[Endpoint]) -> AsyncIterator[int]:
    """Serve endpoints while the block runs; yield the port.

    Raises:
        SecureFlowError: `address_unavailable`, `invalid_settings`.
    """
    encrypted = certificate_of(settings)
    app = ListenerApp(endpoints, settings.per_minute, time.monotonic)
    config = _configured(app)
    host, wanted = address_of(settings.listen or "")
    try:
        listener = listening_socket(host, wanted, BACKLOG)
    except OSError as error:
        raise SecureFlowError(
            "address_unavailable",
            Text(
                "The agent cannot listen on {listen}: {reason}.",
                listen=settings.listen,
                reason=reason_of(error),
            ),
            "Stop the other process on this port, or choose another in `witness.listen`.",
        ) from error
    with listener:
        server, loop = _Server(config), asyncio.get_running_loop()
        accepting = await loop.create_server(
            lambda: ListenerProtocol(config, server.server_state, {}),
            sock=listener,
            ssl=encrypted,
            ssl_handshake_timeout=None if encrypted is None else HANDSHAKE_SECONDS,
        )
        serving = asyncio.create_task(server.serve([]))
        port = listener.getsockname()[1]
        _log.info("listening", address=settings.listen, port=port, tls=encrypted is not None)
        try:
            yield port
        finally:
            accepting.close()
            server.should_exit = True
            await serving


def _configured(app: ListenerApp) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=ListenerProtocol,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=2 * MAX_HEADER,
    )
    config.load()
    return config


def certificate_of(settings: WitnessSettings) -> ssl.SSLContext | None:
    """Return the TLS context; None for plain HTTP.

    Raises:
        SecureFlowError: `invalid_settings`.
    """
    if settings.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, _no_passphrase)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise SecureFlowError(
            "invalid_settings",
            Text(
                "The certificate {path} of the witness address cannot be used: {reason}.",
                path=settings.tls_certificate,
                reason=reason_of(error) if isinstance(error, OSError) else error,
            ),
            "Give the chain as PEM in tls_certificate, and its key, unencrypted, in tls_key.",
        ) from error
    return context


def _no_passphrase() -> str:
    message = "its key has a passphrase"
    raise ValueError(message)
