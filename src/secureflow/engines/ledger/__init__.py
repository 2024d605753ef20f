"""The ledger as pure functions: RFC 9162 tree, C2SP notes, signed leaves, the witness, the bundle.

Nothing here reads a disk or a socket. The database stores nodes and leaves, the server signs
heads, the agents observe and cosign them, and `bundle` checks a job's whole record offline.
"""
