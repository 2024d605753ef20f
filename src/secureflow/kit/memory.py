"""Memory manners of long-lived processes: few arenas, free pages given back, short collections.

Every thread that allocates gets an arena of its own, and what was freed there stays resident.
A process with a dozen worker threads then holds tens of megabytes that nobody uses.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from typing import Final

ARENAS: Final = 2
_M_ARENA_MAX: Final = -8


def be_frugal() -> None:
    """Limit malloc's arenas and the threads of linear algebra; call before any thread starts."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    library = _glibc()
    if library is not None:
        library.mallopt(_M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Return free heap pages to the system, after a job for example."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Import modules in here: what they make stays, and every collection would walk it in vain."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def leave() -> None:
    """Be quick about ending: call last.

    The interpreter collects garbage once more on its way out, and would walk every module, class
    and schema for it: for a server that takes longer than all else that its end needs.
    """
    gc.freeze()


def settle() -> None:
    """Leave what the process has loaded so far out of later garbage collections.

    A full collection walks every module, class and schema that a server holds for good, hundreds
    of milliseconds in which it answers nobody. Call once, when all is loaded.
    """
    gc.collect()
    gc.freeze()


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None
