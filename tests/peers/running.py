"""Whether another process still runs, as `/proc` tells it at the moment of the look."""

from __future__ import annotations

from pathlib import Path

from secureflow.kit.process import stat_fields


def runs(process: int) -> bool:
    """Tell whether a process runs: one that is dead and waits to be reaped does not.

    It may end between the opening of its file and the reading: then the reading fails.
    """
    try:
        return stat_fields(Path(f"/proc/{process}/stat"))[0] != "Z"
    except OSError:
        return False
