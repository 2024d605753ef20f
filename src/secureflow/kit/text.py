"""Texts for people: English that remembers its template and facts, so that it can be translated.

`Text("{party} is away.", party=name)` is the English sentence, together with its template and the
facts in it. The template is the key of the catalogue (`secureflow.texts`), as in gettext; a text
without facts is its own key and can be an ordinary `str`. Between processes the facts are sent
along with the English sentence: the reader looks the template up in its own catalogue, and never
formats one that someone else sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from numbers import Integral
from string import Formatter
from typing import Any, Final, Self

from secureflow.kit.plain import shown

BETWEEN: Final = ("; ", ". ", ", ", " ")
"""Allowed separators of joined texts."""
MAX_FACTS: Final = 64
"""Maximum number of facts of a text, or of joined texts, that are read."""
MAX_NAME: Final = 64
"""Maximum characters of a fact's name."""
MAX_FACT: Final = 2048
"""Maximum characters of a fact that is not a `Text`; the rest is cut off."""
MAX_DEPTH: Final = 5
"""Maximum nesting of texts; deeper ones are read as plain English."""
MAX_INTEGER: Final = 2**53 - 1
"""Greater numbers are kept as strings: not every JSON reader can hold them."""
MAX_FOREIGN: Final = 8192
"""Maximum characters of a text that are read, everything in it included."""
_SPELLED: Final = "$text"
"""The only member of a spelled text."""
Fact = bool | int | float | str


class Text(str):
    """An English text with its template and facts.

    Args:
        template: a format string whose fields are names (`filled`).
        facts: their values; anything but a number, boolean or text is kept as `str`, and a
            number that the template rounds is kept as rounded: other languages tell no more of it.
    """

    __slots__ = ("facts", "from_json", "template")

    template: str
    facts: Mapping[str, Fact]
    from_json: bool
    """Whether it was read from JSON: then template and text must be compared before use."""

    def __new__(cls, template: str, /, **facts: object) -> Self:
        """Fill in the template."""
        english = filled(template, facts)
        if any(isinstance(value, float) for value in facts.values()):
            facts = _rounded(template, facts)
        return cls._of(english, template, facts)

    @classmethod
    def _of(
        cls, english: str, template: str, facts: Mapping[str, object], *, from_json: bool = False
    ) -> Self:
        made = super().__new__(cls, english)
        made.template = template
        made.facts = {name: _fact(value) for name, value in facts.items()}
        made.from_json = from_json
        return made

    @classmethod
    def of_table(cls, template: str, facts: Mapping[str, object]) -> Self:
        """Fill in a template that stands in a table; that it can be translated is its own test."""
        return cls(template, **facts)

    def as_json(self) -> dict[str, Any]:
        """Return template and facts; the English text is sent separately."""
        return {"template": self.template, "facts": _facts(self.facts)}

    def __copy__(self) -> Self:
        """Return itself: it is immutable, and its English is not a template."""
        return self

    def __deepcopy__(self, _: object) -> Self:
        """Return itself."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from template and facts when unpickled."""
        return remade, (str(self), self.as_json())


class ByNumber(Formatter):
    """Fills in templates, and chooses words by a number.

    `{count} {count:file is|files are} new` is "1 file is new" where `count` is 1, and
    "2 files are new" otherwise. Other languages choose their own words: they write none.
    """

    def format_field(self, value: Any, format_spec: str) -> str:
        """Return a fact, or the word for it."""
        one, chooses, more = format_spec.partition("|")
        if chooses:
            return one if str(value) == "1" else more
        return str(super().format_field(value, format_spec))


_BY_NUMBER: Final = ByNumber()


def filled(template: str, facts: Mapping[str, object]) -> str:
    """Return a template of ours filled in."""
    if "|" in template:
        return _BY_NUMBER.vformat(template, (), facts)
    return template.format(**facts)


class Joined(Text):
    """Several texts joined: `Joined("; ", texts)`; the template is the separator."""

    __slots__ = ()

    def __new__(cls, between: str, texts: Sequence[str], /) -> Self:
        """Join them; `between` is one of `BETWEEN`."""
        facts = {str(place): text for place, text in enumerate(texts)}
        return cls._of(between.join(texts), between, facts)

    @property
    def texts(self) -> list[str]:
        """The texts."""
        return [one if isinstance(one, str) else str(one) for one in self.facts.values()]

    def as_json(self) -> dict[str, Any]:
        """Return the separator and the texts."""
        return {"between": self.template, "texts": list(_facts(self.facts).values())}


