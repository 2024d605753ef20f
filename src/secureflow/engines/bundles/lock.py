r"""The lock of an environment: packages pinned to one version and to the hashes of their wheels.

Read are the requirement files with hashes that pip-compile, uv and others write: a name, `==` and a
version, perhaps a marker, and one `--hash=sha256:…` or more. Nothing else may stand in it: no
options, links, files or ranges. So that comments, order and layout do not matter, an environment is
named by the SHA-256 of its *canonical* lock: one line for each pin, sorted, with sorted hashes:

    <name>[<extras>]==<version>[ ; <marker>] sha256:<hex> …\n

Several hashes stand for several builds of one version: the wheel that an index has, and another
that a machine carries (`torch-2.6.0+cpu` fulfils `torch==2.6.0`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

MAX_BYTES: Final = 4 << 20
MAX_PINS: Final = 2000
MAX_HASHES: Final = 2000
"""Hashes of one pin."""

_PIN: Final = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?)"
    r"(?:\[(?P<extras>[A-Za-z0-9._, -]{1,500})\])?"
    r" ?== ?(?P<version>[A-Za-z0-9](?:[A-Za-z0-9.!+_-]{0,126}[A-Za-z0-9])?)"
    r"(?: ?; ?(?P<marker>[A-Za-z0-9_.,<>=!~()'\" -]{1,1000}?))?"
    r"(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})*)"
)
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, order=True)
class Pin:
    """One package: normalised name (PEP 503), extras, version, marker, SHA-256 of its wheels."""

    name: str
    version: str
    extras: tuple[str, ...]
    marker: str
    hashes: tuple[str, ...]

    @property
    def requirement(self) -> str:
        """The pin without hashes, as pip reads it."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        marker = f" ; {self.marker}" if self.marker else ""
        return f"{self.name}{extras}=={self.version}{marker}"


@dataclass(frozen=True)
class Lock:
    """The pins of an environment, sorted."""

    pins: tuple[Pin, ...]

    @cached_property
    def canonical(self) -> bytes:
        """The text that is digested."""
        lines = (
            f"{one.requirement} {' '.join(f'sha256:{one_hash}' for one_hash in one.hashes)}\n"
            for one in self.pins
        )
        return "".join(lines).encode("ascii")

    @property
    def digest(self) -> str:
        """The hex SHA-256 of the canonical lock, by which specs name the environment."""
        return sha256(self.canonical).hexdigest()


def requirements(pins: tuple[Pin, ...]) -> str:
    """Return pins as a requirements file with hashes."""
    lines = (
        f"{one.requirement} {' '.join(f'--hash=sha256:{one_hash}' for one_hash in one.hashes)}\n"
        for one in pins
    )
    return "".join(lines)


def parse_lock(data: bytes) -> Lock:
    """Read a requirements file with hashes.

    Raises:
        SecureFlowError: `malformed_lock` naming the line.
    """
    if len(data) > MAX_BYTES:
        raise _malformed(0, Text("it has more than {most} bytes", most=MAX_BYTES))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(0, "it is not UTF-8") from error
    pins: list[Pin] = []
    for number, line in _logical(text):
        if len(pins) >= MAX_PINS:
            raise _malformed(number, Text("it has more than {most} packages", most=MAX_PINS))
        pins.append(_pin(number, line))
    if not pins:
        raise _malformed(0, "it pins no package")
    return Lock(tuple(sorted(set(pins))))


def _logical(text: str) -> list[tuple[int, str]]:
    """Return the lines without comments, each joined to those that continue it."""
    lines: list[tuple[int, str]] = []
    begun, parts = 0, list[str]()
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(?:^|\s)#.*$", "", raw).rstrip()
        begun = begun or number
        more = line.endswith("\\")
        parts.append(line.removesuffix("\\").strip())
        if not more:
            if joined := " ".join(filter(None, parts)):
                lines.append((begun, joined))
            begun, parts = 0, []
    if joined := " ".join(filter(None, parts)):
        lines.append((begun, joined))
    return lines


def _pin(number: int, line: str) -> Pin:
    line = " ".join(line.split())  # one blank: the search takes no more steps for many
    found = _PIN.fullmatch(line) if len(line) < MAX_HASHES * 100 else None
    if found is None:
        raise _malformed(
            number,
            Text(
                "{line!r} does not pin a package by == and --hash=sha256",
                line=shown(line[:80]),
            ),
        )
    hashes = tuple(sorted(set(_HASH.findall(found["hashes"]))))
    if not hashes:
        raise _malformed(number, Text("{name} has no hash", name=found["name"]))
    extras = {_normal(one.strip()) for one in (found["extras"] or "").split(",") if one.strip()}
    marker = " ".join((found["marker"] or "").replace('"', "'").split())
    version = found["version"].lower()
    return Pin(_normal(found["name"]), version, tuple(sorted(extras)), marker, hashes)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _malformed(number: int, reason: str) -> SecureFlowError:
    where = Text("line {number}: {reason}", number=number, reason=reason) if number else reason
    return SecureFlowError(
        "malformed_lock",
        Text("This is no lock of an environment: {reason}.", reason=where),
        "Make it with `pip-compile --generate-hashes --no-emit-options` or `uv pip compile "
        "--generate-hashes`, without options for an index: that is the owner's to choose.",
    )
