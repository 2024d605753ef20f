"""What was installed into an environment, judged from outside: its interpreter is not started.

A wheel's files run as the agent's user, outside of any sandbox, wherever its environment's
interpreter is started without care. So none is started from here on, and a wheel is refused that
would change the interpreter itself, or ship code that runs with every start: `*.pth`,
`sitecustomize`, `usercustomize` (the module `site`). What a package requires is read from its
metadata, with the markers of the interpreter that the environment was made with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from typing import Any, Final

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from secureflow.kit.plain import shown
from secureflow.kit.text import Text

MARKERS: Final = (
    "import json, os, platform, sys; v = sys.implementation.version;"
    "print(json.dumps({'implementation_name': sys.implementation.name,"
    "'implementation_version': '%d.%d.%d' % v[:3], 'os_name': os.name,"
    "'platform_machine': platform.machine(), 'platform_release': platform.release(),"
    "'platform_system': platform.system(), 'platform_version': platform.version(),"
    "'python_full_version': platform.python_version(), 'sys_platform': sys.platform,"
    "'platform_python_implementation': platform.python_implementation(),"
    "'python_version': '.'.join(platform.python_version_tuple()[:2])}))"
)
"""What an interpreter is asked for (PEP 508), before anything is installed."""
NOT_NEEDED: Final = frozenset({"distutils-precedence.pth"})
"""What common wheels run with every start and nothing here needs: setuptools' own `distutils`."""
_METADATA: Final = 4 << 20
"""Bytes of a package's metadata."""
_CUSTOM: Final = frozenset({"sitecustomize", "usercustomize"})
_INTERPRETER: Final = re.compile(r"(?:python|pypy).*|.*\._pth|pyvenv\.cfg|pybuilddir\.txt")
"""Names beside an interpreter that decide what it is (`Modules/getpath.py`)."""


def leave_out(venv: Path) -> None:
    """Remove what runs with every start and is not needed."""
    for folder in package_folders(venv):
        for name in NOT_NEEDED:
            (folder / name).unlink(missing_ok=True)


def refused(venv: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return why what was installed is refused, or "".

    Args:
        venv: the environment.
        before: its contents when nothing was installed.
        now: its contents (`venvs.contents`).
    """
    for name, known in before.items():
        if now.get(name) != known:
            return Text("a wheel replaces {file}", file=shown(name))
    for name in now.keys() - before.keys():
        if name.startswith("bin/") and _INTERPRETER.fullmatch(name.split("/")[1]):
            return Text("a wheel puts {file} beside the interpreter", file=shown(name))
    for folder in package_folders(venv):
        for path in sorted(folder.iterdir()):
            if path.name.endswith(".pth") or path.name.partition(".")[0] in _CUSTOM:
                return Text(
                    "a wheel ships {file}, which would run with every start",
                    file=shown(path.name),
                )
    return ""


def lacking(venv: Path, markers: Mapping[str, str]) -> str:
    """Return the first package that lacks what it requires, and what that is, or "".

    Args:
        venv: the environment.
        markers: of its interpreter, as it answered to `MARKERS`.
    """
    found = dict(_distributions(venv))
    if "" in found:
        return Text("the metadata of {name} cannot be read", name=found[""][0])
    for name, (_, required) in sorted(found.items()):
        for text in required:
            try:
                reason = _lacks(text, found, markers)
            except (InvalidRequirement, InvalidVersion, ValueError, RecursionError):
                reason = Text("{text!r}, which is no requirement", text=shown(text[:80]))
            if reason:
                return Text("{name} requires {reason}", name=name, reason=reason)
    return ""


def packages(venv: Path) -> list[tuple[str, str]]:
    """Return name and version of the installed packages."""
    names = (path.name.removesuffix(".dist-info") for path in _described(venv))
    parts = (name.rpartition("-") for name in names)
    return sorted((name.lower().replace("_", "-"), version) for name, _, version in parts)


def _lacks(
    text: str, found: Mapping[str, tuple[str, list[str]]], markers: Mapping[str, str]
) -> str:
    required = Requirement(text)
    if required.marker is not None and not _applies(required.marker, markers):
        return ""
    version, _ = found.get(canonicalize_name(required.name), ("", []))
    if not version:
        return Text("{name}, which is not installed", name=required.name)
    if required.specifier.contains(Version(version), prereleases=True):
        return ""
    return Text(
        "{name}{specifier}, installed is {version}",
        name=required.name,
        specifier=str(required.specifier),
        version=version,
    )


def _applies(marker: Marker, markers: Mapping[str, str]) -> bool:
    return marker.evaluate({**markers, "extra": ""})


def _distributions(venv: Path) -> Iterator[tuple[str, tuple[str, list[str]]]]:
    """Yield name, version and requirements; one without a name for metadata that is not read."""
    for path in _described(venv):
        unread = "", (shown(path.name[:80]), list[str]())
        described = path / "METADATA"
        if not described.is_file() or described.stat().st_size > _METADATA:
            yield unread
            continue
        one: Distribution = PathDistribution(path)
        try:
            name, version = one.metadata["Name"], str(Version(one.version))
        except (KeyError, ValueError, TypeError):
            yield unread
            continue
        yield canonicalize_name(name), (version, one.requires or [])


def _described(venv: Path) -> list[Path]:
    return [one for folder in package_folders(venv) for one in sorted(folder.glob("*.dist-info"))]


def package_folders(venv: Path) -> list[Path]:
    """Return where an environment has its packages."""
    return sorted({one.resolve() for one in venv.glob("lib*/python3*/site-packages")})
