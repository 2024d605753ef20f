"""Cursors: opaque to clients, so that the order of a list may change without breaking them."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from secureflow.kit.errors import SecureFlowError

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 500
MAX_CURSOR: Final = 512


def encode_cursor(key: str) -> str:
    """Return the cursor of the page after this key; an empty key gives an empty cursor."""
    return base64.urlsafe_b64encode(key.encode()).decode("ascii").rstrip("=")


def decode_cursor(text: str) -> str:
    """Return the key of a foreign cursor.

    Raises:
        SecureFlowError: `invalid_cursor`.
    """
    try:
        if len(text) > MAX_CURSOR:
            raise _invalid()
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        key = base64.b64decode(padded, altchars=b"-_", validate=True).decode("utf-8")
    except (binascii.Error, UnicodeError) as error:
        raise _invalid() from error
    if "\0" in key or encode_cursor(key) != text:
        raise _invalid()
    return key


def _invalid() -> SecureFlowError:
    return SecureFlowError(
        "invalid_cursor",
        "The cursor is not one that this server made.",
        "Start again without a cursor, and pass `next` on as it is.",
    )
