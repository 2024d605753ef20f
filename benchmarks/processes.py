"""What the kernel says of a running process: processor time, waiting for it, memory, bytes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """Seconds since a process began.

    Args:
        cpu: on a processor, with its children and those that it waited for.
        loop: on a processor, its main thread alone: the event loop of the platform's processes.
        delay: its main thread was ready to run and another task had the processor.
    """

    cpu: float
    loop: float
    delay: float

    def since(self, before: Usage) -> Usage:
        """Return the difference."""
        return Usage(self.cpu - before.cpu, self.loop - before.loop, self.delay - before.delay)


def usage(pid: int) -> Usage:
    """Return what a process has used until now."""
    loop, delay, _ = Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()
    return Usage(cpu_seconds(pid), int(loop) / 1e9, int(delay) / 1e9)


def peak_mb(pid: int) -> float:
    """Return the peak resident MB of a process."""
    return status_kb(pid, "VmHWM") / 1024


def status_kb(pid: int, field: str) -> int:
    """Return a line of `/proc/PID/status` that is given in kB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process, of its children, and of those that it waited for."""
    ticks = 0
    for one in (pid, *_children(pid)):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(int(fields[at]) for at in (11, 12, 13, 14))
    return ticks / os.sysconf("SC_CLK_TCK")


def loopback_bytes() -> int:
    """Return how many bytes the loopback interface has carried."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[0])
    return 0


def step_back(nice: int) -> None:
    """Let other processes go first.

    Where Linux groups processes by session (autogroup), `nice` counts only within the session, and
    the session has a niceness of its own.
    """
    os.nice(nice)
    group = Path("/proc/self/autogroup")
    if group.exists():
        group.write_text(str(nice))


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in tasks.read_text().split()] if tasks.exists() else []
