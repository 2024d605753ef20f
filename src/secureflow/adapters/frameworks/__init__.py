"""Training frameworks behind one interface; NumPy is the embedded default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.frameworks.numpy_runner import NumpyRunner
from secureflow.adapters.frameworks.returned import Returned
from secureflow.adapters.frameworks.rows import RowsRunner
from secureflow.adapters.frameworks.runner import FrameworkRunner
from secureflow.adapters.frameworks.sklearn_runner import SklearnRunner
from secureflow.adapters.frameworks.torch_runner import TorchRunner
from secureflow.adapters.frameworks.tree_runner import TreeRunner
from secureflow.domain.specs.sklearn_families import TRAINED
from secureflow.domain.specs.torch_families import TORCH_FAMILIES
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import Columns
from secureflow.engines.training.families import FAMILIES

__all__ = [
    "FRAMEWORKS",
    "FrameworkRunner",
    "NumpyRunner",
    "Prepare",
    "Returned",
    "RowsRunner",
    "SklearnRunner",
    "TorchRunner",
    "TreeRunner",
    "runner_of",
]

Prepare = Callable[[TrainingSpec, Columns | None, bytes, NDArray[np.bool_] | None], FrameworkRunner]
"""Prepares a party's rows for a job; see `NumpyRunner`."""

FRAMEWORKS: Final[Mapping[str, Prepare]] = {
    **dict.fromkeys(FAMILIES, NumpyRunner),
    "bundle": RowsRunner,
    **dict.fromkeys(TRAINED, SklearnRunner),
    **dict.fromkeys(TORCH_FAMILIES, TorchRunner),
    "xgboost": TreeRunner,
}
"""`spec.model.family` to the framework that trains it."""


def runner_of(
    spec: TrainingSpec,
    columns: Columns | None,
    secret: bytes = b"",
    held: NDArray[np.bool_] | None = None,
) -> FrameworkRunner:
    """Prepare a job's rows in the framework of its family; raises what `NumpyRunner` does."""
    return FRAMEWORKS[spec.model.family](spec, columns, secret, held)
