"""What is wrong with a field of a job or a request, beyond what any field can have (`kit`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.kit import fieldfaults

MISSPELT: Final = "there is no family '{family}': {near} may be meant. The families are {families}"
"""Of a model's family, that somebody meant another one."""
UNKNOWN: Final = "there is no family '{family}'. The families are {families}"
"""Of a model's family that is like none."""
LABEL: Final = (
    "it says nothing of what is learnt: positive: WORD, classes: [A, B, …], or the bounds "
    "[LOW, HIGH] of a number"
)
"""Of a label that is no target."""
SETTING: Final = (
    "a setting is true or false, a number, a text of one line and at most 1,000 characters, or a "
    "list of at most 1,000 of these"
)
"""Of what a setting of code cannot be."""
_TEMPLATES: Final[Mapping[str, str]] = {
    "label_form": LABEL,
    "setting_form": SETTING,
    "misspelt_family": MISSPELT,
    "unknown_family": UNKNOWN,
}
_FAMILY: Final = frozenset({"misspelt_family", "unknown_family"})
"""Faults of a member that pydantic places at the object around it."""


def fault(error: Mapping[str, Any]) -> str:
    """Return what an error of pydantic says, bounded, with hidden characters escaped."""
    return fieldfaults.fault(error, _TEMPLATES)


def members(error: Mapping[str, Any]) -> tuple[int | str, ...]:
    """Return the path of what an error of pydantic is about, from the object that was read."""
    path = tuple(error["loc"])
    return (*path, "family") if error["type"] in _FAMILY else path
