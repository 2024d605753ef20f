"""Virtual environments of an owner's choice: made from a lock's wheels, and compared file by file.

Installed are wheels alone, each by a hash of the lock; nothing is built, nothing is resolved. pip
runs isolated: no settings, variables or packages of the user have a say. What a proxy or a
certificate file is for is passed on. Once something is installed the environment's interpreter is
not started any more but in a sandbox (`installed`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any, Final

from secureflow.agent.owner import installed
from secureflow.engines.bundles.lock import Lock, Pin, requirements
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import file_digest
from secureflow.kit.oserrors import reason_in
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

_PASSED_ON: Final = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
)
_TOLD: Final = 600
"""Characters of pip's words that are shown."""
_LAST: Final = 2.0
"""Seconds in which killed processes are gone, unless nobody takes note of their end."""
_VERSION: Final = (
    "import sys, sysconfig;"
    "print('.'.join(map(str, sys.version_info[:3])), sysconfig.get_platform())"
)


@dataclass(frozen=True)
class Source:
    """Where wheels come from: an index, a folder, or (neither) pip's own default."""

    index: str = ""
    folder: Path | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """pip's options for it."""
        if self.folder is not None:
            return "--no-index", "--find-links", str(self.folder)
        return ("--index-url", self.index) if self.index else ()


def make(venv: Path, python: Path, lock: Lock, source: Source) -> tuple[str, dict[str, Any]]:
    """Make a virtual environment with a lock's packages; return its Python's version and contents.

    From a folder, packages that it has no wheel of are left out; what is installed must have
    everything that it requires, which is checked at the end. So a lock that names an ordinary
    wheel's further packages serves a machine whose own build does without them.

    Raises:
        SecureFlowError: `environment_failed` with pip's last words, or naming what a wheel ships
            that is refused.
    """
    version, markers = interpreter(python), _markers(python)
    _run([str(python), "-I", "-m", "venv", "--without-pip", str(venv)], "venv")
    pins = lock.pins if source.folder is None else _there(lock, source.folder)
    listed = venv.with_name("pinned.txt")
    listed.write_text(requirements(pins), "ascii")
    inner, before = venv / "bin" / "python", contents(venv)
    pip = [sys.executable, "-I", "-m", "pip", "--isolated", "--python", str(inner)]
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-color"]
    strict = ["--only-binary", ":all:", "--require-hashes", "--no-deps", "--no-cache-dir"]
    install = ["install", *quiet, *strict, "--no-compile", *source.options]
    _run([*pip, *install, "--requirement", str(listed)], "pip")
    installed.leave_out(venv)
    now = contents(venv)
    if reason := installed.refused(venv, before, now) or installed.lacking(venv, markers):
        raise failed("pip", reason)
    return version, {**now, **_compiled(venv, python)}


def _compiled(venv: Path, python: Path) -> dict[str, Any]:
    """Compile what was installed, and return the bytecode as `contents` does.

    A run writes none, and without it each start compiles what it imports: a second for SPU. The
    interpreter compiles outside the environment, and runs nothing of it. Bytecode that a wheel
    ships is replaced; what does not compile has none.
    """
    folders = installed.package_folders(venv)
    command = [str(python), "-I", "-S", "-B", "-m", "compileall", "-qq", "-f", "-j", "1"]
    checked = ["--invalidation-mode", "unchecked-hash"]  # the environment is compared as a whole
    _run([*command, *checked, *map(str, folders)], "compileall", may_fail=True)
    found: dict[str, Any] = {}
    for path in (path for folder in folders for path in sorted(folder.rglob("*.pyc"))):
        if not path.is_symlink():
            name = path.relative_to(venv.resolve()).as_posix()
            found[name] = [path.stat().st_size, file_digest(path).hex()]
    return found


def interpreter(python: Path) -> str:
    """Return version and platform that an interpreter says of itself, such as `3.11.4 linux-…`.

    Raises:
        SecureFlowError: `environment_failed`.
    """
    told = _run([str(python), "-I", "-S", "-c", _VERSION], "python")
    parts = told.split()
    if len(parts) != 2 or not parts[0].startswith("3."):
        raise failed("python", told)
    return " ".join(parts)


