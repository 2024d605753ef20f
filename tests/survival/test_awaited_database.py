"""`secureflow server start` beside a database that comes up later, is locked, or never comes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import yaml

from secureflow.kit.errors import SecureFlowError
from secureflow.server.initialise import initialise
from tests import nursery
from tests.conftest import demand_postgres
from tests.contract.database import postgres
from tests.contract.database.postgres import Cluster
from tests.peers.database_faults import locked, stopped
from tests.survival.test_server_process import START, Process

PATIENCE = 60.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with postgres.cluster(demand_postgres()) as one:
        yield one


@pytest.fixture(scope="module")
def centre(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("awaited") / "centre"
    made = {"trust_domain": "test.example", "rest_port": 0, "link_port": 0}
    initialise(directory, **made, database=cluster.url)  # type: ignore[arg-type]
    return directory


@pytest.fixture
def embedded(tmp_path: Path) -> Path:
    initialise(tmp_path / "centre", trust_domain="test.example", rest_port=0, link_port=0)
    return tmp_path / "centre"


def lines(log: Path) -> list[Any]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def check_awaited(directory: Path, log: Path, named: str, come: Callable[[], object]) -> None:
    """It serves when the database has come, and says meanwhile what it waits for."""
    log.touch()
    coming = threading.Thread(target=lambda: (await_word(log, "database_awaited"), come()))
    coming.start()
    server = Process(directory, log, forked=True)
    try:
        await_ready(server)
    finally:
        server.stop()
        coming.join()
    told = [line for line in lines(log) if line["event"] == "database_awaited"]
    assert told
    assert all(named in line["database"] for line in told)
    assert [line["event"] for line in lines(log)].count("database_there") >= 1


def await_ready(server: Process) -> None:
    until = time.monotonic() + PATIENCE
    while server.http.get("/readyz").status_code != httpx.codes.OK:
        assert time.monotonic() < until
        time.sleep(0.2)


def await_word(log: Path, word: str) -> None:
    until = time.monotonic() + PATIENCE
    while word not in log.read_text():
        assert time.monotonic() < until
        time.sleep(0.05)


def start(directory: Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Start a server that is not to come up."""
    file = directory / "server.yaml"
    before = file.read_text()
    kept = yaml.safe_load(before)
    kept["database"] = {**kept.get("database", {}), **settings}
    file.write_text(yaml.safe_dump(kept))
    try:
        password = {"SECUREFLOW_SERVER__DATABASE__PASSWORD": "hunter2"}
        return nursery.run(*START, str(file), timeout=60, environment={**os.environ, **password})
    finally:
        file.write_text(before)


@pytest.mark.postgres
def test_a_postgresql_that_comes_up_later_is_waited_for(
    cluster: Cluster, centre: Path, tmp_path: Path
) -> None:
    cluster.stop()
    check_awaited(centre, tmp_path / "log", cluster.home.name, cluster.start)


def test_a_sqlite_that_another_process_holds_is_waited_for(embedded: Path, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(embedded / "secureflow.db"))
        check_awaited(embedded, tmp_path / "log", "secureflow.db", stack.close)


@pytest.mark.postgres
def test_one_that_never_comes_is_named_without_its_password(cluster: Cluster, centre: Path) -> None:
    with stopped(cluster):
        done = start(centre, wait_seconds=1)
    assert done.returncode == 6, done.stderr
    told = json.loads(done.stderr.splitlines()[-1])["event"]
    assert told.startswith("database_unavailable: The database postgresql+psycopg://sf:***@/")
    assert "cannot be opened: connection" in told
    assert "The wait was 1 s (database.wait_seconds)." in told
    assert "that the service runs" in told
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_locked_one_is_named_and_what_to_do(embedded: Path) -> None:
    with locked(embedded / "secureflow.db"):
        done = start(embedded, wait_seconds=0)
    assert done.returncode == 6, done.stderr
    assert f"database_busy: The database {embedded}/secureflow.db" in done.stderr
    assert "is locked by another process. (End the other process" in done.stderr


@pytest.mark.postgres
@pytest.mark.parametrize(
    "url", ["postgresql://sf@/nowhere?host={}", "postgresql://me@/postgres?host={}"]
)
def test_what_does_not_pass_is_told_at_once(cluster: Cluster, centre: Path, url: str) -> None:
    done = start(centre, url=url.format(cluster.home))
    assert done.returncode == 6, done.stderr
    assert "does not exist" in done.stderr
    assert "database_awaited" not in done.stderr


@pytest.mark.postgres
def test_text_that_is_not_unicode_is_refused_by_name(
    cluster: Cluster, centre: Path, tmp_path: Path
) -> None:
    """A cluster that was made under LC_ALL=C has such databases."""
    engine = sa.create_engine(cluster.url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "CREATE DATABASE plain ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' "
            "TEMPLATE template0"
        )
    url = cluster.url.replace("/postgres?", "/plain?")
    with pytest.raises(SecureFlowError, match="stores text as SQL_ASCII") as caught:
        initialise(tmp_path / "new", trust_domain="test.example", database=url)
    assert caught.value.code == "database_encoding"
    assert "createdb --encoding UTF8" in caught.value.hint
    assert not (tmp_path / "new").exists()
    done = start(centre, url=url)
    assert done.returncode == 5, done.stderr
    assert "database_encoding" in done.stderr
    text = {"client_encoding": "utf8"}
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args=text)
    with engine.connect() as connection:
        assert not sa.inspect(connection).get_table_names()


def test_the_server_ends_when_told_while_it_waits(embedded: Path, tmp_path: Path) -> None:
    with locked(embedded / "secureflow.db"), (tmp_path / "log").open("w") as log:
        process = nursery.Child((*START, str(embedded / "server.yaml")), os.environ, log, log)
        await_word(tmp_path / "log", "database_awaited")
        process.terminate()
        assert process.wait(120) == 0


def test_readiness_shows_a_lock_meanwhile(embedded: Path) -> None:
    server = Process(embedded, forked=True)
    try:
        with locked(embedded / "secureflow.db"):
            answer = server.http.get("/readyz")
            assert answer.status_code == 503
            assert answer.json()["writing"] is False
        await_ready(server)
    finally:
        server.stop()
