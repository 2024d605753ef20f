"""Texts of another organisation in CSV: none that a spreadsheet would compute as a formula.

Whoever wrote a table chose its texts, and a program that opens CSV may take one that begins with
`=`, say, for a formula, which can send other cells away. An apostrophe before it makes it a text
everywhere. Numbers, dates and the like stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa

FIRST: Final = tuple("=+-@\t\r\n＝＋－＠")
"""With what a formula begins, in any spreadsheet; the wide signs are those of East Asian input."""
_FORMULA: Final = r"^[=+\-@\t\r\n＝＋－＠]"
_SIGN: Final = "'"


def plain_names(names: Iterable[str]) -> list[str]:
    """Return the names of columns as texts that are no formulas."""
    return [_SIGN + name if name.startswith(FIRST) else name for name in names]


def plain_texts(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, int]:
    """Return rows whose texts are no formulas, and how many texts were altered.

    Raises:
        ArrowException: a column holds lists or the like, or bytes that are no text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    columns, altered = [], 0
    for column in batch.columns:
        if _is_number(column.type):
            columns.append(column)
            continue
        texts = column.cast(pa.string())
        found = pc.match_substring_regex(texts, _FORMULA)
        altered += pc.sum(found).as_py() or 0
        columns.append(pc.if_else(found, pc.binary_join_element_wise(_SIGN, texts, ""), texts))
    return pa.RecordBatch.from_arrays(columns, plain_names(batch.schema.names)), altered


def _is_number(of: pa.DataType) -> bool:
    """Tell whether cells of a type are written as numbers, dates, times or truth values."""
    import pyarrow as pa

    tests = (
        *(pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean),
        *(pa.types.is_temporal, pa.types.is_null),
    )
    return any(test(of) for test in tests)
