"""The Chinese of what other processes say: errors and hints of the server, findings of the doctor.

The command line's own texts go through `cli.texts.t`, where the English is the key. What a server
or an agent sends has its values filled in already, so here a template is the key, with `{}` where
a value stands; the Chinese names the values by their place, `{0}`, `{1}`. A text that fits no
template is shown in English, an error after the Chinese sentence of its code
(`domain.error_texts`). A test says when a template is none any more.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from secureflow.cli.chinese import CHINESE
from secureflow.cli.told import check, doctor, findings, hints, notes, owners, refusals, setbacks

TOLD: Final[dict[str, str]] = (
    check.TEXTS
    | doctor.TEXTS
    | findings.TEXTS
    | hints.TEXTS
    | notes.TEXTS
    | owners.TEXTS
    | refusals.TEXTS
    | setbacks.TEXTS
)
LONGEST: Final = 4000
"""Characters of a text that is looked at: it may come from anybody."""


def chinese_of(text: str) -> str | None:
    """Return the Chinese of an English text, or None where no template fits."""
    if text in TOLD:
        return TOLD[text]
    if len(text) > LONGEST:
        return None
    for shape, chinese in _shapes():
        found = shape.fullmatch(text)
        if found is not None:
            return chinese.format(*map(_Value, found.groups()))
    return None


class _Part(str):
    """A value within a value; the Chinese says by `{0:word}` that it is of a short list."""

    __slots__ = ()

    def __format__(self, kind: str) -> str:
        """Return the word in Chinese, or what anybody wrote."""
        return CHINESE.get(self, self) if kind == "word" else str(self)


class _Value(_Part):
    """A value in a sentence, which may be a text of ours; `{0:sentences}` says that it is many."""

    __slots__ = ()

    def __format__(self, kind: str) -> str:
        """Return the value in Chinese as far as it is ours."""
        if kind == "sentences":
            return "；".join(map(_sentence, self.split("; "))).replace("。；", "。")
        return super().__format__(kind) if kind else _inner(self)


def _sentence(one: str) -> str:
    """Return a sentence in Chinese, also one that begins with whose it is."""
    whose, _, rest = one.partition(": ")
    if (told := chinese_of(one)) is None and (said := chinese_of(rest)) is not None:
        return f"{whose}：{said}"
    return told or one


def _inner(value: str) -> str:
    """Return a value in Chinese where it is a text of ours: the reason in a sentence."""
    if value in TOLD:
        return TOLD[value]
    for shape, chinese in _shapes():
        if not chinese.endswith("。") and (found := shape.fullmatch(value)):
            return chinese.format(*map(_Part, found.groups()))
    return str(value)


@functools.cache
def _shapes() -> list[tuple[re.Pattern[str], str]]:
    """Return the templates with values as patterns, the most telling first."""
    with_values = sorted(
        (template for template in TOLD if "{}" in template),
        key=lambda template: len(template.replace("{}", "")),
        reverse=True,
    )
    return [
        (re.compile("(.+?)".join(map(re.escape, template.split("{}"))), re.DOTALL), TOLD[template])
        for template in with_values
    ]
