"""A job that was stopped, and what of it cannot be taken back, in words.

The owner's page tells it too, whose process loads nothing of the agent: this module needs little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from secureflow.kit.canonical import JSON
from secureflow.kit.text import Joined, Text

_UNREADABLE = (
    "Its row in the agent's record cannot be read, and what it had given out is not known: nothing "
    "more of it is answered. Look for what else is damaged: secureflow agent check."
)


@dataclass(frozen=True)
class StoppedJob:
    """A job that was stopped, and what of it cannot be taken back.

    Args:
        job: its id.
        voted: rounds of each stage on which this party had voted: `[round, stage]`.
        sent: rounds whose update was sent without a vote: `[round, stage]`.
        needed: how many votes certify a set of the roster.
        parties: how many parties the roster has.
        kept: whether this party's result of the job was kept, or given to peers.
        unreadable: whether nothing is known of it, because its row is damaged.
    """

    job: str
    voted: tuple[tuple[int, str], ...]
    sent: tuple[tuple[int, str], ...]
    needed: int
    parties: int
    kept: bool
    unreadable: bool = False

    @property
    def opens(self) -> bool:
        """Whether the others' votes are enough to open an update that was sent."""
        return bool(self.sent) and self.needed < self.parties

    def told(self) -> list[str]:
        """Return sentences for people: what cannot be taken back, and what is safe."""
        if self.unreadable:
            return [_UNREADABLE]
        lines: list[str] = []
        if self.voted:
            lines.append(
                Text(
                    "It had voted on {rounds}: those sums may be open, and cannot be taken back.",
                    rounds=_places(self.voted),
                )
            )
        if self.sent and self.opens:
            lines.append(
                Text(
                    "Its update of {rounds} was sent without a vote: {needed} of the {parties} "
                    "parties can still certify a sum with it, if they had not heard of this.",
                    rounds=_places(self.sent),
                    needed=self.needed,
                    parties=self.parties,
                )
            )
        elif self.sent:
            lines.append(
                Text(
                    "Its update of {rounds} was sent without a vote, and never opens: a "
                    "certificate needs every party's.",
                    rounds=_places(self.sent),
                )
            )
        if self.kept:
            lines.append("Its result was computed and committed to; what peers learned stays.")
        return lines or ["Nothing of it had been given out."]

    def as_json(self) -> dict[str, JSON]:
        """Return the JSON form, for the owner and for the leaf."""
        return {
            "job": self.job,
            "voted": [list(one) for one in self.voted],
            "sent": [list(one) for one in self.sent],
            "needed": self.needed,
            "parties": self.parties,
            "kept": self.kept,
            **({"unreadable": True} if self.unreadable else {}),
        }


def _places(rounds: Sequence[tuple[int, str]]) -> str:
    """Return all rounds, those of a stage that follow one another as a range."""
    ranges: list[tuple[int, int, str]] = []
    for n, stage in sorted(rounds):
        same = ranges and ranges[-1][2] == stage and ranges[-1][1] == n - 1
        first = ranges.pop()[0] if same else n
        ranges.append((first, n, stage))
    return Joined(", ", [
        Text("round {n} ({stage})", n=first, stage=stage)
        if first == last
        else Text("rounds {first} to {last} ({stage})", first=first, last=last, stage=stage)
        for first, last, stage in ranges
    ])  # fmt: skip
