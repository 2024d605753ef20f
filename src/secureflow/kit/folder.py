"""A data folder names the version that wrote it last; an older version refuses it.

An older version could silently misread a newer one's data: a record that it does not know, a budget
that is kept elsewhere. So a process checks before it opens anything else.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from secureflow.kit.atomic import write_atomically
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.kit.version import __version__

FILE: Final = "version.json"
_VERSION: Final = re.compile(
    r"([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})(?:[.+-]?[A-Za-z0-9.+-]{0,32})?"
)
_MOST: Final = 4096


def claim_folder(directory: Path, version: str = __version__) -> None:
    """Refuse a folder that a newer version wrote; otherwise write this version into it.

    A folder without the file predates it and is taken over.

    Raises:
        SecureFlowError: `data_newer`, `data_version_malformed`.
    """
    if check_folder(directory, version) != version:
        _write(directory / FILE, version)


def check_folder(directory: Path, version: str = __version__) -> str:
    """Return which version wrote a folder ("" if unknown), without writing anything.

    For readers such as a doctor or a command, to which a newer version's data would look broken.

    Raises:
        SecureFlowError: `data_newer`, `data_version_malformed`.
    """
    path = directory / FILE
    try:
        with path.open("rb") as file:
            found = file.read(_MOST)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    wrote = _read(path, found)
    if _numbers(wrote) > _numbers(version):
        raise SecureFlowError(
            "data_newer",
            Text(
                "{directory} was last used by SecureFlow {newer}; this is {version}.",
                directory=directory,
                newer=wrote,
                version=version,
            ),
            Text(
                "Install SecureFlow {version} or newer, or restore the backup that was made"
                " before the upgrade into another folder.",
                version=wrote,
            ),
            {"wrote": wrote, "version": version},
        )
    return wrote


def _read(path: Path, data: bytes) -> str:
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    wrote = value.get("version") if isinstance(value, dict) else None
    if not isinstance(wrote, str) or _VERSION.fullmatch(wrote) is None:
        raise SecureFlowError(
            "data_version_malformed",
            Text("{path} does not name the version that wrote the folder.", path=path),
            'Restore it from a backup, or write {"version": "..."} with the version that ran here '
            "last.",
        )
    return wrote


def _numbers(version: str) -> tuple[int, ...]:
    match = _VERSION.fullmatch(version)
    return tuple(map(int, match.groups())) if match else ()


def _write(path: Path, version: str) -> None:
    write_atomically(path, (json.dumps({"version": version}) + "\n").encode(), 0o644)