def _markers(python: Path) -> dict[str, str]:
    told = _run([str(python), "-I", "-S", "-c", installed.MARKERS], "python")
    try:
        return {str(name): str(value) for name, value in json.loads(told).items()}
    except (ValueError, AttributeError) as error:
        raise failed("python", told) from error


def contents(venv: Path) -> dict[str, Any]:
    """Return what is in an environment: path → size and digest of a file, or a link's target.

    The interpreter that `bin/python` leads to is part of it, and so is the bytecode that was made
    when it was installed: an environment is never run without `-B`, so there is no other.
    """
    found: dict[str, Any] = {}
    for path in _walk(venv):
        name = path.relative_to(venv).as_posix()
        if path.is_symlink():
            found[name] = ["link", str(path.readlink())]
        else:
            found[name] = [path.stat().st_size, file_digest(path).hex()]
    real = (venv / "bin" / "python").resolve()
    if real.is_file():
        found["(interpreter)"] = [real.stat().st_size, file_digest(real).hex()]
    return found


def differences(venv: Path, known: Mapping[str, Any], *, quick: bool = False) -> list[str]:
    """Return every path of an environment that is not as it was recorded, sorted.

    `quick` compares names, sizes and links; else every byte.
    """
    wrong = []
    seen = set()
    for path in _walk(venv):
        name = path.relative_to(venv).as_posix()
        seen.add(name)
        if not _same(path, known.get(name), quick):
            wrong.append(name)
    real = (venv / "bin" / "python").resolve()
    if not _same(real, known.get("(interpreter)"), quick):
        wrong.append("(interpreter)")
    return sorted({*wrong, *(known.keys() - seen - {"(interpreter)"})})


def failed(step: str, told: str) -> SecureFlowError:
    """Return the error of a step, with the last of what it said."""
    words = told if isinstance(told, Text) else shown(" ".join(told.split())[-_TOLD:].rstrip("."))
    return SecureFlowError(
        "environment_failed",
        Text("The environment was not made: {step}: {reason}.", step=step, reason=words or "-"),
        "Correct the lock, or name another --index, --find-links or --python.",
    )


def _same(path: Path, known: Any, quick: bool) -> bool:
    if not isinstance(known, list) or len(known) != 2:
        return False
    with contextlib.suppress(OSError):
        if path.is_symlink():
            return known == ["link", str(path.readlink())]
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size != known[0]:
            return False
        return quick or file_digest(path).hex() == known[1]
    return False


def _walk(venv: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(venv):
        names.sort()
        for name in sorted([*files, *(one for one in names if Path(folder, one).is_symlink())]):
            yield Path(folder, name)


def _there(lock: Lock, folder: Path) -> tuple[Pin, ...]:
    """Return the pins of which a folder has a wheel."""
    hashes = set()
    for path in sorted(folder.glob("*.whl")):
        hasher = sha256()
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                hasher.update(chunk)
        hashes.add(hasher.hexdigest())
    pins = tuple(one for one in lock.pins if hashes & set(one.hashes))
    if not pins:
        reason = Text("no wheel in {folder} has a hash of the lock", folder=shown(str(folder)))
        raise failed("--find-links", reason)
    return pins


def _run(command: Sequence[str], step: str, *, may_fail: bool = False) -> str:
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment |= {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # a group of its own, with whatever it starts
        )
    except OSError as error:
        raise failed(step, reason_in(error)) from error
    try:
        with _ending():
            out, told = child.communicate()
    except BaseException:  # Ctrl-C too: what it started would write on
        _end(child)
        raise
    if child.returncode and not may_fail:
        raise failed(step, (told or out).decode("utf-8", "replace"))
    return out.decode("utf-8", "replace")


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """Raise SystemExit where a signal would end this process at once: a child would outlive it."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    ends = [signal.SIGTERM, signal.SIGHUP]
    if threading.current_thread() is not threading.main_thread():
        ends = []  # signals are the main thread's
    held = [one for one in ends if signal.getsignal(one) is signal.SIG_DFL]
    for one in held:
        signal.signal(one, end)
    try:
        yield
    finally:
        for one in held:
            signal.signal(one, signal.SIG_DFL)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill a child with everything that it started, and wait until nothing of it writes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    until = time.monotonic() + _LAST
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < until:
            os.killpg(child.pid, 0)  # raises once the group is empty
            time.sleep(0.01)
