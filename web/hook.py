"""Hatch build hook: the pages are in what is built, a wheel or a source distribution.

A source distribution carries them built, so that who installs from it needs no Node.js. An editable
installation uses the tree as it is: `make web` builds there.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface[Any]):
    """Builds the pages before anything is packed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build them, unless that is not wanted."""
        bundle = _bundle()
        if version == "editable" or os.environ.get(bundle.WITHOUT) == "1":
            return
        bundle.build()
        places = [one.relative_to(self.root).as_posix() for one in bundle.PLACES.values()]
        build_data["artifacts"] += [f"/{one}/**" for one in places]


def _bundle() -> Any:
    path = Path(__file__).with_name("bundle.py")
    spec = importlib.util.spec_from_file_location("secureflow_web_bundle", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
