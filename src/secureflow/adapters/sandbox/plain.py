"""No sandbox: the environment is stripped, and the process limits itself before it reads anything.

For SecureFlow's own trainers and readers where bubblewrap is missing. It sees the host as the agent
does; nothing keeps it from reading the agent's keys but that its code does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import socket
from pathlib import Path
from typing import Final

from secureflow.adapters.sandbox.failures import failed
from secureflow.adapters.sandbox.rlimits import set_limits
from secureflow.adapters.sandbox.started import Started, end, streams_over, undisturbed
from secureflow.application.ports.sandbox import Launch, SandboxProcess
from secureflow.kit.oserrors import reason_of


class PlainSandbox:
    """`application.ports.sandbox.Sandbox`."""

    name: Final = "none"
    confines: Final = False

    def inside(self, launch: Launch, path: Path) -> Path:
        """Return the path: it finds everything where it is."""
        del launch
        return path

    async def start(self, launch: Launch) -> SandboxProcess:
        """See `Sandbox.start`; what it prints goes where this process prints."""
        return await undisturbed(self._start(launch))

    async def _start(self, launch: Launch) -> SandboxProcess:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                channel, said = launch.ends or (theirs.fileno(), None)
                process = await asyncio.create_subprocess_exec(
                    *launch.command,
                    stdin=channel,
                    stdout=channel,
                    stderr=said,
                    env=dict(launch.environment),
                    process_group=0,
                )
        except OSError as error:
            ours.close()
            raise failed(self.name, reason_of(error)) from error
        try:
            with contextlib.suppress(ProcessLookupError):  # it ended already
                set_limits(process.pid, launch.limits)
            over = functools.partial(_end_group, process.pid)
            return Started(process, ours, await streams_over(ours), ended=over)
        except BaseException:  # cancellation too: nothing is left behind
            await end(process)
            ours.close()
            raise


def _end_group(number: int) -> None:
    """End what a process started and left behind, as far as that has stayed in its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(number, signal.SIGKILL)
