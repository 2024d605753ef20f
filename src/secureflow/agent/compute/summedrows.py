"""In the worker: the rows of a job of sums, and those of each unit of privacy that count."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from secureflow.domain.specs.summed import MOST_ROWS, Summed
from secureflow.engines.preparation import Columns, column, kept_rows
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class SummedRows:
    """The rows of a job that adds them up.

    Args:
        spec: checked.
        count: how many there are.
        columns: every column that the spec names, and that of persons.
        person: its name, if the owner's budget is kept per person.

    Raises:
        SecureFlowError: `dataset_too_large`, `missing_column`.
    """

    def __init__(self, spec: Summed, count: int, columns: Columns, person: str | None) -> None:
        self.count = count
        self._contributions = spec.contributions
        if count > MOST_ROWS:
            raise SecureFlowError(
                "dataset_too_large",
                Text("A job of sums adds up at most {most} rows of a party.", most=MOST_ROWS),
                "Publish fewer rows, or several datasets.",
            )
        self._units = None if person is None else column(columns, person)
        if self._units is None and spec.privacy is not None and spec.privacy.unit == "person":
            raise SecureFlowError(
                "missing_column",
                "The job protects persons, but no column says whose each row is.",
                "Name that column as `person` in the dataset's privacy section.",
            )

    def counted(self, key: bytes) -> slice | NDArray[Any]:
        """Return which rows count: no more of a unit than the noise hides.

        Args:
            key: secret; it selects among the rows of a unit that has too many.
        """
        if self._units is None:
            return slice(None)
        return kept_rows(self._units, self._contributions, key)
