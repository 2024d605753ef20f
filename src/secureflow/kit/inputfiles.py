"""Reading files that people write: YAML or JSON of bounded size."""

from __future__ import annotations

import functools
import math
import re
from pathlib import Path
from typing import Any, Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import failed_at
from secureflow.kit.privatefiles import DENIED
from secureflow.kit.text import Text

LIMIT: Final = 64 << 20
MOST_VALUES: Final = 1_000_000
"""Values of a YAML text, those counted again that it names again (`*name`): a few hundred bytes can
stand for billions."""
_OF_NO_FILE: Final = re.compile(r'"<(?:byte|unicode) string>", (?=line |position )')
"""The name that the parser has for what it reads, which is no file to it."""


def read_bytes(path: Path, limit: int = LIMIT) -> bytes:
    """Return a file's bytes.

    Raises:
        SecureFlowError: `invalid_file` naming the path.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        hint = DENIED if isinstance(error, PermissionError) else "Check the path."
        if isinstance(error, IsADirectoryError):
            hint = "Name a file in it."
        raise SecureFlowError("invalid_file", failed_at(path, error), hint) from error
    if len(data) > limit:
        raise SecureFlowError(
            "invalid_file",
            Text("{path} has more than {limit} bytes.", path=path, limit=limit),
            "Name the file that was meant.",
        )
    return data


def read_mapping(path: Path) -> dict[str, Any]:
    """Parse a YAML or JSON file, written by a person, that holds one object.

    Files written by programs are read by `read_json`, which keeps numbers exact.

    Raises:
        SecureFlowError: `invalid_file` naming the path and the place.
    """
    return named_fields(path, read_yaml(path))


def read_yaml(path: Path) -> Any:
    """Parse a YAML or JSON file, written by a person.

    Raises:
        SecureFlowError: `invalid_file` naming the path and the place.
    """
    try:
        return parsed_yaml(read_bytes(path, 1 << 20))
    except NoYamlError as error:
        raise SecureFlowError(
            "invalid_file",
            Text("{path} is not YAML: {reason}.", path=path, reason=str(error)),
            "Correct it there, or name the file that was meant.",
        ) from error


class NoYamlError(ValueError):
    """What was read is not YAML; it says why, and on which line."""


def parsed_yaml(content: bytes | str, *, exponents: bool = True) -> Any:
    """Parse YAML that a person wrote; a name stands once in it.

    Args:
        content: the text.
        exponents: whether 1e-6 is a number, as in YAML 1.2, or a text, as in YAML 1.1.

    Raises:
        NoYamlError: if it is none.
    """
    import yaml  # here, so that other commands start faster

    try:
        return yaml.load(content, _loader(exponents=exponents))  # noqa: S506  a safe one
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise NoYamlError(_OF_NO_FILE.sub("", reason)) from error


def named_fields(path: Path, value: Any) -> dict[str, Any]:
    """Return a value that is an object with named fields; raises `invalid_file`."""
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise SecureFlowError(
            "invalid_file",
            Text("{path} must hold an object with named fields.", path=path),
            "Write one field a line, such as `name: credit scoring`.",
        )
    return value


@functools.cache
def _loader(*, exponents: bool) -> Any:
    """Return a safe loader that reads 1e-6 as a number or as a text; see `parsed_yaml`."""
    import yaml

    class Loader(yaml.SafeLoader):
        def get_single_node(self) -> Any:
            """Refuse what would be too much once every repetition is written out, or no end."""
            node = super().get_single_node()
            if node is not None and not _written_out(node, {}) <= MOST_VALUES:
                what = f"it repeats itself to more than {MOST_VALUES:,} values"
                raise yaml.constructor.ConstructorError(None, None, what, node.start_mark)
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            """Refuse a name that stands twice in one mapping: the last one would win, unseen."""
            seen = set[str]()
            for name, _ in node.value:
                if not isinstance(name.value, str) or name.tag == "tag:yaml.org,2002:merge":
                    continue
                if name.value in seen:
                    what = f"{name.value!r} stands twice"
                    raise yaml.constructor.ConstructorError(None, None, what, name.start_mark)
                seen.add(name.value)
            return super().construct_mapping(node, deep)

    if exponents:
        number = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$")
        Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    return Loader


def _written_out(node: Any, known: dict[int, float]) -> float:
    """Return how many values a node of YAML is with all repetitions; infinite within itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        parts = node.value if isinstance(node.value, list) else ()
        inner = (one for part in parts for one in (part if isinstance(part, tuple) else (part,)))
        known[id(node)] = 1 + sum(_written_out(one, known) for one in inner)
    return known[id(node)]
