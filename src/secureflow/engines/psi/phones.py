"""Phone numbers as E.164 (ITU-T, 2010): `+`, calling code, national number, 15 digits at most.

The table has, of each country, its calling code, the digits that are dialled before a national
number inside the country and are no part of it (trunk prefix), and how long a national number is.
It is part of the rules' version: a change makes other keys. Numbers abroad whose calling code is
not in it are taken as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_SEPARATORS: Final = re.compile(r"[\s().\-/\u2010-\u2015\u2212\u30fc]+")
"""What people write between digits; NFKC has made full-width signs plain before."""
_DIGITS: Final = re.compile(r"[0-9]+")
_LEAST: Final = 8
_MOST: Final = 15
"""Digits of an international number (E.164, section 6.2.1)."""
_MOBILE: Final = re.compile(r"1[3-9][0-9]{9}")
"""A Chinese mobile number."""


@dataclass(frozen=True)
class Plan:
    """The numbering plan of a country.

    Args:
        code: its calling code.
        trunk: the trunk prefix, "" for none.
        least: digits of the shortest national number.
        most: digits of the longest.
    """

    code: str
    trunk: str
    least: int
    most: int


PLANS: Final[Mapping[str, Plan]] = {
    "AE": Plan("971", "0", 8, 9),
    "AT": Plan("43", "0", 6, 13),
    "AU": Plan("61", "0", 9, 9),
    "BE": Plan("32", "0", 8, 9),
    "BR": Plan("55", "0", 10, 11),
    "CA": Plan("1", "1", 10, 10),
    "CH": Plan("41", "0", 9, 9),
    "CN": Plan("86", "0", 9, 11),
    "CZ": Plan("420", "", 9, 9),
    "DE": Plan("49", "0", 6, 13),
    "DK": Plan("45", "", 8, 8),
    "ES": Plan("34", "", 9, 9),
    "FI": Plan("358", "0", 6, 12),
    "FR": Plan("33", "0", 9, 9),
    "GB": Plan("44", "0", 9, 10),
    "HK": Plan("852", "", 8, 8),
    "ID": Plan("62", "0", 8, 12),
    "IE": Plan("353", "0", 7, 9),
    "IL": Plan("972", "0", 8, 9),
    "IN": Plan("91", "0", 10, 10),
    "IT": Plan("39", "", 6, 11),
    "JP": Plan("81", "0", 9, 10),
    "KR": Plan("82", "0", 8, 10),
    "KZ": Plan("7", "8", 10, 10),
    "MO": Plan("853", "", 8, 8),
    "MX": Plan("52", "", 10, 10),
    "MY": Plan("60", "0", 8, 10),
    "NL": Plan("31", "0", 9, 9),
    "NO": Plan("47", "", 8, 8),
    "NZ": Plan("64", "0", 8, 10),
    "PH": Plan("63", "0", 8, 10),
    "PL": Plan("48", "", 9, 9),
    "PT": Plan("351", "", 9, 9),
    "RU": Plan("7", "8", 10, 10),
    "SA": Plan("966", "0", 8, 9),
    "SE": Plan("46", "0", 7, 10),
    "SG": Plan("65", "", 8, 11),
    "TH": Plan("66", "0", 8, 9),
    "TR": Plan("90", "0", 10, 10),
    "TW": Plan("886", "0", 8, 9),
    "US": Plan("1", "1", 10, 10),
    "VN": Plan("84", "0", 9, 10),
    "ZA": Plan("27", "0", 9, 9),
}
_BY_CODE: Final = {plan.code: plan for plan in PLANS.values()}


def plan_of(country: str) -> Plan:
    """Return the numbering plan of a country.

    Raises:
        SecureFlowError: `invalid_spec` for a country that the table lacks.
    """
    if country in PLANS:
        return PLANS[country]
    raise SecureFlowError(
        "invalid_spec",
        Text("The rules for phone numbers know no country {country}.", country=country),
        Text("They know {known}; or write numbers with + and their calling code.",
             known=", ".join(PLANS)),
        {"field": "country"},
    )  # fmt: skip


def e164(text: str, home: Plan) -> str | None:
    """Return a number as E.164, None for what is none.

    Args:
        text: in NFKC, without white space at its ends, not empty.
        home: the plan of numbers without a calling code.
    """
    bare = _SEPARATORS.sub("", text)
    if bare.startswith("+"):
        return _international(bare[1:])
    if not (bare.isascii() and bare.isdigit()):
        return None
    if bare.startswith("00"):
        return _international(bare[2:])
    if home.code == "1" and bare.startswith("011"):
        return _international(bare[3:])
    if home.code == "86" and len(bare) == 13 and bare.startswith("86"):
        return _international(bare)  # no national number has 13 digits
    return _national(bare, home)


def _international(digits: str) -> str | None:
    if not (_DIGITS.fullmatch(digits) and _LEAST <= len(digits) <= _MOST) or digits[0] == "0":
        return None
    plan = next((_BY_CODE[digits[:n]] for n in (1, 2, 3) if digits[:n] in _BY_CODE), None)
    if plan is None:
        return f"+{digits}"
    number = digits[len(plan.code) :]
    if plan.trunk == "0":
        number = number.removeprefix("0")  # "+44 (0)20 …"
    return _whole(number, plan)


def _national(digits: str, plan: Plan) -> str | None:
    """Return a number as it is dialled inside the country; a whole one may begin with the prefix.

    A trunk prefix of 0 begins no national number. One of 1 or 8 may, so it is taken off only where
    the number is longer than any.
    """
    if plan.trunk == "0" or len(digits) > plan.most:
        digits = digits.removeprefix(plan.trunk)
    return _whole(digits, plan)


def _whole(number: str, plan: Plan) -> str | None:
    if not plan.least <= len(number) <= plan.most or len(plan.code) + len(number) > _MOST:
        return None
    if number[0] == "0" and plan.trunk == "0":
        return None
    if plan.code == "86" and number[0] == "1" and not number.startswith("10"):
        return f"+86{number}" if _MOBILE.fullmatch(number) else None
    return f"+{plan.code}{number}"
