"""The header of a safetensors file of one tensor, written and looked into by hand.

Format: huggingface/safetensors, "Format": u64 little-endian header length, a JSON header padded
with spaces to 8 bytes, then raw data. So a model of any size streams through without a copy.
"""

from __future__ import annotations

from typing import BinaryIO, Final

from secureflow.kit.canonical import JSON, canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError

TENSOR: Final = "parameters"
_LIMIT: Final = 8 << 20
"""Bytes of a header beyond which none is read."""


def safetensors_header(count: int, metadata: dict[str, str]) -> bytes:
    """Return the header for `count` little-endian float32 values."""
    tensor = {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}
    text = canonical_bytes({"__metadata__": metadata, TENSOR: tensor})
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def card_in(file: BinaryIO) -> dict[str, JSON]:
    """Return the card in the header of a file; empty if it has none, or is no such file."""
    length = int.from_bytes(file.read(8), "little")
    text = file.read(length) if length <= _LIMIT else b""
    if not text or len(text) < length:
        return {}
    try:
        header = parse_json(text, _LIMIT)
        metadata = header.get("__metadata__") if isinstance(header, dict) else None
        card = metadata.get("card") if isinstance(metadata, dict) else None
        found = parse_json(card.encode(), _LIMIT) if isinstance(card, str) else {}
    except (SecureFlowError, UnicodeError):
        return {}
    return found if isinstance(found, dict) else {}
