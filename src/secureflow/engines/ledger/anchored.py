"""What an audit says of the statements about anchors in a bundle (judged by `anchors.bundled`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from secureflow.domain.charter import Charter
from secureflow.engines.ledger.bundle_format import Bundle
from secureflow.kit.text import Text

AnchorStanding = Literal["receipt holds", "not checked", "the place holds it", "foreign", "false"]
"""A file's keeper signed it; nobody was asked yet; a node was asked and has it (only where one is
given); it says nothing here; it is a lie."""
Covers = Literal["whole", "part", ""]
"""How much of the record stands under an anchored head: all, its beginning, or it is not shown."""


@dataclass(frozen=True)
class Anchored:
    """One statement in a bundle.

    Args:
        number: its place in the bundle's list, from 1.
        member: who signed it; empty of one that nobody known did.
        place: `Anchor.place`.
        kind: of the deed; empty if it cannot be read.
        size: of a head; 0 for other deeds.
        transaction: the place's own name of it.
        block: where it stands.
        at: unix seconds when it was final, by the member.
        result: what the place made of it.
        standing: see there.
        covers: see there.
        reason: of what is foreign, false, or not shown.
    """

    number: int
    member: str = ""
    place: str = ""
    kind: str = ""
    size: int = 0
    transaction: str = ""
    block: int = 0
    at: int = 0
    result: str = ""
    standing: AnchorStanding = "not checked"
    covers: Covers = ""
    reason: str = ""

    @property
    def title(self) -> str:
        """The name of this statement in failures."""
        if not self.kind:
            return f"anchor {self.number}"
        return f"anchor {self.number} ({self.kind} by {self.member})"


AnchorJudge = Callable[[Bundle, Charter | None, Charter | None], Iterable[Anchored]]
"""Judges a bundle's statements by the charter that it is judged under, and the pinned one."""


def anchor_failures(anchors: Iterable[Anchored]) -> Iterator[str]:
    """Yield what is wrong with statements: whoever put a false one into a bundle lies, too."""
    for one in anchors:
        if one.standing == "false":
            yield Text("{title}: {reason}", title=one.title, reason=one.reason)
