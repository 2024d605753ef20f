"""How cells become the keys that two organisations compare: the names of the rules, versioned.

What each rule does stands in `engines.psi.normalise`. Both sides take the rules from one spec, so
that a phone number which one writes `138 0013 8000` and the other `+8613800138000` is one key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT

KeyRule = Literal["none", "trim", "case", "phone", "id_card", "email"]
RULES_VERSION: Final = 1
"""Of what the rules do; another version may make another key of one cell."""
MOST_PARTS: Final = 8
"""Columns of a key."""


@dataclass(frozen=True)
class KeyPart:
    """How the cells of one column of a key are made comparable.

    Args:
        rule: `none` (the text as it is), `trim` (NFKC, without white space at its ends), `case`
            (that, with one case), `phone` (E.164), `id_card` (a Chinese resident's id number of 18
            digits; other documents as text) or `email`.
        country: of `phone`, the country of numbers without a calling code: two capital letters
            (ISO 3166).
    """

    __pydantic_config__ = STRICT
    rule: KeyRule = "trim"
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "CN"


@dataclass(frozen=True)
class KeyRules:
    """How the cells of a row become its key: one part for each column, in one order at all sides.

    Args:
        parts: one for each column of the key.
        version: of what the rules do.
    """

    __pydantic_config__ = STRICT
    parts: Annotated[tuple[KeyPart, ...], Field(min_length=1, max_length=MOST_PARTS)]
    version: Literal[1] = 1
