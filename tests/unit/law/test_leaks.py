"""What a file of tests leaves behind is named with the file; what it put away is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import leaks

ROOT = Path(__file__).parents[3]
CONFTEST = """
import pytest
from tests.leaks import Leaks

def pytest_configure(config):
    config.pluginmanager.register(Leaks(), "leaks")

@pytest.fixture(scope="session")
def lasting():
    import subprocess
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()
"""
LEAVES = {
    "process": "subprocess.Popen(['setsid', 'sleep', '60'], start_new_session=True)",
    "thread": "threading.Thread(target=time.sleep, args=(60,), daemon=True, name='idle').start()",
    "listening socket": "KEPT.append(socket.create_server(('127.0.0.1', 0)))",
    "unfinished task": "KEPT.append(loop()); KEPT.append(KEPT[0].create_task(asyncio.sleep(60)))",
    "temporary file": "KEPT.append(tempfile.mkstemp())",
    "file": "Path(ROOT, 'left.txt').touch()",
    "changed": "os.environ['LEFT'] = '1'",
    "warning": "ring = [open('/dev/null')]; ring.append(ring)",
}
IMPORTS = (
    "import asyncio, os, socket, subprocess, tempfile, threading, time; from pathlib import Path"
)


def run(place: Path, files: dict[str, str]) -> str:
    """Run files of tests, in the order of their names, each in its own way."""
    (place / "conftest.py").write_text(CONFTEST)
    for name, text in files.items():
        (place / name).write_text(text)
    command = "import tests.leaks as l, sys, pytest; l.GRACE = 0.3; sys.exit(pytest.main())"
    options = f"-q -W error::ResourceWarning -p no:cacheprovider --rootdir {place}"
    environment = {name: text for name, text in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, timeout=100, check=False,
        cwd=place,
        env={**environment, "PYTHONPATH": str(ROOT), "PYTEST_DEBUG_TEMPROOT": str(place.parent),
             "PYTEST_ADDOPTS": options},
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.slow
def test_each_kind_is_named_with_its_file(tmp_path: Path) -> None:
    place = tmp_path / "suite"
    place.mkdir()
    body = f"{IMPORTS}\nKEPT, ROOT, loop = [], {str(place)!r}, asyncio.new_event_loop\n\n"
    files = {
        f"test_{kind.replace(' ', '_')}.py": f"{body}def test_it():\n    {leak}\n"
        for kind, leak in LEAVES.items()
    }
    told = run(place, files)
    assert f"{len(LEAVES)} passed" in told, told
    assert f"{len(LEAVES)} errors" in told, told
    for kind in LEAVES:
        where = told.index(f"test_{kind.replace(' ', '_')}.py leaves behind:\n")
        assert told[where:].splitlines()[1].startswith(f"{kind}: "), told[where:]


@pytest.mark.slow
def test_what_was_put_away_or_is_the_sessions_is_no_leak(tmp_path: Path) -> None:
    place = tmp_path / "suite"
    place.mkdir()
    tidy = (
        f"{IMPORTS}\n"
        "def test_one(tmp_path, monkeypatch, lasting):\n"
        "    subprocess.run(['true'], check=True)\n"
        "    monkeypatch.setenv('LEFT', '1')\n"
        "    with socket.create_server(('127.0.0.1', 0)), tempfile.TemporaryDirectory():\n"
        "        asyncio.run(asyncio.sleep(0))\n"
        "    thread = threading.Thread(target=time.sleep, args=(0.05,))\n"
        "    thread.start()\n"
    )
    told = run(place, {"test_a.py": tidy, "test_b.py": tidy})
    assert "2 passed" in told, told
    assert "error" not in told, told


def test_a_strangers_process_whose_name_is_no_text_hinders_no_look() -> None:
    called = "import ctypes; ctypes.CDLL(None).prctl(15, b') R \\xff'); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", called], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert process.pid in dict(leaks._processes())
        process.communicate(b"\n")
