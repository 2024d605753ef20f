"""The interpreter: its executable, its shared library if it has one, and the standard library.

Of the standard library, parts that no service loads (tests, editors, installers) and
`site-packages` are left out. So are folders of bytecode: an enclave loads none. Bytecode without a
source counts, and a library in an archive is refused: before the enclave's first line, Python reads
its text encodings from whichever comes first. So are a folder that is a link, which Python enters
and no listing does, and whatever cannot be read.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.measurement.distributions import Files, digest_of, modules_in, unmeasurable
from secureflow.kit.text import Text

_LEFT_OUT: Final = frozenset(
    {
        *("__pycache__", "site-packages", "dist-packages", "test", "tests", "ensurepip"),
        *("idlelib", "lib2to3", "tkinter", "turtledemo"),
    }
)
_LOADABLE: Final = (".py", ".so", ".pyc")
_NATIVE: Final = "lib-dynload/"
"""The folder of the standard library that is one of `sys.path` by itself."""


@dataclass(frozen=True)
class Interpreter:
    """What runs the code.

    Attributes:
        lines: kind, hex digest and name of each part.
        files: digests of the standard library's modules.
    """

    lines: tuple[str, ...]
    files: Files


def interpreter(library: Path | None = None) -> Interpreter:
    """Return this process's interpreter.

    Args:
        library: the standard library's folder; default: this interpreter's.

    Raises:
        SecureFlowError: `code_unmeasurable`.
    """
    place = library or Path(os.__file__).parent
    archive = place.with_name("python{}{}.zip".format(*sys.version_info))
    if archive.exists():
        what = Text("{path} comes before the standard library, and is not measured.", path=archive)
        raise unmeasurable(what, "Remove it.")
    digests = {path: _digest(place / path) for path in _library(place)}
    listing = "".join(f"{path} {digests[path].hex()}\n" for path in sorted(digests))
    version = ".".join(map(str, sys.version_info[:3]))
    programs = {f"{sys.implementation.name} {version}": Path(sys.executable)}
    programs.update({path.name: path for path in _shared()})
    lines = [f"{digest_of(path).hex()} {name}" for name, path in programs.items()]
    lines.append(f"{hashlib.sha256(listing.encode()).hexdigest()} standard library")
    return Interpreter(
        tuple(f"interpreter {line}" for line in lines),
        {
            **modules_in(place, digests),
            **modules_in(place / _NATIVE, _below(_NATIVE, digests)),
        },
    )


def _below(folder: str, digests: Mapping[str, bytes]) -> dict[str, bytes]:
    return {
        path.removeprefix(folder): digest
        for path, digest in digests.items()
        if path.startswith(folder)
    }


def _library(place: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(place, onerror=_refuse):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        for path in (Path(folder, name) for name in folders):
            if path.is_symlink():
                what = Text("{path} is a link to a folder, and is not measured.", path=path)
                raise unmeasurable(what, "Remove it.")
        for name in names:
            if name.endswith(_LOADABLE):
                yield Path(folder, name).relative_to(place).as_posix()


def _digest(path: Path) -> bytes:
    digest = digest_of(path)
    if not digest and path.exists():
        raise _unreadable(path)
    return digest


def _refuse(error: OSError) -> None:
    raise _unreadable(error.filename) from error


def _unreadable(path: object) -> SecureFlowError:
    return unmeasurable(
        Text("{path} of the standard library cannot be read.", path=path),
        "Let this account read it.",
    )


def _shared() -> list[Path]:
    """Return the interpreter's own shared library, as the system has it loaded."""
    try:
        mapped = Path("/proc/self/maps").read_text()
    except OSError:
        return []
    words = {line.split(maxsplit=5)[-1] for line in mapped.splitlines()}
    return sorted(Path(word) for word in words if "/libpython" in word)
