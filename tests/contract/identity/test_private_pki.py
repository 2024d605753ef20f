"""A provider of a private PKI: only the configured authority vouches for it."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest
from peers.oidcprovider import CLIENT, REDIRECT, SECRET, running

from secureflow.adapters.identity import Client, Fetcher, OidcProvider
from secureflow.kit.clock import system_clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import Authority, make_csr, new_link_key, private_pem, write_private


def served(folder: Path) -> ssl.SSLContext:
    """Make two authorities, `right` and `wrong`; return the TLS of a server under the first."""
    now = int(time.time())
    right = Authority.create(folder / "right", "one.example", now)
    Authority.create(folder / "wrong", "one.example", now)
    key = new_link_key()
    chain = right.issue(make_csr(key), "spiffe://one.example/server", now, ips=["127.0.0.1"])
    (folder / "chain.pem").write_text(chain)
    write_private(folder / "key.pem", private_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    return context


async def test_only_the_configured_authority_vouches_for_the_provider(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("no certificate")
    async with running(tls=served(tmp_path)) as provider:

        async def check(ca: str | None) -> str:
            path = tmp_path / ca if ca else None
            fetcher = Fetcher("sso", frozenset({"127.0.0.1"}), path)
            client = Client(CLIENT, SECRET, REDIRECT, ("openid",))
            port = OidcProvider("SSO", provider.issuer, client, fetcher, system_clock)
            try:
                await port.check()
            except SecureFlowError as error:
                return error.code
            return ""

        assert await check("right/ca.pem") == ""
        for other in ("wrong/ca.pem", None):
            assert await check(other) == "provider_untrusted"
        for unread in ("none.pem", "missing.pem"):
            assert await check(unread) == "invalid_ca"


def test_the_other_name_of_the_host_is_not_the_provider() -> None:
    fetcher = Fetcher("sso", frozenset({"sso.example"}))
    with pytest.raises(SecureFlowError):
        fetcher.allowed("https://sso.example.evil.example/", "issuer")
