"""The real server process: made, started, spoken to over TLS, told to stop, started again."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from secureflow.adapters.database.engine import Database
from secureflow.application.ports.storage import Journalled
from secureflow.domain.jobs import Job, JobState
from secureflow.kit.enrolment import EnrolmentToken
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import Client
from secureflow.server.initialise import initialise
from secureflow.server.settings import ServerSettings
from tests import nursery

START = ("secureflow", "server", "start", "--config")
PAUSE = 100.0
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("centre") / "new"
    made = initialise(directory, trust_domain="test.example", rest_port=0, link_port=0)
    assert made["ca_fingerprint"] == token(directory).ca_fingerprint
    return directory


def token(directory: Path) -> EnrolmentToken:
    return EnrolmentToken.parse((directory / "enclave.token").read_text())


class Process:
    """One run of the server; `facts` is the line that it announced on stdout.

    It starts from nothing here; what is tested elsewhere is not its start, and it is forked there.
    """

    def __init__(
        self, directory: Path, log: Path = Path(os.devnull), *, forked: bool = False
    ) -> None:
        words = (*START, str(directory / "server.yaml"))
        reader, writer = os.pipe()
        self._said = os.fdopen(reader)
        with log.open("w") as told, os.fdopen(writer, "w") as output:
            self.process: subprocess.Popen[bytes] | nursery.Child
            if forked:
                self.process = nursery.Child(words, os.environ, output, told)
            else:
                command = [sys.executable, "-m", *words]
                self.process = subprocess.Popen(command, stdout=output, stderr=told)
        self.facts = json.loads(self._said.readline())
        context = ssl.create_default_context(cafile=str(directory / "ca" / "ca.pem"))
        self.http = httpx.Client(base_url=self.facts["rest"], verify=context, timeout=PAUSE)

    def stop(self) -> tuple[int, float]:
        """Ask to stop; return the exit code and the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PAUSE)
        seconds = time.monotonic() - began
        self.close()
        return code, seconds

    def close(self) -> None:
        """Kill it if it runs, and let go of what ties this process to it."""
        self.process.kill()
        self.process.wait()
        self._said.close()
        self.http.close()

    def rss_mb(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 1e6


@pytest.fixture
def server(centre: Path) -> Iterator[Process]:
    process = Process(centre)
    yield process
    process.close()


def login(server: Process, centre: Path) -> dict[str, str]:
    password = (centre / "admin.password").read_text().strip()
    answer = server.http.post("/api/v1/login", json={"name": "admin", "password": password})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def test_init_keeps_secrets_to_its_owner_and_happens_once(centre: Path) -> None:
    for name in ("admin.password", "enclave.token", "log.key", "ca/ca.key"):
        assert (centre / name).stat().st_mode & 0o777 == 0o600, name
    assert centre.stat().st_mode & 0o777 == 0o700
    before = {path: path.read_bytes() for path in centre.rglob("*") if path.is_file()}
    with pytest.raises(SecureFlowError, match="already_initialised"):
        initialise(centre, trust_domain="test.example")
    assert {path: path.read_bytes() for path in centre.rglob("*") if path.is_file()} == before


def test_it_serves_announces_itself_and_stops_in_time(centre: Path, server: Process) -> None:
    assert json.loads((centre / "ready.json").read_text()) == server.facts
    page = (ROOT / "docs" / "deploy.md").read_text()
    (told,) = re.findall(r'^{"database".*}$', page, re.MULTILINE)
    until(lambda: server.http.get("/readyz").json() == json.loads(told))
    metrics = server.http.get("/metrics").text
    assert [name for name in re.findall(r"`(secureflow_\w+)", page) if name not in metrics] == []
    headers = login(server, centre)
    head = server.http.get("/api/v1/audit/head", headers=headers).json()
    # The first admin and the enclave's invitation; and this login, once it has its number.
    assert head["size"] in {2, 3}
    assert server.rss_mb() < 180
    code, seconds = server.stop()
    assert code == 0
    assert seconds < 60  # it waits for no patience of anybody


def test_what_was_done_is_there_after_a_kill(centre: Path, server: Process) -> None:
    headers = login(server, centre)
    body = {"id": "bank-a", "name": "Bank A"}
    made = server.http.post("/api/v1/organisations", headers=headers, json=body)
    assert made.status_code == 201
    before = server.http.get("/api/v1/audit/head", headers=headers).json()
    server.process.kill()
    server.process.wait()
    again = Process(centre, forked=True)
    try:
        after = again.http.get("/api/v1/audit/head", headers=headers).json()
        assert after["note"] == before["note"]
        found = again.http.get("/api/v1/organisations/bank-a", headers=headers)
        assert found.json()["name"] == "Bank A"
    finally:
        assert again.stop()[0] == 0


def test_broken_rows_stop_neither_the_start_nor_others_nor_a_cancellation(centre: Path) -> None:
    """A job's journal and a job's own row are damaged while the server is off."""
    asyncio.run(put_jobs(centre))
    with closing(sqlite3.connect(centre / "secureflow.db")) as database:
        database.execute("UPDATE journal SET answer = '{' WHERE job = 'job_1'")
        database.execute("UPDATE jobs SET doc = '{' WHERE id = 'job_0'")
        database.commit()
    server = Process(centre, forked=True)
    try:
        headers = login(server, centre)

        def job() -> dict[str, Any]:
            return dict(server.http.get("/api/v1/jobs/job_1", headers=headers).json())

        until(lambda: job()["state"] == "paused")
        assert job()["error"]["code"] == "record_damaged"
        bearer = headers["Authorization"].removeprefix("Bearer ")
        with (
            Client(server.facts["rest"], bearer, centre / "ca" / "ca.pem") as client,
            pytest.raises(SecureFlowError, match="job_paused"),  # though the stream stays open
        ):
            client.jobs.wait("job_1", timeout=PAUSE)
        listed = server.http.get("/api/v1/jobs", headers=headers).json()
        assert ([one["id"] for one in listed["items"]], listed["damaged"]) == (["job_1"], ["job_0"])
        lost = server.http.get("/api/v1/jobs/job_0", headers=headers)
        assert (lost.status_code, lost.json()["code"]) == (500, "record_damaged")
        asked = server.http.post("/api/v1/jobs/job_1/cancel", headers=headers, json={})
        assert asked.status_code == 200, asked.text
        until(lambda: job()["state"] == "cancelled")
        kinds = [
            one["leaf"]["leaf"]["kind"]
            for one in server.http.get(
                "/api/v1/audit/entries", headers=headers, params={"job": "job_1"}
            ).json()["items"]
        ]
        assert kinds.count("job.closed") == 1
    finally:
        assert server.stop()[0] == 0
        with closing(sqlite3.connect(centre / "secureflow.db")) as database:
            database.execute("DELETE FROM jobs WHERE id = 'job_0'")
            database.commit()


async def put_jobs(centre: Path) -> None:
    """Store a running job with a journal and one beside it; nobody takes part in them."""
    spec = {"roster": [], "protection": "secagg"}
    running = Job("job_1", "prj_1", "bank-a", "n", "usr_1", "training", "training/2", spec,
                  "ab" * 32, JobState.RUNNING, 5, 6)  # fmt: skip
    database = Database(ServerSettings.load(centre / "server.yaml").database_url)
    await database.start()
    async with database.begin() as unit:
        await unit.jobs.add(running)
        await unit.jobs.add(replace(running, id="job_0"))
        await unit.journal.append("job_1", [Journalled(0, "ab" * 32, {"a": 1})])
        await unit.commit()
    await database.close()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PAUSE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_old_tls_is_refused(centre: Path) -> None:
    server = Process(centre, forked=True)
    context = ssl.create_default_context(cafile=str(centre / "ca" / "ca.pem"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.facts['rest']}/healthz", verify=context)
    finally:
        server.close()


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"rest": {"port": "many"}}, 2, "invalid_settings"),
        ({"log_key": "absent.key"}, 5, "key_unreadable"),
        ({"database": {"url": "mysql://h/d"}}, 2, "invalid_database_url"),
        ({"rest": {"bind": "203.0.113.1"}}, 6, "address_unavailable"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    centre: Path, change: dict[str, Any], code: int, says: str
) -> None:
    config = centre / "wrong.yaml"
    config.write_text(json.dumps({"directory": ".", "origin": "test.example/log", **change}))
    ended = nursery.run(*START, str(config), timeout=PAUSE)
    assert (ended.returncode, says in ended.stderr) == (code, True), ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_key_that_others_can_read_ends_the_start(centre: Path) -> None:
    """Named with the remedy, in one line that is JSON as every other."""
    config = centre / "server.yaml"
    for name in ("log.key", "ca/ca.key"):
        (centre / name).chmod(0o644)
        try:
            ended = nursery.run(*START, str(config), timeout=PAUSE)
        finally:
            (centre / name).chmod(0o600)
        lines = [json.loads(line) for line in ended.stderr.splitlines()]
        told = [line for line in lines if line.get("code") == "key_exposed"]
        assert (ended.returncode, len(told)) == (7, 1), ended.stderr
        assert str(centre / name) in told[0]["hint"]
