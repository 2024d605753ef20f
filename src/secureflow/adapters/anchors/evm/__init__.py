"""Anchors on an EVM chain (Besu QBFT, GoQuorum, anything with the same JSON-RPC).

Needs the extra `evm`; `opening` loads it when a place is used, and says how to install it.
"""

from __future__ import annotations

import sys
from typing import Final

RECURSION: Final = sys.getrecursionlimit()
"""Python's own bound, before what eth-account brings (py-ecc) raises it to 100,000 for the whole
process: then foreign JSON that is nested deeply ends the process instead of being refused."""
