r"""What a reader of source text cannot see, or takes for something else.

Hidden characters (control, bidirectional, zero-width: `kit.plain`) are written as escapes wherever
a file is shown, and each line that has some is pointed out (Boucher and Anderson, "Trojan Source",
2021). Words are pointed out that a reader takes for others: ones that Python reads as plain ASCII
(identifiers are normalised by NFKC), ones that mix alphabets, and ones that look like another word
of the same bundle. The table of look-alikes holds letters that most fonts draw alike; it is the
common part of Unicode's confusables, not all of them. So in Python every other name beyond ASCII is
pointed out as well.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from typing import Final

from secureflow.engines.bundles.lines import Work
from secureflow.kit.plain import hidden, shown
from secureflow.kit.text import Text

MAX_REMARKS: Final = 100
"""Remarks on one file."""
LOOKED_AT: Final = 200_000
"""Lines and words of other alphabets in one bundle that are looked at."""
LONG: Final = 160
"""Characters of a line that is pointed out: where it is broken, it looks like several."""
TAB: Final = "    "

_ALIKE: Final = str.maketrans(
    "аеорсухіјѕһԁӏԛԝАВЕКМНОРСТХУІЈЅԌΑΒΕΖΗΙΚΜΝΟΡΤΥΧοανικρυϲɑɡıⅼ",
    "aeopcyxijshdlqwABEKMHOPCTXYIJSGABEZHIKMNOPTYXoavikpucagil",
)
_WORD: Final = re.compile(r"[^\W\d]\w*")
_LATIN: Final = "LATIN"
_ALPHABETS: Final = (_LATIN, "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC")
"""Alphabets with letters that look alike."""


@dataclass(frozen=True)
class Remark:
    """Something that a reader should know about a line of a file.

    Args:
        file: its path in the bundle.
        line: counted from 1; 0 for the whole file.
        text: one sentence, with everything foreign in it escaped.
    """

    file: str
    line: int
    text: str


def written(line: str) -> str:
    r"""Return a line as it is shown: hidden characters as escapes, tabs that indent as spaces."""
    inner = line.lstrip("\t")
    return TAB * (len(line) - len(inner)) + shown(inner)


def words(text: str) -> set[str]:
    """Return the words of ASCII letters, digits and underscores of a text."""
    return {word for word in _WORD.findall(text) if word.isascii()}


def remarks(
    file: str, text: str, known: Set[str], work: Work, names: Set[str] | None = frozenset()
) -> Iterator[Remark]:
    """Yield what is hidden or looks like something else, line by line.

    Args:
        file: its path.
        text: its content.
        known: plain words of the bundle, which others may look like.
        work: how many lines and words of other alphabets are still looked at; where it ends, that
            is remarked.
        names: identifiers beyond ASCII; None where any word may be one.
    """
    if long := [at for at, line in enumerate(text.split("\n"), 1) if len(line) > LONG]:
        said = Text("{count} lines have more than {most} characters", count=len(long), most=LONG)
        yield Remark(file, long[0], said)
    plain = not hidden(text.replace("\n", "").replace("\t", ""))
    if plain and text.isascii():
        return
    count = 0
    for number, line in enumerate(text.split("\n"), 1):
        if plain and line.isascii():
            continue
        foreign = [] if line.isascii() else _foreign(line)
        if not work.take(1 + len(foreign)):
            yield Remark(file, number, "too much of it to look at: nothing from here on was")
            return
        for one in (*_hidden(line), *_lookalikes(foreign, known, names)):
            count += 1
            if count > MAX_REMARKS:
                yield Remark(file, number, "there may be more like these from here on")
                return
            yield Remark(file, number, one)


def _foreign(line: str) -> list[str]:
    return [word for word in dict.fromkeys(_WORD.findall(line)) if not word.isascii()]


def _hidden(line: str) -> Iterator[str]:
    inner = line.replace("\t", "")
    escaped = shown(inner)
    if escaped != inner:
        unseen = dict.fromkeys(one for one in inner if shown(one) != one)
        names = ", ".join(_name(one) for one in list(unseen)[:4])
        yield Text("hidden characters: {names}", names=names)


def _lookalikes(foreign: Iterable[str], known: Set[str], names: Set[str] | None) -> Iterator[str]:
    for word in foreign:
        normal = unicodedata.normalize("NFKC", word)
        alike = normal.translate(_ALIKE)
        told, other = ascii(word)[1:-1][:80], alike[:80]
        if normal.isascii():
            yield Text("{word} is read as {other}", word=told, other=other)
        elif len(_alphabets(normal)) > 1:
            yield Text("{word} mixes alphabets", word=told)
        elif alike.isascii() and (alike in known or keyword.iskeyword(alike)):
            yield Text("{word} looks like {other}", word=told, other=other)
        elif (names is None or normal in names) and not hidden(word):
            yield Text("{word} is a name with letters beyond ASCII", word=told)


def _alphabets(word: str) -> set[str]:
    names = (unicodedata.name(one, "").partition(" ")[0] for one in word if one.isalpha())
    return {name for name in names if name in _ALPHABETS}


def _name(one: str) -> str:
    return f"U+{ord(one):04X} {unicodedata.name(one, '')}".rstrip()
