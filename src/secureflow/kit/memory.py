"""Memory manners of long-lived processes: few arenas, free pages given back, short collections.

Every thread that allocates gets an arena of its own, and what was freed there stays resident.
A process with a dozen worker threads then holds tens of megabytes that nobody uses.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
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
