"""`secureflow model predict`: rows of a file in, ids and predictions out, block by block."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import typer

from secureflow.cli.console import Form, Output, say, show
from secureflow.cli.csvformulas import plain_classes, say_altered
from secureflow.cli.files import check_writable, refuse_existing
from secureflow.cli.predictrows import PARQUET, RowSource, opened_rows
from secureflow.cli.texts import t
from secureflow.kit.atomic import streamed_result
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import failed_at

if TYPE_CHECKING:
    import pyarrow as pa

    from secureflow.sdk.prediction import Predictor

_FORMATS: Final = (".csv", *PARQUET)
_DIGITS: Final = 6
"""Significant digits of predicted numbers and chances on a terminal."""


def predict(
    model: Annotated[
        str,
        typer.Argument(
            help=t("Model file, as `model download` wrote it; or a model's id or name.")
        ),
    ],
    rows: Annotated[Path, typer.Argument(help=t("CSV file with a header line, or Parquet file."))],
    ids: Annotated[
        str,
        typer.Option(help=t("Columns that are passed through unchanged: NAME[,NAME].")),
    ] = "",
    keep_all: Annotated[
        bool, typer.Option("--keep-all", help=t("Pass all columns through, behind the ids."))
    ] = False,
    missing: Annotated[
        list[str] | None,
        typer.Option(
            help=t("A text that is a missing value in CSV, as an empty cell is; may be repeated.")
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(help=t("Write the predictions to this file: .csv or .parquet.")),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            help=t(
                "Folder of the code that computes a model of a bundle; it runs here, without a "
                "sandbox."
            )
        ),
    ] = None,
    base_model: Annotated[
        Path | None,
        typer.Option(help=t("File of the model on which an adapter stands (safetensors).")),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help=t("Replace a file that exists."))] = False,
    output: Output = Form.TABLE,
) -> None:
    """Predict rows: a probability, a class and its probability, or a number."""
    if save is not None:
        if save.suffix.lower() not in _FORMATS:
            raise typer.BadParameter(t("--save takes a file .csv, .parquet or .pq."))
        check_writable(save)
        refuse_existing(save, force)
    loaded = _loaded(model, bundle, base_model)
    names = [name for name in ids.split(",") if name]
    with opened_rows(
        rows, loaded, names, keep_all=keep_all, missing=["", *(missing or ())]
    ) as source:
        if save is None:
            show(list(_records(loaded, source)), output)
            return
        with _saved(save, loaded, source) as sink:
            for table in _predicted(loaded, source):
                sink.write_table(table)
    say(t("Written to {path}.", path=save))


def _loaded(model: str, bundle: Path | None, base: Path | None) -> Predictor:
    """Return the model of a file, or else of the centre."""
    from secureflow.cli.names import named
    from secureflow.cli.session import client
    from secureflow.sdk.prediction import Predictor

    path = Path(model)
    if path.is_file():
        return Predictor.load(path, bundle=bundle, base=base)
    if path.suffix == ".safetensors" or "/" in model:
        raise _no_file(path)
    try:
        connection = client()
    except SecureFlowError as error:
        if error.code != "unauthenticated":
            raise
        raise _no_file(path) from error  # a file was meant, or it has to be fetched first
    with connection:
        return connection.models.load(named(connection, "model", model), bundle, base)


def _no_file(path: Path) -> SecureFlowError:
    return SecureFlowError(
        "invalid_file",
        t("There is no file {path}.", path=path),
        t("Download the model first: secureflow model download MODEL FILE."),
    )


def _predicted(model: Predictor, source: RowSource) -> Iterator[pa.Table]:
    """Yield a table of ids and predictions for each block of rows."""
    import pyarrow as pa  # `--help` does not need it

    from secureflow.engines.preparation.columns import after_rows
    from secureflow.sdk.predictedrows import prediction_types, predictions

    types = prediction_types(model)
    for block in source.blocks():
        try:
            found = predictions(model, block.rows)
        except SecureFlowError as error:
            raise after_rows(error, block.before) from None  # its frames hold the rows
        table = block.kept
        for name, one in found.items():
            array = pa.array(one, types[name])
            table = (
                table.append_column(name, array) if len(table.schema) else pa.table({name: array})
            )
        yield table


def _records(model: Predictor, source: RowSource) -> Iterator[dict[str, Any]]:
    """Yield a line for a terminal for each row: ids as they are, predictions rounded."""
    number = 0
    for table in _predicted(model, source):
        kept = [_plain(name, table[name]) for name in source.kept.names]
        added = [list(map(_rounded, table[name].to_pylist()))
                 for name in table.column_names[len(kept) :]]  # fmt: skip
        for row in zip(*kept, *added, strict=True):
            number += 1
            told = {} if kept else {"row": number}
            yield told | dict(zip(table.column_names, row, strict=True))


def _rounded(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _plain(name: str, column: Any) -> list[Any]:
    """Return the cells of a column as JSON has them; dates and the like as texts."""
    import pyarrow as pa

    of = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    return list(column.to_pylist()) if any(test(of) for test in tests) else _texts(name, column)


def _texts(name: str, column: Any) -> list[str | None]:
    """Return the cells of a column as texts.

    Raises:
        SecureFlowError: `invalid_rows` for a column of lists or the like.
    """
    import pyarrow as pa

    try:
        return list(column.cast(pa.string()).to_pylist())
    except (pa.ArrowException, UnicodeError) as error:
        raise SecureFlowError(
            "invalid_rows",
            t("Column {name} holds {type}, which is no text.", name=name, type=str(column.type)),
            t("Save it as Parquet, or leave the column out."),
            {"column": name},
        ) from error


class _Sink(Protocol):
    """Where predictions are written."""

    def write_table(self, table: pa.Table) -> None:
        """Write some rows."""


@contextmanager
def _saved(path: Path, model: Predictor, source: RowSource) -> Iterator[_Sink]:
    """Open the result; it takes its place when all rows are written.

    Raises:
        SecureFlowError: `invalid_file` if it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from secureflow.sdk.predictedrows import prediction_types

    schema = pa.schema([*source.kept, *prediction_types(model).items()])
    try:
        with streamed_result(path) as fresh:
            if path.suffix.lower() in PARQUET:
                with pq.ParquetWriter(fresh, schema) as writer:
                    yield writer
            else:
                with fresh.open("w", encoding="utf-8", newline="") as text:
                    file = _CsvFile(text, schema.names)
                    yield file
                say_altered(file.altered)
    except OSError as error:
        raise SecureFlowError(
            "invalid_file",
            failed_at(path, error),
            t("Check the path, who owns it, and the free space."),
        ) from error


class _CsvFile:
    """A CSV file; a missing value is an empty cell.

    `altered` counts the names of classes that would be formulas (`plain_classes`).
    """

    def __init__(self, text: Any, names: list[str]) -> None:
        self.altered = 0
        self._writer = csv.writer(text, lineterminator="\n")
        self._writer.writerow(names)

    def write_table(self, table: pa.Table) -> None:
        """Write some rows.

        Raises:
            SecureFlowError: `invalid_rows` for a column of lists or the like.
        """
        table, count = plain_classes(table)
        self.altered += count
        columns = [_texts(name, table[name]) for name in table.column_names]
        texts = (["" if cell is None else cell for cell in column] for column in columns)
        self._writer.writerows(zip(*texts, strict=True))
