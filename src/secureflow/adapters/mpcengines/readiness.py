"""Waiting for a socket without taking anything from it.

A task that waits in asyncio's `sock_accept` and is cancelled loses the connection that has come
just then: it is open, and nobody has it. Who waits here first, and then takes what is there, has
no await between the two.
"""

from __future__ import annotations

import asyncio
import socket


async def readable(one: socket.socket) -> None:
    """Wait until something can be read, or accepted; others have their turn in any case.

    Args:
        one: non-blocking; nobody else waits for it.
    """
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(one, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(one)
