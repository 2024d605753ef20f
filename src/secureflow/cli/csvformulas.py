"""Texts of another organisation in CSV: none that a spreadsheet would compute as a formula.

Whoever wrote a table chose its texts, and a program that opens CSV may take one that begins with
`=`, say, for a formula, which can send other cells away. An apostrophe before it makes it a text
everywhere. Numbers, dates and the like stay as they are. Of a table that is one's own, a model
still wrote a column: the names of its classes, which are whatever its author called them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from secureflow.cli.console import say
from secureflow.cli.texts import t
from secureflow.kit.spreadsheets import FORMULA_STARTS, SIGN

if TYPE_CHECKING:
    import pyarrow as pa

    Rows = TypeVar("Rows", pa.RecordBatch, pa.Table)

FIRST: Final = FORMULA_STARTS
"""With what a formula begins."""
_FORMULA: Final = r"^[=+\-@\t\r\n＝＋－＠]"
_NUMBER: Final = r"^[+\-][0-9]+(\.[0-9]+)?$"
_SIGN: Final = SIGN


def plain_names(names: Iterable[str]) -> list[str]:
    """Return the names of columns as texts that are no formulas."""
    return [_SIGN + name if name.startswith(FIRST) else name for name in names]


def plain_texts(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, int]:
    """Return rows whose texts are no formulas, and how many texts were altered.

    Raises:
        ArrowException: a column holds lists or the like, or bytes that are no text.
    """
    import pyarrow as pa

    columns, altered = [], 0
    for column in batch.columns:
        written, count = (column, 0) if _is_number(column.type) else _plain(column)
        columns.append(written)
        altered += count
    return pa.RecordBatch.from_arrays(columns, plain_names(batch.schema.names)), altered


def plain_classes(rows: Rows) -> tuple[Rows, int]:
    """Return own rows in which no name of a class is a formula, and how many names were altered.

    A class that is called -1 stays what it is: whoever computes that gets the same.
    """
    from secureflow.domain.specs.targets import PREDICTED  # `--help` does not need it

    at = rows.schema.get_field_index(PREDICTED)
    if at < 0 or _is_number(rows.schema.field(at).type):
        return rows, 0
    written, altered = _plain(rows.column(at), but=_NUMBER)
    return rows.set_column(at, PREDICTED, written), altered


def say_altered(count: int) -> None:
    """Tell how many texts were altered, if any."""
    if count:
        say(
            t(
                "{count} {count:text|texts} that a spreadsheet would take for a formula "
                "{count:begins|begin} with an apostrophe now; Parquet has every text as it is.",
                count=count,
            )
        )


def _plain(column: Any, but: str = "") -> tuple[Any, int]:
    """Return a column as texts that are no formulas, and how many were altered.

    Args:
        column: of any type that has texts.
        but: a pattern of texts that stay.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = column.cast(pa.string())
    found = pc.match_substring_regex(texts, _FORMULA)
    if but:
        found = pc.and_not(found, pc.match_substring_regex(texts, but))
    altered = pc.sum(found).as_py() or 0
    return pc.if_else(found, pc.binary_join_element_wise(_SIGN, texts, ""), texts), altered


def _is_number(of: pa.DataType) -> bool:
    """Tell whether cells of a type are written as numbers, dates, times or truth values."""
    import pyarrow as pa

    tests = (
        *(pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean),
        *(pa.types.is_temporal, pa.types.is_null),
    )
    return any(test(of) for test in tests)
