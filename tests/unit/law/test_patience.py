"""No test is red because the machine is slow or busy: its limits are for what hangs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from hypothesis import settings

ROOT = Path(__file__).resolve().parents[3]
LEAST = 900
LIMIT = re.compile(r"\bmark\.timeout\(\s*(\d+)")


def test_no_test_has_a_limit_that_honest_work_could_reach() -> None:
    """Starved, what takes a minute alone takes a quarter of an hour; 0 is no limit."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]
    assert options["ini_options"]["timeout"] >= LEAST
    found = [
        f"{path.relative_to(ROOT)}: {seconds} s"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for seconds in LIMIT.findall(path.read_text())
        if 0 < int(seconds) < LEAST
    ]
    assert not found


def test_an_example_may_take_its_time() -> None:
    assert settings.default is not None
    assert settings.default.deadline is None
