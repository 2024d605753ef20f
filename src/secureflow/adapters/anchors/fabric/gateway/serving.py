"""The gateway process: requests of the driver come in as lines, answers go out as lines.

    {"id": 1, "do": "open", "target": …, "ca": …, "msp": …, "certificate": …, "key": …, …}
    {"id": 2, "do": "prepare", "args": ["batch", "[…]"]}     → transaction, envelope, payload
    {"id": 3, "do": "submit", "transaction": …, "envelope": …}
    {"id": 4, "do": "status", "transaction": …, "wait": 1.0} → block, code
    {"id": 5, "do": "evaluate", "args": [view, parameters]}  → payload
    {"id": 6, "do": "info" | "block" | "transaction" | "page", …}

Each answer is `{"id", "answer"}` or `{"id", "error": {"status", "words", "reason"}}`, in any order.
The key comes over the pipe and is kept in memory only. The process ends when the driver does, whose
end of the pipe closes then, however it ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

from google.protobuf.message import DecodeError

from .failures import Failure
from .identity import Identity
from .lines import Pipe
from .peer import Peer

MOST: Final = 64
"""Requests at once."""


class Gateway:
    """One identity's view of one chaincode."""

    def __init__(self) -> None:
        self._peer: Peer | None = None

    async def do(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what a request says.

        Raises:
            Failure: why not.
        """
        name = asked["do"]
        if name == "open":
            return await self._open(asked)
        if self._peer is None:
            raise Failure("closed")
        peer, one = self._peer, asked.get
        doing: dict[str, Callable[[], Awaitable[dict[str, Any]]]] = {
            "prepare": lambda: peer.prepare(asked["args"], init=bool(one("init"))),
            "submit": lambda: peer.submit(asked["transaction"], asked["envelope"]),
            "status": lambda: peer.status(asked["transaction"], asked["wait"]),
            "evaluate": lambda: peer.evaluate(asked["args"]),
            "info": peer.info,
            "block": lambda: peer.block(asked["number"]),
            "transaction": lambda: peer.transaction(asked["transaction"]),
            "page": lambda: peer.page(
                *(asked[name] for name in ("start", "after", "height", "limit", "quiet", "near"))
            ),
        }
        return await doing[name]()

    async def close(self) -> None:
        """Close what is open."""
        if self._peer is not None:
            await self._peer.close()

    async def _open(self, asked: dict[str, Any]) -> dict[str, Any]:
        await self.close()
        identity = Identity(asked["msp"], asked["certificate"].encode(), asked["key"].encode())
        client = asked.get("client")
        self._peer = Peer(
            asked["target"],
            asked["ca"].encode(),
            asked["host"],
            (client[0].encode(), client[1].encode()) if client else None,
            identity,
            asked["channel"],
            asked["chaincode"],
            asked["patience"],
        )
        return {}


async def serve() -> None:
    """Answer requests until the driver is gone."""
    pipe, gateway = Pipe(), Gateway()
    free = asyncio.Semaphore(MOST)
    running: set[asyncio.Task[None]] = set()

    async def answer(asked: dict[str, Any]) -> None:
        try:
            told = {"id": asked["id"], "answer": await gateway.do(asked)}
        except Failure as failure:
            told = {"id": asked["id"], "error": failure.json()}
        except (KeyError, TypeError, ValueError, AttributeError, DecodeError) as error:
            told = {"id": asked["id"], "error": {"status": "request", "words": repr(error)[:200]}}
        finally:
            free.release()
        await pipe.send(told)

    while isinstance(asked := await pipe.line(), dict):
        await free.acquire()
        task = asyncio.create_task(answer(asked))
        running.add(task)
        task.add_done_callback(running.discard)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await gateway.close()


def main() -> None:
    """Run until standard input ends."""
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        try:
            asyncio.run(serve())
        except ValueError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(2)
