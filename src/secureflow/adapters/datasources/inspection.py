"""A first draft of a dataset's schema, made from its file for the owner to confirm.

The draft never decides: it proposes a type, bounds or categories for every column that a model can
use, and gives the reason for every column that is left out. Bounds are rounded outwards, so that
they do not reveal a row's exact value. Errors and notes name columns and rows and never quote a
cell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv as arrow_csv

from secureflow.adapters.datasources.csvfaults import csv_fault, other_separator
from secureflow.adapters.datasources.drafts import (
    ColumnDraft,
    LeftOut,
    TableDraft,
    unreadable,
)
from secureflow.adapters.datasources.nestedinspection import draft_nested, is_nested
from secureflow.domain.schemas import DataFormat
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import hidden
from secureflow.kit.text import Text

MAX_CATEGORIES: Final = 100
MAX_COLUMNS: Final = 4096
UNKNOWN: Final = ("?", "NA", "N/A", "n/a", "NULL", "null", "None", "nan", "NaN", "-")
"""Texts that often mean an unknown value. One counts as such only in a column that otherwise holds
numbers (in a column of words NA may be Namibia); an empty cell always does."""

_SENSITIVE = re.compile(
    r"sex|gender|race|racial|ethnic|religi|faith|nationality|citizen|native|country.of.birth"
    r"|birth|disab|health|diagnos|disease|political|union.member|orientation|pregnan|criminal"
    r"|性别|民族|种族|宗教|国籍|籍贯|出生|残疾|健康|疾病|诊断|政治|党派|怀孕",
    re.IGNORECASE,
)
_NAMES_PERSONS = re.compile(
    r"(^|[^a-z])(id|ids|uuid|guid|key|nr|no|number|num|account|iban|ssn|passport|e?mail|phone|mobile"
    r"|name|surname|address|index|unnamed: \d+)$|[a-z]I[dD]$"
    r"|编号|证号|身份证|账号|卡号|户号|序号|姓名|电话|手机|邮箱|地址",
)
_DATE = r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?$|^\d{1,2}[-/.]\d{1,2}[-/.]\d{4}([T ].*)?$"
_NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"
_CODE = r"^0\d+$"
_EXACT = 2.0**53
_READ_AT_ONCE = 512 << 20
_MAX_NAME, _MAX_CATEGORY = 128, 256
_NAMED = 12
"""Columns that a hint lists."""


def inspect_file(path: Path, categories: Sequence[str] = ()) -> TableDraft:
    """Read a CSV or Parquet file (told by its suffix) and draft its schema.

    Args:
        path: the file; columns are read one after the other if it is large.
        categories: columns to draft as categories even if they hold numbers, e.g. a label.

    Raises:
        SecureFlowError: `dataset_unreadable` naming the file and the reason.
    """
    kind = file_format(path)
    try:
        names = column_names(path, kind)
        check_named(path, categories, names)
        usable = [name for name in names if _usable(name, names)]
        drafts: dict[str, ColumnDraft] = {}
        missing = [""]
        rows = _row_count(path, kind)
        if kind == "parquet":
            drafts = _nested(path, usable)
        plain = [name for name in usable if name not in drafts]
        for name, column in _columns(path, kind, plain):
            drafts[name] = draft_column(name, column, name in categories, missing)
            rows = len(column)
    except (pa.ArrowException, OSError, UnicodeError):
        # `from None`: the library's message may quote a row.
        raise _unreadable(path, kind) from None
    if not rows:
        raise unreadable(path, "it has no row")
    columns = tuple(drafts.get(name) or ColumnDraft(name, left_out="name") for name in names)
    return TableDraft(kind, rows, columns, tuple(missing))


def _nested(path: Path, names: Sequence[str]) -> dict[str, ColumnDraft]:
    """Return the drafts of images and arrays, which are read piece by piece."""
    with pq.ParquetFile(path) as file:
        kinds = {name: file.schema_arrow.field(name).type for name in names}
        found = {name: draft_nested(file, name) for name in names if is_nested(kinds[name])}
    return {
        name: replace(draft, sensitive=bool(_SENSITIVE.search(name)))
        for name, draft in found.items()
        if draft is not None
    }


def check_named(path: Path, asked: Sequence[str], names: Sequence[str]) -> None:
    """Refuse columns that are not there.

    Raises:
        SecureFlowError: `unknown_column`; `dataset_unreadable` where something else than commas
            separates the cells.
    """
    for name in asked:
        if name not in names:
            if other := other_separator(names):
                raise unreadable(path, *other)
            raise SecureFlowError(
                "unknown_column",
                Text("{name} has no column {column!r}.", name=path.name, column=name),
                Text(
                    "Its columns are: {names}{more}.",
                    names=", ".join(names[:_NAMED]),
                    more=", …" * (len(names) > _NAMED),
                ),
                {"column": name},
            )


def file_format(path: Path) -> DataFormat:
    """Return the format that a file's suffix names.

    Raises:
        SecureFlowError: `invalid_file` for a missing one, `dataset_unreadable` for another suffix.
    """
    if not path.is_file():
        reason = "it is not a file" if path.exists() else "there is no such file"
        raise SecureFlowError(
            "invalid_file",
            Text("{path} cannot be used: {reason}.", path=path, reason=reason),
            "Check the path.",
            {"file": path.name},
        )
    formats: dict[str, DataFormat] = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
    found = formats.get(path.suffix.lower())
    if found is None:
        raise unreadable(
            path,
            "its name ends neither in .csv nor in .parquet",
            "Rename it to match its content, or export it as CSV in UTF-8.",
        )
    return found


def column_names(path: Path, kind: DataFormat) -> list[str]:
    """Return the file's column names in order, doubled ones too.

    Raises:
        SecureFlowError: `dataset_unreadable` for a file that is not what its name says, and for
            more columns than a declaration may have.
    """
    try:
        if kind == "parquet":
            names = pq.read_schema(path).names
        else:
            with arrow_csv.open_csv(path, parse_options=_parsing()) as head:
                names = head.schema.names
    except (pa.ArrowException, OSError, UnicodeError):
        raise _unreadable(path, kind) from None
    if len(names) > MAX_COLUMNS:
        raise unreadable(
            path, Text("it has more than {max_columns} columns", max_columns=MAX_COLUMNS)
        )
    return list(names)


def read_column(path: Path, kind: DataFormat, name: str) -> pa.ChunkedArray:
    """Return one column for drafting: numbers and times unchanged, the rest as text.

    Raises:
        SecureFlowError: `dataset_unreadable`.
    """
    try:
        ((_, column),) = _columns(path, kind, [name])
        return _plain(column)
    except (pa.ArrowException, OSError, UnicodeError):
        raise unreadable(path, Text("its column {name!r} cannot be read", name=name)) from None


def counts(column: pa.ChunkedArray) -> bool:
    """Tell whether a draft would declare a column as numbers, or as classes that are numbers.

    Codes such as 0123 are words.
    """
    if _numeric(column.type):
        return True
    if not pa.types.is_string(column.type):
        return False
    trimmed = pc.utf8_trim_whitespace(pc.drop_null(column))
    trimmed = trimmed.filter(pc.not_equal(trimmed, ""))
    if not len(trimmed) or pc.any(pc.match_substring_regex(trimmed, _CODE)).as_py():
        return False
    return bool(pc.all(pc.match_substring_regex(trimmed, _NUMBER)).as_py())


def draft_column(
    name: str, column: pa.ChunkedArray, category: bool = False, missing: list[str] | None = None
) -> ColumnDraft:
    """Draft one column from all of its cells.

    Args:
        name: the column's name.
        column: its cells; from a CSV file as UTF-8 text.
        category: draft it as a category even if it holds numbers.
        missing: texts for an unknown value, extended here by those found among numbers.
    """
    found = _draft(name, _plain(column), category, [""] if missing is None else missing)
    guess = bool(_SENSITIVE.search(name))
    return ColumnDraft(**{**found, "name": name, "sensitive": guess})  # type: ignore[arg-type]


def round_outwards(low: float, high: float) -> tuple[float, float]:
    """Return an interval around [low, high] whose ends are round numbers for its width."""
    span = high - low
    if not 1e-300 < span < math.inf:
        return low, high
    power = math.floor(math.log10(span))
    step = 10.0**power / (2 if span < 2 * 10.0**power and power > 0 else 1)
    below, above = math.floor(low / step) * step, math.ceil(high / step) * step
    # Decimal rounding removes binary rounding errors; it must not move a bound inwards.
    below, above = round(below, 1 - power), round(above, 1 - power)
    holds = -math.inf < below <= low and high <= above < math.inf
    return (below, above) if holds else (low, high)


def _draft(
    name: str, column: pa.ChunkedArray, category: bool, missing: list[str]
) -> dict[str, object]:
    kind = column.type
    if pa.types.is_temporal(kind):
        return {"left_out": "date", "missing": column.null_count}
    if _numeric(kind):
        return _categories(name, column) if category else _number(name, column)
    if not (pa.types.is_string(kind) or pa.types.is_null(kind)):
        return {"left_out": "kind", "missing": column.null_count}
    if category:
        return _categories(name, column)
    return _text(name, column, missing)


def _text(name: str, column: pa.ChunkedArray, missing: list[str]) -> dict[str, object]:
    """Distinguish numbers, dates and categories in a column of text."""
    present = pc.drop_null(column)
    if not len(present):
        return _left_out("empty", column)
    trimmed = pc.utf8_trim_whitespace(present)
    numbers = pc.match_substring_regex(trimmed, _NUMBER)
    others = pc.unique(trimmed.filter(pc.invert(numbers))).slice(0, len(UNKNOWN) + 1).to_pylist()
    if pc.any(numbers).as_py() and all(text in UNKNOWN for text in others):
        if pc.any(pc.match_substring_regex(trimmed, _CODE)).as_py():
            return _categories(name, column)  # 0123 is a code: as a number it would be 123
        missing += [text for text in others if text not in missing]
        unknown = pc.is_in(pc.utf8_trim_whitespace(column), value_set=pa.array(others, pa.string()))
        values = pc.if_else(unknown, pa.scalar(None, pa.string()), column)
        return _number(name, pc.utf8_trim_whitespace(values).cast(pa.float64()))
    if pc.all(pc.match_substring_regex(trimmed, _DATE)).as_py():
        return _left_out("date", column)
    if pc.mean(numbers.cast(pa.float64())).as_py() > 0.9:
        return _left_out("mixed", column)
    return _categories(name, column)


def _number(name: str, column: pa.ChunkedArray) -> dict[str, object]:
    integers = pa.types.is_integer(column.type)
    values = column.cast(pa.float64(), safe=False)
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    present = pc.drop_null(values)
    if not len(present):
        return _left_out("empty", values)
    if not pc.all(pc.is_finite(present)).as_py():
        return _left_out("infinite", values)
    ends = pc.min_max(present).as_py()
    low, high = ends["min"], ends["max"]
    if low == high:
        return _left_out("constant", values)
    distinct = pc.count_distinct(present).as_py()
    integers = integers or pc.all(pc.equal(pc.floor(present), present)).as_py()
    if integers and _counts_rows(name, len(present), distinct, low, high):
        return _left_out("identifier", values)
    return {
        "type": "number",
        "bounds": round_outwards(low, high),
        "missing": values.null_count,
    }


def _counts_rows(name: str, present: int, distinct: int, low: float, high: float) -> bool:
    """Tell whether whole numbers look like row numbers or keys rather than amounts."""
    if max(abs(low), abs(high)) > _EXACT:
        return True  # too large even for a float64
    if _NAMES_PERSONS.search(name):
        return distinct > MAX_CATEGORIES or distinct == present > 2
    return distinct == present >= 20 and high - low < 1.1 * present


def _categories(name: str, column: pa.ChunkedArray) -> dict[str, object]:
    words = column.cast(pa.string())
    present = pc.drop_null(words)
    present = present.filter(pc.not_equal(present, ""))
    if not len(present):
        return _left_out("empty", column)
    known = pc.unique(present)
    distinct = len(known)
    if distinct == 1:
        return _left_out("constant", column)
    keyed = distinct > MAX_CATEGORIES and _NAMES_PERSONS.search(name)
    if keyed or (distinct > 2 and distinct >= 0.9 * len(present)):
        return _left_out("identifier", column)
    texts = known.to_pylist() if distinct <= MAX_CATEGORIES else []
    if not texts or not all(can_be_declared(text) for text in texts):
        return _left_out("text", column)
    missing = len(column) - len(present)
    return {"type": "category", "categories": tuple(sorted(texts)), "missing": missing}


def _left_out(reason: LeftOut, column: pa.ChunkedArray) -> dict[str, object]:
    return {"left_out": reason, "missing": column.null_count}


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return numbers unchanged, and texts, booleans and dictionaries as strings."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        return column if pa.types.is_nested(kind.value_type) else column.cast(pa.string())
    texts = (pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    if pa.types.is_boolean(kind) or any(test(kind) for test in texts):
        return column.cast(pa.string())
    return column


def _numeric(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _usable(name: str, names: list[str]) -> bool:
    named = bool(name.strip()) and len(name) <= _MAX_NAME and can_be_declared(name)
    return named and names.count(name) == 1


def _columns(
    path: Path, kind: DataFormat, names: Sequence[str]
) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """Yield the named columns; one at a time if all of them might not fit into memory."""
    if kind == "parquet":
        with pq.ParquetFile(path) as file:
            for name in names:
                yield name, file.read(columns=[name])[name]
        return
    together = path.stat().st_size <= _READ_AT_ONCE
    for group in [list(names)] if together else [[name] for name in names]:
        table = read_csv(path, group)
        for name in group:
            yield name, table[name]


def can_be_declared(text: str) -> bool:
    """Tell whether a text is valid in a declaration: not too long, no hidden characters."""
    return len(text) <= _MAX_CATEGORY and not hidden(text)


def read_csv(path: Path, names: Sequence[str]) -> pa.Table:
    """Return the named columns of a CSV file as text, empty cells as null."""
    converting = arrow_csv.ConvertOptions(
        column_types={name: pa.string() for name in names},
        include_columns=list(names),
        null_values=[""],
        strings_can_be_null=True,
    )
    return arrow_csv.read_csv(path, parse_options=_parsing(), convert_options=converting)


def _row_count(path: Path, kind: DataFormat) -> int:
    return int(pq.read_metadata(path).num_rows) if kind == "parquet" else 0


def _unreadable(path: Path, kind: DataFormat) -> SecureFlowError:
    if kind == "csv":
        return unreadable(path, *csv_fault(path))
    return unreadable(path, "it is not a readable file of its kind")


def _parsing() -> arrow_csv.ParseOptions:
    return arrow_csv.ParseOptions(newlines_in_values=True)
