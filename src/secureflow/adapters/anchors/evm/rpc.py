"""JSON-RPC 2.0 to one node over HTTP: bounded, in batches, and nothing else than what we need.

An answer is read up to a limit as it comes and parsed strictly; redirects, proxies of the
environment and compressed answers are refused. Filters at the node are never used: they vanish.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from secureflow.adapters.anchors.evm.faults import (
    MOST_SHOWN,
    NodeFault,
    told,
    too_much,
    unavailable,
)
from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MOST: Final = 4 << 20
"""Bytes of an answer."""
MOST_EVENTS: Final = 16 << 20
"""Bytes of an answer with events."""
AT_ONCE: Final = 100
"""Questions in one request."""
Question = tuple[str, Sequence[Any]]


class Rpc:
    """Asks one node.

    Args:
        url: of the node.
        seconds: for one request, from dialling to the last byte.
        authority: PEM file of the authorities that vouch for it; None: the system's.
        transport: in place of the network, for tests.
    """

    def __init__(
        self,
        url: str,
        seconds: float = 15.0,
        authority: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self._seconds = seconds
        self._authority = authority
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self._making = asyncio.Lock()
        self._ids = itertools.count(1)

    async def ask(self, method: str, *params: Any, most: int = MOST) -> Any:
        """Return the answer to one question.

        Raises:
            NodeFault: the node answers with an error.
            InfrastructureError: `anchor_unavailable`.
        """
        return one_of((await self.all([(method, params)], most))[0])

    async def all(self, questions: Sequence[Question], most: int = MOST) -> list[Any]:
        """Return the answers to many questions in their order; an error is a `NodeFault` in it.

        Raises:
            InfrastructureError: `anchor_unavailable`.
        """
        found: list[Any] = []
        for begin in range(0, len(questions), AT_ONCE):
            found += await self._some(questions[begin : begin + AT_ONCE], most)
        return found

    async def known(self, questions: Sequence[Question], most: int = MOST) -> list[Any]:
        """As `all`; an error of the node is an `anchor_unavailable`."""
        found = await self.all(questions, most)
        for one in found:
            if isinstance(one, NodeFault):
                raise told(one) from one
        return found

    async def close(self) -> None:
        """Close its connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _some(self, questions: Sequence[Question], most: int) -> list[Any]:
        ids = [next(self._ids) for _ in questions]
        asked = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
            for number, (method, params) in zip(ids, questions, strict=True)
        ]
        alone = len(asked) == 1
        answer = await self._sent(json.dumps(asked[0] if alone else asked).encode(), most)
        said = [answer] if alone else answer
        if isinstance(said, dict) and isinstance(fault := _meant(said), NodeFault):
            raise told(fault)  # the batch as a whole is refused
        if not isinstance(said, list) or len(said) != len(asked):
            raise unavailable("it does not answer every question")
        by_id = {one["id"]: one for one in said if _is_answer(one)}
        if set(by_id) != set(ids):
            raise unavailable("it does not answer every question, or one twice")
        return [_meant(by_id[number]) for number in ids]

    async def _sent(self, body: bytes, most: int) -> Any:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        try:
            async with asyncio.timeout(self._seconds):
                client = await self._connected()
                async with client.stream(
                    "POST", self._url, content=body, headers=headers
                ) as answer:
                    status = answer.status_code
                    read = await _read(answer, most)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            # asyncio's TimeoutError is an OSError
            reason = Text("it is not reached ({kind})", kind=type(error).__name__)
            raise unavailable(reason) from error
        if status != httpx.codes.OK and not read.startswith((b"{", b"[")):
            raise unavailable(Text("status {status}", status=status))
        try:
            return parse_json(read, most)
        except SecureFlowError as error:
            raise unavailable("it is not JSON") from error

    async def _connected(self) -> httpx.AsyncClient:
        async with self._making:
            if self._client is None:
                self._client = httpx.AsyncClient(
                    verify=await asyncio.to_thread(self._trust),
                    trust_env=False,
                    follow_redirects=False,
                    timeout=self._seconds,
                    limits=httpx.Limits(max_connections=8, max_keepalive_connections=4),
                    transport=self._transport,
                )
            return self._client

    def _trust(self) -> ssl.SSLContext:
        if self._url.startswith("http:"):
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody
        try:
            cafile = str(self._authority) if self._authority else None
            context = ssl.create_default_context(cafile=cafile)
        except OSError as error:  # that of TLS too
            raise SecureFlowError(
                "invalid_ca",
                Text("{path} does not hold PEM certificates.", path=self._authority),
                "Name the file of the authorities that vouch for the node.",
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def one_of(answer: Any) -> Any:
    """Return an answer.

    Raises:
        NodeFault: it is one.
    """
    if isinstance(answer, NodeFault):
        raise answer
    return answer


async def _read(answer: httpx.Response, most: int) -> bytes:
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise unavailable("it is compressed although that was not asked for")
    read = bytearray()
    async for part in answer.aiter_raw():
        read += part
        if len(read) > most:
            raise too_much(Text("it has more than {most} bytes", most=most))
    return bytes(read)


def _is_answer(value: Any) -> bool:
    return isinstance(value, dict) and type(value.get("id")) is int


def _meant(answer: dict[str, Any]) -> Any:
    if (error := answer.get("error")) is None:
        return answer.get("result")
    if not isinstance(error, dict):
        return NodeFault(0, "")
    number, said, data = error.get("code"), error.get("message"), error.get("data")
    return NodeFault(
        number if type(number) is int else 0,
        said[:MOST_SHOWN] if isinstance(said, str) else "",
        _bytes(data),
    )


def _bytes(data: Any) -> bytes:
    if isinstance(data, dict):
        data = data.get("data")
    if not isinstance(data, str) or not data.startswith("0x"):
        return b""
    try:
        return bytes.fromhex(data[2:])
    except ValueError:
        return b""
