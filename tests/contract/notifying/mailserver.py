"""A mail server for tests: SMTP with STARTTLS or implicit TLS, and a login (RFC 5321, 3207)."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class MailReceiver:
    """Takes mail.

    Args:
        context: for TLS.
        implicit: TLS from the first byte.
        offers_tls: whether it offers STARTTLS.
        login: `user:password` that it accepts; empty: none is offered.
        refuses: whether it refuses every recipient.
    """

    context: ssl.SSLContext
    implicit: bool = False
    offers_tls: bool = True
    login: str = ""
    refuses: bool = False
    mails: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Sender, recipient, and the message, handed in over TLS."""
    clear: list[str] = field(default_factory=list)
    """Commands that came without TLS."""
    port: int = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[MailReceiver]:
        """Serve inside the block."""
        tls = self.context if self.implicit else None
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        secure, parts = self.implicit, ["", ""]
        try:
            writer.write(b"220 test ESMTP\r\n")
            while line := (await reader.readline()).decode().strip():
                if not secure:
                    self.clear.append(line)
                verb = line.partition(" ")[0].upper()
                if verb == "STARTTLS" and self.offers_tls:
                    writer.write(b"220 go ahead\r\n")
                    await writer.drain()
                    await writer.start_tls(self.context)
                    secure = True
                elif verb == "DATA":
                    writer.write(b"354 go ahead\r\n")
                    message = await reader.readuntil(b"\r\n.\r\n")
                    self.mails.append((parts[0], parts[1], message))
                    writer.write(b"250 taken\r\n")
                else:
                    writer.write(self._answer(line, secure, parts))
                if verb == "QUIT":
                    break
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the sender did not trust us
        finally:
            writer.close()

    def _answer(self, line: str, secure: bool, parts: list[str]) -> bytes:
        verb = line.partition(" ")[0].upper()
        if verb == "EHLO":
            offers = ["STARTTLS"] * (self.offers_tls and not secure)
            offers += ["AUTH PLAIN"] * bool(self.login)
            lines = ["test", *offers]
            return "".join(
                f"250{'-' if n < len(lines) - 1 else ' '}{one}\r\n" for n, one in enumerate(lines)
            ).encode()
        if verb == "STARTTLS":
            return b"502 no\r\n"
        if verb == "QUIT":
            return b"221 bye\r\n"
        if verb == "AUTH":
            given = base64.b64decode(line.split()[2]).decode().split("\0")[1:]
            return b"235 ok\r\n" if ":".join(given) == self.login else b"535 no\r\n"
        if verb == "MAIL":
            parts[0] = line
        if verb == "RCPT":
            parts[1] = line
            if self.refuses:
                return b"550 no\r\n"
        return b"250 ok\r\n"
