"""How a party refuses to go on."""

from __future__ import annotations


class RefusedError(Exception):
    """Why this party cannot go on: a word from a table that the agent has, and its numbers."""

    def __init__(self, reason: str, **facts: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.facts = facts
