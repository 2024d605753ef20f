"""Bytes to domain values and back."""

from secureflow.wire.codec import (
    MAX_BODY,
    MAX_DEPTH,
    MAX_ENVELOPE,
    PARTY_DEPTH,
    Envelope,
    decode,
    encode,
)

__all__ = [
    "MAX_BODY",
    "MAX_DEPTH",
    "MAX_ENVELOPE",
    "PARTY_DEPTH",
    "Envelope",
    "decode",
    "encode",
]
