"""Memory tuning of long-lived processes: few arenas, free pages returned, short collections.

Every thread that allocates gets an arena of its own, and memory freed there stays resident. A
process with a dozen worker threads then holds tens of megabytes that nobody uses.
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


def limit_arenas() -> None:
    """Limit malloc's arenas and the threads of linear algebra; call before any thread starts."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    library = _glibc()
    if library is not None:
        library.mallopt(_M_ARENA_MAX, ARENAS)


def return_free_memory() -> None:
    """Return free heap pages to the system, for example after a job."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Import modules in this block: no garbage collection runs, since all of it stays."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def skip_final_collection() -> None:
    """Make the interpreter exit quickly: call last.

    On exit the interpreter collects garbage once more and would walk every module, class and
    schema: for a server that takes longer than the rest of its shutdown.
    """
    gc.freeze()


def freeze_loaded() -> None:
    """Exclude everything that the process has loaded so far from later garbage collections.

    A full collection walks every module, class and schema that a server keeps until it ends:
    hundreds of milliseconds in which it answers nobody. Call once, when everything is loaded.
    """
    gc.collect()
    gc.freeze()


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None
