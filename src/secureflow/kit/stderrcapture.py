"""Captures what libraries write to stderr directly, for a log of JSON lines.

A collector that reads one JSON value per line stumbles over a Python warning, a line of a C library
or a traceback. So the descriptor itself is redirected while a process runs: what is written there
is wrapped line by line, and the log's own lines go to the original stderr.
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

_STDERR: Final = 2
_LONGEST: Final = 1 << 16
"""Bytes of one stray line; a longer one is split."""
_PATIENCE: Final = 1.0
"""Seconds to read the rest at the end; children may hold the descriptor longer."""


@contextmanager
def capture_stderr(wrap: Callable[[str], None]) -> Iterator[TextIO]:
    """Pass stray lines to `wrap`; yield the original stderr stream.

    Args:
        wrap: called in a thread with each line that is not a JSON object.
    """
    sys.stderr.flush()
    kept = os.dup(_STDERR)
    coming, going = os.pipe()
    os.dup2(going, _STDERR)
    os.close(going)
    stream = io.open(kept, "w", buffering=1, encoding="utf-8", errors="backslashreplace")  # noqa: UP020, SIM115  a descriptor, closed below
    reader = threading.Thread(target=_read, args=(coming, stream, wrap), daemon=True, name="stderr")
    reader.start()
    try:
        yield stream
    finally:
        sys.stderr.flush()
        os.dup2(kept, _STDERR)  # our last writing end of the pipe: the reader sees its end
        reader.join(_PATIENCE)
        stream.flush()


def _read(coming: int, stream: TextIO, wrap: Callable[[str], None]) -> None:
    with open(coming, "rb") as pipe:
        while line := pipe.readline(_LONGEST):
            text = line.decode("utf-8", "replace").rstrip()
            if not text:
                continue
            if _is_object(text):
                stream.write(text + "\n")
            else:
                wrap(text)


def _is_object(text: str) -> bool:
    try:
        return text.startswith("{") and isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
