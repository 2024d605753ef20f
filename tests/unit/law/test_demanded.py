"""What a machine lacks is said loudly, and `.ci/run` fails for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from peers import sandboxes

from tests.conftest import DEMANDED

ROOT = Path(__file__).parents[3]
TEST = "tests/contract/database/test_widths.py::test_no_column_is_wider_in_one_database"
LACKING = (
    "import sys, pytest; from tests.contract.database import postgres; postgres._PLACES = ();"
    f"sys.exit(pytest.main(['-q', '-rs', '-p', 'no:cacheprovider', {TEST!r}]))"
)


def on_a_machine_without(place: Path, **more: str) -> subprocess.CompletedProcess[str]:
    ours = {DEMANDED, "PYTEST_ADDOPTS"}
    environment = {name: text for name, text in os.environ.items() if name not in ours}
    return subprocess.run(
        [sys.executable, "-c", LACKING], capture_output=True, text=True, timeout=100, check=False,
        cwd=ROOT,
        env={
            **environment, "PATH": "/nonexistent", "PYTHONPATH": "src:.",
            "PYTEST_DEBUG_TEMPROOT": str(place), **more,
        },
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.full
def test_no_postgresql_is_a_loud_skip(tmp_path: Path) -> None:
    done = on_a_machine_without(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout.split("!! PostgreSQL !!")[1]  # a part of its own after the tests
    assert "PostgreSQL NOT TESTED" in told
    assert f"{DEMANDED}=1" in told
    assert "1 skipped" in told


@pytest.mark.slow
def test_where_it_is_demanded_it_is_a_failure(tmp_path: Path) -> None:
    done = on_a_machine_without(tmp_path, **{DEMANDED: "1"})
    assert done.returncode == 1, done.stdout + done.stderr
    assert (
        f"PostgreSQL NOT TESTED: no initdb in PATH or /usr/lib/postgresql/*/bin, and {DEMANDED}"
        in done.stdout
    )


def test_what_a_pull_request_runs_demands_it() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert f"export {DEMANDED}=1" in script
    assert "missing+=(postgresql)" in script
    assert f"export {sandboxes.DEMANDED}=1" in script
    assert "missing+=(bubblewrap)" in script
