"""Where a job's folder holds the model that an adapter stands on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_SUFFIX: Final = ".base"


def base_file(folder: Path, digest: str) -> Path:
    """Return the place of a base in a folder, by its digest."""
    return folder / f"{digest}{_SUFFIX}"
