"""The interpreter: its executable, its shared library if it has one, and the standard library.

Of the standard library, parts that no service loads (tests, editors, installers) and
`site-packages` are left out. Bytecode is left out too: an enclave loads none.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secureflow.kit.measurement.distributions import digest_of

_LEFT_OUT: Final = frozenset(
    {
        *("__pycache__", "site-packages", "dist-packages", "test", "tests", "ensurepip"),
        *("idlelib", "lib2to3", "tkinter", "turtledemo"),
    }
)
_LOADABLE: Final = (".py", ".so")


@dataclass(frozen=True)
class Interpreter:
    """What runs the code.

    Attributes:
        lines: kind, hex digest and name of each part.
        files: digests of the standard library's files, by real path.
    """

    lines: tuple[str, ...]
    files: dict[str, bytes]


def interpreter(library: Path | None = None) -> Interpreter:
    """Return this process's interpreter.

    Args:
        library: the standard library's folder; default: this interpreter's.
    """
    place = library or Path(os.__file__).parent
    digests = {path: digest_of(place / path) for path in _library(place)}
    listing = "".join(f"{path} {digests[path].hex()}\n" for path in sorted(digests))
    version = ".".join(map(str, sys.version_info[:3]))
    programs = {f"{sys.implementation.name} {version}": Path(sys.executable)}
    programs.update({path.name: path for path in _shared()})
    lines = [f"{digest_of(path).hex()} {name}" for name, path in programs.items()]
    lines.append(f"{hashlib.sha256(listing.encode()).hexdigest()} standard library")
    return Interpreter(
        tuple(f"interpreter {line}" for line in lines),
        {os.path.realpath(place / path): digest for path, digest in digests.items()},
    )


def _library(place: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(place):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        for name in names:
            if name.endswith(_LOADABLE):
                yield Path(folder, name).relative_to(place).as_posix()


def _shared() -> list[Path]:
    """Return the interpreter's own shared library, as the system has it loaded."""
    try:
        mapped = Path("/proc/self/maps").read_text()
    except OSError:
        return []
    words = {line.split(maxsplit=5)[-1] for line in mapped.splitlines()}
    return sorted(Path(word) for word in words if "/libpython" in word)
