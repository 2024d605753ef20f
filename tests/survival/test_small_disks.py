"""The disk of the tests of full disks is really full, and really has room again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import full_disk
from tests.peers.full_disk import SmallDisk

WRITE = "import sys; open(sys.argv[1], 'w', 1).write('x' * 8192 + chr(10))"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    full_disk.demand()
    folder = tmp_path / "bank-b"
    folder.mkdir()
    (folder / "agent.yaml").write_text("organisation: bank-b\n")
    with SmallDisk(folder, mebibytes=1) as small:
        yield small


def wrote(disk: SmallDisk, name: str) -> str:
    """Write a file in a process on the disk; return what went wrong."""
    command = [sys.executable, *disk.entry(("-c", WRITE)), str(disk.folder / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stderr


def test_it_is_full_and_has_room_again(disk: SmallDisk) -> None:
    assert disk.inside(disk.folder / "agent.yaml").read_text() == "organisation: bank-b\n"
    assert wrote(disk, "a") == ""
    assert not (disk.folder / "a").exists()  # elsewhere the folder is what it was
    disk.fill()
    assert "[Errno 28] No space left on device" in wrote(disk, "b")
    disk.free()
    assert wrote(disk, "b") == ""


def test_what_lies_on_it_stays(tmp_path: Path) -> None:
    full_disk.demand()
    with SmallDisk(tmp_path, mebibytes=1) as disk:
        assert wrote(disk, "a") == ""
        disk.fill()
    assert (tmp_path / "a").stat().st_size == 8193
