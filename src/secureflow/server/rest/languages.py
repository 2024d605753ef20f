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
from secureflow.texts import Language, error_in, told
from secureflow.texts.negotiation import asked

_SENTENCES: Final = frozenset(
    {"attack", "hint", "mechanism", "number", "reason", "sees", "stopped", "what", "who", "why"}
)
"""Members of explanations and events whose values are our own texts."""
_UNTOLD: Final = frozenset({"absent", "details", "members"})
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
        return {
            name: told(text_in(value, name), language)
            if name in _SENTENCES and isinstance(one, str)
            else one
            if name in _UNTOLD
            else spoken(one, language)
            for name, one in value.items()
            if name != "texts"
        }
    return [spoken(one, language) for one in value] if isinstance(value, list | tuple) else value


def report_in(report: Mapping[str, Any], language: Language) -> dict[str, Any]:
    """Return a job's report with the texts of its sections, too, in a language.

    A value that is no text of ours, as a name or a figure, stays as it is.
    """
    said: dict[str, Any] = spoken(report, language)
    sections = report.get("sections")
    if language == "en" or not isinstance(sections, list):
        return said
    return {**said, "sections": [_section_in(one, language) for one in sections]}


def _section_in(section: Any, language: Language) -> Any:
    if not isinstance(section, Mapping):
        return section
    rows = [
        {
            **one,
            "label": _text_in(one, "label", language),
            "value": _text_in(one, "value", language),
        }
        for one in section_rows(section)
    ]
    return {**section, "title": _text_in(section, "title", language), "rows": rows}


def _text_in(row: Mapping[str, Any], name: str, language: Language) -> Any:
    value = row.get(name)
    if isinstance(value, list):
        return [told(one, language) if isinstance(one, str) else one for one in value]
    return told(text_in(row, name), language) if isinstance(value, str) else value
