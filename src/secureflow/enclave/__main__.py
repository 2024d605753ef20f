"""The enclave's entry point: `python -I -m secureflow.enclave --config enclave.yaml`.

What is measured is what this module imports (`kit/measurement`). But before its first line Python
would run more: `.pth` files and `sitecustomize` of the environment, and bytecode stored with the
sources. So the process replaces itself with one in which it does not (`-I -S -B`, and a bytecode
folder that cannot exist); the new one measures, checks, guards its imports, and serves. Whatever
was loaded before is gone with the old process image. `secureflow enclave start` does the same.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

NO_BYTECODE: Final = f"{os.devnull}/bytecode"
"""The folder where Python looks for bytecode: it cannot exist."""
CONFIG: Final = "enclave.yaml"


def command(config: str) -> list[str]:
    """Return the command of a process that loads only sources that it measures."""
    paths = os.pathsep.join(path for path in sys.path if path)
    flags = ("-I", "-S", "-B", "-X", f"pycache_prefix={NO_BYTECODE}")
    return [sys.executable, *flags, str(Path(__file__).resolve()), paths, config]


def exec_enclave(config: str) -> None:
    """Replace this process with the enclave."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, command(config))  # noqa: S606  a process of ours, no shell


def isolated() -> bool:
    """Tell whether this process was started by `command`."""
    flags = sys.flags
    isolated = flags.isolated and flags.no_site and flags.dont_write_bytecode
    return bool(isolated) and sys.pycache_prefix == NO_BYTECODE


def config_path(arguments: Sequence[str]) -> str:
    """Return the path of the settings file; exit with 2 on any other arguments."""
    if not arguments:
        return CONFIG
    if len(arguments) != 2 or arguments[0] != "--config":
        sys.stderr.write("python -I -m secureflow.enclave [--config FILE]\n")
        sys.exit(2)
    return arguments[1]


if __name__ == "__main__":
    if not isolated():
        exec_enclave(config_path(sys.argv[1:]))
    sys.path += [path for path in sys.argv[1].split(os.pathsep) if path not in sys.path]
    from secureflow.domain.exits import exit_code
    from secureflow.enclave.guard import install
    from secureflow.kit.errors import SecureFlowError
    from secureflow.kit.measurement import measure
    from secureflow.kit.memory import loading

    try:
        with loading():
            measured = measure()
            measured.check()
            install(measured)
            from secureflow.enclave.main import run
    except SecureFlowError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(exit_code(error.code))
    sys.exit(run(Path(sys.argv[2]), measurement=measured.digest))
