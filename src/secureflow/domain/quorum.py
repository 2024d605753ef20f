"""How many of N organisations it takes, and how many may collude (docs/threat-model.md)."""

from __future__ import annotations


def colluders_of(parties: int) -> int:
    """Return c, how many of N organisations may collude with the operator: max(1, ⌈N/3⌉ - 1)."""
    return max(1, -(-parties // 3) - 1)


def quorum_of(parties: int) -> int:
    """Return ⌊2N/3⌋ + 1: two quorums always share an honest member.

    More than half would not do: one colluder of three could cosign two histories.
    """
    return 2 * parties // 3 + 1


def threshold_of(parties: int) -> int:
    """Return t for a roster of N parties: more than two thirds of them, and of two, both.

    Three of three, three of four: never below 3 if there are that many.
    """
    return quorum_of(parties)


def floor_of(parties: int) -> int:
    """Return the fewest contributors whose sum may be opened: 3, or both of a roster of two."""
    return min(3, parties)


def honest_of(parties: int) -> int:
    """Return t - c: how many honest parties are in any sum that is opened; 1 of two."""
    return threshold_of(parties) - colluders_of(parties)
