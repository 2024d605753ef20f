"""The import guard of the enclave's process: it loads exactly the measured files, from source.

It replaces Python's own finder, so that an `import` loads nothing else, however late it runs. For
a module of ours that was not measured it raises an error with the module's name; an unmeasured
module of anyone else counts as not installed, like an optional dependency. A source is compiled
from the bytes whose digest was measured, never from bytecode: neither a planted `.pyc` nor a file
that changed after the measurement is loaded. Nothing is stored on disk for the next start.

Only the entry point (`enclave/__main__.py`) installs it, in a process that has loaded nothing
unmeasured. A process forked from one that has loaded more (in tests) is not an enclave and has no
guard, because modules that are already loaded cannot be taken back.
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
from secureflow.kit.measurement.manifest import ENTRY, CodeManifest
from secureflow.kit.text import Text

_PACKAGE: Final = Path(__file__).parents[1]


class Guard:
    """Finds only what was measured.

    Args:
        files: digests of everything that may be loaded, by name and real path.
        root: the `secureflow` package's folder.
    """

    def __init__(self, files: Mapping[tuple[str, str], bytes], root: Path = _PACKAGE) -> None:
        self._files = files
        self._root = root

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how a module is loaded, None if there is none.

        Raises:
            SecureFlowError: `module_not_measured`, `code_changed`.
        """
        if name.split(".", 1)[0] == OURS:
            return self._ours(name)
        found = PathFinder.find_spec(name, path, target)
        if found is None or found.origin is None:
            namespace = found is not None and isinstance(found.loader, NamespaceLoader | None)
            return found if namespace else None  # a folder holds no code of its own
        digest = self._digest(name, found.origin)
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
        """Check that everything already loaded was measured, and is loaded as it is from here on.

        Raises:
            SecureFlowError: `module_not_measured`.
        """
        for name, module in modules.items():
            if not self._holds(name, module):
                raise not_measured(name)

    def _holds(self, name: str, module: ModuleType) -> bool:
        spec, file = getattr(module, "__spec__", None), getattr(module, "__file__", None)
        if spec is None:  # the entry point's own script, or no module
            own = name == "__main__" and file is not None and self._digest(ENTRY, file) is not None
            return own or not isinstance(module, ModuleType)
        if spec.loader in {BuiltinImporter, FrozenImporter}:
            return True
        loaded = isinstance(spec.loader, SourceFileLoader | ExtensionFileLoader)
        origin = spec.origin
        return loaded and file == origin and self._digest(spec.name, origin) is not None

    def _digest(self, name: str, path: str) -> bytes | None:
        return self._files.get((name, os.path.realpath(path)))

    def _ours(self, name: str) -> ModuleSpec | None:
        path = file_of(name, self._root)
        digest = None if path is None else self._digest(name, str(path))
        if path is None or digest is None:
            raise not_measured(name)
        return _from_source(name, str(path), digest)


class _Measured(SourceFileLoader):
    """Compiles the source whose digest was measured; bytecode is never used."""

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
    """Let this process load only what was measured from now on.

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
        Text("The enclave does not load {name}: it is not part of the measured code.", name=name),
        "Start the enclave with `secureflow enclave start`. Measured are the modules that its "
        "modules import at the top.",
    )


def _from_source(name: str, path: str, digest: bytes) -> ModuleSpec | None:
    return spec_from_file_location(name, path, loader=_Measured(name, path, digest))
