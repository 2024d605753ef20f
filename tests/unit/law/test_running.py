"""A look at another process never fails because it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.peers.running import runs


def test_a_process_runs_until_it_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert runs(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not runs(child.pid)  # nobody has reaped it yet
    child.communicate()
    assert not runs(child.pid)


def test_one_that_ends_while_it_is_looked_at_runs_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file was there, and can be read no more: seen once in some sixty runs of the suite."""

    def ended(*_: Any, **__: Any) -> str:
        raise ProcessLookupError(3, "No such process")

    assert runs(os.getpid())
    monkeypatch.setattr(Path, "read_text", ended)
    assert not runs(os.getpid())
