"""SPU's libraries without its compiler.

`import spu` imports JAX, which takes a second and 150 MB; an intersection needs neither.
"""

from __future__ import annotations

import importlib.util
import sys
import types


def libraries_alone() -> None:
    """Have `spu.libspu` and `spu.psi` imported without what `spu` itself imports."""
    if "spu" in sys.modules:
        return
    found = importlib.util.find_spec("spu")
    if found is None or found.submodule_search_locations is None:
        return  # whoever imports it says so
    package = types.ModuleType("spu")
    package.__path__ = list(found.submodule_search_locations)
    package.__spec__ = found
    sys.modules["spu"] = package
