"""Copies of Parquet files that an agent keeps, as Parquet or CSV, readable by their owner only."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

from secureflow.cli.console import say
from secureflow.cli.csvformulas import plain_classes, plain_texts, say_altered
from secureflow.cli.files import refuse_existing
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

_PARQUET: Final = (".parquet", ".pq")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Names of a program's files, as its engine takes them."""


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


def check_folder(path: Path) -> None:
    """Refuse a folder that exists: what a program of others names may not replace anything.

    Raises:
        SecureFlowError: `already_exists`.
    """
    if path.exists() or path.is_symlink():
        raise SecureFlowError(
            "already_exists",
            t("{path} exists.", path=path),
            t("Name a folder that does not exist yet: nothing is written over."),
        )


def write_files(source: Path, folder: Path) -> None:
    """Write the files of a program of others into a new folder, each readable by its owner only.

    They are foreign, as bytes and as names: nothing is parsed, and a name is one of a file.

    Args:
        source: the Parquet file that they are kept in.
        folder: a new one.

    Raises:
        SecureFlowError: `invalid_file`, `already_exists`.
    """
    import pyarrow as pa

    from secureflow.cli.predictrows import no_parquet, parquet_file
    from secureflow.kit.sourcetree import write_tree

    try:
        with parquet_file(source) as file:
            table = file.read()
        names = table.column("file").to_pylist()
        contents = table.column("content").to_pylist()
    except (pa.ArrowException, UnicodeError, KeyError) as error:
        raise no_parquet(source) from error
    files = {name: content for name, content in zip(names, contents, strict=True) if _plain(name)}
    write_tree(folder, files, mode=0o600)
    say(t("{count} {count:file|files} written to {path}.", count=len(files), path=folder))


def _plain(name: object) -> bool:
    return isinstance(name, str) and bool(_NAME.fullmatch(name))


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
