"""Where the page is served, and its process: addresses, certificates, limits of connections."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from secureflow.agent.console import protocol
from secureflow.agent.console.serving import address_shown, certificate_of, listening, serve
from secureflow.agent.consolesettings import (
    ConsoleSettings,
    address_of,
    console_settings,
    outside_settings,
)
from secureflow.agent.settings import AgentSettings
from secureflow.kit.clock import system_clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import Authority, make_csr, new_link_key, private_pem

HEAVY = {"numpy", "grpc", "pyarrow", "sqlalchemy", "cedarpy", "fastapi", "authlib"}


def test_its_process_loads_none_of_what_computes() -> None:
    code = "import sys, secureflow.agent.console.serving; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(ran.stdout.split())


FILES = {"tls_certificate": Path("c.pem"), "tls_key": Path("k.pem")}


@pytest.mark.parametrize(
    "given",
    [
        {"listen": "0.0.0.0:8765"},
        {"listen": "10.0.0.5:8765"},
        {"listen": "[::]:8765"},
        {"listen": "10.0.0.5:8765", "allowed_hosts": ("agent.bank.example",)},
        {"listen": "10.0.0.5:8765", **FILES},
        {"listen": "[2001:db8::1]:8765", **FILES},
        {"tls_certificate": Path("c.pem")},
        {"tls_key": Path("k.pem")},
        {"listen": "agent.bank.example:8765", "allowed_hosts": ("a",), **FILES},
        {"listen": "127.0.0.1"},
        {"listen": "127.0.0.1:99999"},
        {"listen": "unix:/run/x:1"},
        {"allowed_hosts": ("*",)},
        {"allowed_hosts": ("https://agent.bank.example",)},
        {"allowed_hosts": ("a b",)},
        {"listening": "127.0.0.1:1"},
    ],
    ids=str,
)
def test_an_address_that_others_reach_needs_a_certificate_and_a_name(given: Any) -> None:
    with pytest.raises(ValidationError):
        ConsoleSettings(**given)
    with pytest.raises(SecureFlowError) as error:
        console_settings(given)
    assert error.value.code == "invalid_settings"


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.9.9.9:1", "[::1]:8765", "localhost:8765"])
def test_this_machine_alone_needs_nothing(listen: str) -> None:
    assert not ConsoleSettings(listen=listen).encrypted


def test_with_a_certificate_and_a_name_others_may_reach_it() -> None:
    given = ConsoleSettings(listen="0.0.0.0:8443", allowed_hosts=("Agent.bank.example",), **FILES)
    assert given.allowed_hosts == ("agent.bank.example",)
    assert address_shown(given, 8443) == "https://agent.bank.example:8443/"
    proxied = given.model_copy(update={"allowed_hosts": ("agent.bank.example:443",)})
    assert address_shown(proxied, 8443) == "https://agent.bank.example:443/"
    assert address_shown(ConsoleSettings(listen="[::1]:0"), 9) == "http://[::1]:9/"
    assert address_of("localhost:7") == ("127.0.0.1", 7)


def test_settings_come_from_the_file_or_from_the_environment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_AGENT__CONSOLE__LISTEN", "127.0.0.1:7001")
    assert outside_settings().listen == "127.0.0.1:7001"
    file = tmp_path / "agent.yaml"
    file.write_text(
        "organisation: bank-a\nserver: https://c.example\nlink: c.example:1\n"
        "trust_domain: x.example\n"
        "console: {listen: '127.0.0.1:7000', tls_certificate: c.pem, tls_key: k.pem}\n"
    )
    read = AgentSettings.load(file).console
    assert (read.listen, read.tls_certificate) == ("127.0.0.1:7001", tmp_path / "c.pem")
    monkeypatch.setenv("SECUREFLOW_AGENT__CONSOLE__LISTEN", "0.0.0.0:7001")
    with pytest.raises(SecureFlowError) as error:
        outside_settings()
    assert error.value.code == "invalid_settings"


def test_a_port_that_is_taken_and_a_certificate_that_is_none_are_named(tmp_path: Path) -> None:
    with listening(ConsoleSettings(listen="127.0.0.1:0")) as first:
        taken = ConsoleSettings(listen=f"127.0.0.1:{first.getsockname()[1]}")
        with pytest.raises(SecureFlowError) as error:
            listening(taken)
        assert error.value.code == "address_unavailable"
    bad = tmp_path / "c.pem"
    bad.write_text("no certificate")
    for path in (bad, tmp_path / "none.pem"):
        with pytest.raises(SecureFlowError) as error:
            certificate_of(ConsoleSettings(tls_certificate=path, tls_key=path))
        assert error.value.code == "invalid_settings"
        assert str(path) in error.value.message


@contextlib.asynccontextmanager
async def served(settings: ConsoleSettings, agent: Path) -> AsyncIterator[str]:
    """Serve the page of an agent that is away."""
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(settings, agent, told.set_result))
    try:
        yield await told
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_it_is_served_at_the_address_that_it_prints(tmp_path: Path) -> None:
    settings = ConsoleSettings(listen="127.0.0.1:0")
    async with (
        served(settings, tmp_path / "agent.sock") as address,
        httpx.AsyncClient() as client,
    ):
        answer = await client.get(f"{address}api/session")
        assert answer.status_code == 503
        assert answer.json()["code"] == "agent_not_running"
        assert "server" not in answer.headers
        assert (await client.get(f"{address}nowhere")).status_code == 404


async def test_it_is_served_over_https(tmp_path: Path) -> None:
    authority, key = Authority.create(tmp_path, "bank.example", system_clock()), new_link_key()
    uri = "spiffe://bank.example/server"
    chain = authority.issue(make_csr(key), uri, system_clock(), dns=["localhost"])
    files = {name: tmp_path / f"{name}.pem" for name in ("tls_certificate", "tls_key")}
    files["tls_certificate"].write_text(chain)
    files["tls_key"].write_bytes(private_pem(key))
    settings = ConsoleSettings(listen="127.0.0.1:0", **files)
    trust = ssl.create_default_context(cadata=authority.pem)
    async with served(settings, tmp_path / "agent.sock") as address:
        port = httpx.URL(address).port
        assert address == f"https://127.0.0.1:{port}/"
        async with httpx.AsyncClient(verify=trust) as client:
            answer = await client.get(f"https://localhost:{port}/login")
        assert answer.headers["strict-transport-security"]


async def ended(reader: asyncio.StreamReader) -> None:
    """Wait until the page ends a connection, without an answer."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(600):
            assert await reader.read() == b""


async def test_who_sends_no_head_is_hung_up_on_and_none_takes_all_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)
    monkeypatch.setattr(protocol, "MOST", 3)
    async with served(ConsoleSettings(listen="127.0.0.1:0"), tmp_path / "agent.sock") as address:
        port = httpx.URL(address).port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /login HTTP/1.1\r\nHost: ")
        await ended(reader)
        writer.close()
        monkeypatch.setattr(protocol, "HEAD_SECONDS", 60.0)
        many = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await ended(reader)
        for _, one in [*many, (reader, writer)]:
            one.close()
    assert not protocol._open
