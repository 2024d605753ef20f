"""What a worker wrote is copied; nothing that it does to its files makes the agent wait or fail."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from secureflow.agent.compute import jobfiles
from secureflow.agent.compute.jobfiles import emptied, held_folder, job_folder, take

HOLDING = """
import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open(sys.argv[1], "r+b" if sys.argv[2] == "write" else "rb")
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK if sys.argv[2] == "write" else fcntl.F_RDLCK)
print("held", flush=True)
sys.stdin.readline()
"""


@contextmanager
def leased(path: Path, how: str) -> Iterator[None]:
    """Let another process of this user hold a lease, which makes others wait for it."""
    command = [sys.executable, "-I", "-c", HOLDING, str(path), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.kill()


@pytest.mark.parametrize("how", ["read", "write"])
def test_a_file_on_which_somebody_holds_a_lease_is_not_waited_for(tmp_path: Path, how: str) -> None:
    path = tmp_path / "update"
    path.write_bytes(b"x" * 100)
    before = path.stat().st_ino
    with leased(path, how):
        found = emptied(path)
        assert found.st_ino != before, "another file is in its place"
        assert (path.stat().st_ino, path.stat().st_size) == (found.st_ino, 0)


def test_an_update_on_which_its_worker_holds_a_lease_is_none(tmp_path: Path) -> None:
    path = tmp_path / "update"
    path.write_bytes(b"x" * 100)
    with leased(path, "write"):
        assert take(path, tmp_path / "copy", 100) == 0
    assert not (tmp_path / "copy").exists()


def test_a_copy_is_another_file_and_the_workers_is_empty(tmp_path: Path) -> None:
    path, copy = tmp_path / "update", tmp_path / "copy"
    path.write_bytes(b"x" * 100)
    number = path.stat().st_ino
    assert take(path, copy, 100, b"tail") == 100
    assert copy.read_bytes() == b"x" * 100 + b"tail"
    assert (path.stat().st_ino, path.stat().st_size) == (number, 0)
    older = copy.open("rb")
    path.write_bytes(b"y" * 100)
    assert take(path, copy, 100) == 100
    assert older.read() == b"x" * 100 + b"tail", "whoever holds the one before keeps it"
    older.close()


@pytest.mark.parametrize("length", [0, 99, 101, 1 << 20])
def test_of_another_length_nothing_is_copied(tmp_path: Path, length: int) -> None:
    path = tmp_path / "update"
    path.write_bytes(bytes(length))
    assert take(path, tmp_path / "copy", 100) == length
    assert not (tmp_path / "copy").exists()
    assert path.stat().st_size == 0


def test_what_is_no_file_is_neither_read_nor_written(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"SECRET")
    link, pipe, taken = tmp_path / "link", tmp_path / "pipe", tmp_path / "copy"
    link.symlink_to(secret)
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        for path in (link, pipe, tmp_path / "socket", tmp_path / "missing"):
            assert take(path, taken, 6) == 0
            assert not taken.exists()
            assert emptied(path).st_size == 0
            assert path.is_file()
            assert not path.is_symlink()
    assert secret.read_bytes() == b"SECRET"


def test_half_a_copy_does_not_take_the_room_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "update"
    path.write_bytes(b"x" * 100)

    def full(source: int, target: int, length: int) -> None:
        os.write(target, b"x" * 50)
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(jobfiles, "copy_bytes", full)
    with pytest.raises(OSError, match="no room"):
        take(path, tmp_path / "copy", 100)
    assert not (tmp_path / "copy").exists()
    assert path.stat().st_size == 100


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "job_1.held", ".held", "/etc"])
def test_no_name_of_a_job_leads_elsewhere(tmp_path: Path, name: str) -> None:
    assert job_folder(tmp_path, name) is None
    assert held_folder(tmp_path, "job_1") == tmp_path / "job_1.held"
