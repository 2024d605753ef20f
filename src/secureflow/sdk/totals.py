"""Totals by keys: what `joint-sums` opened for each of up to millions of whole numbers.

totals = client.jobs.totals(job.id)
totals["spent"].values           # float64, of the keys first, first + 1, …
totals["spent"].to_arrow()       # a table of key and value
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import finite, members, objects
from secureflow.kit.text import Text

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class KeyedTotals:
    """One query's totals.

    Args:
        name: the query's.
        column: the column of keys.
        first: the first key.
        steps: int64 (keys,), as they were opened.
        step: what one step stands for.
        standard_error: of the noise on each, in the value's own unit; None without noise.
    """

    name: str
    column: str
    first: int
    steps: NDArray[Any]
    step: float
    standard_error: float | None = None

    @property
    def keys(self) -> NDArray[Any]:
        """The keys: int64, one after the other."""
        import numpy as np

        return np.arange(self.first, self.first + len(self.steps), dtype=np.int64)

    @property
    def values(self) -> NDArray[Any]:
        """The totals: int64 where a step is 1, else float64."""
        if self.step == 1.0:
            return self.steps
        if self.step < 1 and (whole := 1 / self.step).is_integer():
            return self.steps / whole  # a quotient of whole numbers is the nearest one
        return self.steps * self.step

    def to_arrow(self) -> Any:
        """Return a `pyarrow.Table` of the keys and their totals."""
        import pyarrow as pa

        return pa.table({self.column: self.keys, self.name: self.values})

    def to_pandas(self) -> Any:
        """Return the same as a pandas frame.

        Raises:
            SecureFlowError: `missing_extra` without pandas.
        """
        from secureflow.sdk.tables import frame_of

        return frame_of(self.to_arrow())


class JobTotals(Mapping[str, KeyedTotals]):
    """A job's totals by the names of its queries.

    Args:
        report: the job's.
        content: the file that the server sent.

    Raises:
        SecureFlowError: `digest_mismatch` if these are not the numbers that the report and the
            ledger name; `invalid_answer` if the report does not fit them.
    """

    def __init__(self, report: Mapping[str, Any], content: bytes) -> None:
        import numpy as np

        named = members(report.get("totals"))
        try:
            numbers = np.load(io.BytesIO(content), allow_pickle=False)
        except (ValueError, EOFError, OSError):
            raise _unfit(report) from None
        if numbers.dtype != np.dtype("<i8") or numbers.ndim != 1:
            raise _unfit(report)
        if hashlib.sha256(numbers.tobytes()).hexdigest() != named.get("sha256"):
            raise SecureFlowError(
                "digest_mismatch",
                Text("The totals of job {job} are not those that its report names.",
                     job=str(report.get("job"))),
                "Download them again; if they still differ, tell the operator.",
            )  # fmt: skip
        self._found = dict(_queries(report, numbers))

    def __getitem__(self, name: str) -> KeyedTotals:
        """Return a query's totals."""
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the queries that are told by keys."""
        return iter(self._found)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._found)


def _queries(report: Mapping[str, Any], numbers: NDArray[Any]) -> Iterator[tuple[str, KeyedTotals]]:
    for answer in objects(report.get("answers")):
        keys = members(answer.get("keys"))
        if not keys:
            continue
        offset, count, first = (_whole(report, keys.get(n)) for n in ("offset", "count", "first"))
        step, error = keys.get("step"), keys.get("standard_error")
        if not finite(step) or not 0 <= offset <= len(numbers) - count:
            raise _unfit(report)
        name = str(answer.get("name"))
        part = numbers[offset : offset + count]
        told = float(error) if finite(error) else None
        column = str(keys.get("column"))
        yield name, KeyedTotals(name, column, first, part, float(step), told)


def _whole(report: Mapping[str, Any], value: Any) -> int:
    if type(value) is not int:
        raise _unfit(report)
    return value


def _unfit(report: Mapping[str, Any]) -> SecureFlowError:
    return SecureFlowError(
        "invalid_answer",
        Text("The file of totals does not fit the report of job {job}.",
             job=str(report.get("job"))),
        "Client and server must have the same version.",
    )  # fmt: skip
