"""Translation for people: English in the code, Chinese in `secureflow.texts`.

`t` works like gettext: the English text is the key, so the code is readable without the catalogue
and a missing translation shows English. `said` is for texts of other parts and processes, which
carry their own facts. The language is chosen by `SECUREFLOW_LANG`, else by the locale's variables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import PurePath
from typing import Any, Final

from secureflow.kit.plain import shown
from secureflow.kit.text import Text, filled, foreign
from secureflow.texts import Language, catalogue, preferred, told
from secureflow.texts import explained as explained_in

_CHOSEN: Final[ContextVar[Language | None]] = ContextVar("chosen", default=None)


@contextmanager
def untranslated(programs: bool) -> Iterator[None]:
    """Use English inside the block, for output to programs, which is the same in every language."""
    before = _CHOSEN.set("en" if programs else None)
    try:
        yield
    finally:
        _CHOSEN.reset(before)


@contextmanager
def speaking(chosen: Language) -> Iterator[None]:
    """Use a language inside the block, for a reader who is not whoever runs this process."""
    before = _CHOSEN.set(chosen)
    try:
        yield
    finally:
        _CHOSEN.reset(before)


def language() -> Language:
    """Return `zh` or `en`."""
    return _CHOSEN.get() or preferred()


def t(english: str, **values: object) -> str:
    """Return the text in the chosen language, with `{named}` values filled in."""
    text = catalogue().get(english, english) if language() == "zh" else english
    return filled(text, {name: _plain(one) for name, one in values.items()}) if values else text


def listed(names: Iterable[object]) -> str:
    """Return names one after the other, as the chosen language separates them."""
    return ("、" if language() == "zh" else ", ").join(map(str, names))


def _plain(value: object) -> object:
    """Escape a name or text that is filled in, so that it stays on its line."""
    return shown(str(value)) if isinstance(value, str | PurePath) else value


def said(text: str) -> str:
    """Return a text in the chosen language, or in English if the catalogue lacks it."""
    return told(text, language())


def explained(code: str, message: str) -> str:
    """Return an error's message in the chosen language.

    If the catalogue lacks it, the Chinese sentence for the code precedes the English. A message of
    the command line itself is Chinese already.
    """
    return explained_in(code, message, language())


def part_of(plain: Mapping[str, Any], name: str) -> str:
    """Return a text from a JSON form, with its facts from `texts`, on one line."""
    if isinstance(value := plain.get(name), Text):
        return value
    made_of = plain.get("texts")
    return foreign(value or "", made_of.get(name) if isinstance(made_of, Mapping) else None)


def said_approval(value: Any) -> str:
    """Return by whom a job was approved; a person's decision with the note that was left."""
    who, _, note = str(value).partition(": ")
    if who in ("a person", "two people") and note:
        return t("{who}: {note}", who=said(who), note=note)
    return said(value if isinstance(value, Text) else str(value))
