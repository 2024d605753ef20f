"""Where a person's command line keeps the session at an agent: a 0600 file of that person.

`SECUREFLOW_AGENT_SESSION` holds a secret instead. Files are in `secureflow/agent-sessions/` under
the XDG state directory, one for each agent's socket.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

from secureflow.kit.atomic import write_atomically
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import failed_at
from secureflow.kit.privatefiles import read_private

VARIABLE: Final = "SECUREFLOW_AGENT_SESSION"
_LONGEST: Final = 256


def session_file(socket: Path) -> Path:
    """Return the file of this user's session at the agent behind a socket."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    name = hashlib.sha256(os.fsencode(socket.resolve())).hexdigest()[:32]
    return Path(state) / "secureflow" / "agent-sessions" / name


def shown_session(socket: Path) -> str:
    """Return the secret that this user shows to the agent, or empty.

    Raises:
        SecureFlowError: `key_exposed` if others can read the file.
    """
    if VARIABLE in os.environ:
        return os.environ[VARIABLE].strip()[:_LONGEST]
    try:
        return read_private(session_file(socket)).decode("ascii", "replace").strip()[:_LONGEST]
    except (OSError, RuntimeError):  # none is kept; no home
        return ""


def keep_session(socket: Path, secret: str) -> Path:
    """Keep a session for this user's later commands, and return the file.

    Raises:
        SecureFlowError: `invalid_file`.
    """
    file = session_file(socket)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(file, secret.encode())
    except OSError as error:
        raise SecureFlowError("invalid_file", failed_at(file, error)) from error
    return file


def forget_session(socket: Path) -> None:
    """Remove this user's session file."""
    with contextlib.suppress(OSError):
        session_file(socket).unlink()
