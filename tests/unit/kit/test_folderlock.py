"""Who works in a folder, and what is left there by whoever was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folderlock import folder_lock, scratch, temporary

REFUSAL = SecureFlowError("server_running", "it runs")
PREFIX = ".gathering-"
_HOLDS = """
import sys, time
from pathlib import Path
from secureflow.kit.folderlock import scratch
with scratch(Path(sys.argv[1]), ".gathering-") as place:
    (place / "table").write_text("x")
    print(place, flush=True)
    time.sleep(60)
"""


def refused(lock: Path, *, shared: bool = False) -> None:
    with pytest.raises(SecureFlowError, match="it runs"), folder_lock(lock, REFUSAL, shared=shared):
        pass


@pytest.mark.parametrize("name", ["x.lock", ""])
def test_one_tenant_or_several_that_share(tmp_path: Path, name: str) -> None:
    lock = tmp_path / name
    with folder_lock(lock, REFUSAL, shared=True), folder_lock(lock, REFUSAL, shared=True):
        refused(lock)
    with folder_lock(lock, REFUSAL):
        refused(lock)
        refused(lock, shared=True)
    with folder_lock(lock, REFUSAL):
        assert lock.stat().st_mode & 0o777 == (0o600 if name else 0o700)
    assert [one.name for one in tmp_path.iterdir()] == ([name] if name else [])


def test_what_a_killed_one_left_goes_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        held = Path(child.stdout.readline().strip())
        with scratch(tmp_path, PREFIX) as own:
            assert own.stat().st_mode & 0o777 == 0o700
            assert (held / "table").exists()
        assert not own.exists()
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert held.exists()
        with scratch(tmp_path, PREFIX):
            assert not held.exists()
    finally:
        child.kill()
        child.communicate()
    assert list(tmp_path.iterdir()) == []


def left(parent: Path, name: str = f"{PREFIX}abcd_123", mode: int = 0o700) -> Path:
    place = parent / name
    place.mkdir()
    (place / "table").write_text("x")
    place.chmod(mode)
    return place


@pytest.mark.parametrize(
    "case", ["own", "name", "short", "mode", "folder in it", "link in it", "link", "file"]
)
def test_what_is_not_its_own_stays(tmp_path: Path, case: str) -> None:
    parent, other = tmp_path / "backups", tmp_path / "other"
    parent.mkdir()
    other.mkdir(mode=0o700)
    (other / "precious").write_text("x")
    place = parent / f"{PREFIX}abcd_123"
    match case:
        case "own":
            left(parent)
        case "name":
            place = left(parent, f"{PREFIX}precious-2026")
        case "short":
            place = left(parent, f"{PREFIX}abc")
        case "mode":
            left(parent, mode=0o750)
        case "folder in it":
            (left(parent) / "more").mkdir()
        case "link in it":
            (left(parent) / "more").symlink_to(other)
        case "link":
            place.symlink_to(other)
        case "file":
            place.write_text("x")
    with scratch(parent, PREFIX):
        pass
    assert os.path.lexists(place) == (case != "own")
    assert (other / "precious").exists()
    if case not in {"own", "link", "file"}:
        assert (place / "table").exists()


def test_temporary_files_go_where_this_user_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "named"
    monkeypatch.setenv("TMPDIR", str(named))
    monkeypatch.delenv("TEMP", raising=False)
    monkeypatch.delenv("TMP", raising=False)
    assert temporary() == Path("/tmp")
    named.mkdir()
    assert temporary() == named
    monkeypatch.setattr(os, "access", lambda place, _: place != named)  # root may always write
    assert temporary() == Path("/tmp")
    assert list(named.iterdir()) == []
