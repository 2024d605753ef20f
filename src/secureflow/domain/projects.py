"""Projects: a purpose that organisations share, and who takes part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MemberState = Literal["invited", "active", "left"]


@dataclass(frozen=True)
class Membership:
    """One organisation's place in a project."""

    organisation: str
    state: MemberState
    since: int


@dataclass(frozen=True)
class Project:
    """A collaboration. Only its members (and the operator's admins) can see it."""

    id: str
    name: str
    purpose: str
    organisation: str
    members: tuple[Membership, ...]
    created: int
    description: str = ""
    closed: int | None = None

    def has_member(self, organisation: str, *, active: bool = True) -> bool:
        """Tell whether the organisation is an (active) member."""
        states = {"active"} if active else {"active", "invited"}
        return any(m.organisation == organisation and m.state in states for m in self.members)
