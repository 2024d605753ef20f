"""Held-out rows by key: a person, an account or a patient is held out, or trained on, everywhere.

Each key has a place from 0 to 99: the first 64 bits of HMAC-SHA256 over the key's text under a
secret of the organisation, times 100, rounded down. A share of p hundredths holds out the places
below p; fold i of K the places of which K/100, rounded down, is i. So

- a row's part follows from its own key alone: rows that are added, removed or sorted otherwise,
  columns that come later and another file format move no row, and equal keys stay together;
- shares are nested (what .1 holds out, .2 holds out as well), and folds partition the rows; where
  K does not divide 100, folds differ by one hundredth of the keys;
- whoever submits jobs chooses whole hundredths of the keys and never single ones: what two jobs
  hold out is the same, or differs by hundredths, which nobody else can name.

Keys have one text, whatever a file or a declaration makes of them (`key_text`): `17`, ` 17`, `017`
and 17.0 are one key. Keys that are told apart too little only share a part; the opposite would
tear one key's rows apart.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.heldout import HeldOut
from secureflow.domain.specs.split import HUNDREDTHS

_USE: Final = b"secureflow/v1 held-out rows by key\n"
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_LONGEST_NUMBER: Final = 400


def held_out(
    keys: NDArray[Any],
    secret: bytes,
    share: float | None = None,
    folds: tuple[int, int] | None = None,
) -> NDArray[np.bool_]:
    """Tell which rows are held out; of `share` and `folds` exactly one is given.

    Args:
        keys: the key of each row, (rows,): float64, or text and None. A row without one (None,
            NaN, blanks) is never held out.
        secret: the organisation's, the same for all of its datasets; public in a simulation.
        share: of the keys, a multiple of 1/100 from 0 to 1.
        folds: the number of folds, 2 to 100, and which of them is held out, from 0.
    """
    if (share is None) == (folds is None):
        raise AssertionError  # the caller's spec says which
    count, fold = folds or (None, None)
    taken = HeldOut(share=share, folds=count, fold=fold).places
    return np.isin(key_places(keys, secret), np.asarray(sorted(taken), np.int8))


def key_places(keys: NDArray[Any], secret: bytes) -> NDArray[np.int8]:
    """Return the place of each row's key, 0 to 99; -1 for a row without a key.

    Args:
        keys: as for `held_out`.
        secret: as for `held_out`.
    """
    known: dict[Any, int] = {}
    found = np.empty(len(keys), np.int8)
    for row, key in enumerate(keys.tolist()):
        # Every NaN is a key of its own to a dictionary: none is kept in it.
        if key is None or key != key:  # noqa: PLR0124
            found[row] = -1
            continue
        place = known.get(key)
        if place is None:
            place = known[key] = _place(key_text(key), secret)
        found[row] = place
    return found


def key_text(key: object) -> str:
    """Return the one text of a key: of numbers their digits, of the rest NFC without blanks around.

    Empty for what is no key: blanks.
    """
    text = repr(key) if isinstance(key, float) else unicodedata.normalize("NFC", str(key)).strip()
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return text
    digits = format(Decimal(text), "f")
    whole, _, rest = digits.lstrip("+-").partition(".")
    whole, rest = whole.lstrip("0") or "0", rest.rstrip("0")
    sign = "-" if digits.startswith("-") and (whole != "0" or rest) else ""
    return f"{sign}{whole}.{rest}" if rest else f"{sign}{whole}"


def _place(text: str, secret: bytes) -> int:
    if not text:
        return -1
    drawn = hmac.digest(secret, _USE + text.encode("utf-8", "surrogatepass"), "sha256")
    return int.from_bytes(drawn[:8], "big") * HUNDREDTHS >> 64
