"""The steps of a preparation: what each is given, and what a job's spec says of it.

A step reads columns of a table and writes columns of it, mostly the same ones. What it needs to
know of all parties' rows (a mean, edges of bins) is *fitted*: `engines.preparation.steps`. What the
table is like after each step follows from the spec alone (`tables`).

Each step has a version `v`: what it computes never changes under one version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from secureflow.domain.fieldfaults import MISSPELT_STEP, UNKNOWN_STEP, UNNAMED_STEP
from secureflow.domain.specs.base import STRICT, Category
from secureflow.domain.texts import ONE_LINE
from secureflow.kit.nearnames import alike

MAX_STEPS: Final = 128
"""Most steps of a preparation."""
MAX_COLUMNS: Final = 1024
"""Most columns of a table, at any step."""
MAX_NAME: Final = 600
"""Most characters of the name of a column that a step makes."""
MAX_BINS: Final = 256
"""Most bins of a column."""
MAX_BUCKETS: Final = 4096
"""Most buckets of hashed text, and most categories of a column."""


def _filling(value: Any) -> str | None:
    if isinstance(value, str):
        return "<text>"
    return "<number>" if isinstance(value, int | float) and not isinstance(value, bool) else None


Made = Annotated[str, Field(min_length=1, max_length=MAX_NAME), ONE_LINE]
"""A column of a table: one that is read, or what a step made of one, as `COLUMN=CATEGORY`."""
Columns = Annotated[tuple[Made, ...], Field(min_length=1, max_length=MAX_COLUMNS)]
Finite = Annotated[float, Field(ge=-1e100, le=1e100)]
Filling = Annotated[
    Annotated[Finite, Tag("<number>")] | Annotated[Category, Tag("<text>")],
    Discriminator(
        _filling,
        custom_error_type="no_filling",
        custom_error_message="it must be a number or a text",
    ),
]
"""What cells are filled with."""
Bins = Annotated[int, Field(ge=2, le=MAX_BINS)]
Part = Literal["year", "month", "day", "weekday", "day_of_year", "hour", "minute"]


@dataclass(frozen=True)
class Impute:
    """Fill missing cells.

    Args:
        columns: numbers for `mean` and `median`, categories for `mode`; of one type for `constant`.
        by: the mean, the median or the most frequent category over all parties, or `value`.
        value: for `constant`: a number, or one of the categories.
        indicator: whether a number column `NAME.missing` says where a cell was missing (1).
    """

    __pydantic_config__ = STRICT
    title: ClassVar = "fill missing cells"
    reads: ClassVar = "numbers or categories"
    example: ClassVar = {"columns": ["age"], "by": "median", "indicator": "true"}
    columns: Columns
    by: Literal["mean", "median", "mode", "constant"]
    value: Filling | None = None
    indicator: bool = False
    step: Literal["impute"] = "impute"
    v: Literal[1] = 1


@dataclass(frozen=True)
class Clip:
    """Set numbers below `low` to it, and numbers above `high` to that."""

    __pydantic_config__ = STRICT
    title: ClassVar = "limit numbers to a range"
    reads: ClassVar = "numbers"
    example: ClassVar = {"columns": ["income"], "low": 0, "high": 200000}
    columns: Columns
    low: Finite | None = None
    high: Finite | None = None
    step: Literal["clip"] = "clip"
    v: Literal[1] = 1


@dataclass(frozen=True)
class Standardise:
    """Subtract the mean, divide by the standard deviation (of the rows: ddof 0).

    A constant column becomes 0: it is divided by half of its bounds' width. So does one whose
    numbers lie closer together than sums over bounds so wide can tell: 2e-5 of it for 1,000 rows.
    """

    __pydantic_config__ = STRICT
    title: ClassVar = "subtract the mean, divide by the standard deviation"
    reads: ClassVar = "numbers"
    example: ClassVar = {"columns": ["age", "income"]}
    columns: Columns
    step: Literal["standardise"] = "standardise"
    v: Literal[1] = 1


@dataclass(frozen=True)
class MinMax:
    """Map the smallest value to `low` and the largest to `high`.

    Args:
        columns: numbers.
        low: what the smallest value becomes.
        high: what the largest becomes.
        of: `bounds`: the declared ones, which needs no rows; `rows`: the smallest and largest
            number that any party has, found by bisection and released as they are: not private.
    """

    __pydantic_config__ = STRICT
    title: ClassVar = "map a range to another"
    reads: ClassVar = "numbers"
    example: ClassVar = {"columns": ["age"], "low": 0, "high": 1}
    columns: Columns
    low: Finite = 0.0
    high: Finite = 1.0
    of: Literal["bounds", "rows"] = "bounds"
    step: Literal["min_max"] = "min_max"
    v: Literal[1] = 1


@dataclass(frozen=True)
class QuantileBins:
    """Cut numbers into bins that hold the same number of rows; the bin is a category, from `1` on.

    A row at an edge belongs to the bin above it. Edges that coincide are one: there are fewer bins.
    """

    __pydantic_config__ = STRICT
    title: ClassVar = "cut numbers into bins of equally many rows"
    reads: ClassVar = "numbers"
    example: ClassVar = {"columns": ["income"], "bins": 10}
    columns: Columns
    bins: Bins = 10
    step: Literal["quantile_bins"] = "quantile_bins"
    v: Literal[1] = 1


@dataclass(frozen=True)
class WidthBins:
    """Cut numbers into bins of the same width within their bounds; needs no rows."""

    __pydantic_config__ = STRICT
    title: ClassVar = "cut numbers into bins of equal width"
    reads: ClassVar = "numbers"
    example: ClassVar = {"columns": ["age"], "bins": 10}
    columns: Columns
    bins: Bins = 10
    step: Literal["width_bins"] = "width_bins"
    v: Literal[1] = 1


@dataclass(frozen=True)
class Woe:
    """Replace each category by its weight of evidence (Siddiqi 2006): ln(share of 1 / share of 0).

    Of k categories (a missing cell is one of them) with p of P positive and n of N negative rows:
    ln(((p + s) / (P + s·k)) / ((n + s) / (N + s·k))), s being `smoothing` and negative noised
    counts 0. The information value is Σ (difference of the two shares) · (weight of evidence).
    """

    __pydantic_config__ = STRICT
    title: ClassVar = "replace categories by their weight of evidence"
    reads: ClassVar = "categories"
    example: ClassVar = {"columns": ["income", "occupation"]}
    columns: Columns
    smoothing: Annotated[float, Field(gt=0.0, le=1000.0)] = 0.5
    step: Literal["woe"] = "woe"
    v: Literal[1] = 1


@dataclass(frozen=True)
class OneHot:
    """Replace a category column by one number column for each category: `NAME=CATEGORY`.

    Args:
        columns: categories.
        missing: `zeros`, or a column `NAME.missing` of their own for missing cells.
        least: categories with fewer rows over all parties share a column `NAME.other`; 0: every
            declared category has its own.
    """

    __pydantic_config__ = STRICT
    title: ClassVar = "one column for each category"
    reads: ClassVar = "categories"
    example: ClassVar = {"columns": ["occupation"], "least": 100}
    columns: Columns
    missing: Literal["zeros", "indicator"] = "zeros"
    least: Annotated[int, Field(ge=0, le=1 << 30)] = 0
    step: Literal["one_hot"] = "one_hot"
    v: Literal[1] = 1


@dataclass(frozen=True)
class Ordinal:
    """Replace a category by its position in the declared order, from 0; a missing cell stays so."""

    __pydantic_config__ = STRICT
    title: ClassVar = "replace categories by their position"
    reads: ClassVar = "categories"
    example: ClassVar = {"columns": ["grade"]}
    columns: Columns
    step: Literal["ordinal"] = "ordinal"
    v: Literal[1] = 1


@dataclass(frozen=True)
class HashText:
    """Replace a text by one of `buckets` categories, `0` and on: BLAKE2b of it mod `buckets`."""

    __pydantic_config__ = STRICT
    title: ClassVar = "replace texts by the number of a bucket"
    reads: ClassVar = "texts"
    example: ClassVar = {"columns": ["postcode"], "buckets": 64}
    columns: Columns
    buckets: Annotated[int, Field(ge=2, le=MAX_BUCKETS)] = 64
    step: Literal["hash"] = "hash"
    v: Literal[1] = 1


@dataclass(frozen=True)
class Log:
    """Replace a number x by ln(x + `shift`); the declared bounds must keep it positive."""

    __pydantic_config__ = STRICT
    title: ClassVar = "take logarithms"
    reads: ClassVar = "numbers"
    example: ClassVar = {"columns": ["income"], "shift": 1}
    columns: Columns
    shift: Finite = 1.0
    step: Literal["log"] = "log"
    v: Literal[1] = 1


@dataclass(frozen=True)
class YeoJohnson:
    """Transform numbers to be as nearly normal as a power can (Yeo and Johnson 2000).

    λ in −4 … 6 of the largest likelihood over all parties' rows, to 1e-3.
    """

    __pydantic_config__ = STRICT
    title: ClassVar = "make numbers as nearly normal as a power can"
    reads: ClassVar = "numbers"
    example: ClassVar = {"columns": ["income"]}
    columns: Columns
    step: Literal["yeo_johnson"] = "yeo_johnson"
    v: Literal[1] = 1


@dataclass(frozen=True)
class DateParts:
    """Replace a text that is a date by numbers of it: `NAME.year` and so on.

    Args:
        columns: texts.
        formats: how dates are written, tried in this order: `%Y-%m-%d`, `%d.%m.%Y`, … with %Y and,
            as needed, %m %d %H %M %S, each once; of the digits 0 to 9. A fraction of a second after
            a final %S is left out: the times of Parquet files are `2001-12-31 23:59:59.000000`.
        parts: which numbers; `weekday` is 0 on Mondays.
        years: the bounds of years; a date outside is refused like one that no format fits.
    """

    __pydantic_config__ = STRICT
    title: ClassVar = "split dates into numbers"
    reads: ClassVar = "texts"
    example: ClassVar = {
        "columns": ["opened"],
        "formats": ["%Y-%m-%d", "%d.%m.%Y"],
        "parts": ["year", "month"],
    }
    columns: Columns
    formats: Annotated[
        tuple[Annotated[str, Field(min_length=2, max_length=64), ONE_LINE], ...],
        Field(min_length=1, max_length=16),
    ]
    parts: Annotated[tuple[Part, ...], Field(min_length=1, max_length=7)] = (
        "year",
        "month",
        "weekday",
    )
    years: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=9999)]] = (1900, 2100)
    step: Literal["date_parts"] = "date_parts"
    v: Literal[1] = 1


@dataclass(frozen=True)
class Interact:
    """Add the product of each pair of number columns: `A*B`."""

    __pydantic_config__ = STRICT
    title: ClassVar = "add products of pairs of columns"
    reads: ClassVar = "numbers"
    example: ClassVar = {"columns": ["age", "income"]}
    columns: Annotated[tuple[Made, ...], Field(min_length=2, max_length=64)]
    step: Literal["interact"] = "interact"
    v: Literal[1] = 1


@dataclass(frozen=True)
class Select:
    """Keep the columns that say something, drop the others of those named.

    Args:
        columns: numbers.
        by: `iv`: of columns that a step `woe` made, those whose information value is at least
            `threshold`; `variance`: those with a larger variance; `correlation`: goes through them
            in order and drops each whose |Pearson's r| with one that was kept is larger, over the
            rows in which none of them is missing.
        threshold: see `by`.
    """

    __pydantic_config__ = STRICT
    title: ClassVar = "keep the columns that say something"
    reads: ClassVar = "numbers"
    example: ClassVar = {"columns": ["age", "income"], "by": "correlation", "threshold": 0.9}
    columns: Columns
    by: Literal["iv", "variance", "correlation"]
    threshold: Annotated[float, Field(ge=0.0, le=1e100)]
    step: Literal["select"] = "select"
    v: Literal[1] = 1


@dataclass(frozen=True)
class Drop:
    """Drop columns."""

    __pydantic_config__ = STRICT
    title: ClassVar = "drop columns"
    reads: ClassVar = "anything"
    example: ClassVar = {"columns": ["opened.year"]}
    columns: Columns
    step: Literal["drop"] = "drop"
    v: Literal[1] = 1


AnyStep = (
    Impute
    | Clip
    | Standardise
    | MinMax
    | QuantileBins
    | WidthBins
    | Woe
    | OneHot
    | Ordinal
    | HashText
    | Log
    | YeoJohnson
    | DateParts
    | Interact
    | Select
    | Drop
)
CATALOGUE: Final[tuple[type[Any], ...]] = (
    *(Impute, Clip, Standardise, MinMax, QuantileBins, WidthBins, Woe, OneHot, Ordinal),
    *(HashText, Log, YeoJohnson, DateParts, Interact, Select, Drop),
)
"""Every step, in the order in which they are listed for people."""

_BY_NAME: Final = {one.step: one for one in CATALOGUE}
_LONGEST_TOLD: Final = 64
"""Most characters that are repeated of the name of a step that there is none of."""


def _offered(value: Any) -> Any:
    """Refuse a step that there is none of, with those that may be meant."""
    named = value.get("step") if isinstance(value, dict) else None
    if named is None or (isinstance(named, str) and named in _BY_NAME):
        return value
    step = str(named)[:_LONGEST_TOLD]
    told = {"step": step, "steps": ", ".join(_BY_NAME)}
    if near := alike(step, _BY_NAME):
        raise PydanticCustomError("misspelt_step", MISSPELT_STEP, {**told, "near": ", ".join(near)})
    raise PydanticCustomError("unknown_step", UNKNOWN_STEP, told)


def _name(value: Any) -> str | None:
    name = value.get("step") if isinstance(value, dict) else getattr(value, "step", None)
    return f"<{name}>" if isinstance(name, str) and name in _BY_NAME else None


PreparationStep = Annotated[
    Annotated[Impute, Tag("<impute>")]
    | Annotated[Clip, Tag("<clip>")]
    | Annotated[Standardise, Tag("<standardise>")]
    | Annotated[MinMax, Tag("<min_max>")]
    | Annotated[QuantileBins, Tag("<quantile_bins>")]
    | Annotated[WidthBins, Tag("<width_bins>")]
    | Annotated[Woe, Tag("<woe>")]
    | Annotated[OneHot, Tag("<one_hot>")]
    | Annotated[Ordinal, Tag("<ordinal>")]
    | Annotated[HashText, Tag("<hash>")]
    | Annotated[Log, Tag("<log>")]
    | Annotated[YeoJohnson, Tag("<yeo_johnson>")]
    | Annotated[DateParts, Tag("<date_parts>")]
    | Annotated[Interact, Tag("<interact>")]
    | Annotated[Select, Tag("<select>")]
    | Annotated[Drop, Tag("<drop>")],
    Discriminator(
        _name,
        custom_error_type="unnamed_step",
        custom_error_message=UNNAMED_STEP,
    ),
    BeforeValidator(_offered),
]
"""A step in a spec; `step` names it."""
