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
RESULT_COUNTS: Final = 2
"""What `result` returns: rows of the file, and how many rows of its reader match:
with `difference` these are the ones that it does not show."""
