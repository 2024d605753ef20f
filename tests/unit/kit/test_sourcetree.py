"""Folders of text are read without following anything, and written over nothing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
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


def test_a_crash_leaves_no_folder_and_the_next_attempt_clears_up(tmp_path: Path) -> None:
    """A process that dies in the middle: the next one makes the whole folder."""
    place = tmp_path / "run [1]"
    dying = (
        "import os, sys; from pathlib import Path; from secureflow.kit import sourcetree;"
        "sourcetree.flush_directory = lambda _: os.kill(os.getpid(), 9);"
        "sourcetree.write_tree(Path(sys.argv[1]), {'a/b.py': b'x', 'c.py': b'y'})"
    )
    for _ in range(2):
        ended = subprocess.run([sys.executable, "-P", "-c", dying, str(place)], check=False)
        assert ended.returncode == -9
        assert not place.exists()
    assert len(list(tmp_path.iterdir())) == 1  # the second attempt removed the first one's
    (tmp_path / ".run 1.x.coming").mkdir()  # another folder's
    write_tree(place, {"a/b.py": b"x"})
    assert {one.name for one in tmp_path.iterdir()} == {"run [1]", ".run 1.x.coming"}
    assert (place / "a" / "b.py").read_bytes() == b"x"


def test_what_is_being_written_is_no_left_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []

    def flush(folder: Path) -> None:
        if not flushed:
            flushed.append(folder)
            write_tree(tmp_path / "out", {"a": b"second"})
        flushed.append(folder)

    monkeypatch.setattr(sourcetree, "flush_directory", flush)
    with pytest.raises(OSError) as caught:  # noqa: PT011  the second one was quicker
        write_tree(tmp_path / "out", {"a": b"first"})
    assert caught.value.errno in {errno.ENOTEMPTY, errno.EEXIST}
    assert flushed[0].name.startswith(".out.")
    assert (tmp_path / "out" / "a").read_bytes() == b"second"
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File name too long"):
        write_tree(tmp_path / "out", {"a": b"x", "b" * 300: b"y"})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError) as caught:
        write_tree(tmp_path / "missing" / "out", {"a": b"x"})
    assert caught.value.filename == str(tmp_path / "missing" / "out")


def test_all_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[str] = []
    fsync = os.fsync

    def noting(handle: int) -> None:
        kept.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noting)
    write_tree(tmp_path / "out", {"a.py": b"x", "sub/b.py": b"y"})
    assert kept[:2] == ["a.py", "b.py"]
    assert kept[2].startswith(".out.")
    assert kept[3:] == ["sub", tmp_path.name]


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
