"""The digest of a folder: every change shows, and nothing outside of it is ever read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.kit import folderdigest, foldertree
from secureflow.kit.filedigest import file_digest
from secureflow.kit.folderdigest import FolderChangedError, content_digest, folder_digest
from secureflow.kit.foldertree import Entry, FolderTree, read_at_most


def tree(folder: Path) -> Path:
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "1.png").write_bytes(b"one")
    (folder / "a" / "2.png").write_bytes(b"two")
    (folder / "b.csv").write_bytes(b"x")
    (folder / "empty").mkdir()
    return folder


def test_the_digest_is_that_of_the_documented_bytes(tmp_path: Path) -> None:
    from blake3 import blake3

    def entry(kind: bytes, path: bytes, rest: bytes = b"") -> bytes:
        return kind + len(path).to_bytes(4, "big") + path + rest

    def content(data: bytes) -> bytes:
        return len(data).to_bytes(8, "big") + blake3(data).digest()

    whole = blake3(derive_key_context="secureflow/v1 folder digest")
    whole.update(entry(b"d", b"a") + entry(b"f", b"a/1.png", content(b"one")))
    whole.update(entry(b"f", b"a/2.png", content(b"two")) + entry(b"f", b"b.csv", content(b"x")))
    whole.update(entry(b"d", b"empty"))
    folder = tree(tmp_path / "f")
    assert folder_digest(folder) == content_digest(folder) == whole.digest()
    again = shutil.copytree(folder, tmp_path / "g")  # other times, other numbers, another place
    os.utime(again / "b.csv", (1, 1))
    assert folder_digest(again) == whole.digest()
    assert content_digest(folder / "b.csv") == file_digest(folder / "b.csv")


CHANGES: dict[str, Callable[[Path], Any]] = {
    "a byte": lambda f: (f / "a" / "1.png").write_bytes(b"onE"),
    "a longer file": lambda f: (f / "a" / "1.png").write_bytes(b"one1"),
    "another name": lambda f: (f / "a" / "1.png").rename(f / "a" / "3.png"),
    "another class": lambda f: (f / "a" / "1.png").rename(f / "1.png"),
    "names exchanged": lambda f: [(f / "a" / "1.png").write_bytes(b"two"),
                                  (f / "a" / "2.png").write_bytes(b"one")],
    "a hidden file": lambda f: (f / ".hidden").touch(),
    "an empty folder more": lambda f: (f / "more").mkdir(),
    "an empty folder less": lambda f: (f / "empty").rmdir(),
    "a file less": lambda f: (f / "b.csv").unlink(),
    "a link": lambda f: (f / "link").symlink_to("/etc/hostname"),
    "a pipe": lambda f: os.mkfifo(f / "pipe"),
    "a file for a folder": lambda f: [(f / "empty").rmdir(), (f / "empty").touch()],
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_shows(tmp_path: Path, name: str) -> None:
    folder = tree(tmp_path / "f")
    before = folder_digest(folder)
    CHANGES[name](folder)
    assert folder_digest(folder) != before


def test_a_link_counts_by_its_target_and_is_not_followed(tmp_path: Path) -> None:
    folder = tree(tmp_path / "f")
    (tmp_path / "other").write_bytes(b"1")
    (folder / "link").symlink_to(tmp_path / "other")
    before = folder_digest(folder)
    (tmp_path / "other").write_bytes(b"2")
    assert folder_digest(folder) == before
    (folder / "link").unlink()
    (folder / "link").symlink_to(tmp_path / "another")
    assert folder_digest(folder) != before


WRITES: dict[str, Callable[[Path], Any]] = {
    "a file that was read": lambda f: (f / "a" / "1.png").write_bytes(b"onE"),
    "and put back": lambda f: [(f / "a" / "1.png").write_bytes(b"onE"),
                               (f / "a" / "1.png").write_bytes(b"one")],
    "a file that is new": lambda f: (f / "a" / "0.png").touch(),
    "a file that is gone": lambda f: (f / "b.csv").unlink(),
    "another file of the name": lambda f: [(f / "new").write_bytes(b"one"),
                                           (f / "new").rename(f / "a" / "1.png")],
}  # fmt: skip


@pytest.mark.parametrize("name", WRITES)
def test_a_change_while_it_is_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tree(tmp_path / "f")
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
    original = folderdigest.handle_digest
    read: list[int] = []

    def reading(handle: int) -> bytes:
        digest = original(handle)
        read.append(handle)
        if len(read) == 2:  # a/1.png and a/2.png were read
            WRITES[name](folder)
        return digest

    monkeypatch.setattr(folderdigest, "handle_digest", reading)
    with pytest.raises(FolderChangedError):
        folder_digest(folder)


def test_how_much_is_read_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tree(tmp_path / "f")
    deep = folder.joinpath(*["d"] * folderdigest.MAX_DEPTH)
    deep.mkdir(parents=True)
    with pytest.raises(OSError, match="too deep"):
        folder_digest(folder)
    shutil.rmtree(folder / "d")
    monkeypatch.setattr(folderdigest, "MAX_ENTRIES", 4)
    with pytest.raises(OSError, match="too many files"):
        folder_digest(folder)
    monkeypatch.setattr(foldertree, "MAX_ENTRIES", 2)
    with FolderTree(folder) as opened, pytest.raises(OSError, match="too many files"):
        opened.entries()


def test_a_folder_is_not_left(tmp_path: Path) -> None:
    folder = tree(tmp_path / "f")
    (tmp_path / "secret").write_bytes(b"no")
    (folder / "out").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    with FolderTree(folder) as opened:
        assert opened.entries()[:2] == [Entry("a", "folder"), Entry("b.csv", "file")]
        assert [one.kind for one in opened.entries()[3:]] == ["link", "other"]
        for parts in (["..", "secret"], ["out", "secret"], ["/etc/hostname"], ["pipe"], ["a"], [],
                      [""], ["a", "..", "..", "secret"], ["b.csv\0"]):  # fmt: skip
            with pytest.raises(OSError):  # noqa: PT011
                opened.open(parts)
        handle = opened.open(["a", "1.png"])
        assert read_at_most(handle, 2) == b"one"  # one byte more tells that it is longer
        os.close(handle)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text("ab/", max_size=4), st.binary(max_size=3), max_size=6), st.data())
def test_different_folders_have_different_digests(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], data: st.DataObject
) -> None:
    def written(of: dict[str, bytes]) -> tuple[bytes, set[tuple[str, bytes | None]]]:
        folder = tmp_path_factory.mktemp("f")
        for name, content in of.items():
            parts = [part for part in name.split("/") if part] or ["x"]
            path = folder.joinpath(*(f"{part}d" for part in parts[:-1]))
            path.mkdir(parents=True, exist_ok=True)
            (path / parts[-1]).write_bytes(content)
        found = {
            (str(one.relative_to(folder)), one.read_bytes() if one.is_file() else None)
            for one in folder.rglob("*")
        }
        return folder_digest(folder), found

    other = dict(data.draw(st.permutations(list(files.items()))))
    if files and data.draw(st.booleans()):
        other[data.draw(st.sampled_from(sorted(files)))] = data.draw(st.binary(max_size=3))
    (first, mine), (second, theirs) = written(files), written(other)
    assert (first == second) == (mine == theirs)
