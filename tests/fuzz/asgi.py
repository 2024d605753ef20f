"""One request to an ASGI app, byte by byte as it came, without a server or a client around it."""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

PATIENCE = 60.0
"""Seconds for one answer: none takes one."""


@dataclass
class Asked:
    """A request. `path` and `query` are percent-encoded; header names are in small letters."""

    method: str
    path: str
    query: str = ""
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    body: bytes = b""
    parts: int = 1

    def whole(self) -> bytes:
        """Return everything of it that an answer may repeat, as text that is not encoded."""
        return b"\n".join((unquote(self.path).encode(errors="replace"), self.body,
                           unquote(self.query).encode(errors="replace")))  # fmt: skip


@dataclass
class Answered:
    """An answer; `crash` is the trace of what the app did not answer itself."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    crash: str = ""


async def send(app: Any, asked: Asked) -> Answered:
    """Return the app's answer. Whoever asks leaves when a stream has begun."""
    answer, begun = Answered(), asyncio.Event()
    chunks = _chunks(asked)

    async def receive() -> dict[str, Any]:
        if chunks:
            return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}
        await begun.wait()
        return {"type": "http.disconnect"}

    async def respond(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {n.decode(): v.decode("latin-1") for n, v in message["headers"]}
        else:
            answer.body += message.get("body", b"")
            begun.set()

    try:
        async with asyncio.timeout(PATIENCE):
            await app(_scope(asked), receive, respond)
    except Exception:  # noqa: BLE001  whatever it is, it is a finding
        answer.crash = traceback.format_exc()[-1500:]
    return answer


def _chunks(asked: Asked) -> list[bytes]:
    if asked.parts <= 1:
        return [asked.body]
    size = max(1, len(asked.body) // asked.parts)
    return [asked.body[at : at + size] for at in range(0, len(asked.body), size)] or [b""]


def _scope(asked: Asked) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "https",
        "path": unquote(asked.path),
        "raw_path": asked.path.encode("ascii", "replace"),
        "query_string": asked.query.encode("ascii", "replace"),
        "root_path": "",
        "headers": [(name.encode(), value) for name, value in asked.headers],
        "client": ("192.0.2.7", 40000),
        "server": ("test", 443),
        "state": {},
    }
