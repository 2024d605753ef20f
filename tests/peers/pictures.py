"""Small images, and datasets of images and arrays on disk."""

from __future__ import annotations

import io
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray
from PIL import Image

from secureflow.domain.schemas import ColumnConfig, DatasetConfig

CLASSES = ("cat", "dog")
IMAGE = ColumnConfig("image", "image", shape=(4, 6, 3))
LABEL = ColumnConfig("label", "category", CLASSES)


def pixels(seed: int, shape: tuple[int, ...] = (4, 6, 3)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(array: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    plain = array[:, :, 0] if array.shape[2] == 1 else array
    Image.fromarray(plain).save(file, kind)
    return file.getvalue()


def png(seed: int, shape: tuple[int, ...] = (4, 6, 3)) -> bytes:
    return encoded(pixels(seed, shape))


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few hundred bytes whose header claims this many pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000, 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def by_class(folder: Path, images: int = 2, shape: tuple[int, ...] = (4, 6, 3)) -> DatasetConfig:
    """Write a folder of images, one folder per class; row `n` is `pixels(n)`."""
    for place, one in enumerate(CLASSES):
        (folder / one).mkdir(parents=True)
        for n in range(images):
            (folder / one / f"{n:04}.png").write_bytes(png(place * images + n, shape))
    image = ColumnConfig("image", "image", shape=shape)
    return DatasetConfig("pets", str(folder), "images", (image, LABEL))


def write_table(
    folder: Path, kind: Any, rows: dict[str, Any], columns: tuple[ColumnConfig, ...], **changes: Any
) -> DatasetConfig:
    """Write plain columns in a format, in a folder of images beside a column of pictures."""
    table = pa.table(rows)
    if kind in {"csv", "parquet"}:
        path = folder / f"data.{kind}"
        write = pa.csv.write_csv if kind == "csv" else pa.parquet.write_table
        write(table, path)
        return DatasetConfig("clients", str(path), kind, columns, **changes)
    path = folder / f"data-{kind}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    if kind == "arrays":
        for name in table.column_names:
            np.save(path / f"{name}.npy", as_array(table[name]), allow_pickle=False)
        return DatasetConfig("clients", str(path), "arrays", columns, **changes)
    (path / "one.png").write_bytes(png(0))
    pictures = pa.array(["one.png"] * len(table))
    pa.csv.write_csv(table.append_column("picture", pictures), path / "index.csv")
    columns = (*columns, ColumnConfig("picture", "image", shape=(4, 6, 3)))
    return DatasetConfig("clients", str(path), "images", columns, index="index.csv", **changes)


def as_array(cells: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_string(cells.type):
        texts = ["" if cell is None else cell for cell in cells.to_pylist()]
        return np.array(texts, dtype=f"U{max(1, *map(len, texts), 1)}")
    return np.array([np.nan if cell is None else cell for cell in cells.to_pylist()], np.float64)
