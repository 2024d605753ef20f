"""Folders of PNG and JPEG files as rows.

Without an index, each folder below the dataset's own is a class, and each file in it is a row, in
the order of the bytes of `class/file`; names that begin with a dot are ignored. With an index, a
CSV file in the folder, each of its lines is a row, whose image columns hold the names of files,
relative to the folder and with `/` between their parts. Links are never followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.datasources.commitment import unreadable_folder
from secureflow.adapters.datasources.conform import mismatch
from secureflow.adapters.datasources.csv_file import CsvSource
from secureflow.adapters.datasources.imagefiles import BrokenImageError, decoded
from secureflow.adapters.datasources.source import (
    DeclaredSource,
    SourceLimits,
    check_memory,
    too_large,
)
from secureflow.adapters.datasources.tensorcells import blank
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.kit.foldertree import Entry, FolderTree, read_at_most


class ImageFolderSource(DeclaredSource):
    """A `DataSource` over a folder of images, one folder per class."""

    def check(self, columns: Sequence[str]) -> None:
        """See `DataSource.check`: no column depends on what is in the folder."""
        for name in columns:
            self._config.column(name)
        with _opened(self._config):
            pass

    def read(self, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
        """See `DataSource.read`."""
        self.check(columns)
        with _opened(self._config) as tree:
            try:
                files = self._files(tree)
            except OSError:
                raise unreadable_folder(self._config.name) from None
            if len(files) > self._limits.max_rows:
                raise too_large(self._config.name)
            declared = [self._config.column(name) for name in columns]
            check_memory(self._config, columns, len(files), self._limits.max_bytes)
            images = _Images(self._config, self._limits, self._tolerant, tree)
            paths = ["/".join(parts) for parts in files]
            return {
                one.name: images.read(one, paths)
                if one.type == "image"
                else self._classes(one, files)
                for one in declared
            }

    def _files(self, tree: FolderTree) -> list[tuple[str, str]]:
        """Return (class, file) of every row, in order."""
        rows: list[tuple[str, str]] = []
        for one in _visible(tree):
            if one.kind != "folder":
                self._refuse(one.name, "it is not in the folder of a class")
                continue
            for inner in _visible(tree, one.name):
                path = f"{one.name}/{inner.name}"
                if inner.kind == "folder":
                    self._refuse(path, "a class has no folders within")
                elif inner.kind != "file":
                    self._refuse(path, "it is a link or no regular file")
                    rows.append((one.name, inner.name))
                else:
                    rows.append((one.name, inner.name))
        return rows

    def _refuse(self, path: str, reason: str) -> None:
        """Refuse what is no row, unless nothing in the folder may be refused."""
        if not self._tolerant:
            image = next(one.name for one in self._config.columns if one.type == "image")
            raise mismatch(self._config.name, image, None, reason, path)

    def _classes(self, declared: ColumnConfig, files: list[tuple[str, str]]) -> NDArray[Any]:
        known = {category: category for category in declared.categories}
        found = np.empty(len(files), dtype=object)
        for at, (folder, name) in enumerate(files):
            found[at] = known.get(folder)  # one string for all rows of a class
            if found[at] is None and not self._tolerant:
                reason = "its folder is not among the declared categories"
                path = f"{folder}/{name}"
                raise mismatch(self._config.name, declared.name, at + 1, reason, path)
        return found


class ImageIndexSource(DeclaredSource):
    """A `DataSource` over a CSV file whose image columns name files of its folder."""

    def __init__(
        self, config: DatasetConfig, limits: SourceLimits, *, tolerant: bool = False
    ) -> None:
        super().__init__(config, limits, tolerant=tolerant)
        self._index = _Index(_as_table(config), limits, tolerant=tolerant)
        self._index.place = Path(config.path), (config.index or "").split("/")

    def check(self, columns: Sequence[str]) -> None:
        """See `DataSource.check`."""
        self._index.check(columns)

    def read(self, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
        """See `DataSource.read`."""
        self.check(columns)
        found = self._index.read(columns)
        rows = len(next(iter(found.values()), ()))
        check_memory(self._config, columns, rows, self._limits.max_bytes)
        with _opened(self._config) as tree:
            images = _Images(self._config, self._limits, self._tolerant, tree)
            for name in columns:
                declared = self._config.column(name)
                if declared.type == "image":
                    found[name] = images.read(declared, found[name].tolist())
        return found


class _Index(CsvSource):
    """The index, opened within its folder each time: by its path it could have become a link."""

    place: tuple[Path, list[str]]

    def _opened(self) -> BinaryIO:
        folder, parts = self.place
        try:
            with FolderTree(folder) as tree:
                handle = tree.open(parts)
        except OSError:
            raise unreadable_folder(self._config.name) from None
        file = os.fdopen(handle, "rb")
        if os.fstat(handle).st_size > self._limits.max_bytes:
            file.close()
            raise too_large(self._config.name)
        return file


class _Images:
    """Reads files of one open folder into arrays."""

    def __init__(
        self, config: DatasetConfig, limits: SourceLimits, tolerant: bool, tree: FolderTree
    ) -> None:
        self._dataset = config.name
        self._limits = limits
        self._tolerant = tolerant
        self._tree = tree

    def read(self, declared: ColumnConfig, paths: Sequence[str | None]) -> NDArray[Any]:
        """Return the images of these files, of shape (rows, height, width, channels)."""
        found = np.zeros((len(paths), *(declared.shape or ())), dtype=np.uint8)
        for at, path in enumerate(paths):
            try:
                found[at] = decoded(self._bytes(path), declared, self._limits)
            except BrokenImageError as error:
                if not self._tolerant:
                    raise mismatch(
                        self._dataset, declared.name, at + 1, error.reason, path or ""
                    ) from None
                found[at] = blank(declared)
        return found

    def _bytes(self, path: str | None) -> bytes:
        if path is None:
            raise BrokenImageError("it names no file")
        try:
            handle = self._tree.open(path.split("/"))
        except (OSError, ValueError):
            reason = "there is no such file in the folder, or it is a link or no regular file"
            raise BrokenImageError(reason) from None
        try:
            return read_at_most(handle, self._limits.max_image_bytes)
        except OSError:
            raise BrokenImageError("it cannot be read") from None
        finally:
            os.close(handle)


def _opened(config: DatasetConfig) -> FolderTree:
    try:
        return FolderTree(Path(config.path))
    except OSError:
        raise unreadable_folder(config.name) from None


def _visible(tree: FolderTree, *within: str) -> Iterator[Entry]:
    return (one for one in tree.entries(*within) if not one.name.startswith("."))


def _as_table(config: DatasetConfig) -> DatasetConfig:
    """Return the declaration of the index alone: a CSV file with names in place of images."""
    columns = tuple(
        ColumnConfig(one.name, "text") if one.type == "image" else one for one in config.columns
    )
    path = str(Path(config.path) / (config.index or ""))
    return replace(config, format="csv", path=path, columns=columns, index=None)