def with_texts(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with its `texts`: template and facts of each member that has facts."""
    texts = {name: one.as_json() for name, one in plain.items() if isinstance(one, Text)}
    return {**plain, "texts": texts} if texts else dict(plain)


def text_in(plain: Mapping[str, Any], name: str) -> str:
    """Return a member of our own JSON object as a text, with its facts from `texts`."""
    value, texts = plain.get(name), plain.get("texts")
    if isinstance(value, Text):
        return value
    return remade(str(value or ""), texts.get(name) if isinstance(texts, Mapping) else None)


def without_stop(text: str) -> str:
    """Return a text without its full stop, for use inside another one."""
    if not text.endswith("."):
        return text
    english = text.rstrip(".")
    if isinstance(text, Text):
        return type(text)._of(english, text.template, text.facts)
    return Text._of(english, text.replace("{", "{{").replace("}", "}}"), {})


def one_after_the_other(sentences: Sequence[str]) -> str:
    """Return sentences as parts of one, which ends as the last of them does."""
    return Joined("; ", [*map(without_stop, sentences[:-1]), *sentences[-1:]])


def spelled(value: Any) -> Any:
    """Return a JSON value in which every text with facts is an object, for `read_back`."""
    if isinstance(value, Text):
        return {_SPELLED: value.as_json() | {"english": str(value)}}
    if isinstance(value, Mapping):
        plain = {name: spelled(one) for name, one in value.items()}
        return {_SPELLED: {"object": plain}} if _SPELLED in plain else plain
    return [spelled(one) for one in value] if isinstance(value, list | tuple) else value


def read_back(value: Any) -> Any:
    """Reverse `spelled`."""
    if isinstance(value, list):
        return [read_back(one) for one in value]
    if not isinstance(value, dict):
        return value
    inner = value.get(_SPELLED) if len(value) == 1 else None
    if isinstance(inner, dict) and isinstance(inner.get("english"), str):
        return foreign(inner["english"], inner)
    if isinstance(inner, dict) and isinstance(inner.get("object"), dict):
        value = inner["object"]
    return {name: read_back(one) for name, one in value.items()}


def foreign(english: Any, made_of: Any = None) -> str:
    """Return a text from someone else on one line, with its facts if they are valid.

    The English is taken as it came: it is not formatted from the foreign template.
    """
    return _Reader(_line).read(_line(english), made_of)


def remade(english: str, made_of: Any) -> str:
    """Return our own stored text, with its facts if it has any."""
    return _Reader(str).read(english, made_of)


class _Reader:
    """Reads one text of bounded total size from JSON."""

    def __init__(self, clean: Callable[[Any], str]) -> None:
        self._clean = clean
        self._left = MAX_FOREIGN

    def read(self, english: str, value: Any) -> str:
        """Return it with its facts, or plain if it has no valid ones."""
        text = self._read(english, value, MAX_DEPTH)
        return english if text is None or self._left < 0 else text

    def _read(self, english: str, value: Any, depth: int) -> Text | None:
        if not isinstance(value, Mapping) or not depth:
            return None
        template, facts = value.get("template"), value.get("facts")
        if isinstance(template, str) and isinstance(facts, Mapping):
            kept = self._kept(facts, depth)
            template = self._spent(template)
            return None if kept is None else Text._of(english, template, kept, from_json=True)
        between, texts = value.get("between"), value.get("texts")
        if between in BETWEEN and isinstance(texts, list):
            kept = self._kept({str(place): one for place, one in enumerate(texts)}, depth)
            return None if kept is None else Joined._of(english, between, kept, from_json=True)
        return None

    def _kept(self, facts: Mapping[Any, Any], depth: int) -> dict[str, Fact] | None:
        """Return valid facts in the form that is kept, or None if one of them is invalid."""
        if len(facts) > MAX_FACTS:
            return None
        kept: dict[str, Fact] = {}
        for name, value in facts.items():
            one = value
            if isinstance(value, Mapping):
                english = self._spent(value.get("english", ""))
                one = self._read(english, value, depth - 1) or english
            elif isinstance(value, str):
                one = self._spent(value)
            if not isinstance(name, str) or not isinstance(one, bool | int | float | str):
                return None
            if self._left < 0:
                return None
            kept[name[:MAX_NAME]] = one
        return kept

    def _spent(self, text: Any) -> str:
        clean = self._clean(text)
        self._left -= len(clean)
        return clean


def _fact(value: object) -> Fact:
    """Return a value in a form that every JSON reader can hold."""
    if isinstance(value, bool | Text):
        return value
    if isinstance(value, Integral) and abs(int(value)) <= MAX_INTEGER:
        return int(value)
    if isinstance(value, float) and isfinite(value):
        return float(value)
    return str(value)[:MAX_FACT]


def _rounded(template: str, facts: Mapping[str, object]) -> dict[str, object]:
    """Return facts with each number as a template tells it, where it tells it once."""
    told = dict(facts)
    specs = [(name, spec) for _, name, spec, _ in Formatter().parse(template) if name]
    for name, spec in specs:
        value = facts.get(name)
        if not spec or not isinstance(value, float) or [one for one, _ in specs].count(name) > 1:
            continue
        with suppress(ValueError):  # of one that is no number as it is told, such as 1,000.0
            rounded = float(format(value, spec))
            if format(rounded, spec) == format(value, spec):
                told[name] = rounded
    return told


def _facts(facts: Mapping[str, Fact]) -> dict[str, Any]:
    return {
        name: one.as_json() | {"english": str(one)} if isinstance(one, Text) else one
        for name, one in facts.items()
    }


def _line(text: Any) -> str:
    return shown(" ".join(str(text)[:MAX_FOREIGN].split("\n")))[:MAX_FOREIGN]
