"""eth-account, imported without what it does to the whole process.

It brings py_ecc, which on import raises Python's recursion limit to 100,000: deeply nested JSON of
anybody would then overflow the stack and kill the agent instead of being refused.
"""

from __future__ import annotations

import sys
from typing import Final

LIMIT: Final = sys.getrecursionlimit()

from eth_account import Account  # noqa: E402  the limit is taken before and put back after

sys.setrecursionlimit(LIMIT)

__all__ = ["Account"]
