"""Installs and runs anvil. The lock beside this file says which one; no script of it is run."""

from __future__ import annotations

import contextlib
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

FREE: Final = ("--gas-price", "0", "--block-base-fee-per-gas", "0")
"""A chain of a consortium: transactions cost nothing."""
_HERE: Final = "127.0.0.1"
_SYSTEMS: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_TRIES: Final = 3
_LOOKS: Final = 3_000
_PAUSE: Final = 0.01


def program(folder: Path) -> Path | None:
    """Return the program that `install` put into a folder; None if it is not there."""
    system = "darwin" if sys.platform == "darwin" else "linux"
    name = f"anvil-{system}-{_SYSTEMS.get(platform.machine().lower(), 'unknown')}"
    found = folder / "node_modules" / "@foundry-rs" / name / "bin" / "anvil"
    return found if found.is_file() else None


def install(folder: Path, npm: Sequence[str] = ("npm",)) -> Path:
    """Install the locked anvil into a folder; return its program.

    Args:
        folder: which is made.
        npm: the command.

    Raises:
        SecureFlowError: `chain_unavailable`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        text = files(__package__).joinpath(name).read_text("utf-8")
        (folder / name).write_text(text, "utf-8")
    quiet = ("--no-audit", "--no-fund", "--loglevel=error")
    if shutil.which(npm[0]) is None:
        raise _unavailable("there is no npm (Node.js 20 or newer)")
    done = subprocess.run(
        [*npm, "ci", "--ignore-scripts", *quiet], cwd=folder, check=False, capture_output=True
    )
    found = program(folder)
    if done.returncode or found is None:
        raise _unavailable(Text("npm ends with {status}", status=done.returncode))
    found.chmod(0o755)
    return found


@contextlib.contextmanager
def running(found: Path, *options: str) -> Iterator[str]:
    """Run a chain on this machine until the block ends; yields its URL.

    Args:
        found: the program.
        options: of anvil.

    Raises:
        SecureFlowError: `chain_unavailable`: it does not listen.
    """
    for _ in range(_TRIES):
        port = _free_port()
        # Quiet: it tells of every question, and nobody would read that.
        command = [str(found), "--host", _HERE, "--port", str(port), "--quiet", *options]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as it:
            try:
                if _listens(it, port):
                    yield f"http://{_HERE}:{port}"
                    return
            finally:
                it.kill()
    raise _unavailable("it does not listen")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((_HERE, 0))
        port: int = one.getsockname()[1]
        return port


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until it listens; false if it ended, because somebody else took the port."""
    for _ in range(_LOOKS):
        if process.poll() is not None:
            return False
        with contextlib.suppress(OSError), socket.create_connection((_HERE, port), timeout=1):
            return True
        time.sleep(_PAUSE)
    return False


def _unavailable(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "chain_unavailable",
        Text("The chain for development cannot be had: {reason}.", reason=reason),
        "Install Node.js with npm, or run the demo with another place.",
    )
