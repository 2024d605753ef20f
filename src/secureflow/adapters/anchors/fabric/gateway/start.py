"""Where the gateway process begins: `python -I -B start.py`, one private pipe in, one out."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Final

PACKAGE: Final = "secureflow_fabric_gateway"


def package() -> None:
    """Load this folder as a package under a name that nobody else has."""
    folder = Path(__file__).resolve().parent
    found = importlib.util.spec_from_file_location(
        PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if found is None or found.loader is None:
        raise ImportError(str(folder))
    made = importlib.util.module_from_spec(found)
    sys.modules[PACKAGE] = made
    found.loader.exec_module(made)


if __name__ == "__main__":
    package()
    importlib.import_module(f"{PACKAGE}.serving").main()
