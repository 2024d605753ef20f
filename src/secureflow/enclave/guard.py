"""The guard of the enclave's process: it loads the very files that were measured, from source.

It takes the place of Python's own finder, so that nothing else is loaded by an `import`, however
late: a module of ours that was not measured ends the job by name; another's counts as not
installed, as optional parts are. A source is compiled from the bytes whose digest was measured,
never from bytecode: a `.pyc` that somebody planted is not read, and neither is a file that was
changed after the measurement. Nothing is kept on disk for the next start.

Only the entry point (`enclave/__main__.py`) installs it, in a process that has loaded no more than
is measured; a process that was forked from one that has loaded more (tests) is no enclave and has
no guard, because what it has loaded already nobody could take back.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import (
    BuiltinImporter,
    ExtensionFileLoader,
    FrozenImporter,
    ModuleSpec,
    NamespaceLoader,
    PathFinder,
    SourceFileLoader,
)
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.measurement.closure import OURS, file_of
from secureflow.kit.measurement.distributions import changed, digest_of
from secureflow.kit.measurement.manifest import CodeManifest
from secureflow.kit.text import Text

_PACKAGE: Final = Path(__file__).parents[1]


class Guard:
    """Finds what was measured, and nothing else.

    Args:
        files: digests of everything that may be loaded, by real path.
        root: the `secureflow` package's folder.
    """

    def __init__(self, files: Mapping[str, bytes], root: Path = _PACKAGE) -> None:
        self._files = files
        self._root = root

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how a module is loaded, None where there is none.

        Raises:
            SecureFlowError: `module_not_measured`, `code_changed`.
        """
        if name.split(".", 1)[0] == OURS:
            return self._ours(name)
        found = PathFinder.find_spec(name, path, target)
        if found is None or found.origin is None:
            namespace = found is not None and isinstance(found.loader, NamespaceLoader | None)
            return found if namespace else None  # a folder holds no code of its own
        digest = self._files.get(os.path.realpath(found.origin))
        if digest is None:
            return None
        if isinstance(found.loader, SourceFileLoader):
            return _from_source(name, found.origin, digest)
        if not isinstance(found.loader, ExtensionFileLoader):
            return None
        if digest_of(Path(found.origin)) != digest:
            raise changed(name, found.origin)
        return found

    def hold(self, modules: Mapping[str, ModuleType]) -> None:
        """Hold what is loaded already against what was measured.

        Raises:
            SecureFlowError: `module_not_measured`.
        """
        for name, module in modules.items():
            file = getattr(module, "__file__", None)
            if file is not None and os.path.realpath(file) not in self._files:
                raise not_measured(name)

    def _ours(self, name: str) -> ModuleSpec | None:
        path = file_of(name, self._root)
        digest = None if path is None else self._files.get(os.path.realpath(path))
        if path is None or digest is None:
            raise not_measured(name)
        return _from_source(name, str(path), digest)


class _Measured(SourceFileLoader):
    """Compiles the source whose digest was measured; there is no bytecode for it."""

    def __init__(self, name: str, path: str, digest: bytes) -> None:
        super().__init__(name, path)
        self._digest = digest

    def get_code(self, fullname: str) -> CodeType:
        """Return the compiled source.

        Raises:
            SecureFlowError: `code_changed`.
        """
        source = self.get_data(self.path)
        if hashlib.sha256(source).digest() != self._digest:
            raise changed(fullname, str(self.path))
        code: CodeType = self.source_to_code(source, self.path)
        return code


def install(measured: CodeManifest) -> None:
    """Let this process load what was measured, and nothing else, from now on.

    Raises:
        SecureFlowError: `module_not_measured`: it has loaded something else already.
    """
    guard = Guard(measured.files)
    guard.hold(dict(sys.modules))
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, guard]


def not_measured(name: str) -> SecureFlowError:
    """Return the refusal of a module that is not part of the measurement."""
    return SecureFlowError(
        "module_not_measured",
        Text("The enclave does not load {name}: it is not part of what was measured.", name=name),
        "Start the enclave with `secureflow enclave start`. What it needs is imported at the top "
        "of its modules, where it is measured.",
    )


def _from_source(name: str, path: str, digest: bytes) -> ModuleSpec | None:
    return spec_from_file_location(name, path, loader=_Measured(name, path, digest))
