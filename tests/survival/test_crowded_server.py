"""A stranger holds thousands of connections to the real server, and everybody else goes on.

Counts, descriptors, memory and log lines are asserted; `benchmarks/idle_connections.py` measures
the times.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from argon2 import PasswordHasher

from secureflow.adapters.database.engine import Database
from secureflow.domain.ids import new_id
from secureflow.domain.organisations import Organisation
from secureflow.domain.users import Role, User
from secureflow.server.initialise import initialise
from secureflow.server.settings import ServerSettings
from tests.survival.test_server_process import Process

ROOT = Path(__file__).parents[2]
PEOPLE = 300
STRANGER_TLS, STRANGER_HALF = 2000, 200
OF_ADDRESS, LINK = 512, 64
PASSWORD = "correct horse battery"
SMALL = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""A hash says how dear it is: what is tested here are connections."""


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("crowded") / "centre"
    initialise(directory, trust_domain="test.example", rest_port=0, link_port=0)
    config = directory / "server.yaml"
    settings = yaml.safe_load(config.read_text())
    settings["rest"]["connections"] = {
        "of_address": OF_ADDRESS,
        "handshakes_per_second": 10_000,
        # Three hundred clients of one process take turns; and nobody is swept away meanwhile.
        **dict.fromkeys(("handshake_seconds", "header_seconds", "body_seconds"), 300),
    }
    settings["link"]["max_connections"] = LINK
    config.write_text(yaml.safe_dump(settings))
    asyncio.run(_populate(ServerSettings.load(config)))
    return directory


async def _populate(settings: ServerSettings) -> None:
    database = Database(settings.database_url)
    await database.start()
    hashed = SMALL.hash(PASSWORD)
    async with database.begin() as work:
        await work.organisations.add(Organisation("bank-a", "Bank A", 0))
        for n in range(PEOPLE):
            name = f"person-{n}"
            user = User(new_id("usr"), name, name, "bank-a", (Role.AUDITOR,), hashed, 0)
            await work.users.add(user)
        await work.commit()
    await database.close()


@pytest.fixture(scope="module")
def server(centre: Path) -> Iterator[Process]:
    process = Process(centre, centre / "server.log", forked=True)
    yield process
    process.close()


@contextmanager
def besieged(target: str, idle: int, half: int, most: int) -> Iterator[dict[str, int]]:
    command = [sys.executable, "-m", "benchmarks.siege", target, "--address", "127.0.0.1"]
    command += ["--most", str(most)]
    process = subprocess.Popen(
        [*command, "--idle", str(idle), "--half", str(half)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(120)
        process.stdout.close()


def descriptors(server: Process) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


async def _log_in(server: Process, context: ssl.SSLContext) -> list[int]:
    """Let everybody come at once, from the stranger's address, and stay."""
    base = f"{server.facts['rest']}/api/v1"

    async def one(n: int) -> httpx.AsyncClient:
        client = httpx.AsyncClient(verify=context, timeout=None, trust_env=False)
        body = {"name": f"person-{n}", "password": PASSWORD}
        answer = await client.post(f"{base}/login", json=body)
        assert answer.status_code == 200, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        return client

    async def me(client: httpx.AsyncClient) -> httpx.Response:
        try:
            return await client.get(f"{base}/me")
        except httpx.RemoteProtocolError:  # it had been idle, and was closed at this very moment
            return await client.get(f"{base}/me")

    clients = await asyncio.gather(*(one(n) for n in range(PEOPLE)))
    answers = await asyncio.gather(*(me(client) for client in clients))
    for client in clients:
        await client.aclose()
    return [answer.status_code for answer in answers]


def test_three_hundred_people_log_in_beside_two_thousand_idle_connections(
    centre: Path, server: Process
) -> None:
    context = ssl.create_default_context(cafile=str(centre / "ca" / "ca.pem"))
    quiet, size = descriptors(server), server.rss_mb()
    target = server.facts["rest"].removeprefix("https://")
    with besieged(target, STRANGER_TLS, STRANGER_HALF, OF_ADDRESS) as it:
        assert it["open"] <= OF_ADDRESS
        assert descriptors(server) <= quiet + OF_ADDRESS + 8
        assert server.rss_mb() - size < 120
        assert asyncio.run(_log_in(server, context)) == [200] * PEOPLE
    told = (centre / "server.log").read_text()
    assert len(told.splitlines()) < 60, told
    assert "Traceback" not in told


def test_the_links_port_takes_no_more_than_its_share(server: Process) -> None:
    quiet = descriptors(server)
    with besieged(server.facts["link"], 0, 4 * LINK, LINK) as it:
        assert it["open"] <= LINK
        assert descriptors(server) <= quiet + LINK + 8
        assert server.http.get("/healthz").status_code == 200


def test_a_head_that_never_ends_is_not_waited_for(tmp_path: Path) -> None:
    centre = tmp_path / "hasty"
    initialise(centre, trust_domain="test.example", rest_port=0, link_port=0)
    config = centre / "server.yaml"
    settings = yaml.safe_load(config.read_text())
    waits = {"handshake_seconds": 3.0, "header_seconds": 0.5, "body_seconds": 0.5}
    settings["rest"]["connections"] = waits
    config.write_text(yaml.safe_dump(settings))
    hasty = Process(centre, forked=True)
    try:
        host, _, port = hasty.facts["rest"].removeprefix("https://").rpartition(":")
        context = ssl.create_default_context(cafile=str(centre / "ca" / "ca.pem"))
        for said in (
            None,  # not even a handshake
            b"",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow:",
            b"POST /api/v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        ):
            plain = socket.create_connection((host, int(port)), 120)
            talk = plain if said is None else context.wrap_socket(plain, server_hostname=host)
            with talk:
                talk.settimeout(120)
                if said:
                    talk.sendall(said)
                assert ended(talk), said
    finally:
        hasty.stop()


def ended(talk: socket.socket) -> bool:
    """Read until the other end closes, in whatever way."""
    try:
        while talk.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True
