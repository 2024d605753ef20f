"""A first draft of a folder's declaration: of images by class, images in an index, or arrays."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from secureflow.adapters.datasources.drafts import ColumnDraft, TableDraft, unreadable
from secureflow.adapters.datasources.formats import require_images
from secureflow.adapters.datasources.inspection import (
    can_be_declared,
    check_named,
    draft_column,
    inspect_file,
    read_column,
)
from secureflow.adapters.datasources.nestedinspection import Size, draft_images
from secureflow.adapters.datasources.npyheader import MAX_HEADER, NpyError, NpyHeader, read_header
from secureflow.adapters.datasources.source import IMAGE_MAGIC, SourceLimits
from secureflow.domain.specs.elements import CHANNELS, DataType
from secureflow.kit.foldertree import Entry, FolderTree, read_at_most
from secureflow.kit.text import Text

_ARRAY, _INDEX = ".npy", ".csv"
_TRIED = 20
"""Rows of an index whose files are looked at to tell which column names images."""
_NEEDS = (
    "Use a folder with one folder of PNG or JPEG files per class, or with one CSV file that names "
    "them, or with one .npy file per column."
)


def inspect_data(path: Path, categories: Sequence[str] = ()) -> TableDraft:
    """Draft the declaration of a file (`inspect_file`) or of a folder.

    Raises:
        SecureFlowError: `dataset_unreadable`, `invalid_file`, `unknown_column`; `library_missing`
            for images.
    """
    if not path.is_dir():
        return inspect_file(path, categories)
    try:
        with FolderTree(path) as tree:
            return _inspect(path, tree, categories)
    except OSError:
        raise unreadable(path, "it cannot be read, or holds too many files", _NEEDS) from None


def _inspect(path: Path, tree: FolderTree, categories: Sequence[str]) -> TableDraft:
    entries = [one for one in tree.entries() if not one.name.startswith(".")]
    files = [one.name for one in entries if one.kind == "file"]
    arrays = [name for name in files if name.endswith(_ARRAY)]
    if arrays:
        return _arrays(path, tree, arrays, categories)
    tables = [name for name in files if name.lower().endswith(_INDEX)]
    if len(tables) == 1:
        return _index(path, tree, tables[0], categories)
    if not files and any(one.kind == "folder" for one in entries):
        return _classes(path, tree, entries)
    if files and any(one.kind == "folder" for one in entries) and not tables:
        reason = Text("{file} is beside the folders of its classes", file=files[0])
        raise unreadable(path, reason, "Move it out of the folder; a file there is no row.")
    raise unreadable(path, "it is neither a folder of images nor one of arrays", _NEEDS)


def _classes(path: Path, tree: FolderTree, entries: Sequence[Entry]) -> TableDraft:
    require_images(path.name)
    folders = [one.name for one in entries if one.kind == "folder"]
    sizes: Counter[Size] = Counter()
    rows = 0
    for folder in folders:
        for one in tree.entries(folder):
            if one.kind == "file" and not one.name.startswith("."):
                rows += 1
                sizes.update(_size(tree, [folder, one.name]))
    if not sizes:
        raise unreadable(path, "it holds no PNG or JPEG image", _NEEDS)
    image = draft_images("image", sizes)
    if len(folders) > 4096 or not all(map(can_be_declared, folders)):
        return TableDraft("images", rows, (image, ColumnDraft("label", left_out="text")))
    label = ColumnDraft("label", "category", categories=tuple(sorted(folders)))
    return TableDraft("images", rows, (image, label))


def _index(path: Path, tree: FolderTree, name: str, categories: Sequence[str]) -> TableDraft:
    require_images(path.name)
    draft = inspect_file(path / name, categories)
    columns = tuple(_named_images(path / name, tree, one) for one in draft.columns)
    if not any(one.type == "image" for one in columns):
        raise unreadable(path, "no column of its CSV file names images in it", _NEEDS)
    return replace(draft, format="images", columns=columns, index=name)


def _named_images(table: Path, tree: FolderTree, draft: ColumnDraft) -> ColumnDraft:
    """Return the draft of a column of names of images, or the draft of its cells."""
    if draft.left_out == "name" or draft.type == "number":
        return draft
    names = [cell for cell in read_column(table, "csv", draft.name).to_pylist() if cell]
    if not any(_size(tree, name.split("/")) for name in names[:_TRIED]):
        return draft
    sizes: Counter[Size] = Counter()
    for name in names:
        sizes.update(_size(tree, name.split("/")))
    found = draft_images(draft.name, sizes, draft.missing)
    return replace(found, sensitive=draft.sensitive)


def _size(tree: FolderTree, parts: Sequence[str]) -> list[Size]:
    """Return the size of an image in the folder, or nothing for what is not one."""
    # Lazy: Pillow is an extra.
    from secureflow.adapters.datasources.imagefiles import header

    try:
        handle = tree.open(parts)
    except (OSError, ValueError):
        return []
    try:
        data = read_at_most(handle, SourceLimits().max_image_bytes)
    except OSError:
        return []
    finally:
        os.close(handle)
    size = header(data) if data.startswith(IMAGE_MAGIC) else None
    return [size] if size else []


def _arrays(
    path: Path, tree: FolderTree, files: Sequence[str], categories: Sequence[str]
) -> TableDraft:
    names = [name.removesuffix(_ARRAY) for name in files]
    check_named(path, categories, names)
    drafts, lengths = [], set()
    for name in names:
        rows, draft = _array(tree, name, name in categories)
        drafts.append(draft)
        lengths |= {rows} if draft.type else set()
    if len(lengths) > 1:
        raise unreadable(path, "its arrays have different numbers of rows", _NEEDS)
    if not lengths or 0 in lengths:
        raise unreadable(path, "it has no row", _NEEDS)
    return TableDraft("arrays", lengths.pop(), tuple(drafts))


def _array(tree: FolderTree, name: str, category: bool) -> tuple[int, ColumnDraft]:
    """Return how many rows a column has, and its draft."""
    if not (name and can_be_declared(name) and len(name) <= 128):
        return 0, ColumnDraft(name, left_out="name")
    handle = tree.open([f"{name}{_ARRAY}"])
    try:
        header = read_header(os.pread(handle, MAX_HEADER, 0))
        if header.size != os.fstat(handle).st_size:
            return 0, ColumnDraft(name, left_out="kind")
        if len(header.shape) == 1:
            return header.shape[0], _cells(handle, header, name, category)
    except NpyError:
        return 0, ColumnDraft(name, left_out="kind")
    finally:
        os.close(handle)
    return header.shape[0], _tensor(header, name)


def _tensor(header: NpyHeader, name: str) -> ColumnDraft:
    shape, dtype = header.shape[1:], _dtype(header)
    if dtype is None or not all(1 <= one <= 1 << 16 for one in shape):
        return ColumnDraft(name, left_out="kind")
    if dtype == "uint8" and len(shape) == 3 and shape[2] in CHANNELS:
        return ColumnDraft(name, "image", shape=shape)
    return ColumnDraft(name, "array", shape=shape, dtype=dtype)


def _dtype(header: NpyHeader) -> DataType | None:
    name = header.dtype.newbyteorder("=").name
    return name if header.dtype.kind in "iuf" and header.dtype.itemsize <= 8 else None  # type: ignore[return-value]


def _cells(handle: int, header: NpyHeader, name: str, category: bool) -> ColumnDraft:
    """Draft a column of single values as those of a table are."""
    if header.size > SourceLimits().max_bytes:
        return ColumnDraft(name, left_out="kind")
    data = os.pread(handle, header.size - header.offset, header.offset)
    if len(data) != header.size - header.offset:
        return ColumnDraft(name, left_out="kind")
    found = np.frombuffer(data, header.dtype)
    try:
        cells = pa.array(found.tolist())
    except (pa.ArrowException, UnicodeError, ValueError, OverflowError):
        return ColumnDraft(name, left_out="kind")
    return draft_column(name, pa.chunked_array([cells]), category)
