"""A disk that is really full, without root: a small tmpfs over a folder, in a user namespace.

    with SmallDisk(platform.directory / "bank-b", mebibytes=24) as disk:
        platform.entry["bank-b"] = disk.entry(MORTAL)   # this process's start lies on the disk
        disk.start(platform, "bank-b")                  # (again); waits until it is ready
        disk.fill()                                     # from here on every write: ENOSPC
        disk.free()                                     # there is room again

What the folder holds is on the disk from the beginning. Only processes started by `disk.entry` see
the disk at the folder's path; the test reads and writes there through `disk.inside(path)`. Whatever
is on the disk is copied back into the folder at the end. `demand()` skips, loudly, where a machine
has no user namespaces; with SECUREFLOW_DEMAND_FULL_DISK=1 (`.ci/run`) that is a failure.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from secureflow.demo.platform import MODULE, Platform

DEMANDED = "SECUREFLOW_DEMAND_FULL_DISK"
_HOLD = """
set -e
mount -t tmpfs -o size=$2m,mode=700 tmpfs "$3"
cp -a "$1/." "$3/"
mount --bind "$3" "$1"
echo ready
exec sleep infinity
"""
_SECONDS = 60.0


@functools.cache
def _way() -> tuple[str, str]:
    """Return the options of `unshare` that let this user mount, or why there are none."""
    if sys.platform != "linux" or not shutil.which("unshare"):
        return "", "no unshare (util-linux) on this machine"
    for options in ("-Urm", "-m"):  # the second needs to be root outside of a namespace, too
        words = ["unshare", options, "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /tmp"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == 0:
            return options, ""
    return "", f"no user namespaces here: {done.stderr.strip()}"


def demand() -> None:
    """Skip the test, loudly, where the machine cannot do it; fail where it must."""
    lacking = _way()[1]
    if lacking and os.environ.get(DEMANDED):
        pytest.fail(f"FULL DISKS NOT TESTED: {lacking}, and {DEMANDED} is set")
    if lacking:
        pytest.skip(f"FULL DISKS NOT TESTED: {lacking}; {DEMANDED}=1 makes this a failure")


class SmallDisk:
    """A disk of a few MiB over a folder; see the module."""

    def __init__(self, folder: Path, mebibytes: int) -> None:
        self.folder = folder.resolve()
        self._size = mebibytes
        self._aside = self.folder.with_name(self.folder.name + ".disk")
        self._holder: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._aside.mkdir()
        words = ["unshare", _way()[0], "sh", "-c", _HOLD, "hold",
                 str(self.folder), str(self._size), str(self._aside)]  # fmt: skip
        self._holder = subprocess.Popen(
            words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        holder = self._running()
        self.free()
        shutil.copytree(
            self.inside(self.folder), self.folder, dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("*.sock", "ready.json"),
        )  # fmt: skip
        holder.kill()
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()
        self._aside.rmdir()

    def entry(self, command: Sequence[str] = MODULE) -> tuple[str, ...]:
        """Return the command, for `Platform.entry`, of a process that lies on this disk."""
        return ("-m", "tests.peers.enter_disk", str(self._running().pid), *command)

    def start(self, platform: Platform, name: str) -> None:
        """Start a process of the platform whose folder is this disk; wait until it is ready."""
        self.inside(self.folder / "ready.json").unlink(missing_ok=True)
        platform.start(name, wait=False)
        facts = self.inside(self.folder / "ready.json")
        process = platform.processes[name]
        wait_until(facts.exists, lambda: f"{name} is not up: {process.tail()}")
        if name == "server":
            platform.url = json.loads(facts.read_text())["rest"]

    def inside(self, path: Path) -> Path:
        """Return where this process finds a path as it is on the disk."""
        return Path(f"/proc/{self._running().pid}/root{path}")

    @property
    def room(self) -> int:
        """Bytes that are free."""
        told = os.statvfs(self.inside(self.folder))
        return told.f_bavail * told.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Take all that is free but `leave` bytes."""
        with self._filler.open("ab") as filler:
            while (more := self.room - leave) > 0:
                with contextlib.suppress(OSError):  # others write meanwhile
                    os.posix_fallocate(filler.fileno(), self._filler.stat().st_size, more)

    def free(self) -> None:
        """Give back what `fill` took."""
        self._filler.unlink(missing_ok=True)

    @property
    def _filler(self) -> Path:
        return self.inside(self.folder / "filler")

    def _running(self) -> subprocess.Popen[str]:
        assert self._holder is not None
        return self._holder


def wait_until(holds: Any, why: str | Callable[[], str], seconds: float = _SECONDS) -> None:
    """Wait until something holds; else say why not, as it is by then."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, why if isinstance(why, str) else why()
        time.sleep(0.02)
