"""Noticing that a process does nothing at all: it was stopped, or waits for what never comes.

An honest training may last days, and from outside nothing tells it from one that never ends. But it
uses a processor. One whose whole tree of processes uses none for minutes is stopped (SIGSTOP), or
hangs in the kernel, and would hold its job for as long as anybody waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from secureflow.kit.process import stat_fields

SECONDS: Final = 5.0
"""Between two looks."""
LOOKS: Final = 36
"""So many in a row that find nothing used: three minutes. They are counted, not the time between
them: an agent that was stopped itself sees one look, however long it stood."""


async def stands_still(pid: int, *, seconds: float = SECONDS, looks: int = LOOKS) -> None:
    """Return once a process and all below it have used no processor for so many looks in a row.

    Args:
        pid: of the process, by our numbers.
        seconds: between looks.
        looks: that must find nothing used. Where nothing can be seen, none does.
    """
    before, same = -1, 0
    while same < looks:
        await asyncio.sleep(seconds)
        used = await asyncio.to_thread(used_by, pid)
        same = same + 1 if used == before >= 0 else 0
        before = used


def used_by(pid: int) -> int:
    """Return the ticks of processor that a process and all below it have used.

    It is -1 if the process is gone, or nothing can be seen: this one has no descriptors left.
    The children of one that has ended count with who waited for them (proc(5), `stat` 14 to 17).
    """
    try:
        told = dict(_told())
    except OSError:
        return -1
    if pid not in told:
        return -1
    children: dict[int, list[int]] = {}
    for one, (parent, _) in told.items():
        children.setdefault(parent, []).append(one)
    used, left = 0, [pid]
    while left:
        one = left.pop()
        used += told[one][1]
        left += children.pop(one, [])
    return used


def _told() -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield each process that is seen, with its parent and what it has used.

    Raises:
        OSError: there are others that would be seen if this one had what it takes to look.
    """
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = stat_fields(folder / "stat")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if len(fields) > 14:
            yield int(folder.name), (int(fields[1]), sum(map(int, fields[11:15])))
