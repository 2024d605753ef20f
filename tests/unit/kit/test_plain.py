"""Plain text: what is refused where it comes in, and how it looks where it is shown."""

from __future__ import annotations

import json
import re
import sys
import unicodedata

import pytest

from secureflow.kit import plain

ESCAPE, OVERRIDE, ZERO_WIDTH, SEPARATOR = "\x1b", "\u202e", "\u200b", "\u2028"


def test_every_control_and_separator_is_hidden_and_no_letter_is() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        kind, bidi = unicodedata.category(character), unicodedata.bidirectional(character)
        turning = bidi in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
        if kind in {"Cc", "Cs", "Zl", "Zp"} or turning:
            assert plain.hidden(character), hex(code)
        elif kind[0] in "NPS" or kind in {"Lu", "Ll", "Lt", "Zs"}:
            assert not plain.hidden(character), hex(code)
    for character in "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad\u061c\ufe0f\U000e0041":
        assert plain.hidden(character)


@pytest.mark.parametrize("text", ["Größe 年齢 عمر", "a b", "<=50K", "🏦"])
def test_names_of_the_world_pass(text: str) -> None:
    assert plain.line(text) == plain.lines(text) == plain.shown(text) == text
    assert re.match(plain.LINE_PATTERN, text)


@pytest.mark.parametrize("character", [ESCAPE, OVERRIDE, ZERO_WIDTH, SEPARATOR, "\r", "\t", "\x9b"])
def test_hidden_characters_are_refused_and_shown_escaped(character: str) -> None:
    text = f"ab{character}c"
    for check in (plain.line, plain.lines):
        with pytest.raises(ValueError, match=f"character 3 .U.{ord(character):04X}"):
            check(text)
    assert not re.search(plain.LINE_PATTERN, text)
    assert not re.search(plain.LINES_PATTERN, text)
    assert plain.shown(text) == text.encode("unicode_escape").decode().replace(
        "\\t", "\\x09"
    ).replace("\\r", "\\x0d")


def test_newlines_are_for_several_lines() -> None:
    assert plain.lines("a\r\nb\n") == "a\nb\n"
    assert plain.shown("a\nb", several=True) == "a\nb"
    assert plain.shown("a\nb") == "a\\nb"
    with pytest.raises(ValueError, match="character 2"):
        plain.line("a\nb")


def test_escaped_json_is_the_same_value() -> None:
    value = {"a\u202eb": ["\x7f\x9b", "x\U000e0001y\u2028", "年"]}
    text = plain.escaped_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert not plain.hidden(text)
    assert "年" in text
