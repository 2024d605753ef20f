"""Which of an owner's rows a job takes: those that the owners' keys hold out of trainings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field

from secureflow.domain.specs.base import STRICT, UNLESS_NONE, Problem
from secureflow.domain.specs.split import HUNDREDTHS, MOST_FOLDS, KeySplit, is_share


@dataclass(frozen=True)
class HeldOut:
    """The rows whose keys are held out (`engines.preparation.keysplit`); as in a plan's `split`.

    Args:
        by: the owners' keys.
        share: of the keys, a multiple of 1/100; or
        folds: into how many folds the keys fall, and
        fold: the one that is taken, from 0.
    """

    __pydantic_config__ = STRICT
    by: Literal["key"] = "key"
    share: Annotated[float | None, Field(gt=0.0, le=0.5), UNLESS_NONE] = None
    folds: Annotated[int | None, Field(ge=2, le=MOST_FOLDS), UNLESS_NONE] = None
    fold: Annotated[int | None, Field(ge=0, lt=MOST_FOLDS), UNLESS_NONE] = None

    @classmethod
    def of_split(cls, split: KeySplit | None, validation: float) -> Self | None:
        """Return what a training plan holds out by key; None if nothing.

        Args:
            split: the plan's.
            validation: its share of validation rows.
        """
        if split is None:
            return None
        if split.part is not None:
            folds, fold = split.part
            return cls(folds=folds, fold=fold)
        return cls(share=validation) if validation else None

    @property
    def part(self) -> tuple[int, int] | None:
        """The number of folds and the one that is taken; None for a share."""
        return None if self.folds is None else (self.folds, self.fold or 0)

    @property
    def places(self) -> frozenset[int]:
        """The hundredths of the keys that are taken."""
        if self.folds is None:
            return frozenset(range(round((self.share or 0.0) * HUNDREDTHS)))
        return frozenset(
            one for one in range(HUNDREDTHS) if one * self.folds // HUNDREDTHS == (self.fold or 0)
        )


def is_within(taken: HeldOut | None, held_out: HeldOut | None) -> bool:
    """Tell whether rows that are taken are all among those that a job held out, by their keys."""
    if taken is None or held_out is None:
        return False
    return taken.places <= held_out.places


def held_out_problem(one: HeldOut | None) -> Problem | None:
    """Return a contradiction in what is held out, or None."""
    if one is None:
        return None
    if (one.share is None) == (one.folds is None):
        reason = "rows are held out either by a share of the keys or by folds"
        return "held_out", reason, "Give `share`, or `folds` and `fold`."
    if (one.folds is None) != (one.fold is None):
        return "held_out.fold", "folds and fold belong together", "Give both."
    if one.share is not None and not is_share(one.share):
        reason = "it is no multiple of 1/100, which is as finely as keys are held out"
        return "held_out.share", reason, "Write for example 0.2."
    if one.folds is not None and one.fold is not None and one.fold >= one.folds:
        return "held_out.fold", "there are fewer folds; they are counted from 0", "Lower it."
    return None
