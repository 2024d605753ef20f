"""Which rows a party holds out of training, if the plan says so by the owners' keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, UNLESS_NONE

MOST_FOLDS: Final = 20
HUNDREDTHS: Final = 100
"""Keys are held out by whole hundredths of them."""


def is_share(share: float) -> bool:
    """Tell whether keys can be held out by this share: it is a multiple of 1/100."""
    return abs(share * HUNDREDTHS - round(share * HUNDREDTHS)) < 1e-9


@dataclass(frozen=True)
class KeySplit:
    """Rows are held out by the key that each owner declares (`engines.preparation.keysplit`).

    Args:
        by: the owners' keys: all rows of a person, an account or a patient, or none.
        folds: into how many folds the keys fall; absent: the plan's `validation` is the share of
            the keys that is held out, a multiple of 1/100.
        fold: the one that is held out, from 0.
    """

    __pydantic_config__ = STRICT
    by: Literal["key"]
    folds: Annotated[int | None, Field(ge=2, le=MOST_FOLDS), UNLESS_NONE] = None
    fold: Annotated[int | None, Field(ge=0, lt=MOST_FOLDS), UNLESS_NONE] = None

    @property
    def part(self) -> tuple[int, int] | None:
        """The number of folds and the one that is held out; None for a share of the keys."""
        return None if self.folds is None else (self.folds, self.fold or 0)
