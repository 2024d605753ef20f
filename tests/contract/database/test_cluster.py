"""A PostgreSQL that the tests started goes with them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import demand_postgres

ROOT = Path(__file__).parents[3]
STARTS = """
import sys
from pathlib import Path
from tests.contract.database.postgres import cluster

with cluster(Path(sys.argv[1])) as one:
    print(one.home, flush=True)
    sys.stdin.read()
"""


@pytest.mark.postgres
def test_a_run_that_is_killed_leaves_none_behind() -> None:
    command = (sys.executable, "-c", STARTS, str(demand_postgres()))
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        home = Path(run.stdout.readline().strip())
        assert servers(home)
        run.kill()
    until = time.monotonic() + 60
    while servers(home) or home.exists():
        assert time.monotonic() < until, servers(home)
        time.sleep(0.05)


def servers(home: Path) -> list[str]:
    """Return the processes that name the directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if f"{home}/".encode() in words:
            found.append(words.decode(errors="replace"))
    return found
