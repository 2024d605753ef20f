"""The server's process: opens the centre, serves REST, stops on SIGTERM within five seconds."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from secureflow.domain.exits import exit_code
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import announce_ready, configure_logging, get_logger
from secureflow.kit.memory import be_frugal, settle
from secureflow.kit.process import run_until_told
from secureflow.kit.version import __version__
from secureflow.server.centre import Centre, open_centre
from secureflow.server.rest.app import create_app
from secureflow.server.settings import ServerSettings

STREAM_SECONDS: Final = 1
"""How long open streams get to end when the server stops."""
BACKLOG: Final = 512

_log = get_logger(__name__)


class _Rest(uvicorn.Server):
    """Uvicorn without its own signal handlers: the process has one place that stops it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone."""
        yield


async def serve(settings: ServerSettings) -> None:
    """Serve until cancelled.

    Raises:
        SecureFlowError: `address_unavailable`, or what `open_centre` raises.
    """
    stop = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        listener = stack.enter_context(_listen(settings))
        centre = await open_centre(settings, stack, stop.is_set)
        renewing = asyncio.create_task(centre.certificate.keep_fresh())
        stack.callback(renewing.cancel)
        app = create_app(centre.services, settings.rest)
        settle()
        announce_ready(
            settings.directory,
            {
                "process": "server",
                "rest": f"https://{_literal(settings.host)}:{listener.getsockname()[1]}",
                "link": centre.link,
                "version": __version__,
            },
        )
        await _serve_rest(app, centre, listener, stop)


def run(config: Path) -> int:
    """Run the process until SIGTERM or SIGINT; return the exit code."""
    be_frugal()
    try:
        settings = ServerSettings.load(config)
        configure_logging("server", form=settings.log.form, level=settings.log.level)
        run_until_told(serve(settings))
    except SecureFlowError as error:
        sys.stderr.write(f"{error}\n")
        return exit_code(error.code)
    return 0


async def _serve_rest(
    app: ASGIApp, centre: Centre, listener: socket.socket, stop: asyncio.Event
) -> None:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,  # else anybody could claim any address, and escape the rates
        server_header=False,
        timeout_graceful_shutdown=STREAM_SECONDS,
    )
    config.load()
    config.ssl = centre.certificate.context
    server = _Rest(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        await asyncio.shield(serving)
    finally:
        stop.set()
        server.should_exit = True
        await serving


def _listen(settings: ServerSettings) -> socket.socket:
    """Return a listening socket; early connections wait in its backlog."""
    bind, port = settings.rest.bind, settings.rest.port
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((bind, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise SecureFlowError(
            "address_unavailable",
            f"REST cannot listen on {bind}:{port}: {error.strerror}.",
            "Stop the other process on this port, or set rest.port (0 picks a free one).",
        ) from error
    return listener


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host else host
