"""Pinning: with a CA file only that CA counts, over a real TLS connection."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from secureflow.cli.doctor import examine
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import Authority, make_csr, new_link_key, private_pem, write_private
from secureflow.sdk import Client, Profile


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        listing = "/parties" in self.path or "/anchors" in self.path
        body = b'{"items": []}' if listing else b'{"id": "usr_00000000", "name": "sam"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(name="served", scope="module")
def _served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Path]]:
    """A TLS server on 127.0.0.1, the CA that vouches for it, and another CA."""
    folder = tmp_path_factory.mktemp("tls")
    now = int(time.time())
    right = Authority.create(folder / "right", "one.example", now)
    Authority.create(folder / "wrong", "one.example", now)
    key = new_link_key()
    chain = right.issue(make_csr(key), "spiffe://one.example/server", now, ips=["127.0.0.1"])
    (folder / "chain.pem").write_text(chain)
    write_private(folder / "key.pem", private_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    http = HTTPServer(("127.0.0.1", 0), Handler)
    http.socket = context.wrap_socket(http.socket, server_side=True)
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    url = f"https://127.0.0.1:{http.server_address[1]}"
    yield url, folder / "right" / "ca.pem", folder / "wrong" / "ca.pem"
    http.shutdown()
    http.server_close()


def test_the_pinned_ca_is_trusted(served: tuple[str, Path, Path]) -> None:
    url, right, _ = served
    with Client(url, "sft_x", right) as client:
        assert client.me().name == "sam"
    known = Profile(url, str(right), "sft_x")
    findings = list(examine(known))
    assert all(one["ok"] for one in findings), findings[-1]


@pytest.mark.parametrize("pinned", [False, True])
def test_any_other_ca_is_not(served: tuple[str, Path, Path], pinned: bool) -> None:
    url, _, wrong = served
    with (
        Client(url, "sft_x", wrong if pinned else None) as client,
        pytest.raises(SecureFlowError) as caught,
    ):
        client.me()
    assert caught.value.code == "server_untrusted"
    findings = list(examine(Profile(url, str(wrong), "sft_x")))
    assert (findings[-1]["check"], findings[-1]["code"]) == ("TLS", "server_untrusted")


def test_the_name_must_be_the_certificates(served: tuple[str, Path, Path]) -> None:
    url, right, _ = served
    with (
        Client(url.replace("127.0.0.1", "localhost"), "sft_x", right) as client,
        pytest.raises(SecureFlowError) as caught,
    ):
        client.me()
    assert caught.value.code == "server_untrusted"
