"""The part of the tar format (GNU) that backups use: headers of plain files, padding."""

from __future__ import annotations

import re
import tarfile
from typing import BinaryIO, Final

BLOCK: Final = 512
"""Bytes of a header; contents are padded to a multiple of it."""
_OCTAL: Final = re.compile(rb"[0-7]+")


def header(name: str, size: int) -> bytes:
    """Return the header of a plain file with mode 0600."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.GNU_FORMAT)


def pad(file: BinaryIO, size: int) -> None:
    """Write the padding after a content of `size` bytes."""
    file.write(bytes(-size % BLOCK))


def add(file: BinaryIO, name: str, data: bytes) -> None:
    """Write a whole file."""
    file.write(header(name, len(data)))
    file.write(data)
    pad(file, len(data))


def parse_header(block: bytes) -> tuple[str, int]:
    """Return name and size from a plain file's header; everything else is refused.

    Raises:
        ValueError: with the reason.
    """
    total = sum(block) - sum(block[148:156]) + 8 * 0x20
    try:
        checksum = _octal(block[148:156])
        name = block[:100].rstrip(b"\0").decode("ascii")
        size = _number(block[124:136])
    except ValueError as error:
        message = "it has a header that cannot be read"
        raise ValueError(message) from error
    if checksum != total or block[156:157] not in {b"0", b"\0"} or any(block[345:500]):
        message = "it has a member that is not a regular file"
        raise ValueError(message)
    return name, size


def _number(value: bytes) -> int:
    """Read octal digits, or the binary form for files of 8 GiB and more."""
    if value[0] == 0x80:
        return int.from_bytes(value[1:], "big")
    return _octal(value)


def _octal(value: bytes) -> int:
    digits = value.strip(b"\0 ") or b"0"
    if not _OCTAL.fullmatch(digits):
        message = "it is not an octal number"
        raise ValueError(message)
    return int(digits, 8)
