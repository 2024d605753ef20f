"""Identifiers: a three-letter noun, an underscore, and 20 lowercase base-32 characters.

The first nine characters grow with time (milliseconds), the rest is random: lists sorted by id
are sorted by creation, and ids cannot be guessed.
"""

from __future__ import annotations

import secrets
import time
from typing import Literal

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

Noun = Literal["usr", "tok", "enr", "prj", "dst", "grt", "job", "mdl", "chr", "evt"]


def new_id(noun: Noun) -> str:
    """Return a fresh identifier such as `job_01jf2k…`."""
    number = (int(time.time() * 1000) << 55) | secrets.randbits(55)
    letters = [_ALPHABET[(number >> shift) & 31] for shift in range(95, -5, -5)]
    return f"{noun}_{''.join(letters)}"
