"""Made-up mobile numbers of the demos' people: nobody in UCI Adult has one.

A person is a number here, and has the same phone wherever it is a customer. Equal arguments give
equal numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

_MOBILE: Final = ("133", "136", "138", "139", "150", "152", "158", "177", "186", "189")
_CROWD: Final = 1.25
"""People of whom everybody's customers are drawn, as a multiple of all customers."""


def mobile(person: int) -> str:
    """Return the eleven digits of a person's Chinese mobile number."""
    return f"{_MOBILE[person % len(_MOBILE)]}{(person * 7_654_321 + 4_711) % 10**8:08}"


def customers(sizes: Sequence[int], seed: int) -> list[list[str]]:
    """Return each owner's customers: so many phones, each once, of one crowd that all draw from.

    Of two owners with a and b customers about a·b / (1.25 · all) are the same people.

    Args:
        sizes: how many customers each owner has.
        seed: for who is whose.
    """
    crowd = int(_CROWD * sum(sizes)) + 1
    drawn = [np.random.default_rng((seed, at)).permutation(crowd)[:size]
             for at, size in enumerate(sizes)]  # fmt: skip
    return [[mobile(person) for person in one.tolist()] for one in drawn]
