"""Files that stay with their owner when a job is over: written whole, and compared later."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from secureflow.agent.compute.jobfiles import take
from secureflow.kit.atomic import flush_directory
from secureflow.kit.canonical import JSON
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import file_digest
from secureflow.kit.text import Text

ENDING: Final = ".parquet"
_NEXT: Final = ".next"
_MOST: Final = 1 << 50
"""Bytes of a file beyond any disk; what a worker may write is limited where it runs."""


def keep_file(written: Path, path: Path, party: str) -> tuple[int, str]:
    """Copy what a worker or an engine wrote, which only then cannot change any more.

    Args:
        written: its file, which is emptied.
        path: where the copy is kept; an earlier one is replaced.
        party: the organisation, for errors.

    Returns:
        The copy's bytes, and its hex BLAKE3 digest.

    Raises:
        SecureFlowError: `worker_failed` for what is no file.
        InfrastructureError: `disk_full`.
    """
    place = Place(path.parent, "own files", party)
    if not written.is_file():
        raise _unusable(party)
    size = written.stat().st_size
    place.demand(size)
    fresh = unfinished(path)
    with writing(place, size):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not take(written, fresh, None, most=_MOST):
            raise _unusable(party)
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(path)
        flush_directory(path.parent)
    return path.stat().st_size, file_digest(path).hex()


def unfinished(path: Path) -> Path:
    """Return the name of a kept file while it is written."""
    return path.with_name(path.name + _NEXT)


def place_of(path: Path) -> dict[str, JSON]:
    """Return where a kept file lies, and whether it does; its content is not compared."""
    return {"state": "kept" if path.is_file() else "gone", "path": str(path)}


def compared(told: dict[str, JSON]) -> None:
    """Compare a file with the digest that was committed to (`file`), and correct its `state`.

    `altered` for a file that somebody has changed, `unknown` if a restored record does not hold
    what was committed to. It reads the whole file.
    """
    if told["state"] == "kept" and not told["file"]:
        told["state"] = "unknown"
    elif told["state"] == "kept":
        digest = _digest(Path(told["path"]))
        if digest != told["file"]:
            told["state"] = "altered" if digest else "gone"


def _digest(path: Path) -> str:
    try:
        return file_digest(path).hex()
    except FileNotFoundError:
        return ""


def _unusable(party: str) -> SecureFlowError:
    return SecureFlowError(
        "worker_failed",
        Text("The worker of {party} has not written what it says it wrote.", party=party),
        "See the agent's log; if it happens again, report it with the job's spec.",
    )
