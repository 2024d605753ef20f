"""Identifiers: a three-letter noun, an underscore, and 20 lowercase base-32 characters.

The first nine characters grow with time (milliseconds), the rest is random: lists sorted by id
are sorted by creation, and ids cannot be guessed.
"""

from __future__ import annotations

import secrets
import time
from hashlib import sha256
from typing import Final, Literal

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS: Final = 55
_TIMED: Final = 9
"""Characters that grow with time."""

Noun = Literal[
    "usr",
    "tok",
    "enr",
    "prj",
    "dst",
    "grt",
    "job",
    "mdl",
    "chr",
    "evt",
    "ses",
    "fam",
    "dev",
    "psn",
    "whk",
    "dlv",
]


def new_id(noun: Noun) -> str:
    """Return a fresh identifier such as `job_01jf2k…`."""
    return _id(noun, int(time.time() * 1000), secrets.randbits(_RANDOM_BITS))


def part_id(job: str, number: int) -> str:
    """Return the id of a job's part: everybody who knows both computes the same.

    Parts sort behind the job that they are parts of, in the order of their numbers. Nobody finds
    two parts with one id: 55 bits are of a SHA-256 over job and number, and 45 follow from both.
    """
    began = 0
    for letter in job.partition("_")[2][:_TIMED].ljust(_TIMED, "0"):
        began = began << 5 | max(0, _ALPHABET.find(letter))
    drawn = int.from_bytes(sha256(f"{job}/{number}".encode()).digest()) >> 256 - _RANDOM_BITS
    return _id("job", (began + number) % (1 << 5 * _TIMED), drawn)


def _id(noun: Noun, milliseconds: int, drawn: int) -> str:
    number = milliseconds << _RANDOM_BITS | drawn
    letters = [_ALPHABET[(number >> shift) & 31] for shift in range(95, -5, -5)]
    return f"{noun}_{''.join(letters)}"
