"""The demo's data: one table in shares, what to predict from it, and rows to test on."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from secureflow.demo.shares import cut
from secureflow.demo.words import Words
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.training import FeatureSpec, TrainingPlan
from secureflow.kit.errors import SecureFlowError

BINS = 24
"""Bins in the small picture of a share's values; of words the most common `WORDS` are named."""
WORDS = 6
LISTED = 12
"""Columns that a hint names."""

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Share:
    """One owner's rows: where they are, and a summary for the report.

    Args:
        party: the owner's name on the platform.
        name: its display name.
        path: its Parquet file.
        rows: how many.
        positives: share of rows of the positive class.
        means: numeric column → mean.
        spread: rows per bin (of the column by which the table was cut) or per word.
    """

    party: str
    name: str
    path: Path
    rows: int
    positives: float
    means: Mapping[str, float]
    spread: tuple[int, ...] = ()


@dataclass(frozen=True)
class Study:
    """Everything that the platform and the comparison need from a table.

    Args:
        title: what is predicted, for people.
        source: the origin of the rows, for people.
        purpose: what the owners are asked to consent to.
        features: the agreed preparation.
        plan: the schedule.
        shares: the owners' rows, in the order of the column by which they were cut.
        datasets: party → the declaration of its share.
        test: rows that nobody trains on, as columns.
        by: the column by which the table was cut, if any.
        edges: edges of the bins of `Share.spread`: numbers, or words.
        seed: of the cut and of training.
        left_out: column → why no model uses it.
        dropped: number of rows without a label, which are in no share and not in the test.
    """

    title: str
    source: str
    purpose: str
    features: FeatureSpec
    plan: TrainingPlan
    shares: tuple[Share, ...]
    datasets: Mapping[str, DatasetConfig]
    test: Columns
    by: str | None = None
    edges: tuple[Any, ...] = ()
    seed: int = 7
    left_out: Mapping[str, str] = field(default_factory=dict)
    dropped: int = 0

    @property
    def owners(self) -> dict[str, str]:
        """Party → display name."""
        return {share.party: share.name for share in self.shares}

    @property
    def labels(self) -> NDArray[np.bool_]:
        """Whether each test row is of the positive class, shape (test rows,)."""
        label = self.features.binary
        return np.asarray(self.test[label.column] == label.positive, dtype=bool)


@dataclass(frozen=True)
class Cutting:
    """How to cut a table.

    Args:
        owners: party → display name.
        by: name of the column to sort by, or None.
        column: its cells.
        seed: for ties, and for random distribution.
    """

    owners: Mapping[str, str]
    by: str | None
    column: pa.ChunkedArray | None
    seed: int


def make_shares(
    directory: Path, table: pa.Table, features: FeatureSpec, cutting: Cutting
) -> tuple[tuple[Share, ...], tuple[Any, ...]]:
    """Write each owner's rows as `share-N.parquet`; return the shares and `Study.edges`."""
    owners = cut(cutting.column, table.num_rows, len(cutting.owners), cutting.seed)
    bins, edges = _bins(cutting.column)
    directory.mkdir(parents=True, exist_ok=True)
    shares = []
    for at, (party, name) in enumerate(cutting.owners.items()):
        mine = owners == at
        rows = table.filter(pa.array(mine))
        path = directory / f"share-{at + 1}.parquet"
        pq.write_table(rows, path, compression="zstd")
        spread = tuple(np.bincount(bins[mine], minlength=len(edges)).tolist()) if edges else ()
        label = pc.equal(rows[features.binary.column], features.binary.positive)
        share = Share(
            party=party,
            name=name,
            path=path,
            rows=rows.num_rows,
            positives=float(pc.mean(label.cast(pa.float64())).as_py() or 0.0),
            means=_means(rows, cutting.by, features),
            spread=spread,
        )
        shares.append(share)
    return tuple(shares), edges


def unknown_column(name: str, known: Sequence[str], say: Words) -> SecureFlowError:
    """Return the error for a missing column, with the most similar ones."""
    once = [one for one in known if list(known).count(one) == 1]
    near = difflib.get_close_matches(name, once, n=1, cutoff=0.6)
    names = ", ".join(once[:LISTED]) + (", …" if len(once) > LISTED else "")
    if name in known and name not in once:
        hint = say("It is in the table twice: give each column a name of its own.")
    elif near:
        hint = say("Did you mean {near}? Its columns: {names}.", near=near[0], names=names)
    else:
        hint = say("Name one of its columns: {names}.", names=names)
    return SecureFlowError(
        "unknown_column",
        say("The table has no usable column {name}.", name=repr(name)),
        hint,
        {"column": name},
    )


def check_cut(name: str, column: pa.ChunkedArray, say: Words) -> None:
    """Refuse to cut by a constant column: the shares would not differ.

    Raises:
        SecureFlowError: `unsuitable_table`.
    """
    values = pc.count_distinct(pc.drop_null(column)).as_py()
    if values > 1:
        return
    same, none = "it has the same value in every row", "it has no value in any row"
    raise SecureFlowError(
        "unsuitable_table",
        say("Column {column} cannot cut the table: {reason}.", column=repr(name),
            reason=say(same if values else none)),
        say("Name another column: --by."),
        {"column": name},
    )  # fmt: skip


def columns_of(table: pa.Table) -> Columns:
    """Return a table as the columns that `engines.preparation` reads."""
    return {name: _values(table[name]) for name in table.column_names}


def _means(rows: pa.Table, by: str | None, features: FeatureSpec) -> dict[str, float]:
    """Return the means of the column by which the table was cut, and of two more."""
    names = [feature.column for feature in features.numeric]
    names.sort(key=lambda name: name != by)  # stable: the others keep their order
    means = {name: pc.mean(rows[name]).as_py() for name in names[:3]}
    return {name: float(mean) for name, mean in means.items() if mean is not None}


def _bins(column: pa.ChunkedArray | None) -> tuple[NDArray[np.int64], tuple[Any, ...]]:
    """Return each row's bin and the bins: lower edges of numbers, or words."""
    if column is None:
        return np.zeros(0, np.int64), ()
    if pa.types.is_string(column.type):
        return _word_bins(column)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return np.zeros(len(column), np.int64), ()
    values = np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
    low, high = np.nanmin(values), np.nanmax(values)
    width = (high - low) / BINS or 1.0
    places = np.nan_to_num((values - low) / width, nan=BINS - 1).astype(np.int64)
    edges = tuple(float(low + width * at) for at in range(BINS))
    return np.minimum(places, BINS - 1), edges


def _word_bins(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], tuple[Any, ...]]:
    counts = pc.value_counts(pc.drop_null(column)).to_pylist()
    counts.sort(key=lambda row: (-row["counts"], row["values"]))
    words = [row["values"] for row in counts[:WORDS]]
    places = pc.index_in(column, pa.array(words, pa.string())).fill_null(len(words))
    return places.to_numpy().astype(np.int64), (*words, "…")


def _values(column: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_string(column.type):
        return np.array(column.to_pylist(), dtype=object)
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
