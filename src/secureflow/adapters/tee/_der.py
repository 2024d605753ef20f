"""A minimal DER encoder (X.690), to write the Intel SGX extension of a PCK certificate."""

from __future__ import annotations


def tlv(tag: int, content: bytes) -> bytes:
    """Encode one element of fewer than 64 KiB."""
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = length.to_bytes(2 if length > 0xFF else 1, "big")
    return bytes([tag, 0x80 | len(size)]) + size + content


def sequence(*elements: bytes) -> bytes:
    """Encode SEQUENCE."""
    return tlv(0x30, b"".join(elements))


def octets(content: bytes) -> bytes:
    """Encode OCTET STRING."""
    return tlv(0x04, content)


def enumerated(value: int) -> bytes:
    """Encode ENUMERATED for 0..127."""
    return tlv(0x0A, bytes([value]))


def integer(value: int) -> bytes:
    """Encode a non-negative INTEGER."""
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def identifier(dotted: str) -> bytes:
    """Encode OBJECT IDENTIFIER."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return tlv(0x06, bytes([40 * first + second]) + b"".join(map(_base128, rest)))


def _base128(arc: int) -> bytes:
    groups = [arc & 0x7F]
    while arc := arc >> 7:
        groups.append(0x80 | (arc & 0x7F))
    return bytes(reversed(groups))
