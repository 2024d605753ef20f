"""Anchors on an EVM chain (Besu QBFT, GoQuorum, anything with the same JSON-RPC).

Needs the extra `evm`; `opening` loads it when a place is used, and says how to install it.
"""
