"""Plain text: what a name or a text may contain, and how a foreign one is shown.

A control character can move a terminal's cursor, a bidirectional one reverses a line, a zero-width
one makes two names look alike, a line separator forges a second line. None of them belongs in a
name or text from someone else: it is refused on input (`line`, `lines`) and written as a visible
escape on output (`shown`), since stored data may be older than this rule. The set: Unicode's
categories Cc, Cs, Zl, Zp, its bidirectional controls, and its default ignorable code points
(Unicode 16, DerivedCoreProperties).
"""

from __future__ import annotations

import re
from typing import Final

_RANGES: Final = (
    (0x00, 0x1F),
    (0x7F, 0x9F),
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x61C, 0x61C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
_SURROGATES: Final = (0xD800, 0xDFFF)
_NEWLINE: Final = 0x0A


def _class(ranges: tuple[tuple[int, int], ...]) -> str:
    return "".join(chr(a) if a == b else f"{chr(a)}-{chr(b)}" for a, b in ranges)


_BUT_NEWLINE: Final = ((0x00, 0x09), (0x0B, 0x1F), *_RANGES[1:])

LINE_PATTERN: Final = f"^[^{_class(_RANGES)}]*$"
"""The rule of `line` as a regular expression that means the same in Python, ECMAScript and Rust."""
LINES_PATTERN: Final = f"^[^{_class(_BUT_NEWLINE)}]*$"
"""The rule of `lines`."""

HIDDEN: Final = "character {place} (U+{code}) is a control or invisible one"

_IN_LINE: Final = re.compile(f"[{_class((*_RANGES, _SURROGATES))}]")
_IN_LINES: Final = re.compile(f"[{_class((*_BUT_NEWLINE, _SURROGATES))}]")


class HiddenCharacterError(ValueError):
    """A text contains a character that nobody sees.

    Args:
        place: of the first one, from 1.
        code: in Unicode, as hex digits.
    """

    def __init__(self, place: int, code: str) -> None:
        super().__init__(HIDDEN.format(place=place, code=code))
        self.place = place
        self.code = code


def line(text: str) -> str:
    """Check a text of one line and return it.

    Raises:
        HiddenCharacterError: it contains an invisible character; the message names the first one.
    """
    return _checked(text, _IN_LINE)


def lines(text: str) -> str:
    """Check a text of several lines and return it with plain newlines (CR LF becomes one).

    Raises:
        HiddenCharacterError: it contains another invisible character.
    """
    return _checked(text.replace("\r\n", "\n"), _IN_LINES)


def shown(text: str, *, several: bool = False) -> str:
    r"""Return a text in which every hidden character is a visible escape (`\x1b`, `\u202e`).

    Args:
        text: foreign.
        several: whether newlines are allowed; otherwise they are escaped too.
    """
    return (_IN_LINES if several else _IN_LINE).sub(_escape, text)


def escaped_json(text: str) -> str:
    r"""Return JSON text whose hidden characters, newlines aside, are written as `\uXXXX`.

    They occur only inside strings, so the value stays the same.
    """
    return _IN_LINES.sub(_json_escape, text)


def hidden(text: str) -> bool:
    """Tell whether a text contains a character that `line` refuses."""
    return _IN_LINE.search(text) is not None


def _checked(text: str, refused: re.Pattern[str]) -> str:
    found = refused.search(text)
    if found:
        raise HiddenCharacterError(found.start() + 1, f"{ord(found[0]):04X}")
    return text


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == _NEWLINE:
        return "\\n"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _json_escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
