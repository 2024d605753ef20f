"""Folders of text are read without following anything, and written over nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from secureflow.kit import sourcetree
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.foldertree import Entry
from secureflow.kit.sourcetree import read_tree, write_tree


def no_problem(path: str) -> str:
    return ""


def read(folder: Path, most: int = 100, files: int = 5, depth: int = 3) -> dict[str, bytes]:
    return read_tree(folder, most=most, files=files, depth=depth, problem=no_problem)


def test_files_are_read_and_written_back(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "a.py").write_bytes(b"x\r\ny\n")
    (tmp_path / "in" / "sub" / "b.py").write_bytes(b"z")
    for hidden in (".git", "__pycache__"):
        (tmp_path / "in" / hidden).mkdir()
        (tmp_path / "in" / hidden / "c.py").write_bytes(b"-")
    found = read(tmp_path / "in")
    assert found == {"a.py": b"x\ny\n", "sub/b.py": b"z"}
    write_tree(tmp_path / "out", found)
    assert read(tmp_path / "out") == found
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "out" / "sub").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "out" / "sub" / "b.py").stat().st_mode & 0o777 == 0o444


def test_a_folder_that_became_a_link_since_it_was_listed_is_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("in/sub", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "elsewhere" / "secret.py").write_text("SECRET")
    listed = sourcetree.entries_of

    def swapped(handle: int) -> list[Entry]:
        found = listed(handle)
        if not (tmp_path / "in" / "sub").is_symlink():
            (tmp_path / "in" / "sub").rmdir()
            (tmp_path / "in" / "sub").symlink_to(tmp_path / "elsewhere")
        return found

    monkeypatch.setattr(sourcetree, "entries_of", swapped)
    with pytest.raises(SecureFlowError) as refusal:
        read(tmp_path / "in")
    assert refusal.value.code == "invalid_file"


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_tree(tmp_path / "out", {"a": b""})
    finally:
        os.umask(before)
    assert (tmp_path / "out" / "a").stat().st_mode & 0o777 == 0o444


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError):
        write_tree(tmp_path / "out", {"a": b"x"})
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_tree(tmp_path / "link", {"a": b"x"})
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("what", ["link", "folder link", "pipe", "hard to read"])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("s")
    place = tmp_path / "in" / "a.py"
    if what == "link":
        place.symlink_to(tmp_path / "secret")
    elif what == "folder link":
        place.symlink_to(tmp_path)
    elif what == "pipe":
        os.mkfifo(place)
    else:
        place = tmp_path / "missing"
    with pytest.raises(SecureFlowError) as refusal:
        read(tmp_path / ("in" if what != "hard to read" else "missing"))
    assert refusal.value.code == "invalid_file"


def test_bounds(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "a" / "b" / f"{number}.py").write_bytes(b"1234")
    assert len(read(tmp_path)) == 3
    for narrow in ({"most": 11}, {"files": 2}, {"depth": 2}):
        with pytest.raises(SecureFlowError) as refusal:
            read(tmp_path, **narrow)
        assert refusal.value.code == "invalid_file"


def test_a_refused_name_is_told_why(tmp_path: Path) -> None:
    (tmp_path / "a\x1b.py").write_bytes(b"")
    with pytest.raises(SecureFlowError, match="bad name") as refusal:
        read_tree(tmp_path, most=9, files=9, depth=9, problem=lambda _: "bad name")
    assert "\x1b" not in refusal.value.message
