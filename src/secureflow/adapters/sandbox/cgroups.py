"""Memory, processes and processors of one confined process, counted by a cgroup of its own.

Version 2 (`Documentation/admin-guide/cgroup-v2.rst`) where its controllers can be had, else
version 1, else nothing: rlimits remain. The group is made below one that this process may write:
with version 1 its own, with version 2 the one above its own, because a group that holds processes
can hand no controller down. Where systemd runs it must have handed that one over (`Delegate=`):
all others are its own. The agent itself is never moved.

A group's name says which process made it, so that what a killed agent left behind is ended.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Final

from secureflow.application.ports.sandbox import Limits
from secureflow.kit.process import stat_fields

PREFIX: Final = "secureflow-"
PERIOD: Final = 100_000
"""Microseconds in which a share of the processors is counted."""
_CONTROLLERS: Final = ("memory", "pids", "cpu")
_TASKS: Final = "pids.max"
_ENDED: Final = ("memory.events", "memory.oom_control")
"""Files that count the processes that were ended for want of memory: of version 2, and of 1."""
_FREEZE: Final = "cgroup.freeze"
"""Of a group of version 2 that is not the root (Linux 5.2)."""
_LEFT_BEHIND: Final = 60
"""Seconds after which an empty group is removed whose maker cannot be told here."""
_SYSTEMD: Final = Path("/run/systemd/system")
"""Is there where systemd runs (sd_booted(3))."""
_DELEGATED: Final = ("user.delegate", "trusted.delegate")
"""Attributes by which systemd marks a group that it has handed over."""


@dataclass(frozen=True)
class Cgroup:
    """A group, one folder per hierarchy.

    Args:
        folders: its folders.
        controllers: what they count.
        spare: one more of version 2 that counts nothing, where none of them freezes.
    """

    folders: tuple[Path, ...] = ()
    controllers: frozenset[str] = frozenset()
    spare: Path | None = None

    def add(self, pid: int) -> None:
        """Count a process, and what it starts, from now on.

        Raises:
            OSError: it is gone, or the group is.
        """
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(f"{pid}\n")

    def switch(self, pid: int) -> Path | None:
        """Return the file that freezes a process that was added, and what it starts from now on."""
        for folder in self.folders:
            if (folder / _FREEZE).exists():
                return folder / _FREEZE
        if self.spare is None:
            return None
        try:
            (self.spare / "cgroup.procs").write_text(f"{pid}\n")
        except OSError:
            return None
        return self.spare / _FREEZE

    def starts(self) -> Path | None:
        """Return the file that says how many tasks there may be, if they are counted."""
        found = (folder / _TASKS for folder in self.folders)
        return next((one for one in found if one.exists()), None)

    def starved(self) -> bool:
        """Tell whether the system ended a process of it because it had no more memory."""
        for folder, name in product(self.folders, _ENDED):
            with contextlib.suppress(OSError, ValueError):
                told = dict(line.split() for line in (folder / name).read_text().splitlines())
                if int(told.get("oom_kill", 0)):
                    return True
        return False

    def remove(self) -> None:
        """Remove it, once no process is left in it."""
        for folder in (*self.folders, *([] if self.spare is None else [self.spare])):
            with contextlib.suppress(OSError):
                folder.rmdir()


@dataclass(frozen=True)
class _Hierarchy:
    """Where a hierarchy is mounted, which group of it this is, and what it can count."""

    mount: Path
    own: Path
    controllers: frozenset[str]
    second: bool


class Cgroups:
    """Makes groups.

    Args:
        process: `/proc/self`; tests name another place.
    """

    def __init__(self, process: Path = Path("/proc/self")) -> None:
        self._hierarchies = tuple(_hierarchies(process))

    def make(self, limits: Limits) -> Cgroup:
        """Return a new group that holds these limits, as far as anything here counts them."""
        name = f"{PREFIX}{_maker(os.getpid())}-{secrets.token_hex(4)}"
        second = [one for one in self._hierarchies if one.second]
        made = _made(second, name, limits)
        if not {"memory", "pids"} <= made.controllers:
            made.remove()
            made = _made([one for one in self._hierarchies if not one.second], name, limits)
        if any((folder / _FREEZE).exists() for folder in made.folders):
            return made
        spares = (_spare(one, name) for one in second)
        return replace(made, spare=next((one for one in spares if one is not None), None))

    @property
    def counted(self) -> frozenset[str]:
        """What a group would count; nothing is left behind."""
        made = self.make(Limits(memory=1 << 30, processes=8, cpus=1.0))
        made.remove()
        return made.controllers


def _made(hierarchies: Sequence[_Hierarchy], name: str, limits: Limits) -> Cgroup:
    folders: list[Path] = []
    controllers: set[str] = set()
    for one in hierarchies:
        folder, has = _folder(one, name)
        if folder is None:
            continue
        held = {each for each in has if _limit(folder, each, limits, second=one.second)}
        if held:
            folders.append(folder)
            controllers |= held
        else:
            folder.rmdir()
    return Cgroup(tuple(folders), frozenset(controllers))


def _folder(one: _Hierarchy, name: str) -> tuple[Path | None, frozenset[str]]:
    """Make a folder for the group; return it, and what can be counted there."""
    if not one.second:
        return _new(one.own, name), one.controllers
    parent = _parent(one)
    if parent is not None:
        handed = _handed_down(parent)
        if {"memory", "pids"} <= handed and (made := _new(parent, name)) is not None:
            return made, handed
    return None, frozenset()


def _spare(one: _Hierarchy, name: str) -> Path | None:
    """Make a group of version 2 that only freezes: that takes no controller."""
    parent = _parent(one)
    folder = None if parent is None else _new(parent, name)
    if folder is None or (folder / _FREEZE).exists():
        return folder
    with contextlib.suppress(OSError):
        folder.rmdir()
    return None


def _parent(one: _Hierarchy) -> Path | None:
    """Return the group of version 2 below which this process may make others."""
    parent = one.own if one.own == one.mount else one.own.parent
    ours = os.access(parent / "cgroup.procs", os.W_OK) and _is_ours(parent)
    return parent if ours else None


def _is_ours(group: Path) -> bool:
    """Tell whether groups may be made in one: what root may write is not therefore root's."""
    if os.geteuid() != 0 or not _SYSTEMD.is_dir():
        return True
    for name in _DELEGATED:
        with contextlib.suppress(OSError):
            if os.getxattr(group, name) == b"1":
                return True
    return False


