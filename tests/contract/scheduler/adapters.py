"""The adapters of the port `Sandbox`, which is the agent's scheduler; another one is a line here.

What it makes must run where the tests run: one that needs a cluster starts it, or skips loudly.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from peers.sandboxes import demand_sandbox

from secureflow.adapters.sandbox import BubblewrapSandbox, PlainSandbox
from secureflow.application.ports.sandbox import Sandbox, SandboxProcess

PYTHON: Final = (sys.executable, "-I", "-S", "-c")
WAIT: Final = "import time; print(1, flush=True); time.sleep(600)"


def bubblewrap() -> Sandbox:
    demand_sandbox("root" if os.geteuid() == 0 else "ordinary")
    return BubblewrapSandbox()


ADAPTERS: Final[dict[str, Callable[[], Sandbox]]] = {
    "none": PlainSandbox,
    "bubblewrap": bubblewrap,
}


async def ended(process: SandboxProcess) -> int:
    await process.kill()
    return await process.wait()


def marked(mark: str) -> list[int]:
    """Return the processes that have a mark among their arguments."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if mark.encode() in one.read_bytes():
                found.append(int(one.parent.name))
    return found


def running(mark: str) -> bool:
    return bool(marked(mark))


def end_marked(mark: str) -> None:
    for pid in marked(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
