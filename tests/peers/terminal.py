"""A command at a terminal of its own, as a person has it: what is typed there is typed."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

PATIENCE: Final = 120.0
"""Seconds: longer than any step, whatever the machine does beside it."""
_AT_HOME: Final = (
    "import fcntl, os, signal, sys, termios\n"
    "for one in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):\n"
    "    signal.signal(one, signal.SIG_DFL)\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
"""Takes the terminal for its own, so that Ctrl-C there reaches the command and what it starts.

Whoever runs the tests in the background, or by nohup, has these signals ignored: a shell at a
terminal does not.
"""
CTRL_C: Final = "\x03"


class Terminal:
    """A Python command on a pseudo-terminal.

    Args:
        arguments: of the interpreter.
        environment: variables beside this process's.
    """

    def __init__(self, *arguments: str, environment: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        self.text = ""
        self._process = subprocess.Popen(
            [sys.executable, "-c", _AT_HOME, *arguments],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**os.environ, **environment},
        )  # fmt: skip
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._master)

    def until(self, text: str) -> None:
        """Read until a text was shown."""
        while text not in self.text:
            assert self._read(), f"{text!r} was not shown: {self.text}"

    def types(self, text: str) -> None:
        """Type at the keyboard."""
        os.write(self._master, text.encode())

    def signal(self, number: int) -> None:
        """Send a signal to the command alone."""
        self._process.send_signal(number)

    def end(self) -> int:
        """Read to the end, and return the exit code."""
        until = time.monotonic() + PATIENCE
        while self._read():
            assert time.monotonic() < until, f"it does not end: {self.text}"
        return self._process.wait(PATIENCE)

    def _read(self) -> bool:
        """Take more of what is shown; False at the end."""
        readable, _, _ = select.select([self._master], [], [], PATIENCE)
        assert readable, f"nothing for {PATIENCE} seconds after: {self.text}"
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # EIO: nobody has the other end open any more
            return False
        self.text += data.decode("utf-8", "replace")
        return bool(data)
