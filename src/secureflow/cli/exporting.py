"""Copies of Parquet files that an agent keeps, as Parquet or CSV, readable by their owner only."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from secureflow.cli.console import say
from secureflow.cli.csvformulas import plain_classes, plain_texts, say_altered
from secureflow.cli.files import refuse_existing
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

_PARQUET: Final = (".parquet", ".pq")


def check_target(path: Path, force: bool) -> None:
    """Refuse a file whose ending does not say what is written, or that exists.

    Raises:
        SecureFlowError: `invalid_request`, `already_exists`.
    """
    if path.suffix.lower() not in {*_PARQUET, ".csv"}:
        raise SecureFlowError(
            "invalid_request",
            t("{path} ends neither in .csv nor in .parquet.", path=path),
            t("Name a file whose ending says what is written."),
        )
    refuse_existing(path, force)


def write_rows(source: Path, path: Path, *, foreign: bool) -> None:
    """Write a copy of a kept file.

    Args:
        source: the Parquet file.
        path: where to write; its ending says as what (`check_target`).
        foreign: whether texts of another party are in it, not of this one alone.

    Raises:
        SecureFlowError: `invalid_file`.
    """
    if path.suffix.lower() in _PARQUET:
        from secureflow.kit.atomic import streamed_result

        with streamed_result(path, 0o600) as fresh:
            shutil.copyfile(source, fresh)
    else:
        say_altered(_write_csv(source, path, foreign=foreign))
    say(t("Written to {path}.", path=path))


def _write_csv(source: Path, target: Path, *, foreign: bool) -> int:
    """Write a Parquet file's rows as CSV in UTF-8 with a header line, in blocks.

    Another party may have written the file: a small one may hold more than fits in memory, and its
    texts may be made for whoever opens them.

    Args:
        source: the Parquet file.
        target: where to write.
        foreign: whether another party wrote it, not this one's own agent.

    Returns:
        How many texts were altered (`plain_texts`, `plain_classes`).

    Raises:
        SecureFlowError: `invalid_file`.
    """
    import pyarrow as pa
    from pyarrow.csv import CSVWriter

    from secureflow.cli.predictrows import BLOCK_ROWS, no_parquet, parquet_file
    from secureflow.kit.atomic import streamed_result

    try:
        with parquet_file(source) as file, streamed_result(target, 0o600) as fresh:
            plain = plain_texts if foreign else plain_classes
            empty, altered = plain(pa.RecordBatch.from_pylist([], file.schema_arrow))
            with fresh.open("wb") as sink, CSVWriter(sink, empty.schema) as writer:
                for batch in file.iter_batches(BLOCK_ROWS):
                    written, count = plain(batch)
                    writer.write_batch(written)
                    altered += count
    except (pa.ArrowException, UnicodeError) as error:
        raise no_parquet(source) from error
    return altered