def _handed_down(parent: Path) -> frozenset[str]:
    """Return what a group hands down, after asking it for what it could."""
    control = parent / "cgroup.subtree_control"
    with contextlib.suppress(OSError):
        offered = (parent / "cgroup.controllers").read_text().split()
        for name in set(_CONTROLLERS) & set(offered) - set(control.read_text().split()):
            with contextlib.suppress(OSError):
                control.write_text(f"+{name}\n")
        return frozenset(control.read_text().split()) & set(_CONTROLLERS)
    return frozenset()


def _new(parent: Path, name: str) -> Path | None:
    _sweep(parent)
    folder = parent / name
    try:
        folder.mkdir()
    except OSError:
        return None
    return folder


def _sweep(parent: Path) -> None:
    """Remove groups that a killed agent left behind, and end what is still in them."""
    for old in parent.glob(f"{PREFIX}*-*"):
        with contextlib.suppress(OSError, ValueError):
            if not _is_left_behind(old):
                continue
            for pid in (old / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
            old.rmdir()  # refused as long as it holds a process: the next one removes it


def _is_left_behind(group: Path) -> bool:
    maker = group.name.removeprefix(PREFIX).rpartition("-")[0]
    here = _maker(os.getpid()).rpartition("-")[2]
    if maker.count("-") == 2 and maker.endswith(f"-{here}"):
        return maker != _maker(int(maker.partition("-")[0]))
    # Another namespace of processes, whose numbers say nothing here: only if it is empty.
    aged = time.time() - group.stat().st_mtime > _LEFT_BEHIND
    return aged and not (group / "cgroup.procs").read_text()


def _maker(pid: int) -> str:
    """Name a process: its number, when it began, and where that number counts; "" for none."""
    try:
        began = stat_fields(Path(f"/proc/{pid}/stat"))[19]
        return f"{pid}-{began}-{Path(f'/proc/{pid}/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _limit(folder: Path, controller: str, limits: Limits, *, second: bool) -> bool:
    """Write the limits of one controller; return whether the group counts it."""
    wanted = {
        "memory": _memory(limits.memory, second=second),
        "pids": [(_TASKS, str(limits.processes or "max"))],
        "cpu": _processors(limits.cpus, second=second),
    }[controller]
    try:
        for file, value in wanted:
            optional = file in {
                "memory.swap.max",
                "memory.memsw.limit_in_bytes",
                "memory.oom.group",
            }
            if not optional or (folder / file).exists():
                (folder / file).write_text(f"{value}\n")
    except OSError:
        return False
    return (folder / "cgroup.procs").exists()


def _memory(size: int, *, second: bool) -> list[tuple[str, str]]:
    if second:
        bound = str(size or "max")
        return [("memory.max", bound), ("memory.swap.max", "0"), ("memory.oom.group", "1")]
    bound = str(size or -1)
    return [("memory.limit_in_bytes", bound), ("memory.memsw.limit_in_bytes", bound)]


def _processors(count: float, *, second: bool) -> list[tuple[str, str]]:
    quota = int(count * PERIOD)
    if second:
        return [("cpu.max", f"{quota or 'max'} {PERIOD}")]
    return [("cpu.cfs_period_us", str(PERIOD)), ("cpu.cfs_quota_us", str(quota or -1))]


def _hierarchies(process: Path) -> Iterator[_Hierarchy]:
    """Yield the hierarchies that this process is in and can see."""
    try:
        groups = (process / "cgroup").read_text().splitlines()
        mounts = (process / "mountinfo").read_text().splitlines()
    except OSError:
        return
    mounted = list(_mounts(mounts))
    for line in groups:
        _, names, path = line.split(":", 2)
        wanted = frozenset(names.split(",")) & set(_CONTROLLERS)
        if names and not wanted:
            continue
        for kind, options, root, mount in mounted:
            second = kind == "cgroup2"
            if second != (not names) or (not second and not wanted <= options):
                continue
            inside = Path(path)
            if inside.is_relative_to(root):
                own = mount / inside.relative_to(root)
                yield _Hierarchy(mount, own, wanted, second)
                break


def _mounts(lines: Sequence[str]) -> Iterator[tuple[str, frozenset[str], Path, Path]]:
    """Yield type, options, root and place of each mounted hierarchy (proc(5), mountinfo)."""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) > 4 and kind and kind[0] in {"cgroup", "cgroup2"}:
            options = frozenset(kind[2].split(",")) if len(kind) > 2 else frozenset()
            yield kind[0], options, Path(fields[3]), Path(fields[4])
