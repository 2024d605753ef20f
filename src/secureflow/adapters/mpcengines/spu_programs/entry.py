"""Where `host` comes in: one party's part of one of the programs of this folder.

The folder is a package of its own here, under a name that nobody else has: beside it lies a module
that is named as SPU's own package. In the sandbox this file lies beside the folder, else in it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any, Final

FOLDER: Final = "spu_programs"
PACKAGE: Final = "secureflow_spu_programs"


def run(told: Any) -> dict[str, Any]:
    """Do what `host.Job` describes; return figures."""
    here = Path(__file__).resolve().parent
    _as_package(here / FOLDER if (here / FOLDER).is_dir() else here)
    figures: dict[str, Any] = importlib.import_module(f"{PACKAGE}.work").run(told)
    return figures


def _as_package(folder: Path) -> None:
    if PACKAGE in sys.modules:
        return
    found = importlib.util.spec_from_file_location(
        PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if found is None or found.loader is None:
        raise ImportError(str(folder))
    package = importlib.util.module_from_spec(found)
    sys.modules[PACKAGE] = package
    found.loader.exec_module(package)
