"""What is wrong with a field of foreign JSON or of settings, as a text that can be translated.

Pydantic's own English is kept word by word, where it says nothing of Python: a message that these
templates do not give is shown as it came. What a check of ours says is told without the name of the
exception that said it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from secureflow.kit.plain import HIDDEN, HiddenCharacterError, shown
from secureflow.kit.text import Joined, Text

MAX_SAID: Final = 512
"""Most characters of what is wrong with a field; it may quote the field."""
MISSING: Final = "Field required"
"""Of a field that is not there."""
_QUOTED: Final = "Input should be {expected}"
_TEMPLATES: Final[Mapping[str, str]] = {
    "missing": MISSING,
    "extra_forbidden": "Extra inputs are not permitted",
    "greater_than": "Input should be greater than {gt}",
    "greater_than_equal": "Input should be greater than or equal to {ge}",
    "less_than": "Input should be less than {lt}",
    "less_than_equal": "Input should be less than or equal to {le}",
    "finite_number": "Input should be a finite number",
    "int_type": "Input should be a valid integer",
    "int_parsing": "Input should be a valid integer, unable to parse string as an integer",
    "int_from_float": "Input should be a valid integer, got a number with a fractional part",
    "float_type": "Input should be a valid number",
    "float_parsing": "Input should be a valid number, unable to parse string as a number",
    "bool_type": "Input should be a valid boolean",
    "bool_parsing": "Input should be a valid boolean, unable to interpret input",
    "string_type": "Input should be a valid string",
    "union_tag_not_found": "Unable to extract tag using discriminator {discriminator}",
    "union_tag_invalid": "Input tag '{tag}' found using {discriminator} does not match any of the "
    "expected tags: {expected_tags}",
}
_OBJECT: Final = "it must be an object with named fields"
_LIST: Final = "it must be a list"
NO_FIELD: Final = "there is no field of this name here"
UNKNOWN_FIELDS: Final = frozenset({"unexpected_keyword_argument", "extra_forbidden"})
"""Errors of a field that nobody knows."""
_OWN: Final[Mapping[str, str]] = {
    "dataclass_type": _OBJECT,
    "model_type": _OBJECT,
    "dict_type": _OBJECT,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "path_type": "it must be a path",
    "unexpected_keyword_argument": NO_FIELD,
    "string_pattern_mismatch": "it must match the pattern '{pattern}'",
}
"""Those of which pydantic speaks in words of Python, or of its own."""
_COUNTED: Final[Mapping[str, tuple[str, ...]]] = {
    "too_short": (
        "{field_type} should have at least {min_length} item after validation, not {actual_length}",
        (
            "{field_type} should have at least {min_length} items after validation, not "
            "{actual_length}"
        ),
    ),
    "too_long": (
        "{field_type} should have at most {max_length} item after validation, not {actual_length}",
        "{field_type} should have at most {max_length} items after validation, not {actual_length}",
    ),
    "string_too_short": (
        "String should have at least {min_length} character",
        "String should have at least {min_length} characters",
    ),
    "string_too_long": (
        "String should have at most {max_length} character",
        "String should have at most {max_length} characters",
    ),
}
"""Those whose words follow a number."""


def fault(error: Mapping[str, Any], others: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return what an error of pydantic says, bounded, with hidden characters escaped.

    Args:
        error: of pydantic.
        others: template by the caller's own kinds of errors, or by the pattern of a text that
            does not match it.
    """
    english = shown(str(error["msg"]))[:MAX_SAID]
    facts = {name: _plain(one) for name, one in (error.get("ctx") or {}).items()}
    if error["type"] in {"literal_error", "enum"}:
        return _if_it_says(english, _QUOTED, {"expected": allowed(error)})
    kind = str(error["type"])
    if kind == "value_error" and isinstance(reason := facts.get("error"), str):
        return reason if isinstance(reason, Text) else reason[:MAX_SAID]
    if own := others.get(str(facts.get("pattern"))) or _OWN.get(kind):
        return Text.of_table(own, facts)
    template = _TEMPLATES.get(kind) or others.get(kind)
    templates = _COUNTED.get(kind) or tuple(filter(None, [template]))
    told = (_if_it_says(english, one, facts) for one in templates)
    return next((one for one in told if isinstance(one, Text)), english)


def allowed(error: Mapping[str, Any]) -> str:
    """Return the values of which an error says that it must be one."""
    expected = shown(str((error.get("ctx") or {}).get("expected", "")))[:MAX_SAID]
    others, between, last = expected.rpartition(" or ")
    row = Joined(", ", others.split(", "))
    return Text("{others} or {last}", others=row, last=last) if between else expected


def _if_it_says(english: str, template: str, facts: Mapping[str, Any]) -> str:
    try:
        told = Text.of_table(template, facts)
    except KeyError:
        return english
    return told if told == english else english


def _plain(value: Any) -> Any:
    """Return a fact as pydantic tells it: a number without an exponent, an error by its reason."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else format(Decimal(repr(value)), "f")
    if isinstance(value, HiddenCharacterError):
        return Text.of_table(HIDDEN, {"place": value.place, "code": value.code})
    if isinstance(value, ValueError):
        reason = value.args[0] if value.args else ""
        return reason if isinstance(reason, Text) else shown(str(reason))
    return shown(value) if isinstance(value, str) else value
