"""What a protocol among parties gives: data that owners read before they consent, and no prose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from secureflow.kit.canonical import JSON
from secureflow.kit.text import spelled

Adversary = Literal["semi-honest", "malicious"]
"""`semi-honest`: every party runs the agreed program and tries to learn from what it sees;
`malicious`: a party may do anything, and the worst of it ends the run."""
Transport = Literal["charter", "engine", "none"]
"""Who vouches that a byte came from the party that it claims: `charter`, our channels, pinned to
the organisations' signing keys; `engine`, the engine's own TLS; `none`, nobody."""


@dataclass(frozen=True)
class SecurityLabel:
    """What a protocol protects, against whom, and what it lets out. Texts are for people.

    Args:
        adversary: the worst that a party may do without learning more.
        threshold: how many parties may put together what they see ("fewer than half of them").
        collusion: what those learn that are more than that.
        trusted: roles that must be trusted beyond the threshold, such as a dealer; () is none.
        leakage: what comes out beside the result: sizes, identifiers to the receiver.
        repeats: what a peer may learn from a further attempt on the same inputs.
        numeric: how numbers are kept: ring or field, fraction bits, truncation.
        statistical_bits: σ where a simulation is only 2^-σ close; None where it is perfect or
            computational.
        transport: who authenticates the parties to one another.
    """

    adversary: Adversary
    threshold: str
    collusion: str
    trusted: tuple[str, ...] = ()
    leakage: tuple[str, ...] = ()
    repeats: str = ""
    numeric: str = ""
    statistical_bits: int | None = None
    transport: Transport = "charter"

    def as_json(self) -> dict[str, JSON]:
        """Return it for a report or a page; texts keep their facts (`kit.text.read_back`)."""
        told: dict[str, JSON] = spelled(
            {
                "adversary": self.adversary,
                "threshold": self.threshold,
                "collusion": self.collusion,
                "trusted": list(self.trusted),
                "leakage": list(self.leakage),
                "repeats": self.repeats,
                "numeric": self.numeric,
                "statistical_bits": self.statistical_bits,
                "transport": self.transport,
            }
        )
        return told
