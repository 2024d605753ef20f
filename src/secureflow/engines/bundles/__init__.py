"""Bundles: folders of Python source that people bring, packed reproducibly (docs/bundles.md)."""

from secureflow.engines.bundles.characters import Remark
from secureflow.engines.bundles.difference import Difference, FileChange, diff, pointed_out
from secureflow.engines.bundles.format import MAX_BYTES, Bundle, named_problem, pack, unpack
from secureflow.engines.bundles.inspection import METHODS, Inspection, inspect

__all__ = [
    "MAX_BYTES",
    "METHODS",
    "Bundle",
    "Difference",
    "FileChange",
    "Inspection",
    "Remark",
    "diff",
    "inspect",
    "named_problem",
    "pack",
    "pointed_out",
    "unpack",
]
