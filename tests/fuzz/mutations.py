"""How what is genuine becomes hostile: texts, JSON values and bytes, changed as a seed says.

One `Random` makes one case: the same seed makes the same changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, Final

LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
ODD: Final = (
    *("", " ", "\x00", "\x1b[2J", "\r\nSet-Cookie: a=b", "\n", "\t", "\x7f", "\u0085", "\u202e"),
    *("\u200b", "\u2028", "\ufeff", "\ud800", "\udfff", "\U0010ffff", "é", "ａ", "𝟜", "İ", "ß"),
    *("..", "../../etc/passwd", "/", "//", "\\", "%", "%00", "%2e%2e%2f", "%252f", "%ff"),
    *("'", '"', "' OR 1=1 --", "<script>alert(1)</script>", "{{7*7}}", "${jndi:x}", "{0}"),
    *("{party}", "{x!r:.999999999}", "$text", "null", "true", "NaN", "-0", "1e999", "0x10"),
    *("[" * 40, "a" * 300, "é" * 300, "%s%n", "__proto__", "constructor", "\\u0000", "=?;,"),
)
"""Texts that some parser somewhere takes for something else."""
NUMBERS: Final = (
    *(0, -1, 1, 2, 127, 255, 256, 2**31 - 1, 2**31, 2**32, 2**53 - 1, 2**53, 2**63 - 1, 2**63),
    *(-(2**63), 2**64, 10**30, 0.5, -0.0, 1e-320, 1e308, 1.5),
)
Value = Any


def hostile_text(random: Random) -> str:
    """Return a text that no person would write."""
    kind = random.randrange(4)
    if kind == 0:
        return random.choice(ODD)
    if kind == 1:
        return "".join(random.choice(LETTERS) for _ in range(random.randrange(64)))
    if kind == 2:
        return random.choice(ODD) * random.randrange(1, 20)
    return "".join(chr(random.choice((random.randrange(0x250), random.randrange(0x11000))))
                   for _ in range(random.randrange(1, 12)))  # fmt: skip


def hostile_value(random: Random, depth: int = 3) -> Value:
    """Return a JSON value of any form."""
    kind = random.randrange(8 if depth else 5)
    if kind == 0:
        return random.choice((None, True, False))
    if kind == 1:
        return random.choice(NUMBERS)
    if kind < 5:
        return hostile_text(random)
    inner = [hostile_value(random, depth - 1) for _ in range(random.randrange(4))]
    if kind == 5:
        return inner
    if kind == 6:
        return {hostile_text(random): one for one in inner}
    return nested(random.choice((4, 31, 33, 200)))


def nested(depth: int) -> Value:
    """Return lists within lists."""
    value: Value = 0
    for _ in range(depth):
        value = [value]
    return value


def changed_text(random: Random, text: str, others: tuple[str, ...] = ()) -> str:
    """Return a genuine text with one or two changes: of a sign, its length, its parts, its case.

    Args:
        random: of the case.
        text: the genuine one.
        others: genuine ones of somebody else, whose parts are taken.
    """
    for _ in range(random.choice((1, 1, 1, 2))):
        at = random.randrange(len(text) + 1)
        text = random.choice(_CHANGES)(random, text, at, others)
    return text


def _flip(random: Random, text: str, at: int, _: tuple[str, ...]) -> str:
    if not text:
        return "\x01"
    at = min(at, len(text) - 1)
    return text[:at] + chr(ord(text[at]) ^ (1 << random.randrange(7))) + text[at + 1 :]


def _swap_parts(random: Random, text: str, _: int, others: tuple[str, ...]) -> str:
    """Put a part of somebody else's in the place of one's own."""
    other = random.choice(others) if others else text[::-1]
    mark = random.choice("_.,=-")
    mine, theirs = text.split(mark), other.split(mark)
    at = random.randrange(len(mine))
    return mark.join([*mine[:at], theirs[min(at, len(theirs) - 1)], *mine[at + 1 :]])


_CHANGES: Final[tuple[Callable[[Random, str, int, tuple[str, ...]], str], ...]] = (
    _flip,
    _flip,
    _swap_parts,
    lambda r, text, at, _: text[:at],
    lambda r, text, at, _: text[at:],
    lambda r, text, at, _: text[:at] + r.choice(LETTERS) + text[at + 1 :],
    lambda r, text, at, _: text[:at] + r.choice(ODD) + text[at:],
    lambda r, text, at, others: text + (r.choice(others) if others else text),
    lambda r, text, at, _: text + r.choice(("\n", "\x00", " ", "=", "\u200b")),
    lambda r, text, at, _: r.choice((" ", "\t", "Bearer ", "\ufeff")) + text,
    lambda r, text, at, _: r.choice((text.upper(), text.lower(), text.swapcase(), text[::-1])),
    lambda r, text, at, _: text[:at] + text[at:].translate(_WIDE),
    lambda r, text, at, _: text * r.choice((2, 3, 40)),
    lambda r, text, at, _: hostile_text(r),
)
_WIDE: Final = {ord(one): ord(one) + 0xFEE0 for one in LETTERS if one.isalnum()}
"""Letters that look alike, and that some normalisation makes the same."""


def changed_value(random: Random, value: Value) -> Value:
    """Return a JSON value with one change somewhere in it."""
    places = list(_places(value))
    if not places:
        return hostile_value(random)
    where = random.choice(places)
    return _changed_at(random, value, where)


def _places(value: Value, path: tuple[Any, ...] = ()) -> Any:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from _places(inner, (*path, key))


def _changed_at(random: Random, value: Value, path: tuple[Any, ...]) -> Value:
    key, rest = path[0], path[1:]
    made = dict(value) if isinstance(value, dict) else list(value)
    if rest:
        made[key] = _changed_at(random, made[key], rest)
        return made
    kind = random.randrange(6)
    if kind == 0:
        del made[key]
    elif kind == 1 and isinstance(made, dict):
        made[hostile_text(random)] = made[key]
    elif kind == 2 and isinstance(made[key], str):
        made[key] = changed_text(random, made[key])
    elif kind == 3 and isinstance(made[key], list):
        made[key] = made[key] * random.choice((2, 100))
    elif kind == 4 and isinstance(made[key], int | float):
        made[key] = random.choice(NUMBERS)
    else:
        made[key] = hostile_value(random)
    return made


def spelled(random: Random, value: Value) -> bytes:
    """Return a JSON value as bytes: as it should be, or as only some parsers take it."""
    text = json.dumps(value, ensure_ascii=random.random() < 0.8)
    data = text.encode("utf-8", "surrogatepass")
    kind = random.randrange(24)
    if kind == 0:
        return data.decode("utf-8", "replace").encode(random.choice(("utf-16", "utf-32")))
    if kind == 1:
        return data[: random.randrange(len(data) + 1)]
    if kind == 2:
        return changed_bytes(random, data)
    if kind == 3 and data.startswith(b"{") and len(data) > 2:  # a name twice
        return b'{"name":"x","name":' + b"1," + data[1:]
    if kind == 4:
        return data.replace(b": ", b": NaN, ", 1)
    if kind == 5:
        return data + random.choice((b"\x00", b" ", b"{}", b"\n", data))
    return data


def changed_bytes(random: Random, data: bytes) -> bytes:
    """Return bytes with one changed, lost or more."""
    at = random.randrange(len(data) + 1)
    kind = random.randrange(4)
    if kind == 0 and data:
        at = min(at, len(data) - 1)
        return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + data[at + 1 :]
    if kind == 2:
        return data[:at] + random.randbytes(random.randrange(1, 9)) + data[at:]
    return data[:at]
