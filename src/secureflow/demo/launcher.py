"""`secureflow demo`: three banks, one model, one command.

Everything lives below one directory, on free ports; children end with the demo unless it is told
to keep them, and a demo that was kept is ended before a new one takes its place.
"""

from __future__ import annotations

import contextlib
import fcntl
import json as jsonlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from secureflow.demo.data import dataset_config, split_silos
from secureflow.demo.platform import Platform
from secureflow.demo.play import Outcome, play
from secureflow.demo.processes import kill_group
from secureflow.demo.screen import Screen
from secureflow.domain.specs import Protection
from secureflow.kit.errors import SecureFlowError

STATE = "demo.json"


def run(
    *,
    parties: int,
    rounds: int,
    json: bool,
    keep: bool,
    directory: Path,
    protection: Protection = "sealed",
) -> int:
    """Play the whole demo and return the process's exit code.

    Args:
        parties: how many banks, 3 to 16.
        rounds: at most so many rounds.
        json: end with one line of JSON on stdout.
        keep: leave the platform running and say how to look around.
        directory: the demo's own directory; what an earlier demo left there is replaced.
        protection: what hides single updates: an enclave, masks, or both.
    """
    directory = directory.resolve()
    with _claimed(directory):
        return _run(parties, rounds, json, keep, directory, protection)


def _run(
    parties: int, rounds: int, json: bool, keep: bool, directory: Path, protection: Protection
) -> int:
    _make_room(directory)
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell may have had SIGINT ignored
        signal.signal(number, _interrupt)
    owners = {f"bank-{chr(97 + n)}": f"Bank {chr(65 + n)}" for n in range(parties)}
    silos = split_silos(directory / "data", parties)
    datasets = {p: dataset_config(path) for p, path in zip(owners, silos, strict=True)}
    with Screen(list(owners)) as screen:
        platform = Platform(directory, owners, datasets, stays=keep, say=screen.step)
        try:
            platform.build()
            outcome = play(platform, rounds, screen.event, protection)
        except BaseException:  # Ctrl-C too: no child is left behind
            platform.stop()
            raise
    screen.outcome(outcome)
    if json:
        sys.stdout.write(outcome.line() + "\n")
        sys.stdout.flush()
    if keep:
        _leave(platform)
    else:
        platform.stop()
    return _code(outcome)


def stop(directory: Path) -> int:
    """End a demo that was kept, or what is left of one; return 0 also when there is none."""
    directory = directory.resolve()
    pids = _processes(directory)
    (directory / STATE).unlink(missing_ok=True)
    if not pids:
        sys.stderr.write(f"No demo is running in {directory}.\n")
        return 0
    for pid in pids:
        kill_group(pid, signal.SIGTERM)
    deadline = time.monotonic() + 8
    while pids := _processes(directory):
        if time.monotonic() > deadline:
            for pid in pids:
                kill_group(pid, signal.SIGKILL)
            break
        time.sleep(0.05)
    sys.stderr.write("The demo has ended.\n")
    return 0


@contextlib.contextmanager
def _claimed(directory: Path) -> Iterator[None]:
    """Hold the directory for this process alone: a second demo would empty it under our feet."""
    directory.mkdir(parents=True, exist_ok=True)
    held = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SecureFlowError(
                "directory_in_use",
                f"Another demo is at work in {directory}.",
                "Wait for its end, or name another directory: --directory.",
            ) from error
        yield
    finally:
        os.close(held)


def _make_room(directory: Path) -> None:
    """End what an earlier demo left and empty its directory; refuse a directory of other things."""
    if any(directory.iterdir()) and not (directory / "data").exists():
        raise SecureFlowError(
            "directory_in_use",
            f"{directory} holds files that no demo made.",
            "Name another directory: --directory.",
        )
    if _processes(directory):
        stop(directory)
    for entry in directory.iterdir():  # the directory itself stays: it carries the claim
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _leave(platform: Platform) -> None:
    pids = {name: process.pid for name, process in platform.processes.items()}
    state = {"processes": pids, "url": platform.url}
    (platform.directory / STATE).write_text(jsonlib.dumps(state, indent=2))
    owner = next(iter(platform.parties.values()))
    password = platform.directory / "passwords.json"
    password.touch(0o600)
    password.write_text(
        jsonlib.dumps({o.party: o.password for o in platform.parties.values()}, indent=2)
    )
    sys.stderr.write(
        f"\nThe platform keeps running. Look around:\n"
        f"  export SECUREFLOW_PROFILE={platform.directory / 'profile.json'}   # login makes it\n"
        f"  secureflow login {platform.url} --ca {platform.ca} --name {owner.party}"
        f"   # passwords: {password}\n"
        f"  secureflow job list\n"
        f"  secureflow agent inbox list --config {owner.config}\n"
        f"  secureflow audit verify {platform.directory / 'bundle.json'} "
        f"--charter {platform.charter_file()}\n"
        f"  secureflow demo stop --directory {platform.directory}\n"
    )


def _processes(directory: Path) -> list[int]:
    """Return the platform's processes that run from this directory, whoever started them."""
    mark = f"\0--config\0{directory}/".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is somebody else's
            command = (entry / "cmdline").read_bytes()
            if mark in command and b"\0start\0" in command and entry.stat().st_uid == os.getuid():
                found.append(int(entry.name))
    return found


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _code(outcome: Outcome) -> int:
    return 0 if outcome.ledger["verified"] else 7
