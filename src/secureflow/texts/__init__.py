"""The catalogue of texts that people read: the English stands in the code, the Chinese here.

As in gettext, the English template is the key: a text reads in the code, and one that is missing
here is shown in English. `zh/*.json` has one file for each package that writes texts, `words.json`
for single words (states, titles of columns), and `codes.json` for the sentence of each error code.
The command line, REST, the report, the explanation and the demo look all of it up here; the
console reads the same files.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Formatter
from typing import Any, Final, Literal

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import ByNumber, Joined, Text, remade

Language = Literal["en", "zh"]

_WORDS: Final = "words"
_CODES: Final = "codes"
_BETWEEN: Final = {"; ": "；", ". ": "。", ", ": "、"}
_ROW: Final = re.compile(r"{\w+}( {\w+})+")
"""A template that is texts one after the other, and nothing else."""
_CHARACTER: Final = re.compile("[\u3000-\u303f\u3400-\u9fff\uff01-\uff60]")
"""A Chinese character or sign, beside which no space stands."""
_ENDS: Final = ("。", "？", "！")
"""How a Chinese sentence ends, and no English one."""


def preferred() -> Language:
    """Return the language of whoever runs this process: `SECUREFLOW_LANG`, else the locale's."""
    names = ("SECUREFLOW_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    named = next((value for name in names if (value := os.environ.get(name))), "en")
    return "zh" if named.lower().startswith("zh") else "en"


def chinese(text: str) -> str | None:
    """Return the Chinese of a text, or None where the catalogue has none."""
    if isinstance(text, Joined):
        return _in_a_row(text)
    if not isinstance(text, Text):
        return catalogue().get(text)
    template = catalogue().get(text.template)
    if template is None:
        return None
    try:
        if text.from_json and _english_of(text) != text.rstrip("."):
            return None  # somebody says one thing in English, and another in Chinese
        return filled(template, text.facts)
    except (KeyError, ValueError, IndexError, AttributeError, TypeError):
        return None  # facts that another version, or somebody else, sent do not fit


def told(text: str, language: Language) -> str:
    """Return a text in a language, or in English where the catalogue lacks it."""
    return (chinese(text) if language == "zh" else None) or str(text)


def chosen_name(row: Mapping[str, Any]) -> bool:
    """Tell whether a released number is called by a name that somebody chose: a query's.

    Such a name has no space, and its number costs something; what we call numbers that do is told
    in several words.
    """
    return bool(row.get("charge")) and " " not in str(row.get("number"))


def explained(code: str, message: str, language: Language) -> str:
    """Return an error's message in a language.

    Where the catalogue lacks it, the Chinese sentence of the code precedes the English, which has
    the facts of the case.
    """
    if language != "zh" or message.endswith(_ENDS):
        return message
    sentence = codes().get(code)
    return chinese(message) or (f"{sentence}：{message}" if sentence else message)


def error_in(error: Mapping[str, Any], language: Language) -> dict[str, Any]:
    """Return the JSON form of an error (`SecureFlowError.as_json`) in a language.

    What it was made of (`texts`) is left out: it is for those who translate.
    """
    texts = error.get("texts")
    made_of = texts if isinstance(texts, Mapping) else {}
    code, message = str(error.get("code", "")), str(error.get("message", ""))
    said = explained(code, remade(message, made_of.get("message")), language)
    hint = told(remade(str(error.get("hint", "")), made_of.get("hint")), language)
    rest = {name: value for name, value in error.items() if name != "texts"}
    return rest | {"message": str(said), "hint": hint}


def error_line(error: SecureFlowError) -> str:
    """Return why a process ends, on one line, in the language of whoever runs it."""
    language = preferred()
    hint = told(error.hint, language)
    return f"{error.code}: {explained(error.code, error.message, language)}" + (
        f" ({hint})" if hint else ""
    )


@functools.cache
def catalogue() -> Mapping[str, str]:
    """Return the Chinese of every English template, of words too."""
    sentences = {
        english: chinese
        for table in sorted(files(__name__).joinpath("zh").iterdir(), key=str)
        if table.name not in (f"{_CODES}.json", f"{_WORDS}.json")
        for english, chinese in _read(table.name).items()
    }
    return {**sentences, **words()}


@functools.cache
def words() -> Mapping[str, str]:
    """Return the Chinese of single words: states, titles of columns."""
    return _read(f"{_WORDS}.json")


@functools.cache
def codes() -> Mapping[str, str]:
    """Return the Chinese sentence of each error code."""
    return _read(f"{_CODES}.json")


def _read(name: str) -> dict[str, str]:
    read: dict[str, str] = json.loads(files(__name__).joinpath("zh", name).read_text("utf-8"))
    return read


def filled(template: str, facts: Mapping[str, Any]) -> str:
    """Return a Chinese template with its facts filled in."""
    if _ROW.fullmatch(template):
        return _close([_CHINESE.vformat(field, (), facts) for field in template.split(" ")])
    return _CHINESE.vformat(template, (), facts).replace("。。", "。").replace("。：", "：")


def _english_of(text: Text) -> str:
    """Return what a text of the catalogue says in English, without its full stop."""
    return _PLAIN.vformat(text.template, (), text.facts).rstrip(".")


def _in_a_row(row: Joined) -> str | None:
    if row.from_json and row.template.join(row.texts) != row:
        return None
    each = [chinese(one) or str(one) for one in row.texts]
    if row.template == " ":
        return _close(each)
    told = _BETWEEN.get(row.template, row.template).join(each)
    return (
        told.replace("。；", "；").replace(".；", "；").replace("。。", "。").replace("。：", "：")
    )


def _close(texts: Sequence[str]) -> str:
    """Join texts by a space, except where one of two neighbours is Chinese.

    The space between two others may be all that tells "1" and "0" from "10".
    """
    told = ""
    for text in texts:
        bare = not told or not text or _CHARACTER.match(told[-1]) or _CHARACTER.match(text)
        told += text if bare else f" {text}"
    return told.replace("。。", "。").replace("。：", "：")


class _Plain(ByNumber):
    """Fills templates in by the plain names of facts."""

    def get_field(self, field_name: str, _: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return a fact by its plain name: no attribute or item of it."""
        return kwargs[field_name], field_name


class _Chinese(_Plain):
    """Fills Chinese templates in: a fact that is a text of ours is Chinese too.

    `{name:word}` looks a single word up, which might as well be a name that somebody chose.
    `{name:list}` is names one after the other, which are separated in another way; a single one
    may be called as a word of ours is, and stays as somebody wrote it.
    """

    def format_field(self, value: Any, format_spec: str) -> str:
        """Return a fact in Chinese as far as it is ours."""
        if format_spec == "word":
            return catalogue().get(str(value), str(value))
        if format_spec == "list":
            ours = isinstance(value, Text) or " " in str(value)
            return (chinese(value) if ours else None) or str(value).replace(", ", _BETWEEN[", "])
        if isinstance(value, Text) or (isinstance(value, str) and " " in value):
            value = chinese(value) or str(value)
        return str(super().format_field(value, format_spec))


_PLAIN: Final[Formatter] = _Plain()
_CHINESE: Final[Formatter] = _Chinese()
