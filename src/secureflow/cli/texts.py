"""The language that people read: English in the code, Chinese in the catalogues beside it.

`t` works like gettext: the English text is the key, so the code reads without the catalogue and a
missing translation shows English. `said` is for what other processes wrote in English. Chosen by
`SECUREFLOW_LANG`, else by the locale's variables.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import PurePath
from typing import Final

from secureflow.cli.chinese import CHINESE
from secureflow.kit.plain import shown

_ENGLISH: Final[ContextVar[bool]] = ContextVar("english", default=False)


@contextmanager
def untranslated(programs: bool) -> Iterator[None]:
    """Keep to English within: what a program reads is the same in every language."""
    before = _ENGLISH.set(programs)
    try:
        yield
    finally:
        _ENGLISH.reset(before)


def language() -> str:
    """Return `zh` or `en`."""
    if _ENGLISH.get():
        return "en"
    names = ("SECUREFLOW_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    chosen = next((value for name in names if (value := os.environ.get(name))), "en")
    return "zh" if chosen.lower().startswith("zh") else "en"


def t(english: str, **values: object) -> str:
    """Return the text in the chosen language, with `{named}` values filled in."""
    text = CHINESE.get(english, english) if language() == "zh" else english
    return text.format(**{name: _plain(one) for name, one in values.items()}) if values else text


def _plain(value: object) -> object:
    """A name or text that is filled in stays within its line."""
    return shown(str(value)) if isinstance(value, str | PurePath) else value


def said(english: str) -> str:
    """Return a text of another process in the chosen language, or as it is."""
    if language() != "zh":
        return english
    from secureflow.application.reports.texts import translated
    from secureflow.cli.told import chinese_of

    return chinese_of(english) or translated(english) or english


def explained(code: str, message: str) -> str:
    """Return an error's message in the chosen language.

    Where no template fits, the Chinese sentence of the code precedes the English, which has the
    values of the case. A message of the command line itself is Chinese already.
    """
    text = said(message)
    if language() != "zh" or text != message or message.endswith(_ENDS):
        return text
    from secureflow.domain.error_texts import CHINESE as SENTENCES

    sentence = SENTENCES.get(code)
    return f"{sentence}：{message}" if sentence else message


_ENDS = ("。", "？", "！")
"""How a Chinese sentence ends, and no English one."""
