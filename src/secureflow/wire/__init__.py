"""Bytes to domain values and back."""

from secureflow.wire.codec import MAX_BODY, MAX_ENVELOPE, Envelope, decode, encode

__all__ = ["MAX_BODY", "MAX_ENVELOPE", "Envelope", "decode", "encode"]
