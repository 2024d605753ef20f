"""What is wrong with a field of a job or a request, beyond what any field can have (`kit`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from secureflow.kit import fieldfaults, fieldforms
from secureflow.kit.fieldforms import Fault
from secureflow.kit.fieldplaces import Place

DIGEST_PATTERN: Final = r"^[0-9a-f]{64}$"
ID_PATTERN: Final = r"^[a-z]{2,4}_[0-9a-z]{8,40}$"
SLUG_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"

MISSPELT: Final = "there is no family '{family}': {near} may be meant. The families are {families}"
"""Of a model's family, that somebody meant another one."""
UNKNOWN: Final = "there is no family '{family}'. The families are {families}"
"""Of a model's family that is like none."""
MISSPELT_STEP: Final = "there is no step '{step}': {near} may be meant. The steps are {steps}"
"""Of a step of a preparation, that somebody meant another one."""
UNKNOWN_STEP: Final = "there is no step '{step}'. The steps are {steps}"
"""Of a step that is like none."""
UNNAMED_STEP: Final = "it does not say which step it is: step: NAME"
"""Of a step without its name."""
MISSPELT_PROGRAM: Final = (
    "there is no program '{program}': {near} may be meant. The programs are {programs}"
)
"""Of a program among parties, that somebody meant another one."""
UNKNOWN_PROGRAM: Final = "there is no program '{program}'. The programs are {programs}"
"""Of a program that is like none."""
MISSPELT_STRATEGY: Final = (
    "there is no strategy '{strategy}': {near} may be meant. The strategies are {strategies}"
)
"""Of a training's strategy, that somebody meant another one."""
UNKNOWN_STRATEGY: Final = "there is no strategy '{strategy}'. The strategies are {strategies}"
"""Of a strategy that is like none."""
UNNAMED_STRATEGY: Final = "it does not say which strategy it is: name: NAME"
"""Of a strategy without its name."""
MISSPELT_RULE: Final = "there is no rule '{rule}': {near} may be meant. The rules are {rules}"
"""Of a robust rule, that somebody meant another one."""
UNKNOWN_RULE: Final = "there is no rule '{rule}'. The rules are {rules}"
"""Of a robust rule that is like none."""
UNNAMED_RULE: Final = "it does not say which rule it is: rule: NAME"
"""Of a robust rule without its name, or by its bare name."""
UNKNOWN_METHOD: Final = "there is no method '{method}'. The methods are {methods}"
"""Of a compression that there is none of."""
UNNAMED_METHOD: Final = "it does not say which method it is: method: NAME"
"""Of a compression without its method, or by its bare name."""
FIELD_PATTERN: Final = r"^[a-z]+(\.[a-z0-9_]{1,40}){1,3}$"
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
    "misspelt_step": MISSPELT_STEP,
    "unknown_step": UNKNOWN_STEP,
    "unnamed_step": UNNAMED_STEP,
    "misspelt_program": MISSPELT_PROGRAM,
    "unknown_program": UNKNOWN_PROGRAM,
    "misspelt_strategy": MISSPELT_STRATEGY,
    "unknown_strategy": UNKNOWN_STRATEGY,
    "unnamed_strategy": UNNAMED_STRATEGY,
    "misspelt_rule": MISSPELT_RULE,
    "unknown_rule": UNKNOWN_RULE,
    "unnamed_rule": UNNAMED_RULE,
    "unknown_method": UNKNOWN_METHOD,
    "unnamed_method": UNNAMED_METHOD,
    DIGEST_PATTERN: "it must be a digest: 64 of the characters 0-9 and a-f",
    ID_PATTERN: "it must be an id, such as job_01jf2k3m",
    FIELD_PATTERN: "it must be the place of a setting in the job file, such as plan.learning_rate "
    "or model.hidden",
    SLUG_PATTERN: "it must be a name of at most 63 small letters, digits and hyphens",
}
_OF_MEMBER: Final[Mapping[str, str]] = {
    "misspelt_family": "family",
    "unknown_family": "family",
    "misspelt_step": "step",
    "unknown_step": "step",
    "misspelt_program": "name",
    "unknown_program": "name",
    "misspelt_strategy": "name",
    "unknown_strategy": "name",
    "misspelt_rule": "rule",
    "unknown_rule": "rule",
    "unknown_method": "method",
}
"""Faults of a member that pydantic places at the object around it, and which member it is."""


def fault(error: Mapping[str, Any]) -> str:
    """Return what an error of pydantic says, bounded, with hidden characters escaped."""
    return fieldfaults.fault(error, _TEMPLATES)


def faults(
    errors: Sequence[Mapping[str, Any]], place: Callable[[tuple[int | str, ...]], Place]
) -> list[Fault]:
    """Return what is wrong with a value, one fault for each place in it.

    Args:
        errors: of pydantic; at least one.
        place: what an error's path leads to.
    """

    def placed(error: Mapping[str, Any]) -> Place:
        found = place(tuple(error["loc"]))
        member = _OF_MEMBER.get(error["type"])
        return replace(found, members=(*found.members, member)) if member else found

    return fieldforms.faults(errors, placed, _TEMPLATES)


def first_of(fields: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """Return the first wrong field and its problem; of a missing one all that are missing."""
    first = fields[0]
    if first["problem"] != fieldfaults.MISSING:
        return first
    missing = [one["field"] for one in fields if one["problem"] == fieldfaults.MISSING]
    return {**first, "field": ", ".join(missing)} if len(missing) > 1 else first
