"""`demo --data FILE`: the user's own table in shares, with a drafted schema.

A fifth of the rows, drawn by the seed, is held back for the test. Numbers and categories become
features as `adapters.datasources.inspection` drafts them; identifiers, dates, free text and
constants are left out, and the report says so. The file is only read.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from secureflow.adapters.datasources import SourceLimits, open_source
from secureflow.adapters.datasources.drafts import REASONS, TableDraft
from secureflow.adapters.datasources.inspection import (
    MAX_CATEGORIES,
    can_be_declared,
    inspect_file,
    read_column,
)
from secureflow.demo.shares import cut
from secureflow.demo.study import (
    Cutting,
    Study,
    check_cut,
    columns_of,
    make_shares,
    unknown_column,
)
from secureflow.demo.words import Words
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs.training import (
    CategoricalFeature,
    FeatureSpec,
    Label,
    NumericFeature,
    TrainingPlan,
)
from secureflow.kit.errors import SecureFlowError

TEST_SHARE = 0.2
LEAST_ROWS = 40
"""A smaller share is refused, and a test set with fewer than a quarter of this of either class."""
MOST_CELLS = 60_000_000
"""Rows times model inputs: the demo holds them twice in the memory of one machine."""
LIMITS = SourceLimits(max_bytes=1 << 30, max_rows=5_000_000)
PURPOSE = "demonstration"
SEED = 7
_SURE = ("1", "true", "yes", "y", "t", "positive", "bad", "default", "是", "有", "违约", "阳性")


@dataclass(frozen=True)
class OwnTable:
    """The user's options for an own table.

    Args:
        path: a CSV or Parquet file.
        label: the column to predict.
        positive: the value to predict; may be empty if the label has two values.
        by: the column by which the table is cut; None distributes the rows at random.
    """

    path: Path
    label: str
    positive: str = ""
    by: str | None = None


@dataclass(frozen=True)
class Loaded:
    """A table that the demo can use: read, checked, and not yet cut.

    Args:
        asked: the user's options.
        draft: its drafted schema.
        features: the features to train on.
        columns: the declared schema of a share.
        table: features and label of the rows that have a label.
        cutting: how to cut the training rows.
        tested: mask of the test rows, shape (rows,).
    """

    asked: OwnTable
    draft: TableDraft
    features: FeatureSpec
    columns: tuple[ColumnConfig, ...]
    table: pa.Table
    cutting: Cutting
    tested: NDArray[np.bool_]

    def study(self, directory: Path, rounds: int) -> Study:
        """Write the shares below a directory and return everything that the demo compares."""
        training = self.table.filter(pa.array(~self.tested))
        shares, edges = make_shares(directory, training, self.features, self.cutting)
        label = self.features.binary
        return Study(
            title=f"{label.column} = {label.positive}",
            source=self.asked.path.name,
            purpose=PURPOSE,
            features=self.features,
            plan=_plan(rounds, min(share.rows for share in shares)),
            shares=shares,
            datasets={
                share.party: DatasetConfig("table", str(share.path), "parquet", self.columns)
                for share in shares
            },
            test=columns_of(self.table.filter(pa.array(self.tested))),
            by=self.asked.by,
            edges=edges,
            seed=SEED,
            left_out={c.name: REASONS[c.left_out] for c in self.draft.columns if c.left_out},
            dropped=self.draft.rows - self.table.num_rows,
        )


def load(asked: OwnTable, parties: int, say: Words) -> Loaded:
    """Read the table, draft its schema, and check whether the demo can use it.

    Raises:
        SecureFlowError: `dataset_unreadable`, `dataset_too_large`, `unknown_column`,
            `unsuitable_label`, `unsuitable_table`: each names a remedy.
    """
    draft = inspect_file(asked.path)
    words = _label_words(asked, draft, say)
    features = _features(draft, Label(asked.label, _positive(asked, words, say)), say)
    _check_width(draft, features, asked, say)
    by = _sorted_by(asked, draft, say)
    known = pc.is_valid(words)
    table = _table(draft, asked, features).append_column(asked.label, words).filter(known)
    tested = np.random.Generator(np.random.PCG64(SEED)).random(table.num_rows) < TEST_SHARE
    column = None if by is None else by.filter(known).filter(pa.array(~tested))
    owners = {f"party-{chr(97 + n)}": f"Party {chr(65 + n)}" for n in range(parties)}
    cutting = Cutting(owners, asked.by, column, SEED)
    _check_rows(table, tested, features.binary, cutting, say)
    columns = _declared(draft, features, words)
    return Loaded(asked, draft, features, columns, table, cutting, tested)


def _label_words(asked: OwnTable, draft: TableDraft, say: Words) -> pa.ChunkedArray:
    """Return the label column as trimmed text, null where unknown."""
    names = [column.name for column in draft.columns]
    if names.count(asked.label) != 1:
        raise unknown_column(asked.label, names, say)
    column = read_column(asked.path, draft.format, asked.label)
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        numbers = column.cast(pa.float64())
        numbers = pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))
        integers = pc.all(pc.equal(pc.floor(numbers), numbers), min_count=0).as_py()
        column = numbers.cast(pa.int64(), safe=False) if integers else numbers
    try:
        words = pc.utf8_trim_whitespace(column.cast(pa.string()))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise _unsuitable(
            asked.label, say("its cells are neither words nor numbers"), "", say
        ) from None
    unknown = pc.is_in(words, value_set=pa.array(draft.missing, pa.string()))
    return pc.if_else(unknown, pa.scalar(None, pa.string()), words)


def _positive(asked: OwnTable, words: pa.ChunkedArray, say: Words) -> str:
    """Return the value to predict: the requested one, or the likelier positive one of two."""
    found = pc.value_counts(pc.drop_null(words)).to_pylist()
    counts = {row["values"]: row["counts"] for row in found}
    known = sorted(counts)
    problem = _label_problem(asked.positive, known, say)
    if problem:
        raise _unsuitable(asked.label, *problem, say)
    sure = [word for word in known if word.lower() in _SURE]
    return asked.positive or (sure[0] if len(sure) == 1 else min(known, key=counts.__getitem__))


def _label_problem(positive: str, known: list[str], say: Words) -> tuple[str, str] | None:
    """Return what is wrong with a label of these values, and a remedy."""
    values = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
    if len(known) < 2:
        same, none = "it has the same value in every row", "it has no value in any row"
        return say(same if known else none), ""
    if len(known) > MAX_CATEGORIES:
        return say("it has {count} values", count=len(known)), say(
            "Add a column of two values to the table, e.g. above or below a bound."
        )
    if not all(map(can_be_declared, known)):
        return say("its values are too long, or hold hidden characters"), ""
    if positive and positive not in known:
        return say("no row has the value {value}", value=repr(positive)), say(
            "Name one of its values: --positive VALUE (found: {values}).", values=values
        )
    if not positive and len(known) > 2:
        return say("it has {count} values", count=len(known)), say(
            "Choose which one to predict: --positive VALUE (found: {values}).",
            values=values,
        )
    return None


def _features(draft: TableDraft, label: Label, say: Words) -> FeatureSpec:
    usable = [
        column
        for column in draft.columns
        if column.type in {"number", "category"} and column.name != label.column
    ]
    if not usable:
        reasons = "; ".join(
            f"{column.name}: {say(REASONS[column.left_out])}"
            for column in draft.columns
            if column.left_out
        )
        raise SecureFlowError(
            "unsuitable_table",
            say("No column is left to learn from ({reasons}).", reasons=reasons),
            say("Give the demo a table with numbers or categories in it."),
        )
    return FeatureSpec(
        label=label,
        numeric=tuple(NumericFeature(c.name, c.bounds) for c in usable if c.bounds is not None),
        categorical=tuple(
            CategoricalFeature(c.name, c.categories, "indicator" if c.nullable else "zeros")
            for c in usable
            if c.type == "category"
        ),
    )


def _table(draft: TableDraft, asked: OwnTable, features: FeatureSpec) -> pa.Table:
    """Return the features as agents read them, by the same code."""
    columns = open_source(draft.dataset("table", asked.path), LIMITS).read(features.columns[:-1])
    return pa.table({name: pa.array(cells, from_pandas=True) for name, cells in columns.items()})


def _declared(
    draft: TableDraft, features: FeatureSpec, words: pa.ChunkedArray
) -> tuple[ColumnConfig, ...]:
    used = set(features.columns[:-1])
    columns = [c.config for c in draft.columns if c.name in used and c.config is not None]
    values = tuple(sorted(pc.unique(pc.drop_null(words)).to_pylist()))
    return (*columns, ColumnConfig(features.binary.column, "category", values))


def _sorted_by(asked: OwnTable, draft: TableDraft, say: Words) -> pa.ChunkedArray | None:
    """Return the cells of the column to cut by; numeric text as numbers."""
    if asked.by is None:
        return None
    names = [column.name for column in draft.columns if column.name != asked.label]
    kinds = {
        column.name: "kind" if column.type in {"image", "array"} else column.left_out
        for column in draft.columns
    }
    if names.count(asked.by) != 1 or kinds[asked.by] == "kind":
        raise unknown_column(asked.by, [name for name in names if kinds[name] != "kind"], say)
    column = read_column(asked.path, draft.format, asked.by)
    with contextlib.suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
        column = column.cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
    check_cut(asked.by, column, say)
    return column


def _check_width(draft: TableDraft, features: FeatureSpec, asked: OwnTable, say: Words) -> None:
    if draft.rows * features.width > MOST_CELLS:
        raise SecureFlowError(
            "dataset_too_large",
            say(
                "{file} has {rows} rows of {width} model inputs.",
                file=asked.path.name,
                rows=draft.rows,
                width=features.width,
            ),
            say("Give the demo a sample of {rows} rows.", rows=MOST_CELLS // features.width),
        )


def _check_rows(
    table: pa.Table, tested: NDArray[np.bool_], label: Label, cutting: Cutting, say: Words
) -> None:
    positive = pc.equal(table[label.column], label.positive).to_numpy()
    classes = [int((positive & tested).sum()), int((~positive & tested).sum())]
    parties, rows = len(cutting.owners), int((~tested).sum())
    if rows < LEAST_ROWS * parties or min(classes) < LEAST_ROWS // 4:
        raise SecureFlowError(
            "unsuitable_table",
            say(
                "Too few rows with a label: {rows} to train on, and to test on {positive} of the "
                "positive class and {other} of the rest.",
                rows=rows,
                positive=classes[0],
                other=classes[1],
            ),
            say(
                "Give the demo a larger table: {rows} rows for each of {parties} owners, and "
                "{least} of each class to test on.",
                rows=LEAST_ROWS,
                parties=parties,
                least=LEAST_ROWS // 4,
            ),
        )
    owners = cut(cutting.column, rows, parties, cutting.seed)
    smallest = int(np.bincount(owners, minlength=parties).min())
    if smallest < LEAST_ROWS:
        raise SecureFlowError(
            "unsuitable_table",
            say(
                "The smallest of {parties} shares would have {rows} rows; the demo needs {least}.",
                parties=parties,
                rows=smallest,
                least=LEAST_ROWS,
            ),
            say("Cut by another column (--by), or into fewer shares (--split)."),
        )


def _plan(rounds: int, smallest: int) -> TrainingPlan:
    """Return the Adult demo's schedule, in batches that give a small share some twenty steps."""
    batch = 1 << max(4, min(8, (smallest // 20).bit_length() - 1))
    return TrainingPlan(
        rounds=rounds, local_epochs=1, batch_size=batch, learning_rate=0.1, seed=SEED
    )


def _unsuitable(label: str, reason: str, hint: str, say: Words) -> SecureFlowError:
    return SecureFlowError(
        "unsuitable_label",
        say("Column {label} cannot be predicted: {reason}.", label=repr(label), reason=reason),
        hint or say("Name another column: --label."),
        {"column": label},
    )
