"""SIGHUP never ends a process without a word."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from secureflow.kit.process import run_until_stopped

PROGRAM = """
import asyncio, signal, sys
# Here and not before the program starts: forked by Python, gRPC's fork handlers would run in it.
# And whatever it inherits: the tests themselves may run under nohup.
signal.signal(signal.SIGHUP, signal.SIG_IGN if "shielded" in sys.argv else signal.SIG_DFL)
from secureflow.kit.logging import configure_logging
from secureflow.kit.process import Hangup, run_until_stopped

async def serve(hangup):
    if "reload" in sys.argv:
        hangup.reloads(lambda: sys.stderr.write("reloading\\n"))
    print("ready", flush=True)
    await asyncio.Event().wait()

configure_logging("test", form="json")
hangup = Hangup()
run_until_stopped(serve(hangup), hangup)
"""


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def started() -> Iterator[Start]:
    """What starts the program; none outlives its test, not even one that failed."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-c", PROGRAM, *arguments]
            pipes: dict[str, Any] = {
                "stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE,
                **options,
            }  # fmt: skip
            process = subprocess.Popen(command, stdout=subprocess.PIPE, **pipes)
            stack.enter_context(process)  # it closes the pipes and waits
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            return process

        yield start


def ended(process: subprocess.Popen[bytes]) -> bytes:
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0
    return said or b""


@pytest.mark.parametrize(
    ("arguments", "word"), [((), b"restart to apply"), (("reload",), b"reloading")]
)
def test_hangup_is_answered_and_survived(
    started: Start, arguments: tuple[str, ...], word: bytes
) -> None:
    process = started(*arguments)
    process.send_signal(signal.SIGHUP)
    assert process.stderr is not None
    assert word in process.stderr.readline()
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert b"stopped" in ended(process)


def test_a_closed_terminal_ends_what_was_started_in_it(started: Start) -> None:
    terminal, end = pty.openpty()
    process = started("reload", stdin=end)
    os.close(end)
    os.close(terminal)
    process.send_signal(signal.SIGHUP)  # its session's leader passes it on
    assert b"the terminal was closed" in ended(process)


def test_a_shielded_process_outlives_its_terminal(started: Start) -> None:
    terminal, end = pty.openpty()
    process = started("reload", "shielded", stdin=end)
    os.close(end)
    os.close(terminal)
    process.send_signal(signal.SIGHUP)
    assert process.stderr is not None
    assert b"reloading" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    ended(process)


def test_a_shielded_process_stays_shielded_after_it_has_served() -> None:
    numbers = (signal.SIGHUP, signal.SIGINT)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        run_until_stopped(asyncio.sleep(0))
        assert [signal.getsignal(number) for number in numbers] == [signal.SIG_IGN] * 2
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
