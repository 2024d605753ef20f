"""The recipe of a simulated job: a file beside the job's, since there is no centre to ask."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secureflow.domain.specs.base import dump
from secureflow.domain.specs.recipe_rules import with_inputs
from secureflow.engines.preparation.recipe import MAX_BYTES, read_recipe
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.inputfiles import read_bytes
from secureflow.kit.text import Text


def with_recipe(job: Mapping[str, Any], base: Path) -> Mapping[str, Any]:
    """Return a job whose recipe, if a file is named in its place, is that file's.

    Args:
        job: a job file's content.
        base: the folder that the recipe's path is relative to.

    Raises:
        SecureFlowError: `invalid_request` without such a file; `invalid_file`, `invalid_recipe`.
    """
    features = job.get("features")
    if not isinstance(features, Mapping):
        return job
    name = features.get("recipe")
    if isinstance(name, str):
        features = {**features, "recipe": dump(recipe_file(base / name, name))}
    return {**job, "features": with_inputs(features)}


def recipe_file(path: Path, name: str) -> Any:
    """Return the recipe of a file.

    Args:
        path: the file's.
        name: how the job file calls it.

    Raises:
        SecureFlowError: as `with_recipe`.
    """
    if not path.is_file():
        raise SecureFlowError(
            "invalid_request",
            Text("features.recipe: there is no file {name!r} beside the job file.", name=name[:80]),
            "Save it: secureflow prep show NAME --save recipe.json; write recipe: recipe.json.",
        )
    return read_recipe(read_bytes(path, MAX_BYTES))
