"""What an interpreter needs to see of the host: itself, its libraries, its environment.

Of the system that is `/usr/lib` and its like, the loader's cache, the time zones and how many
processors there are (what they are is a copy, `bubblewrap`); of the interpreter's own folders `lib`
and the executable with the links that lead to it; and whatever else is on its `sys.path`.
Everything at the place where the host has it.

Nothing of what is installed in an environment runs here, outside of every sandbox: an interpreter
is asked without `site`, which would run what lies in `*.pth` and `sitecustomize`. So its
environment is found as Python finds it (PEP 405), and folders that `*.pth` names are read as text,
for the agent's own interpreter alone: others are shown no place of a package's choice.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from secureflow.adapters.sandbox.failures import failed
from secureflow.kit.oserrors import reason_in

_SYSTEM: Final = (
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/sys/devices/system/cpu/online",
    "/sys/devices/system/cpu/possible",
    "/sys/devices/system/cpu/present",
)
_ROOT_LINKS: Final = (Path("/lib"), Path("/lib64"))
"""Links into `/usr` where the system has merged them, else folders."""
_ASK: Final = (
    "import json, sys; print(json.dumps([[sys.prefix, sys.base_prefix, sys.exec_prefix, "
    "sys.base_exec_prefix], sys.path, getattr(sys, '_base_executable', None)]))"
)
_PATIENCE: Final = 60.0
_LINKS: Final = 40
"""Links in a row that are followed, as the kernel does."""


@dataclass(frozen=True)
class Layout:
    """What is shown of the host.

    Args:
        paths: files and folders, none within another one.
        links: symbolic links: what they say, and their places.
    """

    paths: tuple[Path, ...]
    links: tuple[tuple[str, Path], ...]

    def shows(self, path: Path) -> bool:
        """Tell whether a path lies within what is shown."""
        return any(path.is_relative_to(one) for one in self.paths)

    def places(self, path: Path) -> Iterator[Path]:
        """Yield where a file or folder of the host is seen, whatever links lead to either."""
        real = path.resolve()
        for one, shown in zip(self.paths, self._real, strict=True):
            if real.is_relative_to(shown):
                yield one / real.relative_to(shown)

    @cached_property
    def _real(self) -> tuple[Path, ...]:
        return tuple(one.resolve() for one in self.paths)


_Look = tuple[tuple[int, int, int], ...]
"""What a layout was made of: inode, size and time of change of each file."""
_known: dict[str, tuple[_Look, Layout]] = {}


def layout_of(python: str) -> Layout:
    """Return what is to be shown for an interpreter.

    It is asked once, and again when it, its environment or what is installed there is another one.

    Raises:
        SecureFlowError: `sandbox_failed`: it does not run.
    """
    look = _look(python)
    known = _known.get(python)
    if known is None or known[0] != look:
        known = _known[python] = look, _made(python)
    return known[1]


def forget(python: str) -> None:
    """Ask an interpreter again at its next start."""
    _known.pop(python, None)


def _made(python: str) -> Layout:
    prefixes, search, base = _asked(python)
    wanted = [Path(one) for one in _SYSTEM]
    if environment := _environment(python):
        prefixes.append(str(environment))
    if python == sys.executable:
        search += _named_by_packages(Path(sys.prefix))
    for prefix in map(Path, prefixes):
        wanted += [prefix / part for part in ("lib", "lib64", "share/zoneinfo", "pyvenv.cfg")]
    wanted += [Path(one) for one in search if one]
    links = [(str(one.readlink()), one) for one in _ROOT_LINKS if one.is_symlink()]
    wanted += [one for one in _ROOT_LINKS if not one.is_symlink()]
    for executable in (python, base):
        for place, target in _followed(executable) if executable else ():
            if target is None:
                wanted.append(place)
            else:
                links.append((target, place))
    paths = tuple(_outermost(one for one in wanted if one.is_absolute() and one.exists()))
    shown = Layout(paths, ())
    return Layout(paths, tuple(dict.fromkeys(one for one in links if not shown.shows(one[1]))))


def _asked(python: str) -> tuple[list[str], list[str], str | None]:
    real = Path(python).resolve()  # nothing that lies in an environment has a say
    command = [str(real), "-I", "-S", "-c", _ASK]
    try:
        told = subprocess.run(command, env={}, capture_output=True, check=True, timeout=_PATIENCE)
        prefixes, search, base = json.loads(told.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise failed("bubblewrap", reason_in(error)) from error
    return prefixes, search, base


def _environment(python: str) -> Path | None:
    """Return the virtual environment that an interpreter belongs to: `site` knows it, else."""
    folder = Path(python).absolute().parent
    return next((one for one in (folder, folder.parent) if (one / "pyvenv.cfg").is_file()), None)


def _packages(prefix: Path) -> list[Path]:
    return sorted(prefix.glob("lib*/python3*/*-packages"))


def _named_by_packages(prefix: Path) -> list[str]:
    """Return the folders that `*.pth` files name (`site`), without running their other lines."""
    found: list[str] = []
    for folder in _packages(prefix):
        for file in sorted(folder.glob("*.pth")):
            lines = file.read_text(errors="replace").splitlines()
            named = (
                one.rstrip() for one in lines if not one.startswith(("#", "import ", "import\t"))
            )
            found += [str(folder / one) for one in named if one]
    return found


def _look(python: str) -> _Look:
    folder = Path(python).absolute().parent
    files = [Path(python), folder / "pyvenv.cfg", folder.parent / "pyvenv.cfg"]
    return tuple(_seen(one) for one in (*files, *_packages(folder.parent)))


def _seen(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns


def _followed(executable: str) -> Iterator[tuple[Path, str | None]]:
    """Yield the links that lead to an executable, with what they say, and at last the file."""
    place = Path(executable).absolute()
    for _ in range(_LINKS):
        if not place.is_symlink():
            break
        said = str(place.readlink())
        yield place, said
        place = Path(os.path.normpath(place.parent / said))
    yield place, None


def _outermost(paths: Iterator[Path]) -> Iterator[Path]:
    """Yield paths that lie in no other one of them."""
    kept: list[Path] = []
    for one in sorted(set(paths), key=lambda path: len(path.parts)):
        if not any(one.is_relative_to(other) for other in kept):
            kept.append(one)
            yield one
