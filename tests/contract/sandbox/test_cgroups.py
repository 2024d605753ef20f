"""Groups in hierarchies that are folders here: version 2, version 1, neither; and the real ones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from secureflow.adapters.sandbox import cgroups
from secureflow.adapters.sandbox.cgroups import PREFIX, Cgroup, Cgroups
from secureflow.application.ports.sandbox import Limits

LIMITS = Limits(memory=1 << 30, processes=64, cpus=1.5)
FILES = {
    "memory": ("memory.max", "memory.swap.max", "memory.oom.group"),
    "pids": ("pids.max",),
    "cpu": ("cpu.max",),
}
FIRST = {
    "memory": ("memory.limit_in_bytes",),
    "pids": ("pids.max",),
    "cpu": ("cpu.cfs_period_us", "cpu.cfs_quota_us"),
}


def world(place: Path, groups: str, mounts: list[str]) -> Path:
    """Write what `/proc/self` says."""
    process = place / "self"
    process.mkdir()
    (process / "cgroup").write_text(groups)
    (process / "mountinfo").write_text("".join(f"{one}\n" for one in mounts))
    return process


def second(place: Path, own: str, handed: dict[str, str], offered: str) -> Path:
    """Make a version 2 hierarchy: what each group hands down, by its path."""
    mount = place / "unified"
    for path in ("", *handed, own):
        folder = mount / path.strip("/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.procs").touch()
        (folder / "cgroup.controllers").write_text(offered)
        (folder / "cgroup.subtree_control").write_text(handed.get(path, ""))
    mounted = f"30 20 0:26 / {mount} rw shared:9 - cgroup2 cgroup2 rw"
    return world(place, f"0::{own}\n", [mounted])


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what the kernel does when a group is made: its files appear, by what is handed down."""
    real = cgroups._new

    def made(parent: Path, name: str) -> Path | None:
        folder = real(parent, name)
        if folder is None or str(folder).startswith("/sys"):
            return folder
        (folder / "cgroup.procs").touch()
        control = parent / "cgroup.subtree_control"
        has = (
            control.read_text().replace("+", "").split() if control.exists() else [parent.parts[-2]]
        )
        for one in has:
            for file in (FILES if control.exists() else FIRST)[one]:
                (folder / file).touch()
        return folder

    monkeypatch.setattr(cgroups, "_new", made)


def told(folder: Path) -> dict[str, str]:
    return {
        one.name: one.read_text().strip() for one in folder.iterdir() if one.name != "cgroup.procs"
    }


def test_version_2_beside_its_own_group(tmp_path: Path) -> None:
    """As a service of systemd: a group that holds processes can hand nothing down."""
    process = second(
        tmp_path, "/system.slice/agent", {"/system.slice": "memory pids cpu"}, "memory pids cpu"
    )
    made = Cgroups(process).make(LIMITS)
    assert made.controllers == {"memory", "pids", "cpu"}
    (folder,) = made.folders
    assert folder.parent == tmp_path / "unified" / "system.slice"
    assert folder.name.startswith(f"{PREFIX}{os.getpid()}-")
    assert told(folder) == {
        "memory.max": str(1 << 30),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": "64",
        "cpu.max": "150000 100000",
    }
    made.add(4711)
    assert (folder / "cgroup.procs").read_text() == "4711\n"


def test_version_2_is_asked_to_hand_down(tmp_path: Path) -> None:
    process = second(tmp_path, "/user/agent", {"/user": "memory"}, "memory pids")
    control = tmp_path / "unified" / "user" / "cgroup.subtree_control"
    Cgroups(process).make(LIMITS)
    assert control.read_text() == "+pids\n"  # a folder keeps the last word; the kernel adds it


def test_no_limit_is_said_as_none(tmp_path: Path) -> None:
    process = second(tmp_path, "/a/agent", {"/a": "memory pids cpu"}, "memory pids cpu")
    (folder,) = Cgroups(process).make(Limits(processes=0)).folders
    assert told(folder) == {
        "memory.max": "max",
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": "max",
        "cpu.max": "max 100000",
    }


