"""The language of an answer: English, or Chinese where `Accept-Language` prefers it (RFC 9110).

Only sentences for people are translated: names, codes and figures are the same in every language.
An English answer keeps the templates and facts of its sentences (`texts`), for clients that
translate themselves. Each such answer names its language (`Content-Language`), and tells
caches what chose it (`Vary`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Response

from secureflow.domain.figures import section_rows
from secureflow.kit.text import text_in
from secureflow.texts import Language, chosen_name, error_in, told
from secureflow.texts.negotiation import asked

_SENTENCES: Final = frozenset(
    {"attack", "hint", "mechanism", "number", "reason", "sees", "stopped", "what", "who", "why"}
)
"""Members of explanations and events whose values are our own texts."""
_LINES: Final = frozenset({"label", "value"})
"""Members of a section's rows that are told."""
_UNTOLD: Final = frozenset({"absent", "absent_since", "approved", "details", "members"})
"""Members that are the same in every language: for programs, or by the names of organisations,
which may be called as a member of ours is."""


def headers_in(language: Language) -> dict[str, str]:
    """Return the headers of an answer in a language."""
    return {"Content-Language": language, "Vary": "Accept-Language"}


async def _asked(
    response: Response,
    accepted: Annotated[
        str, Header(alias="Accept-Language", description="Sentences for people: en or zh")
    ] = "",
) -> Language:
    language = asked(accepted)
    response.headers.update(headers_in(language))
    return language


SPOKEN: Final = Depends(_asked)
"""The dependency of a route whose answer has a language."""
Spoken = Annotated[Language, SPOKEN]
"""The language of the current request."""


def spoken(value: Any, language: Language) -> Any:
    """Return a JSON value with its sentences translated; English is returned as stored.

    What is for programs, or keyed by organisations, is the same in every language.
    """
    if language == "en":
        return value
    if isinstance(value, Mapping):
        if "code" in value and "message" in value:
            return error_in(value, language)
        if "title" in value and "rows" in value:
            return _section(value, language)
        return {
            name: told(text_in(value, name), language)
            if name in _SENTENCES
            and isinstance(one, str)
            and not (name == "number" and chosen_name(value))
            else one
            if name in _UNTOLD
            else spoken(one, language)
            for name, one in value.items()
            if name != "texts"
        }
    return [spoken(one, language) for one in value] if isinstance(value, list | tuple) else value


def _section(section: Mapping[str, Any], language: Language) -> dict[str, Any]:
    """Return a report's section (`domain.figures.section_rows`): title, labels and values."""
    rows = [
        {name: _line(row, name, language) for name in row if name != "texts"}
        for row in section_rows(section)
    ]
    rest = {name: one for name, one in section.items() if name != "texts"}
    return rest | {"title": told(text_in(section, "title"), language), "rows": rows}


def _line(row: Mapping[str, Any], name: str, language: Language) -> Any:
    value = row[name]
    if isinstance(value, str) and name in _LINES:
        return told(text_in(row, name), language)
    if isinstance(value, list):
        return [told(one, language) if isinstance(one, str) else one for one in value]
    return value
