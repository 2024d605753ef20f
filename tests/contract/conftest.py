"""A PostgreSQL of our own, once for every contract suite that runs over it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from tests.contract.database import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Start it, once."""
    bin_dir = postgres.binaries()
    if bin_dir is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have PostgreSQL: its binaries were not found")
        pytest.skip("PostgreSQL NOT TESTED: no initdb in PATH or /usr/lib/postgresql/*/bin")
    with postgres.server(bin_dir) as url:
        yield url


@pytest.fixture(scope="session")
def empty_postgres(postgres_server: str) -> Callable[[], str]:
    """Make an empty database in it and return its URL."""

    def make() -> str:
        name = f"t{uuid.uuid4().hex}"
        engine = sa.create_engine(
            postgres_server, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool
        )
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        return make_url(postgres_server).set(database=name).render_as_string(hide_password=False)

    return make
