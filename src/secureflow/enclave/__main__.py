"""The enclave's entry point: `python -I -m secureflow.enclave --config enclave.yaml`.

What is measured is what this module imports (`kit/measurement`). But before its first line Python
would run more: `.pth` files and `sitecustomize` of the environment, bytecode stored with the
sources, and libraries that the environment's variables name (`LD_PRELOAD`, `OPENSSL_CONF`). So the
process replaces itself with one in which it does not (`-I -S -B`, a bytecode folder that cannot
exist, and only the variables of `environment`); the new one measures, checks, guards its imports,
and serves. Whatever was loaded before is gone with the old process image. `secureflow enclave
start` does the same.

At its top this module imports only what is part of the interpreter's own file, not even
`__future__`: what else stands in Python's path is looked for by `load_sources_only`'s rules.
"""

import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import (
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    spec_from_file_location,
)
from _imp import extension_suffixes

NO_BYTECODE = f"{os.devnull}/bytecode"
"""The folder where Python looks for bytecode: it cannot exist."""
CONFIG = "enclave.yaml"
_OURS = "secureflow"
_FILE = os.path.realpath(__file__)
_LIBRARY = os.path.dirname(os.__file__)
_FOLDERS = (_LIBRARY, os.path.join(_LIBRARY, "lib-dynload"))
_NAMES = frozenset(
    {
        *("HOME", "PATH", "TZ", "LANG", "TMPDIR", "TEMP", "TMP", "OPENBLAS_NUM_THREADS"),
        *("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy"),
    }
)
_PREFIXES = ("SECUREFLOW_", "LC_")


def command(config: str) -> list[str]:
    """Return the command of a process that loads only sources that it measures."""
    paths = os.pathsep.join(path for path in sys.path if os.path.isdir(path))
    flags = ("-I", "-S", "-B", "-X", f"pycache_prefix={NO_BYTECODE}")
    return [sys.executable, *flags, _FILE, paths, config]


def environment() -> dict[str, str]:
    """Return the variables that the enclave keeps: none of them has anything loaded."""
    foreign = foreign_variables()
    return {name: value for name, value in os.environ.items() if name not in foreign}


def foreign_variables() -> list[str]:
    """Return the names of this process's variables that an enclave does not take."""
    return sorted(
        name for name in os.environ if name not in _NAMES and not name.startswith(_PREFIXES)
    )


def exec_enclave(config: str) -> None:
    """Replace this process with the enclave."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command(config), environment())  # noqa: S606  ours, no shell


def isolated() -> bool:
    """Tell whether this process was started with the flags of `command`."""
    flags = sys.flags
    isolated = flags.isolated and flags.no_site and flags.dont_write_bytecode
    return bool(isolated) and sys.pycache_prefix == NO_BYTECODE


def config_path(arguments: list[str]) -> str:
    """Return the path of the settings file; exit with 2 on any other arguments."""
    if not arguments:
        return CONFIG
    if len(arguments) != 2 or arguments[0] != "--config":
        sys.stderr.write("python -I -m secureflow.enclave [--config FILE]\n")
        sys.exit(2)
    return arguments[1]


class OwnSources:
    """Finds the modules of this package: their sources, whatever lies beside these."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return how a module of ours is loaded; None if it is another's.

        Raises:
            ModuleNotFoundError: it has no source.
        """
        del path, target
        first, *rest = name.split(".")
        if first != _OURS:
            return None
        place = os.path.join(os.path.dirname(os.path.dirname(_FILE)), *rest)
        for file in (os.path.join(place, "__init__.py"), f"{place}.py"):
            if os.path.isfile(file):
                return spec_from_file_location(name, file, loader=SourceFileLoader(name, file))
        raise ModuleNotFoundError(name, name=name)


class LibrarySources(FileFinder):
    """Finds what lies in a folder of the standard library itself, and not behind a link to one."""

    def find_spec(self, fullname: str, target: object = None) -> ModuleSpec | None:
        """Return how a module is loaded; end the process if a link to a folder leads there."""
        del target
        found: ModuleSpec | None = super().find_spec(fullname)
        if found is not None and found.origin is not None:
            folder = os.path.dirname(found.origin)
            if folder != _LIBRARY and os.path.islink(folder):
                end_unmeasured(f"{folder} is a link to a folder, and is not measured.")
        return found


def end_unmeasured(what: str) -> None:
    """End this process, which has nothing loaded to say it in another language."""
    sys.stderr.write(f"code_unmeasurable: {what} Remove it.\n")
    sys.exit(2)


def refuse_other_paths() -> None:
    """End this process if Python looks anywhere but into the standard library's two folders.

    Some layouts have it take an archive from elsewhere, or native modules out of a folder of the
    library that is not measured (`pybuilddir.txt`).
    """
    known = {os.path.realpath(one) for one in _FOLDERS}
    for one in sys.path:
        if os.path.exists(one) and os.path.realpath(one) not in known:
            end_unmeasured(f"{one} comes with the standard library, and is not measured.")


def load_sources_only() -> None:
    """Let Python load only our sources from now on, and what is in the standard library's folders.

    No archive, no bytecode and no link to a folder; nobody else's code is needed before it is
    measured.
    """
    sys.path[:] = _FOLDERS
    kinds = (ExtensionFileLoader, extension_suffixes()), (SourceFileLoader, [".py"])
    sys.path_hooks[:] = [LibrarySources.path_hook(*kinds)]
    sys.path_importer_cache.clear()
    sys.meta_path.insert(0, OwnSources)


if __name__ == "__main__":
    if not isolated():
        exec_enclave(config_path(sys.argv[1:]))
    if foreign := foreign_variables():
        sys.stderr.write(f"An enclave takes no {', '.join(foreign)} from its environment.\n")
        sys.exit(2)
    refuse_other_paths()
    load_sources_only()
    from secureflow.domain.exits import exit_code
    from secureflow.enclave.guard import install
    from secureflow.kit.errors import SecureFlowError
    from secureflow.kit.measurement import measure
    from secureflow.kit.memory import loading

    paths = sys.argv[1].split(os.pathsep)
    try:
        with loading():
            measured = measure(paths=paths)
            measured.check()
            install(measured)
            sys.path += [path for path in paths if path not in sys.path]
            from pathlib import Path

            from secureflow.enclave.main import run
    except SecureFlowError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(exit_code(error.code))
    sys.exit(run(Path(sys.argv[2]), measurement=measured.digest))
