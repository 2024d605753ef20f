"""A receiver with a certificate for `hook.example`, and what a webhook's notifier needs."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from secureflow.domain.deliveries import Delivery
from secureflow.kit.pki import Authority
from secureflow.server.certificate import ServerCertificate


@dataclass(frozen=True)
class Tls:
    """A server's context, and the file of the CA that vouches for it."""

    context: ssl.SSLContext
    ca: Path


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    now, folder = int(time.time()), tmp_path_factory.mktemp("tls")
    authority = Authority.create(folder / "ca", "test.example", now)
    certificate = ServerCertificate(folder / "own", authority, "hook.example", lambda: now)
    ca = folder / "ca.pem"
    ca.write_text(authority.pem)
    return Tls(certificate.context, ca)


@dataclass
class Receiver:
    """Takes requests, and answers each with `answer`; an empty one never answers."""

    answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n"
    requests: list[bytes] = field(default_factory=list)
    port: int = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            size = next(
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            )
            self.requests.append(head + await reader.readexactly(size))
            if self.answer:
                writer.write(self.answer)
                await writer.drain()
            await reader.read()  # until the sender has gone
        except (OSError, asyncio.IncompleteReadError):
            pass  # the sender did not trust us
        finally:
            writer.close()


@pytest.fixture
async def receiver(tls: Tls) -> AsyncIterator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made.take, "127.0.0.1", 0, ssl=tls.context)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    await server.wait_closed()


def delivery(kind: str = "job_failed", **facts: object) -> Delivery:
    return Delivery(
        "dlv_01jf2k", "e/1", "webhook", "whk_1", "bank-a", kind, 1_700_000_000,
        dict(facts), 1, 1,
    )  # fmt: skip
