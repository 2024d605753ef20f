"""The disk of the tests of full disks is really full, and really has room again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from secureflow.kit.diskreserve import DiskReserve
from secureflow.server.initialise import initialise
from tests import nursery
from tests.peers import full_disk
from tests.peers.full_disk import SmallDisk, wait_until

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


class Centre:
    """A centre's process whose folder is the small disk."""

    def __init__(self, disk: SmallDisk) -> None:
        config = str(disk.folder / "server.yaml")
        words = disk.entry(("-m", "secureflow", "server", "start", "--config", config))
        reader, writer = os.pipe()
        self.log = disk.folder.with_name("log")
        with self.log.open("w") as told, os.fdopen(writer, "w") as output:
            self.process = nursery.Child(words[1:], os.environ, output, told)
        self.said = os.fdopen(reader)

    def serves(self) -> bool:
        with self.said:
            return '"ready"' in self.said.readline()

    def ended(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)


def test_a_centre_starts_again_on_a_full_disk(tmp_path: Path) -> None:
    """It takes the reserve, and waits where there is none: every job stands still without it."""
    full_disk.demand()
    folder = tmp_path / "centre"
    initialise(folder, trust_domain="test.example", rest_port=0, link_port=0)
    with SmallDisk(folder, mebibytes=24) as disk:
        held = disk.inside(folder / "server.reserve")
        one = Centre(disk)
        assert one.serves()
        wait_until(held.exists, "no reserve")
        one.ended(signal.SIGKILL)
        disk.fill()
        killed = Centre(disk)  # it has to say that it is ready
        assert killed.serves(), killed.log.read_text()
        assert not held.exists()
        assert not [path.name for path in held.parent.glob(".ready.*")]
        assert killed.ended(signal.SIGTERM) == 0
        disk.free()
        assert DiskReserve(held, 1 << 20).keep()
        disk.fill()
        stopped = Centre(disk)  # SQLite has to make its shared memory anew
        assert stopped.serves(), stopped.log.read_text()
        assert not held.exists()
        assert stopped.ended(signal.SIGTERM) == 0
        disk.fill()
        waiting = Centre(disk)
        wait_until(lambda: "database_awaited" in waiting.log.read_text(), "it does not wait")
        assert '"disk_full"' in waiting.log.read_text()
        disk.free()
        assert waiting.serves(), waiting.log.read_text()
        assert waiting.ended(signal.SIGTERM) == 0
