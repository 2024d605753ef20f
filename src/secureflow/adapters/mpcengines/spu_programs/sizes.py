"""What both sides of a program count with; loaded without NumPy."""

from __future__ import annotations

from typing import Final

KEY: Final = 16
"""Bytes of a key."""
BUCKET: Final = 1_000_000
"""Keys of the longest list in one bucket of an intersection."""
LEAST: Final = 1000
"""The smallest that a bucket may be chosen."""
MAX_KEYS: Final = 1 << 30
MAX_ELEMENTS: Final = 1 << 27
"""Numbers of one input that is shared."""
