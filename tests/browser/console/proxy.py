"""A reverse proxy that publishes the service under a path, as an operator's would (nginx, Envoy).

It takes the path's beginning away, passes streams on as they come, and speaks TLS on both sides.
"""

from __future__ import annotations

import datetime
import http.client
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding"})


def _handler(prefix: str, upstream: str) -> type[BaseHTTPRequestHandler]:
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE

    class Forward(BaseHTTPRequestHandler):
        def setup(self) -> None:
            self.request.do_handshake()  # here: where links are taken it would hold all others up
            super().setup()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def forward(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            link = http.client.HTTPSConnection(urlsplit(upstream).netloc, context=blind)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
            try:
                link.request(self.command, self.path.removeprefix(prefix), body, headers)
                self.answer(link.getresponse())
            except OSError:
                pass  # the browser went away, or the centre was ended
            finally:
                link.close()
                self.close_connection = True

        def answer(self, answer: http.client.HTTPResponse) -> None:
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.end_headers()
            while part := answer.read1(65536):
                self.wfile.write(part)
                self.wfile.flush()

        do_GET = do_POST = do_PATCH = do_DELETE = do_HEAD = forward

    return Forward


class Proxy(ThreadingHTTPServer):
    """Takes as many links at once as a browser opens."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser leaves when it likes, in a handshake too."""


def _certificate(directory: Path) -> Path:
    """Write a certificate of its own with its key, which the browser is told not to look at."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "proxy")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = directory / "proxy.pem"
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(pem)
    )
    return path


@contextmanager
def proxied(prefix: str, upstream: str, directory: Path) -> Iterator[str]:
    """Publish `upstream` under `prefix`; yield the address, prefix included."""
    server = Proxy(("127.0.0.1", 0), _handler(prefix, upstream))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(directory))
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}{prefix}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
