"""Reading the files given to commands: JSON and YAML of bounded size."""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path
from typing import Any

from secureflow.kit.atomic import write_result
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.privatefiles import DENIED, read_private
from secureflow.kit.text import Text

_LIMIT = 64 << 20


def read_bytes(path: Path, limit: int = _LIMIT) -> bytes:
    """Return a file's bytes.

    Raises:
        SecureFlowError: `invalid_file` naming the path.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        hint = DENIED if isinstance(error, PermissionError) else ""
        raise SecureFlowError("invalid_file", f"{path}: {error.strerror}.", hint) from error
    if len(data) > limit:
        raise SecureFlowError(
            "invalid_file", Text("{path} has more than {limit} bytes.", path=path, limit=limit)
        )
    return data


def read_json(path: Path) -> Any:
    """Parse a JSON file (no duplicate keys, no NaN); raises `malformed_json`, `invalid_file`."""
    from secureflow.kit.canonical import parse_json

    return parse_json(read_bytes(path), _LIMIT)


def read_object(path: Path) -> dict[str, Any]:
    """Parse a JSON file that holds one object; raises `malformed_json`, `invalid_file`."""
    return _named_fields(path, read_json(path))


def read_mapping(path: Path) -> dict[str, Any]:
    """Parse a YAML or JSON file, written by a person, that holds one object.

    Files written by programs are read by `read_json`, which keeps numbers exact.

    Raises:
        SecureFlowError: `invalid_file` naming the path and the place.
    """
    import yaml  # here, so that other commands start faster

    try:
        value = yaml.load(read_bytes(path, 1 << 20), _loader())  # noqa: S506  a safe one
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise SecureFlowError(
            "invalid_file", Text("{path} is not YAML: {reason}.", path=path, reason=reason)
        ) from error
    return _named_fields(path, value)


def _named_fields(path: Path, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise SecureFlowError(
            "invalid_file", Text("{path} must hold an object with named fields.", path=path)
        )
    return value


@functools.cache
def _loader() -> Any:
    """Return a safe loader that reads 1e-6 as a number, as in YAML 1.2 (text in YAML 1.1)."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    number = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    return Loader


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
            raise SecureFlowError("invalid_file", f"{path}: {error.strerror}.", hint) from error
    return read_token(path)


def write_text(path: Path, text: str) -> None:
    """Write a result file, completely or not at all; raises `invalid_file`."""
    try:
        write_result(path, text.encode())
    except OSError as error:
        raise SecureFlowError("invalid_file", f"{path}: {error.strerror}.") from error
