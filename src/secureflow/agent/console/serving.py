"""The process of the owner's page.

It holds no key of the agent, reads nothing of its folder but the settings file (where it may), and
speaks to it over the control socket alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from secureflow.agent.console.app import build_app
from secureflow.agent.console.guards import MAX_HEADER
from secureflow.agent.console.protocol import PageProtocol
from secureflow.agent.consolesettings import ConsoleSettings, address_of
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.listening import listening_socket
from secureflow.kit.logging import process_logging
from secureflow.kit.oserrors import reason_of
from secureflow.kit.process import run_until_stopped
from secureflow.kit.text import Text

BACKLOG: Final = 128
HANDSHAKE_SECONDS: Final = 10.0
GRACE: Final = 2
"""Seconds that open answers have when the process ends."""


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: the process handles signals itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Do not handle signals."""
        yield


def run(settings: ConsoleSettings, agent: Path, ready: Callable[[str], None]) -> None:
    """Serve the page until SIGTERM or SIGINT.

    Args:
        settings: of the page.
        agent: the control socket.
        ready: is told the address once it is served.

    Raises:
        SecureFlowError: `address_unavailable`, `invalid_settings`.
    """
    with process_logging("console"):
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        run_until_stopped(serve(settings, agent, ready))


async def serve(settings: ConsoleSettings, agent: Path, ready: Callable[[str], None]) -> None:
    """Serve the page until cancelled; see `run`."""
    encrypted = certificate_of(settings)
    with listening(settings) as listener:
        port = listener.getsockname()[1]
        config = configured(build_app(settings, agent, port))
        server, loop = _Server(config), asyncio.get_running_loop()
        accepting = await loop.create_server(
            lambda: PageProtocol(config, server.server_state, {}),
            sock=listener,
            ssl=encrypted,
            ssl_handshake_timeout=None if encrypted is None else HANDSHAKE_SECONDS,
        )
        serving = asyncio.create_task(server.serve([]))
        ready(address_shown(settings, port))
        try:
            await asyncio.shield(serving)
        finally:
            accepting.close()
            server.should_exit = True
            await serving


def configured(app: ASGIApp) -> uvicorn.Config:
    """Return what uvicorn serves, and within which limits."""
    config = uvicorn.Config(
        app,
        http=PageProtocol,
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


def certificate_of(settings: ConsoleSettings) -> ssl.SSLContext | None:
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
                "The certificate {path} of the owner's page cannot be used: {reason}.",
                path=settings.tls_certificate,
                reason=reason_of(error) if isinstance(error, OSError) else error,
            ),
            "Give the chain as PEM in tls_certificate, and its key, unencrypted, in tls_key.",
        ) from error
    return context


def _no_passphrase() -> str:
    message = "its key has a passphrase"
    raise ValueError(message)


def listening(settings: ConsoleSettings) -> socket.socket:
    """Return a listening socket.

    Raises:
        SecureFlowError: `address_unavailable`.
    """
    host, port = address_of(settings.listen)
    try:
        return listening_socket(host, port, BACKLOG)
    except OSError as error:
        raise SecureFlowError(
            "address_unavailable",
            Text(
                "The owner's page cannot listen on {listen}: {reason}.",
                listen=settings.listen,
                reason=reason_of(error),
            ),
            "Stop the other process on this port, or choose another: --listen 127.0.0.1:8766",
        ) from error


def address_shown(settings: ConsoleSettings, port: int) -> str:
    """Return the address that people open."""
    scheme = "https" if settings.encrypted else "http"
    named = settings.allowed_hosts[0] if settings.allowed_hosts else ""
    host = named or address_of(settings.listen)[0]
    if not named and ":" in host:
        host = f"[{host}]"
    ported = named and ":" in named.rpartition("]")[2]
    return f"{scheme}://{host}/" if ported else f"{scheme}://{host}:{port}/"
