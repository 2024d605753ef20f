"""Ctrl-C, or a signal, in the middle of an installation: nothing half-made is left or at work."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from peers.terminal import CTRL_C, PATIENCE, Terminal

from secureflow.agent.owner.environments import Environments
from secureflow.agent.owner.venvs import Source
from secureflow.domain.exits import INTERRUPTED
from secureflow.kit.errors import SecureFlowError
from tests.unit.cli.test_cli_engine import SETTINGS

ROOT = Path(__file__).parents[3]
SLOW = """#!/bin/sh
# An interpreter that answers as another one does, and never ends to make an environment; what it
# starts for that does not mind Ctrl-C.
case "$*" in
  *"-m venv"*)
    for last; do :; done
    (trap '' INT TERM HUP
     while :; do mkdir -p "$last"; echo half > "$last/half"; sleep 0.02; done) &
    echo $! > {writer}
    sleep 600;;
  *) exec {python} "$@";;
esac
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (0, INTERRUPTED),
        pytest.param(signal.SIGTERM, 128 + signal.SIGTERM, marks=pytest.mark.full),
        pytest.param(signal.SIGHUP, 128 + signal.SIGHUP, marks=pytest.mark.full),
    ],
    ids=["ctrl-c", "kill", "closed"],
)
def test_whoever_ends_it_leaves_nothing_half_made(tmp_path: Path, number: int, code: int) -> None:
    config, slow, writer = (tmp_path / one for one in ("agent.yaml", "slow-python", "writer"))
    config.write_text(SETTINGS)
    slow.write_text(SLOW.format(writer=writer, python=sys.executable))
    slow.chmod(0o755)
    words = ("-m", "secureflow", "engine", "install", "mpyc", "--config", str(config))
    environment = {"PYTHONPATH": str(ROOT / "src"), "SECUREFLOW_LANG": "en"}
    with Terminal(*words, "--python", str(slow), environment=environment) as terminal:
        terminal.until("MB to fetch")
        engines, until = tmp_path / "engines", time.monotonic() + PATIENCE
        while not (list(engines.glob("*/venv/half")) and writer.is_file() and writer.read_text()):
            assert time.monotonic() < until, terminal.text
            time.sleep(0.01)
        if number:
            terminal.signal(number)
        else:
            terminal.types(CTRL_C)
        ended = terminal.end()
    time.sleep(0.1)  # what still ran would have written again
    left = [one for one in engines.iterdir() if one.is_dir() or one.suffix == ".json"]
    with pytest.raises(ProcessLookupError):
        os.killpg(os.getpgid(int(writer.read_text())), signal.SIGKILL)
    assert (ended, left) == (code, []), terminal.text


def test_what_a_killed_installation_left_goes_with_the_next(tmp_path: Path) -> None:
    left = tmp_path / "engines" / f"mpyc-0123456789abcdef.{'0a' * 8}"
    (left / "venv").mkdir(parents=True)
    lock = b"nothing==1.0 --hash=sha256:" + b"0" * 64 + b"\n"
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with pytest.raises(SecureFlowError) as caught:
        Environments(tmp_path, "engines").add(
            "other", Path(sys.executable), lock, Source(folder=wheels)
        )
    assert caught.value.code == "environment_failed"
    assert not left.exists()
