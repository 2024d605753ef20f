"""Reading the files given to commands, beside those that people write (`kit.inputfiles`)."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from secureflow.cli.texts import t
from secureflow.kit.atomic import streamed_result, write_result
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.inputfiles import LIMIT, named_fields, read_bytes
from secureflow.kit.oserrors import failed_at
from secureflow.kit.privatefiles import DENIED, read_private


def read_json(path: Path) -> Any:
    """Parse a JSON file (no duplicate keys, no NaN); raises `malformed_json`, `invalid_file`."""
    from secureflow.kit.canonical import parse_json

    return parse_json(read_bytes(path), LIMIT)


def read_object(path: Path) -> dict[str, Any]:
    """Parse a JSON file that holds one object; raises `malformed_json`, `invalid_file`."""
    return named_fields(path, read_json(path))


def read_token(path: Path) -> str:
    """Return the one line of a file that holds a one-time token; raises `invalid_file`."""
    if str(path) == "-":
        return sys.stdin.readline().rstrip("\n")
    return read_bytes(path, 4096).decode("utf-8", "replace").strip()


def read_secret(path: Path) -> str:
    """Return the one line of a password file, `-` for stdin.

    Raises:
        SecureFlowError: `invalid_file`; `key_exposed` when others can read it.
    """
    if str(path) != "-":
        try:
            read_private(path)
        except OSError as error:
            hint = DENIED if isinstance(error, PermissionError) else ""
            raise SecureFlowError("invalid_file", failed_at(path, error), hint) from error
    return read_token(path)


def write_text(path: Path, text: str) -> None:
    """Write a result file, completely or not at all; raises `invalid_file`."""
    write_data(path, text.encode())


def write_data(path: Path, data: bytes) -> None:
    """Write a result file of bytes, completely or not at all; raises `invalid_file`."""
    try:
        write_result(path, data)
    except OSError as error:
        raise _unwritten(path, error) from error


def copy_private(source: Path, path: Path) -> None:
    """Copy a file that only its owner may read, completely or not at all; raises `invalid_file`."""
    try:
        with (
            source.open("rb") as given,
            streamed_result(path, 0o600) as place,
            place.open("wb") as file,
        ):
            shutil.copyfileobj(given, file)
    except OSError as error:
        raise _unwritten(path, error) from error


def _unwritten(path: Path, error: OSError) -> SecureFlowError:
    hint = "Check the path, who owns it, and the free space."
    return SecureFlowError("invalid_file", failed_at(path, error), hint)


def check_writable(path: Path) -> None:
    """Refuse a place for a result before the work that gives it; raises `invalid_file`."""
    folder = path.parent
    if path.is_dir():
        code = errno.EISDIR
    elif not folder.is_dir():
        code = errno.ENOENT
    elif not os.access(path if path.exists() else folder, os.W_OK):
        code = errno.EACCES
    else:
        return
    raise SecureFlowError(
        "invalid_file",
        failed_at(path, OSError(code, "")),
        "Check the path, who owns it, and the free space.",
    )


def refuse_existing(path: Path, force: bool) -> None:
    """Refuse to write over a file unless that is asked for; raises `already_exists`."""
    if path.is_file() and not force:
        raise SecureFlowError(
            "already_exists",
            t("{path} exists.", path=path),
            t("Choose another file, or replace it: --force."),
        )
