"""From cells to comparable keys: the same at both sides, whatever each of them writes.

The rules, in version 1 of them. Each takes a text and returns its normal form; "" where nothing is
left of it (the cell is *missing*), None where the rule does not fit (it is *malformed*).

- `none`: nothing is changed, and Unicode not normalised;
- `trim`: Unicode NFKC (UAX #15), then white space and zero-width signs off both ends;
- `case`: `trim`, then the full case folding of Unicode, and `trim` again;
- `phone`: `trim`, then E.164; a number without a calling code is one of the named country;
- `id_card`: `trim`, capitals, no spaces, hyphens and brackets. 18 digits with the date and the
  check digit of GB 11643-1999 (ISO 7064, MOD 11-2); 15 digits become 18; any other document is text
  of 5 to 12 letters and digits;
- `email`: `trim`, lower case (the part before @ too), the domain in ASCII (IDNA 2003).

A key of several columns joins their normal forms, each after its length in UTF-8: `("ab", "c")` and
`("a", "bc")` are two keys. What is compared is `KEY_BYTES` of SHA-256 over that, so an engine gets
keys of one size. It hides nothing by itself: ids can be tried one by one.

NFKC of a character that was assigned after Unicode 14 (2021) may differ between versions of Python.
Everything here is pure. A row that has no key is told of by its number, never by its cells.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from hashlib import sha256
from typing import Any, Final

from secureflow.domain.specs.keyrules import KeyPart, KeyRule, KeyRules
from secureflow.engines.psi.phones import Plan, e164, plan_of

Rule = Callable[[str], str | None]
Cells = Sequence[str | None]
"""One column of rows; None is a missing cell."""

KEY_BYTES: Final = 24
"""Of a key's digest: 192 bits, of which two keys are alike with a chance of 2^-96 among 2^48 keys;
in base64 they are 32 characters without padding."""

_LABEL: Final = b"secureflow/psi-key/v1\x00"
_INVISIBLE: Final = "\u200b\u200c\u200d\u2060\ufeff"
"""Zero-width signs, the byte-order mark among them, that exports leave at the ends of cells."""
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS: Final = "10X98765432"
"""2^(17-i) mod 11 of each digit, and the check digit of each remainder (GB 11643-1999)."""
_ID_GAPS: Final = re.compile(r"[\s\-()]+")
_RESIDENT: Final = re.compile(r"[0-9]{17}[0-9X]")
_OLD_RESIDENT: Final = re.compile(r"[0-9]{15}")
_DOCUMENT: Final = re.compile(r"[A-Z0-9]{5,12}")
_LOCAL: Final = re.compile(r"[^\s@\"(),:;<>\[\]\\]+")
_DOMAIN: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
_MOST_LOCAL: Final = 64
_MOST_EMAIL: Final = 254
"""RFC 5321, sections 4.5.3.1.1 and 4.5.3.1.3."""


@dataclass(frozen=True)
class DigestedRows:
    """The keys of a block of rows.

    Args:
        keys: the digests of the rows that have a key, `KEY_BYTES` each, one after the other.
        rows: the index of each of these rows in the block.
        missing: the indexes of rows of which a column of the key is empty.
        malformed: (index, column) of rows of which a cell does not fit its rule; the first column.
    """

    keys: bytes
    rows: Sequence[int]
    missing: Sequence[int]
    malformed: Sequence[tuple[int, int]]


def check_rules(rules: KeyRules) -> None:
    """Refuse rules that cannot be followed.

    Raises:
        SecureFlowError: `invalid_spec` for a country of unknown phone numbers.
    """
    for part in rules.parts:
        rule_of(part)


def rule_of(part: KeyPart) -> Rule:
    """Return what makes the cells of a column comparable.

    Raises:
        SecureFlowError: `invalid_spec` for a country of unknown phone numbers.
    """
    if part.rule == "phone":
        return partial(_phone, plan_of(part.country))
    return _RULES[part.rule]


def joined(parts: Sequence[str]) -> bytes:
    """Return what stands for the parts of a key and for no other: each after its length.

    The length is the number of UTF-8 bytes, in 4 bytes, big-endian.
    """
    pieces = []
    for part in parts:
        text = part.encode("utf-8", "surrogatepass")
        pieces += [len(text).to_bytes(4, "big"), text]
    return b"".join(pieces)


def key_digest(parts: Sequence[str]) -> bytes:
    """Return the digest of a key, given the normal forms of its columns."""
    return sha256(_LABEL + joined(parts)).digest()[:KEY_BYTES]


def digest_rows(rules: KeyRules, columns: Sequence[Cells]) -> DigestedRows:
    """Return the keys of a block of rows.

    Args:
        rules: of the job.
        columns: the cells of each column of the key, in the rules' order; equally long.

    Raises:
        SecureFlowError: that of `rule_of`.
        ValueError: other columns than the rules have parts, or not equally long.
    """
    if len(columns) != len(rules.parts):
        raise ValueError(f"{len(columns)} columns for a key of {len(rules.parts)}")
    made = zip(map(rule_of, rules.parts), columns, strict=True)
    normal = [_normal(rule, cells) for rule, cells in made]
    if len(normal) == 1 and all(normal[0]):
        return DigestedRows(_digests(normal[0]), range(len(normal[0])), (), ())
    found: list[bytes] = []
    rows: list[int] = []
    missing: list[int] = []
    malformed: list[tuple[int, int]] = []
    for row, parts in enumerate(zip(*normal, strict=True)):
        whole = [part for part in parts if part]
        if len(whole) == len(parts):
            found.append(key_digest(whole))
            rows.append(row)
        elif None in parts:
            malformed.append((row, parts.index(None)))
        else:
            missing.append(row)
    return DigestedRows(b"".join(found), rows, missing, malformed)


def _normal(rule: Rule, cells: Cells) -> list[str | None]:
    if rule is _none:
        return [cell or "" for cell in cells]
    return ["" if cell is None else rule(cell) for cell in cells]


def _digests(parts: Sequence[Any]) -> bytes:
    """Return what `key_digest` does for keys of one part each, one after the other, but faster."""
    try:
        texts = [part.encode() for part in parts]
    except UnicodeEncodeError:  # a lone surrogate
        return b"".join([key_digest([part]) for part in parts])
    heads = {size: _LABEL + size.to_bytes(4, "big") for size in set(map(len, texts))}
    return b"".join([sha256(heads[len(text)] + text).digest()[:KEY_BYTES] for text in texts])


# The rules.


def _none(text: str) -> str:
    return text


def _trim(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    bare = text.strip()
    while bare and (bare[0] in _INVISIBLE or bare[-1] in _INVISIBLE):
        bare = bare.strip(_INVISIBLE).strip()
    return bare


def _case(text: str) -> str:
    bare = _trim(text)
    return bare.lower() if bare.isascii() else _trim(bare.casefold())


def _phone(plan: Plan, text: str) -> str | None:
    bare = _trim(text)
    return e164(bare, plan) if bare else ""


def _id_card(text: str) -> str | None:
    bare = _ID_GAPS.sub("", _trim(text)).upper()
    if not bare:
        return ""
    if _OLD_RESIDENT.fullmatch(bare):
        bare = f"{bare[:6]}19{bare[6:]}"
        return bare + _check_digit(bare) if _is_date(bare[6:14]) else None
    if _RESIDENT.fullmatch(bare):
        right = bare[17] == _check_digit(bare) and _is_date(bare[6:14])
        return bare if right else None
    return bare if _DOCUMENT.fullmatch(bare) else None


def _check_digit(number: str) -> str:
    """Return the check digit of the first 17 digits."""
    return _CHECKS[sum(w * int(d) for w, d in zip(_WEIGHTS, number, strict=False)) % 11]


def _is_date(digits: str) -> bool:
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return True


def _email(text: str) -> str | None:
    bare = _case(text)
    if not bare:
        return ""
    local, _, domain = bare.rpartition("@")
    if len(bare) > _MOST_EMAIL or len(local) > _MOST_LOCAL or not _LOCAL.fullmatch(local):
        return None
    if local[0] == "." or local[-1] == "." or ".." in local:
        return None
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    whole = f"{local}@{domain}"
    return whole if _DOMAIN.fullmatch(domain) and len(whole) <= _MOST_EMAIL else None


_RULES: Final[Mapping[KeyRule, Rule]] = {
    "none": _none,
    "trim": _trim,
    "case": _case,
    "id_card": _id_card,
    "email": _email,
}
