"""Faults of a server's database, made from outside: what operators, disks and neighbours do to it.

SQLite: `locked` is another process that holds the write lock. PostgreSQL: `cut` ends every
connection; `Cluster` (tests/contract/database/postgres.py) stops and starts the service itself.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from tests.contract.database.postgres import Cluster

_HOLDER: Final = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""
_CUT: Final = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock of a SQLite file from a process of its own."""
    command = (sys.executable, "-I", "-c", _HOLDER, str(path))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            yield
        finally:
            holder.kill()


def cut(url: str) -> int:
    """End every connection to a PostgreSQL database but the own one; return how many there were."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        return int(connection.exec_driver_sql(_CUT).scalar_one())


@contextlib.contextmanager
def stopped(cluster: Cluster) -> Iterator[None]:
    """Have the service of a PostgreSQL away, as after a crash, until the block ends."""
    cluster.stop()
    try:
        yield
    finally:
        cluster.start()


def restart(cluster: Cluster, seconds: float = 0.0) -> None:
    """Crash a PostgreSQL's service and start it again."""
    with stopped(cluster):
        time.sleep(seconds)
