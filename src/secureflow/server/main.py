"""The server's process: opens the centre, serves REST, and stops within five seconds of SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from secureflow.application.jobs.kind import JobKinds
from secureflow.application.jobs.kinds import JOB_KINDS
from secureflow.domain.exits import exit_code
from secureflow.kit.disk import FULL, Place, writing
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.folder import claim_folder
from secureflow.kit.listening import listening_socket
from secureflow.kit.logging import announce_ready, get_logger, process_logging
from secureflow.kit.logthrottle import ThrottledLog
from secureflow.kit.memory import freeze_loaded, limit_arenas
from secureflow.kit.oserrors import reason_of
from secureflow.kit.plain import shown
from secureflow.kit.process import raise_descriptors, run_until_stopped
from secureflow.kit.text import Text
from secureflow.kit.version import __version__
from secureflow.server.centre import open_centre
from secureflow.server.connections import Connections
from secureflow.server.console.pages import Console
from secureflow.server.listener import Listener
from secureflow.server.protocol import RestProtocol
from secureflow.server.record import serving
from secureflow.server.rest.app import create_app
from secureflow.server.rest.unrouted import ANSWERS
from secureflow.server.room import reserve_of
from secureflow.server.settings import RestSettings, ServerSettings
from secureflow.texts import error_line

STREAM_SECONDS: Final = 1
"""Grace period of open streams when the server stops."""
BACKLOG: Final = 512
OWN_DESCRIPTORS: Final = 256
"""Descriptors reserved for the database, artifacts, child processes and logs."""
MOST_SMALL: Final = 128
"""Minimum number of connections."""

_log = get_logger(__name__)


class _Rest(uvicorn.Server):
    """Uvicorn without its own signal handlers: the process handles signals itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Do not handle signals."""
        yield


async def serve(settings: ServerSettings, kinds: JobKinds = JOB_KINDS) -> None:
    """Serve jobs of these kinds until cancelled.

    Raises:
        SecureFlowError: `data_newer`, `data_version_malformed`, `server_running`,
            `address_unavailable`, or as `open_centre`.
    """
    stop = asyncio.Event()
    settings = fitting(settings, raise_descriptors())
    async with contextlib.AsyncExitStack() as stack:
        with writing(Place(settings.directory, "own files", "the centre")):
            reserve_of(settings).run(lambda: claim_folder(settings.directory))
            stack.enter_context(serving(settings.directory))
        listener = stack.enter_context(_listen(settings))
        centre = await open_centre(settings, stack, stop.is_set, kinds=kinds)
        renewing = asyncio.create_task(centre.certificate.keep_fresh())
        stack.callback(renewing.cancel)
        app = create_app(centre.services, settings.rest)
        setattr(app.state, ANSWERS, Console(settings.rest).answer)
        freeze_loaded()
        rest = f"https://{_literal(settings.host)}:{listener.getsockname()[1]}"
        _announce(settings, {"rest": rest, "link": centre.link})
        await serve_rest(app, settings.rest, centre.certificate.context, listener, stop)


def _announce(settings: ServerSettings, where: dict[str, str]) -> None:
    """Announce readiness to launchers; a full disk there does not stop jobs."""
    facts = {"process": "server", "version": __version__, **where}
    try:
        reserve_of(settings).run(lambda: announce_ready(settings.directory, facts))
    except InfrastructureError as error:
        if error.code != FULL:
            raise
        _log.warning("not_announced", code=error.code, message=error.message)


def run(config: Path, kinds: JobKinds = JOB_KINDS) -> int:
    """Run the process until SIGTERM or SIGINT; return the exit code."""
    limit_arenas()
    try:
        settings = ServerSettings.load(config)
    except SecureFlowError as error:
        sys.stderr.write(f"{shown(error_line(error))}\n")
        return exit_code(error.code)
    log = settings.log
    with process_logging("server", form=log.form, level=log.level, written=error_line) as tell:
        try:
            run_until_stopped(serve(settings, kinds))
        except SecureFlowError as error:
            tell(error)
            return exit_code(error.code)
    return 0


def fitting(settings: ServerSettings, descriptors: int) -> ServerSettings:
    """Return the settings with connections limited by the process's descriptors.

    REST, the link, and everything else (database, artifacts, the accountant) have separate shares,
    so that none of them can starve the others.
    """
    rest, link = settings.rest.connections, settings.link
    free = max(descriptors - OWN_DESCRIPTORS, MOST_SMALL)
    if rest.most + link.max_connections <= free:
        return settings
    most = min(rest.most, free // 2)
    _log.warning("descriptors_few", limit=descriptors, rest_connections=most)
    rest = rest.model_copy(
        update={
            "most": most,
            "unknown": min(rest.unknown, most // 2),
            "of_address": min(rest.of_address, most // 4),
        }
    )
    link = link.model_copy(update={"max_connections": min(link.max_connections, free - most)})
    changed = {"rest": settings.rest.model_copy(update={"connections": rest}), "link": link}
    return settings.model_copy(update=changed)


async def serve_rest(
    app: ASGIApp,
    settings: RestSettings,
    context: ssl.SSLContext,
    listening: socket.socket,
    stop: asyncio.Event,
) -> None:
    """Serve REST on a listening socket until cancelled; `stop` is set before anything closes."""
    config = uvicorn.Config(
        app,
        http=RestProtocol,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,  # the edge reads these headers, from listed proxies only
        server_header=False,
        timeout_graceful_shutdown=STREAM_SECONDS,
    )
    config.load()
    server, faults = _Rest(config), ThrottledLog(_log)
    connections = Connections(settings.connections, time.monotonic, faults)
    listener = Listener(
        listening,
        context,
        lambda place: RestProtocol(config, server.server_state, connections, place),
        connections,
        settings.connections,
        settings.proxies,
        faults,
    )
    serving = asyncio.create_task(server.serve([]))
    listener.start()
    try:
        await asyncio.shield(serving)
    finally:
        stop.set()
        listener.stop()
        server.should_exit = True
        await serving


def _listen(settings: ServerSettings) -> socket.socket:
    """Return a listening socket; early connections wait in its backlog."""
    bind, port = settings.rest.bind, settings.rest.port
    try:
        return listening_socket(bind, port, BACKLOG)
    except OSError as error:
        raise SecureFlowError(
            "address_unavailable",
            Text(
                "REST cannot listen on {bind}:{port}: {strerror}.",
                bind=bind,
                port=port,
                strerror=reason_of(error),
            ),
            "Stop the other process on this port, or set rest.port (0 picks a free one).",
        ) from error


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host else host
