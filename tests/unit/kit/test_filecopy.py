from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from secureflow.kit.filecopy import copy_bytes


@pytest.fixture
def handles(tmp_path: Path) -> Iterator[tuple[int, int]]:
    made = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in ("source", "target")]
    yield made[0], made[1]
    for one in made:
        os.close(one)


def content(handle: int) -> bytes:
    return os.pread(handle, 1 << 30, 0)


def refusing(code: int) -> object:
    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    return refuse


@pytest.mark.parametrize("refused", [None, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_copy_has_the_first_bytes(
    handles: tuple[int, int], monkeypatch: pytest.MonkeyPatch, refused: int | None
) -> None:
    source, target = handles
    data = os.urandom(3 << 20)
    os.write(source, data)
    if refused is not None:
        monkeypatch.setattr(os, "copy_file_range", refusing(refused))
    copy_bytes(source, target, (2 << 20) + 7)
    assert content(target) == data[: (2 << 20) + 7]
    os.pwrite(source, b"later", 0)
    assert content(target) == data[: (2 << 20) + 7]


def test_holes_stay_holes(handles: tuple[int, int]) -> None:
    source, target = handles
    os.ftruncate(source, 64 << 20)
    os.pwrite(source, b"x" * 4096, 32 << 20)
    copy_bytes(source, target, 64 << 20)
    assert os.fstat(target).st_size == 64 << 20
    assert os.fstat(target).st_blocks * 512 <= 1 << 20
    assert os.pread(target, 4096, 32 << 20) == b"x" * 4096
    assert content(target) == content(source)


def test_what_is_cut_off_meanwhile_is_zeros(
    handles: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = handles
    os.write(source, b"x" * (1 << 20))
    copy = os.copy_file_range

    def cutting(one: int, other: int, count: int, start: int, to: int) -> int:
        done = copy(one, other, min(count, 1 << 16), start, to)
        os.ftruncate(source, 0)
        return done

    monkeypatch.setattr(os, "copy_file_range", cutting)
    copy_bytes(source, target, 1 << 20)
    assert content(target) == b"x" * (1 << 16) + bytes((1 << 20) - (1 << 16))


def test_a_full_disk_is_an_error(handles: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = handles
    os.write(source, b"x")
    monkeypatch.setattr(os, "copy_file_range", refusing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        copy_bytes(source, target, 1)
