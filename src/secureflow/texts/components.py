"""Words for whoever draws jobs, in both languages: components, their fields, and their choices.

Other texts stand in the code in English, and their Chinese in `zh`. These describe JSON schemas
that are made of dataclasses, whose fields have no sentence for people: so both languages stand
side by side in `both/*.json`. A canvas gets both, and switches without asking again.

A field's words are those of `Class.field`, else those of `*.field`; so are a field's choices.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

Words = Mapping[str, str]
"""A text in both languages: `en` and `zh`."""

LANGUAGES: Final = ("en", "zh")
VERBATIM: Final = frozenset({"dtype", "wire"})
"""Fields whose choices are names of the field's own, the same in every language."""


def words_of(section: str, name: str) -> Mapping[str, Words]:
    """Return `label` and `sentence` of a component, group, type of port, or protection.

    Raises:
        KeyError: nobody wrote them.
    """
    found: Mapping[str, Words] = _table("components")[f"{section}:{name}"]
    return found


def field_words(of: str, field: str) -> Mapping[str, Any]:
    """Return `title`, `description`, maybe `unit`, and hints of a field of a class.

    Raises:
        KeyError: nobody wrote them.
    """
    return _found("fields", of, field)


def choice_words(of: str, field: str, value: str) -> Words:
    """Return the words of one choice of a field of a class.

    Raises:
        KeyError: nobody wrote them.
    """
    if field in VERBATIM:
        return dict.fromkeys(LANGUAGES, value)
    found: Words = _found("choices", of, field)[value]
    return found


def _found(table: str, of: str, field: str) -> Mapping[str, Any]:
    words = _table(table)
    own = f"{of}.{field}"
    found: Mapping[str, Any] = words[own] if own in words else words[f"*.{field}"]
    return found


@functools.cache
def _table(name: str) -> Mapping[str, Any]:
    text = files(__package__).joinpath("both", f"{name}.json").read_text("utf-8")
    read: dict[str, Any] = json.loads(text)
    return read
