"""What a disk does to a writer is named; what it does not do stays what it is."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from secureflow.kit import disk
from secureflow.kit.disk import Place, exhausted, is_full, size, writing
from secureflow.kit.errors import InfrastructureError


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk_full"),
        (errno.EDQUOT, "disk_full"),
        (errno.EIO, "disk_failed"),
        (errno.EROFS, "disk_failed"),
        (errno.EFBIG, "disk_failed"),
        (errno.EACCES, "disk_failed"),
        (errno.EMFILE, "too_many_files"),
        (errno.ENFILE, "too_many_files"),
    ],
)
def test_of_files(tmp_path: Path, number: int, code: str) -> None:
    place = Place(tmp_path / "models", "model files", "bank-a")
    with pytest.raises(InfrastructureError) as caught, writing(place, 5_000_000):
        raise OSError(number, "a text of the system's")
    error = caught.value
    assert error.code == code
    assert "a text of the system's" not in str(error)
    if code == "too_many_files":
        assert error.message == "bank-a has reached its limit of open files."
        assert "ulimit -n" in error.hint
        return
    assert error.message.startswith("The disk of bank-a ")
    assert str(tmp_path) in error.hint  # its own people are told where
    if code == "disk_full":
        assert "its model files need 5.0 MB" in error.message
        assert error.details == {"part": "model files", "needed": 5_000_000,
                                 "free": pytest.approx(place.free(), abs=1 << 34)}  # fmt: skip


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "x"), ConnectionResetError(),
                                   ValueError()])  # fmt: skip
def test_what_is_no_fault_of_the_disk_passes(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)), writing(Place(tmp_path, "own files")):
        raise error


def test_of_sqlite(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "x.db")
    database.execute("CREATE TABLE t (a)")
    database.execute("PRAGMA max_page_count = 2")
    with (
        pytest.raises(InfrastructureError, match="disk_full"),
        writing(Place(tmp_path, "own record")),
    ):
        database.execute("INSERT INTO t VALUES (zeroblob(100000))")
    with pytest.raises(sqlite3.OperationalError), writing(Place(tmp_path, "own record")):
        database.execute("SELECT nothing FROM nowhere")


def test_shared_memory_without_room_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite calls it an I/O error."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    place = Place(tmp_path, "own record")
    known = disk.fault_of(error, place)
    assert known is not None
    assert known.code == "disk_failed"
    monkeypatch.setattr(Place, "free", lambda _: 4096)
    known = disk.fault_of(error, place)
    assert known is not None
    assert known.code == "disk_full"


def test_a_place_told_to_others_names_no_path(tmp_path: Path) -> None:
    place = Place(tmp_path, "stored models", "the centre", public=True)
    with pytest.raises(InfrastructureError) as caught:
        place.demand(place.free() + (1 << 50))
    assert caught.value.code == "disk_full"
    assert str(tmp_path) not in str(caught.value.as_json())
    place.demand(0)


def test_room_is_that_of_the_disk_though_the_folder_is_not_made_yet(tmp_path: Path) -> None:
    assert Place(tmp_path / "a" / "b", "model files").free() > 0


def test_a_disk_that_can_hold_no_more_files_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(tmp_path)
    for favail, room in ((0, False), (1, True)):
        told = SimpleNamespace(
            f_bavail=real.f_bavail, f_frsize=real.f_frsize, f_files=600, f_favail=favail
        )
        monkeypatch.setattr(os, "statvfs", lambda _, told=told: told)
        assert (Place(tmp_path, "model files").free() > 0) is room


def test_sizes_for_people() -> None:
    assert [size(n) for n in (0, 999, 1000, 12_345_678, 3 * 10**9, 10**18)] == [
        "0 bytes", "999 bytes", "1.0 kB", "12.3 MB", "3.0 GB", "1000.0 PB",
    ]  # fmt: skip
    assert is_full(OSError(errno.ENOSPC, "x"))
    assert not is_full(OSError(errno.EIO, "x"))


LIMITED = """
import os, resource, sqlite3, sys
from pathlib import Path
from secureflow.adapters.database.faults import fault_of as of_database
from secureflow.kit.disk import Place, fault_of, no_handle_left

path = Path(sys.argv[1])
assert not no_handle_left()
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
assert no_handle_left()
try:
    sqlite3.connect(path / "x.db").execute("CREATE TABLE t (a)")
except sqlite3.Error as error:
    print(fault_of(error, Place(path, "own record")).code, of_database(error).code)
for handle in held:
    os.close(handle)
assert not no_handle_left()
"""


def test_a_database_that_opens_no_file_at_the_limit_is_told_from_one_that_is_away(
    tmp_path: Path,
) -> None:
    """Neither SQLite nor psycopg says why: in a process that really is at its limit."""
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (run.stdout.split(), run.returncode) == (["too_many_files"] * 2, 0), run.stderr


def test_wherever_in_an_exception_the_limit_stands_it_is_found() -> None:
    inner = OSError(errno.EMFILE, "Too many open files")
    outer = ValueError("wrapped")
    outer.__cause__ = inner
    assert exhausted(outer, "The centre") is not None
    assert exhausted(OSError(errno.ENOENT, "x"), "The centre") is None
    assert exhausted(ValueError(), "The centre") is None
