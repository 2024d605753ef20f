"""Enter the namespaces of a small disk (`full_disk`) and become `python ARGUMENTS…` there.

python -m tests.peers.enter_disk PID ARGUMENTS…
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests import nursery

_PR_SET_PDEATHSIG = 1


def enter(holder: str, command: Sequence[str]) -> None:
    """Become the command where the holder is; it ends with who started this process."""
    libc, here = ctypes.CDLL(None, use_errno=True), Path.cwd()
    for kind in ("user", "mnt"):
        theirs, ours = (Path(f"/proc/{who}/ns/{kind}") for who in (holder, "self"))
        if theirs.readlink() == ours.readlink():
            continue  # the holder is root here and needed no namespace of users
        handle = os.open(theirs, os.O_RDONLY)
        if libc.setns(handle, 0) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter the {kind} namespace of {holder}")
        os.close(handle)
    os.chdir(here)  # the root and the directory are the namespace's own now
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # entering forgot it
    if nursery.forked():
        nursery.become(command[1:])
    os.execv(sys.executable, [sys.executable, *command])


if __name__ == "__main__":
    enter(sys.argv[1], sys.argv[2:])
