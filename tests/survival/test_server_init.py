"""`secureflow server init` against PostgreSQL: the real command, killed, repeated, refused."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from secureflow.adapters.database.emptiness import refuse_password
from secureflow.adapters.database.engine import _MIGRATION_LOCK, Database
from secureflow.kit.errors import SecureFlowError
from tests import nursery
from tests.survival.test_server_process import Process, login, token

pytestmark = pytest.mark.postgres
PATIENCE = 100.0
ACCOUNTS = "hashtextextended('administrators', 0)"


@pytest.fixture
def url(empty_postgres: Callable[[], str]) -> str:
    return empty_postgres()


def init(directory: Path, url: str, domain: str = "test.example") -> list[str]:
    words = ("--trust-domain", domain, "--rest-port", "0", "--link-port", "0", "-o", "json")
    return ["secureflow", "server", "init", str(directory), "--database", url, *words]


def run(directory: Path, url: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **more}
    return nursery.run(*init(directory, url), timeout=PATIENCE, environment=environment)


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        yield connection


def kill_while_locked(directory: Path, url: str, lock: object) -> None:
    """Let `init` come as far as this lock, and kill it there."""
    with connected(url) as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({lock})")
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        told = directory.with_name("told")  # whoever may not migrate asks again, and says so
        with told.open("w") as output:
            process = nursery.Child(init(directory, url), os.environ, output, output)
            deadline = time.monotonic() + PATIENCE
            while not (
                connection.exec_driver_sql(waiting).scalar()
                or "migration_awaited" in told.read_text()
            ):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.kill()
            process.wait()
    assert not (directory / "server.yaml").exists()


def test_it_makes_a_centre_that_serves(tmp_path: Path, url: str) -> None:
    centre = tmp_path / "centre"
    done = run(centre, url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["database"] == url
    assert not list(centre.glob("*.db"))
    check_served(centre)
    again = run(tmp_path / "other", url)
    assert again.returncode == 5
    assert "database_in_use" in again.stderr
    assert "the centre test.example/log" in again.stderr
    assert not (tmp_path / "other").exists()
    chinese = run(tmp_path / "other", url, SECUREFLOW_LANG="zh")
    assert "中已有协调中心 test.example/log" in chinese.stderr


@pytest.mark.parametrize(
    "lock",
    [
        pytest.param(_MIGRATION_LOCK, id="no table"),
        pytest.param(ACCOUNTS, id="a log", marks=pytest.mark.full),
    ],
)
def test_a_killed_one_is_finished_by_the_next(tmp_path: Path, url: str, lock: object) -> None:
    centre = tmp_path / "centre"
    kill_while_locked(centre, url, lock)
    before = (centre / "log.key").read_text(), (centre / "ca" / "ca.pem").read_text()
    if lock == ACCOUNTS:
        stranger = run(tmp_path / "other", url)
        assert stranger.returncode == 5
        assert "the unfinished centre test.example/log" in stranger.stderr
        assert "drop and recreate the database" in stranger.stderr
    done = run(centre, url)
    assert done.returncode == 0, done.stderr
    assert ((centre / "log.key").read_text(), (centre / "ca" / "ca.pem").read_text()) == before
    left = {path.name for path in centre.iterdir()}
    kept = {"version.json", "record.json"}
    made = {"server.yaml", "log.key", "ca", "admin.password", "enclave.token", *kept}
    assert left == made
    if lock == ACCOUNTS:
        check_served(centre)


def test_what_somebody_else_keeps_there_is_named_and_left_alone(tmp_path: Path, url: str) -> None:
    with connected(url) as connection:
        for name in ("users", "invoices", "orders"):
            connection.exec_driver_sql(f"CREATE TABLE {name} (id integer)")
        done = run(tmp_path / "centre", url)
        tables = sa.inspect(connection).get_table_names()
    assert done.returncode == 5
    assert "tables that SecureFlow did not make (invoices, orders)" in done.stderr
    assert sorted(tables) == ["invoices", "orders", "users"]
    assert not (tmp_path / "centre").exists()


def test_without_the_right_to_make_tables_it_says_so(tmp_path: Path, url: str) -> None:
    with connected(url) as connection:
        role = f"poor_{time.monotonic_ns()}"
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
        done = run(tmp_path / "centre", url.replace("sf@", f"{role}@"))
    assert done.returncode == 6, done.stderr
    assert "database_unavailable" in done.stderr
    assert "permission denied for schema public" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_on_the_command_line_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path / "centre", "postgresql://u:secret@h/d")
    assert done.returncode == 2
    assert "SECUREFLOW_SERVER__DATABASE__PASSWORD" in done.stderr
    assert "secret" not in done.stderr
    with pytest.raises(SecureFlowError, match="invalid_database_url"):
        refuse_password("postgresql://u@h/d?password=secret")


def test_no_error_shows_a_leaf(tmp_path: Path, url: str) -> None:
    """PostgreSQL quotes a refused row, salt and document included."""
    centre = tmp_path / "centre"
    asyncio.run(migrate(url))
    for table in ("log_submissions", "log_leaves"):
        check = f"ALTER TABLE {table} ADD CONSTRAINT none CHECK (document IS NULL)"
        with connected(url) as connection:
            connection.exec_driver_sql(check)
            done = run(centre, url, SECUREFLOW_LANG="en")
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT none")
        assert done.returncode != 0
        assert not (centre / "server.yaml").exists()
        for part in ("row contains", "user.created", "admin", "\\x"):
            assert part not in done.stderr.replace(str(centre), ""), done.stderr
    done = run(centre, url)  # what both left is finished
    assert done.returncode == 0, done.stderr


async def migrate(url: str) -> None:
    """Make the tables alone: as yet nobody's, so any centre may be made there."""
    database = Database(url)
    await database.start()
    await database.close()


def check_served(centre: Path) -> None:
    """The server starts there, and both secrets are the ones that it knows."""
    server = Process(centre, forked=True)
    try:
        headers = login(server, centre)
        assert all(server.http.get("/readyz").json().values())
        listed = server.http.get("/api/v1/enrolments", headers=headers).json()
        assert token(centre).id in {one["id"] for one in listed["items"]}
    finally:
        server.stop()
        server.http.close()