def first(place: Path, *controllers: str) -> Path:
    groups, mounts = "", []
    for number, one in enumerate(controllers):
        (place / one / "agent").mkdir(parents=True)
        groups += f"{number + 2}:{one}:/agent\n"
        mounts.append(f"3{number} 20 0:26 / {place / one} rw - cgroup cgroup rw,{one}")
    return world(place, f"1:name=systemd:/\n{groups}0::/\n", mounts)


def test_version_1_below_its_own_groups(tmp_path: Path) -> None:
    made = Cgroups(first(tmp_path, "memory", "pids", "cpu")).make(LIMITS)
    assert made.controllers == {"memory", "pids", "cpu"}
    by_name = {folder.parts[-3]: told(folder) for folder in made.folders}
    assert by_name == {
        "memory": {"memory.limit_in_bytes": str(1 << 30)},
        "pids": {"pids.max": "64"},
        "cpu": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "150000"},
    }


def freezing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have groups of version 2 freeze, as since Linux 5.2."""
    known = cgroups._new

    def made(parent: Path, name: str) -> Path | None:
        folder = known(parent, name)
        if folder is not None and (parent / "cgroup.subtree_control").exists():
            (folder / "cgroup.freeze").touch()
        return folder

    monkeypatch.setattr(cgroups, "_new", made)


def test_a_group_of_version_2_freezes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    freezing(monkeypatch)
    process = second(tmp_path, "/a/agent", {"/a": "memory pids cpu"}, "memory pids cpu")
    made = Cgroups(process).make(LIMITS)
    (folder,) = made.folders
    assert made.spare is None
    assert made.switch(4711) == folder / "cgroup.freeze"


def test_beside_version_1_one_of_version_2_that_counts_nothing_freezes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = first(tmp_path, "memory", "pids")
    (tmp_path / "unified").mkdir()
    with (process / "mountinfo").open("a") as mounts:
        mounts.write(f"40 20 0:27 / {tmp_path / 'unified'} rw - cgroup2 cgroup2 rw\n")
    for name in ("cgroup.procs", "cgroup.controllers", "cgroup.subtree_control"):
        (tmp_path / "unified" / name).touch()
    assert Cgroups(process).make(LIMITS).spare is None  # an older kernel
    freezing(monkeypatch)
    made = Cgroups(process).make(LIMITS)
    assert made.controllers == {"memory", "pids"}
    assert made.spare is not None
    assert made.spare.parent == tmp_path / "unified"
    assert made.switch(4711) == made.spare / "cgroup.freeze"
    assert (made.spare / "cgroup.procs").read_text() == "4711\n"
    (made.spare / "cgroup.procs").unlink()
    (made.spare / "cgroup.procs").mkdir()  # no process may be moved there
    assert made.switch(4711) is None


def test_what_cannot_be_written_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = first(tmp_path, "memory", "pids")
    real = Path.write_text

    def refused(path: Path, text: str, *more: str) -> int:
        if path.name == "memory.limit_in_bytes":
            raise PermissionError(path)
        return real(path, text, *more)

    monkeypatch.setattr(Path, "write_text", refused)
    monkeypatch.setattr(Path, "rmdir", lambda path: None)  # a folder here holds files
    assert Cgroups(process).make(LIMITS).controllers == {"pids"}


def test_a_machine_without_cgroups(tmp_path: Path) -> None:
    made = Cgroups(tmp_path / "missing").make(LIMITS)
    assert (made.folders, made.controllers) == ((), frozenset())
    made.add(1)
    made.remove()


def test_a_process_is_known_whatever_it_calls_itself(tmp_path: Path) -> None:
    """Its name stands before what is read, and may be any bytes."""
    program = tmp_path.joinpath(b"\xff) 1 (".decode(errors="surrogateescape"))
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as process:
        try:
            assert re.fullmatch(rf"{process.pid}-\d{{3,}}-\d+", cgroups._maker(process.pid))
        finally:
            process.kill()


def test_what_a_killed_agent_left_behind_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And ended: a maker is known by its number, by when it began, and by where that counts."""
    process = first(tmp_path, "memory")
    group = tmp_path / "memory" / "agent"
    mine = cgroups._maker(os.getpid())
    pid, began, space = mine.split("-")
    held = {
        f"{mine}-aaaaaaaa": (True, "11"),
        f"{pid}-{int(began) - 1}-{space}-aaaaaaaa": (False, "12"),  # its number was given again
        f"4194304-1-{space}-aaaaaaaa": (False, "13"),
        f"4194304-1-{int(space) - 1}-aaaaaaaa": (True, "14"),  # another container's
        f"4194304-1-{int(space) - 1}-bbbbbbbb": (False, ""),
        "4194304-cccccccc": (False, ""),  # of an older version
        "4194304-dddddddd": (True, "15"),
    }
    for name, (_, pids) in held.items():
        (group / f"{PREFIX}{name}").mkdir()
        (group / f"{PREFIX}{name}" / "cgroup.procs").write_text(pids)
        os.utime(group / f"{PREFIX}{name}", (1, 1))
    (group / f"{PREFIX}4194304-new").mkdir()
    killed: list[int] = []
    monkeypatch.setattr(cgroups.os, "kill", lambda pid, how: killed.append(pid))
    monkeypatch.setattr(Path, "rmdir", shutil.rmtree)  # a folder here holds files
    Cgroups(process).make(LIMITS)
    assert {name: (group / f"{PREFIX}{name}").exists() for name in held} == {
        name: stays for name, (stays, _) in held.items()
    }
    assert (group / f"{PREFIX}4194304-new").exists()
    assert sorted(killed) == [12, 13]


