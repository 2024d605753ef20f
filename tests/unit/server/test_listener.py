"""How REST's door takes connections in."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from typing import Any

from secureflow.kit.logging import get_logger
from secureflow.kit.logthrottle import ThrottledLog
from secureflow.server.connections import Connections
from secureflow.server.listener import Listener
from secureflow.server.settings import ConnectionSettings


async def test_an_answer_in_two_pieces_waits_for_no_acknowledgement() -> None:
    """Without TCP_NODELAY the body of each answer waits 40 ms for the head to be acknowledged."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    faults, limits = ThrottledLog(get_logger(__name__)), ConnectionSettings()
    connections = Connections(limits, time.monotonic, faults)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    protocol: Any = asyncio.Protocol
    listener = Listener(listening, context, protocol, connections, limits, (), faults)
    admitted: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
    listener._admit = lambda taken, _: admitted.set_result(taken)  # type: ignore[method-assign]
    listener.start()
    try:
        with socket.create_connection(listening.getsockname()), await admitted as taken:
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        listener.stop()
