"""Third-party code: distributions, by the checksums in their RECORD files.

A RECORD (packaging.python.org, "Recording installed projects") lists each file of a distribution
with its SHA-256. Installers add rows of their own: scripts with the path of the environment,
requester, origin, bytecode. None of these may be loaded, and they differ from machine to machine;
the digest is over the others. An agent trusts the RECORDs, because its own copy is not what runs;
the enclave checks every file against them (`check`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_BY_INSTALLER: Final = frozenset({"INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"})
_REQUIRES: Final = re.compile(r"^Requires-Dist: *([\w.-]+)(.*)$", re.MULTILINE)
_VERSION: Final = re.compile(r"^Version: *(\S+)", re.MULTILINE)
_LOADABLE: Final = re.compile(r"((?:[^./]+/)*)([^./]+)(?:\.py|(?:\.[^/]+)?\.so)")
_MODULE: Final = ("/__init__.py,", ".py,", ".cpython-", ".abi3.")
REINSTALL: Final = "Reinstall the release from its locked requirements (requirements/core.txt)."

Files = dict[tuple[str, str], bytes]
"""Digests of what may be loaded, by a module's name and the real path of its file.

The path alone would do for any name: a link `yaml` to another measured package is not YAML.
"""


@dataclass(frozen=True)
class Distribution:
    """One installed distribution.

    Attributes:
        name: normalised.
        version: from its metadata.
        folder: the root of its files' paths.
        rows: SHA-256 by path, of each file that its wheel brought.
    """

    name: str
    version: str
    folder: Path
    rows: Mapping[str, bytes]

    def digest(self) -> bytes:
        """Return the SHA-256 over paths and checksums."""
        rows = "".join(f"{path} {self.rows[path].hex()}\n" for path in sorted(self.rows))
        return hashlib.sha256(rows.encode()).digest()

    def files(self) -> Files:
        """Return the digests of the files that may be loaded."""
        return modules_in(self.folder, self.rows)

    def check(self) -> None:
        """Check every file against its checksum.

        Raises:
            SecureFlowError: `code_changed`.
        """
        for path, digest in self.rows.items():
            if digest_of(self.folder / path) != digest:
                raise changed(f"{self.name} {self.version}", path)


def reached(names: Iterable[str], paths: Sequence[str]) -> list[Distribution]:
    """Return the distributions that hold these modules, and what they require, by name.

    Requirements of extras are left out, and so is anything not installed: its condition was not
    met.

    Args:
        names: dotted names of modules, or of what is imported from them.
        paths: folders with distributions, as in `sys.path`; the first match for a name wins.

    Raises:
        SecureFlowError: `code_unmeasurable`.
    """
    installed = _installed(paths)
    foreign = {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}
    waiting, found = _owners(foreign, installed), dict[str, Distribution]()
    while waiting:
        name = waiting.pop()
        if name in found or name not in installed:
            continue
        info = installed[name]
        metadata = (info / "METADATA").read_text(errors="replace").split("\n\n", 1)[0]
        version = _VERSION.search(metadata)
        found[name] = Distribution(name, version[1] if version else "", info.parent, _rows(info))
        waiting += [
            _normal(one)
            for one, condition in _REQUIRES.findall(metadata)
            if "extra" not in condition
        ]
    return [found[name] for name in sorted(found)]


def modules_in(folder: Path, digests: Mapping[str, bytes]) -> Files:
    """Return those of the files that are modules.

    Args:
        folder: a folder of `sys.path`.
        digests: SHA-256 of files by their paths below it.
    """
    return {
        (name, os.path.realpath(folder / path)): digest
        for path, digest in digests.items()
        if (name := _module_of(path))
    }


def digest_of(path: Path) -> bytes:
    """Return a file's SHA-256; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b""


def changed(whose: str, path: str) -> SecureFlowError:
    """Return the error for a file that is not the measured one."""
    return SecureFlowError(
        "code_changed",
        Text("{whose}: {path} is not the file that was installed.", whose=whose, path=path),
        REINSTALL,
    )


def _module_of(path: str) -> str:
    """Return the name under which Python imports a file, empty for any that it does not."""
    match = _LOADABLE.fullmatch(path)
    if match is None:
        return ""
    folder, stem = match[1].replace("/", "."), match[2]
    return folder.removesuffix(".") if stem == "__init__" else f"{folder}{stem}"


def _installed(paths: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        for info in sorted(Path(path).glob("*.dist-info")):
            found.setdefault(_normal(info.name.partition("-")[0]), info)
    return found


def _owners(modules: set[str], installed: Mapping[str, Path]) -> list[str]:
    records = {name: f"\n{_record(info)}" for name, info in installed.items()}
    wanted = {module.split(".", 1)[0] for module in modules}
    near = {
        name: text
        for name, text in records.items()
        if any(f"\n{top}/" in text or f"\n{top}." in text for top in wanted)
    }
    return sorted({_owner(module, near) for module in modules})


def _owner(module: str, records: Mapping[str, str]) -> str:
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        place = "/".join(parts[:count])
        files = [f"\n{place}{end}" for end in _MODULE]
        owners = [name for name, text in records.items() if any(file in text for file in files)]
        if len(owners) == 1:
            return owners[0]
        if owners:
            raise unmeasurable(
                Text("{owners} both install {place}.", owners=" and ".join(owners), place=place)
            )
    raise unmeasurable(
        Text("No installed distribution records the module {module}.", module=module)
    )


def _rows(info: Path) -> dict[str, bytes]:
    rows: dict[str, bytes] = {}
    for line in _record(info).splitlines():
        path, checksum, _ = line.rsplit(",", 2) if line.count(",") > 1 else (line, "", "")
        path = path.strip('"')
        parts = path.split("/")
        ours = parts[0] == info.name and parts[-1] in _BY_INSTALLER
        if checksum and ".." not in parts and not path.startswith("/") and not ours:
            rows[path] = _sha256(checksum, info.name)
    return rows


def _record(info: Path) -> str:
    try:
        return (info / "RECORD").read_text()
    except OSError:
        return ""


def _sha256(checksum: str, whose: str) -> bytes:
    kind, _, text = checksum.partition("=")
    try:
        digest = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        digest = b""
    if kind != "sha256" or len(digest) != hashlib.sha256().digest_size:
        raise unmeasurable(
            Text("{whose}: RECORD has a checksum that is not a SHA-256.", whose=whose)
        )
    return digest


def unmeasurable(what: str, hint: str = REINSTALL) -> SecureFlowError:
    """Return the error for an installation that cannot be measured."""
    return SecureFlowError("code_unmeasurable", what, hint)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