@pytest.mark.parametrize("handed", [True, False])
def test_groups_of_systemd_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handed: bool
) -> None:
    """Root may write everywhere; what a unit may use is what it was handed over, and no more."""
    process = second(
        tmp_path, "/a.slice/b.service/agent", dict.fromkeys(("/a.slice", "/a.slice/b.service"), ""),
        "memory pids",
    )  # fmt: skip
    unit = tmp_path / "unified" / "a.slice" / "b.service"
    (unit / "cgroup.subtree_control").write_text("memory pids" if handed else "")
    (unit.parent / "cgroup.subtree_control").write_text("memory pids")
    marks = {str(unit): b"1"} if handed else {}
    monkeypatch.setattr(cgroups, "_SYSTEMD", tmp_path)
    monkeypatch.setattr(cgroups.os, "geteuid", lambda: 0)
    monkeypatch.setattr(cgroups.os, "getxattr", lambda path, name: marks.get(str(path), b"0"))
    made = Cgroups(process).make(LIMITS)
    assert [one.parent for one in made.folders] == ([unit] if handed else [])
    assert (unit / "cgroup.subtree_control").read_text() == ("memory pids" if handed else "")


def test_nothing_is_left_on_this_machine() -> None:
    counted = Cgroups()
    made = counted.make(Limits(memory=1 << 30, processes=4))
    folders = [*made.folders, *([made.spare] if made.spare else [])]
    assert all(folder.is_dir() for folder in folders)
    made.remove()
    assert not any(folder.exists() for folder in folders)
    assert counted.counted >= made.controllers


@pytest.mark.parametrize(
    ("name", "told", "starved"),
    [
        ("memory.events", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\n", True),
        ("memory.events", "low 0\nhigh 0\nmax 7\noom 0\noom_kill 0\n", False),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", True),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", False),
        ("memory.events", "of another form\n", False),
        ("memory.events", "", False),
    ],
)
def test_who_was_ended_for_want_of_memory_is_known(
    tmp_path: Path, name: str, told: str, starved: bool
) -> None:
    (tmp_path / "other").mkdir()
    group = Cgroup((tmp_path / "other", tmp_path))
    assert not group.starved()
    (tmp_path / name).write_text(told)
    assert group.starved() is starved
