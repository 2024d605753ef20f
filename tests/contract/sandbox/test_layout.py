"""What an interpreter is shown: enough to run, whatever links lead to it, and nothing more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from peers.sandboxes import demand_sandbox

from secureflow.adapters.sandbox import BubblewrapSandbox
from secureflow.adapters.sandbox.layout import layout_of
from secureflow.application.ports.sandbox import Launch
from secureflow.kit.errors import SecureFlowError

ROOT = Path(__file__).parents[3]
_TRIES = """
import os, sys
print(*os.listdir(sys.argv[1]), flush=True)
with open("/tmp/mine", "w") as file:
    print(file.write("x") and "written", flush=True)
try:
    open(os.path.join(sys.prefix, "lib", "more"), "w")
except OSError:
    print("read-only", flush=True)
"""


def _make_environment(place: Path) -> None:
    made = [sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(place)]
    subprocess.run(made, check=True)


async def runs(python: str) -> bytes:
    demand_sandbox("root" if os.geteuid() == 0 else "ordinary")
    process = await BubblewrapSandbox().start(
        Launch((python, "-I", "-c", "import json, sys; print(sys.prefix)"))
    )
    said = await process.reader.read()
    assert await process.wait() == 0, process.printed
    return said.strip()


async def test_an_environment_behind_links(tmp_path: Path) -> None:
    """As tools make them: a link to a link to an environment whose Python is a link elsewhere."""
    _make_environment(tmp_path / "real")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python-mine").symlink_to("../other/python-mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "python-mine").symlink_to(tmp_path / "real" / "bin" / "python")
    assert await runs(str(tmp_path / "real" / "bin" / "python")) == os.fsencode(tmp_path / "real")
    assert await runs(str(tmp_path / "bin" / "python-mine"))


async def test_an_environment_where_the_sandbox_has_a_folder_of_its_own() -> None:
    """A checkout in /tmp: what is shown of it is read-only, the rest of /tmp is the process's."""
    demand_sandbox("root" if os.geteuid() == 0 else "ordinary")
    with TemporaryDirectory(dir="/tmp") as place:
        _make_environment(Path(place, "env"))
        _make_environment(Path(place, "beside"))
        python = str(Path(place, "env", "bin", "python"))
        process = await BubblewrapSandbox().start(Launch((python, "-I", "-c", _TRIES, place)))
        said = await process.reader.read()
        assert await process.wait() == 0, process.printed
    assert said.split() == [b"env", b"written", b"read-only"]


async def test_what_the_processors_are_is_a_copy() -> None:
    """The file itself tells at which rate each of them runs: how busy others keep it."""
    demand_sandbox("root" if os.geteuid() == 0 else "ordinary")
    tells = "import os; f = '/proc/cpuinfo'; print(os.stat(f).st_size, open(f).read(), end='')"
    said = []
    for _ in range(2):
        process = await BubblewrapSandbox().start(Launch((sys.executable, "-I", "-S", "-c", tells)))
        size, _, copied = (await process.reader.read()).partition(b" ")
        assert await process.wait() == 0, process.printed
        assert int(size) == len(copied), "it is the kernel's, whose files have no size"
        said.append(copied)
    assert said[0] == said[1]
    assert _without_rates(said[0]) == _without_rates(_processors())


def _processors() -> bytes:
    return Path("/proc/cpuinfo").read_bytes()


def _without_rates(told: bytes) -> list[bytes]:
    return [line for line in told.splitlines() if b"MHz" not in line]


def test_an_environment_is_not_the_folder_that_it_was_made_in(tmp_path: Path) -> None:
    """One was made in somebody's home: its `lib` is shown, what lies beside it is not."""
    _make_environment(tmp_path)
    (tmp_path / ".ssh").mkdir()
    shown = layout_of(str(tmp_path / "bin" / "python"))
    assert shown.shows(tmp_path / "lib" / "python3" / "site-packages")
    assert not shown.shows(tmp_path / ".ssh")
    assert not any(tmp_path.is_relative_to(one) for one in shown.paths)


def test_nothing_that_is_installed_runs_outside_of_a_sandbox(tmp_path: Path) -> None:
    _make_environment(tmp_path / "real")
    packages = next((tmp_path / "real" / "lib").glob("python3*/site-packages"))
    ran = tmp_path / "ran"
    for name in ("evil.pth", "sitecustomize.py", "usercustomize.py"):
        (packages / name).write_text(f"import pathlib; pathlib.Path({str(ran)!r}).touch()\n")
    (packages / "more.pth").write_text(f"{tmp_path / 'elsewhere'}\n")
    (tmp_path / "elsewhere").mkdir()
    shown = layout_of(str(tmp_path / "real" / "bin" / "python"))
    assert not ran.exists()
    assert shown.shows(packages)
    assert not shown.shows(tmp_path / "elsewhere")  # a package does not choose what is shown


async def test_what_was_installed_since_is_seen(tmp_path: Path) -> None:
    """Removed and added again at the same place, with another Python, or upgraded."""
    python = tmp_path / "env" / "bin" / "python"
    _make_environment(tmp_path / "env")
    before = layout_of(str(python))
    assert layout_of(str(python)) is before
    shutil.rmtree(tmp_path / "env")
    with pytest.raises(SecureFlowError):
        await runs(str(python))
    _make_environment(tmp_path / "env")
    (tmp_path / "other").symlink_to(python.resolve())
    python.unlink()
    python.symlink_to(tmp_path / "other")
    assert await runs(str(python)) == os.fsencode(tmp_path / "env")


def test_the_agents_own_source_is_seen() -> None:
    """An editable installation names its folder in a `*.pth`."""
    import secureflow

    assert layout_of(sys.executable).shows(Path(secureflow.__file__))


def test_what_is_no_interpreter_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\necho no\n")
    (tmp_path / "python").chmod(0o755)
    for python in (tmp_path / "python", tmp_path / "missing"):
        with pytest.raises(SecureFlowError) as caught:
            layout_of(str(python))
        assert caught.value.code == "sandbox_failed"


def test_no_guard_is_left_out_but_by_tests() -> None:
    folders = (ROOT / "src", ROOT / "benchmarks", ROOT / "examples")
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    makers = [path for path in sources if "BubblewrapSandbox(" in path.read_text()]
    assert {path.name for path in makers} == {"choice.py", "sandbox_start.py"}
    for path in makers:
        calls = path.read_text().split("BubblewrapSandbox(")[1:]
        assert all(call.startswith(")") for call in calls)
