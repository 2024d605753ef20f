"""What holds for every file of tests, and what suites need of the machine.

PostgreSQL, libfaketime, bubblewrap, Chromium: where one is missing, that is said.
"""

from __future__ import annotations

import gc
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
import typer.main
from hypothesis import HealthCheck, settings
from peers import browsers, clocks, sandboxes, verifiers
from sqlalchemy.engine import make_url

from secureflow.engines.ledger import notes
from secureflow.kit import archive, crypto, kernels
from tests.compiled import share_compiled
from tests.contract.database import postgres
from tests.full import registered
from tests.leaks import Leaks
from tests.memory import in_memory
from tests.migrated import create_at_once
from tests.order import Order
from tests.saying import Saying
from tests.slow import Slow

DEMANDED = "SECUREFLOW_DEMAND_POSTGRES"
"""Set (`.ci/run` does), a machine without PostgreSQL fails what it else skips."""
gc.disable()
"""Until the tests are collected (`leaks`): what their modules import stays."""
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
"""Hundreds of processes are started here: each would compile everything again."""
kernels.choose()
"""As workers have them, and before NumPy is loaded: one thread, for the cores are shared."""
typer.main.get_command = cache(typer.main.get_command)  # type: ignore[method-assign]
"""A process makes the tree of its commands once; tests run hundreds of commands in one."""
SIGNATURES = 10_000
crypto.holds = lru_cache(SIGNATURES)(crypto.holds)
notes._holds = lru_cache(SIGNATURES)(notes._holds)
"""Whether a signature holds under a key over a message is always the same; tests that kill a script
at every step replay the same signatures: 98 of 100 in them were verified before."""
share_compiled()
create_at_once()
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")
"""How long an example takes, the machine decides: a stall is no finding."""
_ABSENT = "PostgreSQL NOT TESTED: no initdb in PATH or /usr/lib/postgresql/*/bin"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the seed of an order, and a part of what is drawn from seeds: a long run is resumed."""
    parser.addoption("--shuffle", metavar="SEED", help="run the files in an order drawn from SEED")
    parser.addoption("--fast", action="store_true", help="leave out what is slow (tests/slow.py)")
    parser.addoption("--seeds", default="", help="A:B: seeds A to B-1 only")


def pytest_configure(config: pytest.Config) -> None:
    """Add what holds for every file."""
    config.pluginmanager.register(Order(config.getoption("--shuffle")), "order of files")
    config.pluginmanager.register(Leaks(), "leaks")
    config.pluginmanager.register(registered(config), "what make full adds")
    config.pluginmanager.register(Slow(fast=config.getoption("--fast")), "slow files")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Saying(config), "what fails is named at once")
    if place := in_memory():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(place))


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Put logging back: a process run within a test configures it, to that test's own stderr."""
    root, config = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.configure(**config)


@pytest.fixture(scope="module")
def quick_passphrases() -> Iterator[None]:
    """Stretch passphrases less: how far, `tests/unit/kit/test_archive.py` shows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "_WORK", 1 << 4)
        yield


def _told() -> str:
    """Return the line that says whether PostgreSQL is tested."""
    found = postgres.binaries()
    return f"PostgreSQL: {found}" if found else f"{_ABSENT} ({DEMANDED}=1 makes this a failure)"


def pytest_report_header() -> list[str]:
    """Say it before the tests."""
    return [_told(), clocks.told(), sandboxes.told(), browsers.told(), verifiers.told()]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """And after them: `-q` has no header, and nobody reads the middle."""
    if postgres.binaries() is None:
        terminalreporter.section("PostgreSQL", sep="!", red=True, bold=True)
        terminalreporter.line(_told(), red=True, bold=True)
    if clocks.library() is None:
        terminalreporter.section("Clocks", sep="!", red=True, bold=True)
        terminalreporter.line(clocks.told(), red=True, bold=True)
    if sandboxes.program() is None:
        terminalreporter.section("Sandbox", sep="!", red=True, bold=True)
        terminalreporter.line(sandboxes.told(), red=True, bold=True)
    if browsers.missing():
        terminalreporter.section("Browser", sep="!", red=True, bold=True)
        terminalreporter.line(browsers.told(), red=True, bold=True)
    if verifiers.missing():
        terminalreporter.section("Node", sep="!", red=True, bold=True)
        terminalreporter.line(verifiers.told(), red=True, bold=True)


def demand_postgres() -> Path:
    """Return where PostgreSQL's programs are; skip, or fail where it is demanded, without any."""
    bin_dir = postgres.binaries()
    if bin_dir is None:
        if os.environ.get(DEMANDED):
            pytest.fail(f"{_ABSENT}, and {DEMANDED} is set")
        pytest.skip(_ABSENT)
    return bin_dir


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Start it, once."""
    with postgres.server(demand_postgres()) as url:
        yield url


@pytest.fixture(scope="session")
def empty_postgres(postgres_server: str) -> Callable[..., str]:
    """Make an empty database in it, or a copy of one that nobody uses, and return its URL."""

    def make(template: str = "template1") -> str:
        name = f"t{uuid.uuid4().hex}"
        engine = sa.create_engine(
            postgres_server, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool
        )
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return make_url(postgres_server).set(database=name).render_as_string(hide_password=False)

    return make
