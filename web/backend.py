"""The build back end (PEP 517): hatchling, which gets a Node.js where the machine has none.

What a build needs besides is asked before it begins, and only here can the answer depend on the
machine. An editable installation builds no pages and asks for nothing.
"""

from __future__ import annotations

import os
from typing import Any

import bundle
from hatchling.build import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
)
from hatchling.build import get_requires_for_build_sdist as _sdist_requires
from hatchling.build import get_requires_for_build_wheel as _wheel_requires

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]


def _node() -> list[str]:
    if os.environ.get(bundle.WITHOUT) == "1" or bundle.fresh():
        return []
    try:
        bundle.tools()
    except bundle.NodeMissingError:
        return [bundle.NODE_PIN]
    return []


def get_requires_for_build_sdist(config_settings: dict[str, Any] | None = None) -> list[str]:
    """Return what a source distribution needs to be built."""
    return [*_sdist_requires(config_settings), *_node()]


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    """Return what a wheel needs to be built."""
    return [*_wheel_requires(config_settings), *_node()]
