"""One frame: `"SFA1" ‖ kind ‖ header length (u24) ‖ body length (u64) ‖ header ‖ body`.

Integers are big-endian. The header is JSON, padded with spaces so that the body starts on a
multiple of 64 bytes and a masked vector can be used in place. Both lengths are checked
against limits and against the available bytes before anything is allocated.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from secureflow.kit.canonical import canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_PREFIX = struct.Struct(">4sIQ")
_MAGIC = b"SFA1"
_ALIGN = 64

HEADER_LIMIT = 1 << 20


class FrameKind(IntEnum):
    """The content of a frame."""

    SETUP = 1
    MEET = 2
    ADVANCE = 3
    BEGIN = 4
    UPLOAD = 5
    QUESTION = 6
    VOTE = 7
    CERTIFICATE = 8
    OPENING = 9


_KINDS = frozenset(int(kind) for kind in FrameKind)


@dataclass(frozen=True)
class Frame:
    """A parsed frame; the body is a view of the received bytes, never a copy."""

    kind: FrameKind
    header: dict[str, Any]
    body: memoryview


def prefix(kind: FrameKind, header: Mapping[str, Any], body_bytes: int) -> bytes:
    """Return everything before the body."""
    text = canonical_bytes(dict(header))
    padded = text + b" " * (-(_PREFIX.size + len(text)) % _ALIGN)
    if len(padded) > HEADER_LIMIT:
        raise SecureFlowError(
            "malformed_frame", Text("A header of {count} bytes is too long.", count=len(padded))
        )
    return _PREFIX.pack(_MAGIC, kind << 24 | len(padded), body_bytes) + padded


def encode_frame(kind: FrameKind, header: Mapping[str, Any], body: bytes = b"") -> bytes:
    """Return a whole small frame."""
    return prefix(kind, header, len(body)) + body


def decode_frame(data: bytes | bytearray | memoryview, body_limit: int) -> Frame:
    """Parse foreign bytes.

    Raises:
        SecureFlowError: `malformed_frame`, `malformed_json`.
    """
    view = memoryview(data).cast("B")
    if len(view) < _PREFIX.size:
        raise _malformed("it is shorter than its prefix")
    magic, mixed, body_bytes = _PREFIX.unpack_from(view)
    kind, header_bytes = mixed >> 24, mixed & 0xFFFFFF
    if magic != _MAGIC or kind not in _KINDS:
        raise _malformed("it is not a secure aggregation frame")
    if header_bytes > HEADER_LIMIT or body_bytes > body_limit:
        raise _malformed(
            Text(
                "it announces {header_bytes} + {body_bytes} bytes, over the limit",
                header_bytes=header_bytes,
                body_bytes=body_bytes,
            )
        )
    end = _PREFIX.size + header_bytes
    if end + body_bytes != len(view):
        raise _malformed("its length is not the announced one")
    header = parse_json(bytes(view[_PREFIX.size : end]), HEADER_LIMIT)
    if not isinstance(header, dict):
        raise _malformed("its header is not an object")
    return Frame(FrameKind(kind), header, view[end:])


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_frame", Text("The frame is malformed: {reason}.", reason=reason)
    )
