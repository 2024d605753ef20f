"""What worker and agent know of an intersection's steps: the layout of their sums, their room."""

from __future__ import annotations

from typing import Final

COUNTS: Final = ("rows", "keys", "missing", "malformed", "repeated")
"""What `keys` counts: rows, different keys, and rows that have none of their own."""
FIRST: Final = 10
"""Rows that are named of each of the last three, from 1; 0 stands for no further one."""
COMMITMENT: Final = 32
"""Bytes of the commitment, one a number."""
KEYS_SUMS: Final = len(COUNTS) + COMMITMENT + 3 * FIRST
LISTED: Final = 33
"""Bytes of temporary files for each row of a list: its key and row, and a part of them twice."""
ENGINE_KEY: Final = 16
"""Bytes of a key as an engine takes it: two of 2^40 keys are alike with a chance of 2^-48."""
TOLD_FILE: Final = "told"
"""How the file of the keys that a receiver tells ends, in the folder of what matches."""
TOLD_HEAD: Final = 8
"""Bytes of the number of keys before them, where a receiver tells others what all have."""
RESULT_COUNTS: Final = 2
"""What `result` returns: rows of the file, and how many rows of its reader match:
with `difference` these are the ones that it does not show."""
