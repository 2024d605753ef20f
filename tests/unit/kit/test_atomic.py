"""Files that are written atomically."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from secureflow.kit.atomic import (
    streamed_result,
    write_atomically,
    write_new,
    write_result,
    write_shared,
)


def _full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as write(2): no name


@pytest.mark.parametrize("write", [write_atomically, write_result])
def test_what_does_not_fit_leaves_the_older_one_and_names_it(
    write: Callable[[Path, bytes], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bundle.json"
    path.write_text("the only one")
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(OSError, match="No space left") as caught:
        write(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_text() == "the only one"
    assert list(tmp_path.iterdir()) == [path]


def test_processes_that_replace_one_file_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, fsync = tmp_path / "record.json", os.fsync
    write_shared(path, b"before")

    def meanwhile(handle: int) -> None:  # the other one writes while this one does
        monkeypatch.setattr(os, "fsync", fsync)
        with monkeypatch.context() as patched:
            patched.setattr(os, "getpid", lambda: 1)
            write_shared(path, b"theirs, and longer")
        assert path.read_bytes() == b"theirs, and longer"
        fsync(handle)

    monkeypatch.setattr(os, "fsync", meanwhile)
    write_shared(path, b"ours")
    assert path.read_bytes() == b"ours"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_that_does_not_fit_is_named_and_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "signing.key"
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", _full)
        with pytest.raises(OSError, match="No space left") as caught:
            write_new(path, b"new")
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []
    write_new(path, b"new")
    with pytest.raises(FileExistsError):
        write_new(path, b"other")
    assert path.read_bytes() == b"new"


def test_a_result_replaces_no_other_file(tmp_path: Path) -> None:
    there = [tmp_path / f"bundle.json{end}" for end in (".next", ".part", ".partial")]
    for one in there:
        one.symlink_to(tmp_path / "somebody's")
    write_result(tmp_path / "bundle.json", b"new")
    assert not (tmp_path / "somebody's").exists()
    assert all(one.is_symlink() for one in there)


def test_a_result_keeps_the_mode_and_the_link_of_the_file_that_it_replaces(tmp_path: Path) -> None:
    path, link = tmp_path / "kept", tmp_path / "link"
    path.write_text("old")
    path.chmod(0o600)
    link.symlink_to(path)
    write_result(link, b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    write_result(path, b"secret", 0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_secret_result_that_comes_in_parts_is_at_no_time_others_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, modes, replace = tmp_path / "kept", list[int](), Path.replace
    path.write_text("old")
    path.chmod(0o644)

    def replaced(fresh: Path, target: Path) -> Path:
        modes.append(stat.S_IMODE(fresh.stat().st_mode))
        return replace(fresh, target)

    monkeypatch.setattr(Path, "replace", replaced)
    with streamed_result(path, 0o600) as fresh:
        modes.append(stat.S_IMODE(fresh.stat().st_mode))
        fresh.write_bytes(b"secret")
    assert modes == [0o600, 0o600]
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"secret", 0o600)
    path.chmod(0o640)
    with streamed_result(path) as fresh:
        fresh.write_bytes(b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640  # without a mode its own is kept


def test_a_result_goes_into_a_pipe(tmp_path: Path) -> None:
    pipe, heard = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reader.start()
    write_result(pipe, b"new")
    reader.join()
    assert heard == [b"new"]
    assert pipe.is_fifo()
