"""Which optional extra a family needs at every party: said at submission, and checked by an agent
before anybody is asked.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from secureflow.domain.specs.sklearn_families import TRAINED
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


@dataclass(frozen=True)
class Extra:
    """An optional extra of the distribution.

    Args:
        name: the extra's.
        module: that it brings.
    """

    name: str
    module: str


EXTRAS: Final[Mapping[str, Extra]] = dict.fromkeys(TRAINED, Extra("sklearn", "sklearn"))
"""`spec.model.family` to what it needs beyond the core."""


def check_extra(spec: TrainingSpec) -> None:
    """Refuse a job whose trainer is not installed here.

    Raises:
        SecureFlowError: `missing_extra`.
    """
    needed = EXTRAS.get(spec.model.family)
    if needed is None or importlib.util.find_spec(needed.module) is not None:
        return
    raise SecureFlowError(
        "missing_extra",
        Text(
            "A model of the family {family} is trained with the extra {extra}, which is not "
            "installed here.",
            family=spec.model.family,
            extra=needed.name,
        ),
        Text(
            "Whoever runs this agent installs it: pip install 'secureflow[{extra}]'.",
            extra=needed.name,
        ),
        {"extra": needed.name},
    )
