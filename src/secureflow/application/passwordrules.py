"""Which passwords are refused (NIST SP 800-63B-4, section 3.1.1.2).

By length, and if guessers try it early: it is on the list of breached passwords, or is one with a
few signs around it, or a short pattern, or little more than the person's own name or organisation.
There are no composition rules, and nothing expires. Existing passwords are not checked again.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from importlib.resources import files
from itertools import pairwise
from typing import Final

from secureflow.application import wordlists
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MIN_LENGTH: Final = 12
MAX_LENGTH: Final = 256

DECORATION: Final = 8
"""At most so many digits and signs around a listed password make no new one."""
PRODUCT: Final = "secureflow"
MIN_WORD: Final = 4
"""Shorter names are not searched for: they occur in words by chance."""
REST: Final = 8
"""So many characters beside the names make a password of its own."""
DISTINCT: Final = 5
"""A password has at least so many different characters."""

_AROUND: Final = re.compile(r"^[^a-z]*|[^a-z]*$")


def check_password(password: str, least: int = MIN_LENGTH, names: Sequence[str] = ()) -> None:
    """Refuse a new password that is short or easy to guess; takes some 10 ms.

    Args:
        password: the new one.
        least: its minimum length in characters.
        names: of the person and the organisation.

    Raises:
        SecureFlowError: `weak_password`.
    """
    if not least <= len(password) <= MAX_LENGTH:
        raise SecureFlowError(
            "weak_password",
            Text(
                "The password must have {min_length} to {max_length} characters.",
                min_length=least,
                max_length=MAX_LENGTH,
            ),
            "Choose a longer one; a phrase of four random words is good.",
        )
    plain = password.casefold()
    if _is_pattern(plain):
        raise _weak("The password is a short pattern.")
    if _beside(plain, names):
        raise _weak("The password is little more than a name that belongs to the account.")
    if _is_listed(plain):
        raise _weak("The password is on the list of those that guessers try first.")


def _weak(message: str) -> SecureFlowError:
    return SecureFlowError(
        "weak_password", message, "Choose another one; a phrase of four random words is good."
    )


def _is_pattern(plain: str) -> bool:
    """Tell whether it has few different characters, or runs through the alphabet or the digits."""
    if len(set(plain)) < DISTINCT:
        return True
    steps = [ord(after) - ord(before) for before, after in pairwise(plain)]
    return sum(step in (1, -1) for step in steps) >= len(steps) - 2


def _beside(plain: str, names: Sequence[str]) -> bool:
    words = {word.casefold() for word in (*names, PRODUCT) if len(word) >= MIN_WORD}
    rest = plain
    for word in sorted(words, key=len, reverse=True):
        rest = rest.replace(word, "")
    return rest != plain and len(rest) < REST


def _is_listed(plain: str) -> bool:
    text = gzip.decompress(files(wordlists).joinpath("common_passwords.txt.gz").read_bytes())
    listed = b"\n" + text + b"\n"
    return any(f"\n{word}\n".encode() in listed for word in _guesses(plain))


def _guesses(plain: str) -> set[str]:
    """Return the listed passwords that this one may be made of; a line break is in none."""
    inner = _AROUND.sub("", plain)
    found = {plain}
    if len(plain) - len(inner) <= DECORATION:
        found.add(inner)
    for times in (2, 3, 4):
        unit = plain[: len(plain) // times]
        if unit * times == plain:
            found.add(unit)
    return {word for word in found if word and "\n" not in word}
