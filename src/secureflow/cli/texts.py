"""The language that people read: English in the code, Chinese in the catalogue beside it.

`t` works like gettext: the English text is the key, so the code reads without the catalogue and a
missing translation shows English. Chosen by `SECUREFLOW_LANG`, else by the locale's variables.
"""

from __future__ import annotations

import os

from secureflow.cli.chinese import CHINESE


def language() -> str:
    """Return `zh` or `en`."""
    names = ("SECUREFLOW_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    chosen = next((value for name in names if (value := os.environ.get(name))), "en")
    return "zh" if chosen.lower().startswith("zh") else "en"


def t(english: str, **values: object) -> str:
    """Return the text in the chosen language, with `{named}` values filled in."""
    text = CHINESE.get(english, english) if language() == "zh" else english
    return text.format(**values) if values else text
