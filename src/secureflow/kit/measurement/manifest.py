"""The manifest: every part in one text, whose SHA-256 is the measurement."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from secureflow.kit.measurement.closure import Closure, beside, closure, file_of
from secureflow.kit.measurement.distributions import (
    Distribution,
    Files,
    digest_of,
    reached,
    unmeasurable,
)
from secureflow.kit.measurement.interpreter import interpreter
from secureflow.kit.text import Text

ENTRY: Final = "secureflow.enclave.__main__"
_TITLE: Final = "SecureFlow: what an enclave runs, 2"
_HERE: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class CodeManifest:
    """What an enclave of this installation runs.

    Attributes:
        lines: one for each part: its kind, its SHA-256, its name.
        files: digests of everything that may be loaded.
        distributions: what the enclave's own code depends on.
    """

    lines: tuple[str, ...]
    files: Files
    distributions: tuple[Distribution, ...]

    @property
    def text(self) -> str:
        """The text that the measurement is the SHA-256 of."""
        return "".join(f"{line}\n" for line in (_TITLE, *self.lines))

    @property
    def digest(self) -> str:
        """The measurement, hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def check(self) -> None:
        """Check the distributions' files against their checksums: what runs is what was measured.

        Raises:
            SecureFlowError: `code_changed`.
        """
        for one in self.distributions:
            one.check()


def measure(root: Path | None = None, paths: list[str] | None = None) -> CodeManifest:
    """Return what an enclave runs.

    Args:
        root: the `secureflow` package's folder; default: the installed one.
        paths: folders with distributions; default: `sys.path`.

    Raises:
        SecureFlowError: `code_unmeasurable`.
    """
    base = root or _HERE
    code = closure(ENTRY, base)
    found = reached(code.foreign, sys.path if paths is None else paths)
    below = interpreter()
    ours = _digests(code, base)
    lines = [f"code {digest.hex()} {_shown(path, base)}" for path, digest in ours.values()]
    if not (locked := digest_of(lock(base))):
        raise unmeasurable("The locked requirements are not installed.")
    lines.append(f"lock {locked.hex()} requirements")
    lines += (f"distribution {one.digest().hex()} {one.name} {one.version}" for one in found)
    files = {**below.files}
    for one in found:
        files.update(one.files())
    files.update({(name, os.path.realpath(path)): one for name, (path, one) in ours.items()})
    return CodeManifest((*lines, *below.lines), files, tuple(found))


@cache
def code_measurement() -> str:
    """Return the hex measurement of this installation's enclave.

    Raises:
        SecureFlowError: `code_unmeasurable`.
    """
    return measure().digest


def lock(root: Path = _HERE) -> Path:
    """Return the locked requirements: a wheel ships them with the code."""
    carried = root / "requirements" / "core.txt"
    return carried if carried.is_file() else root.parents[1] / "requirements" / "core.txt"


def _digests(code: Closure, base: Path) -> dict[str, tuple[Path, bytes]]:
    found = {}
    for name in sorted(code.modules):
        if (other := beside(name, base)) is not None:
            what = Text("{path} could be loaded in place of {name}.", path=other, name=name)
            raise unmeasurable(what, "Remove it.")
        if (path := file_of(name, base)) is not None:
            found[name] = path, hashlib.sha256(code.modules[name]).digest()
    return found


def _shown(path: Path, base: Path) -> str:
    return f"{base.name}/{path.relative_to(base).as_posix()}"
