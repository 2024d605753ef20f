"""Projects: a purpose that organisations share, who takes part, and the project's life cycle.

A project is active until it is frozen (for a time), ended (by its end date) or archived (for good).
Its purpose is part of every grant and of every signed spec, and therefore never changes: another
purpose is another project.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Literal

from secureflow.domain.projecttemplates import ProjectRules

MemberState = Literal["invited", "active", "left"]


class ProjectRole(Enum):
    """What a person may do inside one project.

    Not a `StrEnum`: the auditor of a project is not equal to the auditor of an organisation.
    """

    LEAD = "lead"
    SCIENTIST = "scientist"
    REVIEWER = "reviewer"
    AUDITOR = "auditor"


class ProjectState(StrEnum):
    """Whether jobs may run in a project."""

    ACTIVE = "active"
    FROZEN = "frozen"
    ENDED = "ended"
    ARCHIVED = "archived"


@dataclass(frozen=True)
class Membership:
    """One organisation's place in a project."""

    organisation: str
    state: MemberState
    since: int


@dataclass(frozen=True)
class ProjectPerson:
    """A person whom their organisation gave roles in a project; `user` is an id."""

    user: str
    organisation: str
    roles: tuple[ProjectRole, ...]
    since: int


@dataclass(frozen=True)
class NamedPerson:
    """A person with roles in a project, as its members see them; `name` is empty if unknown."""

    user: str
    name: str
    organisation: str
    roles: tuple[ProjectRole, ...]
    since: int


@dataclass(frozen=True)
class Freeze:
    """Why no job may run for now: by which organisation ("" is the operator) and user, since when.

    Times in unix seconds. Of the reason the ledger has a commitment only, which without the 32
    bytes of `salt` (hex) tells nothing: so the text can be erased.
    """

    organisation: str
    user: str
    at: int
    reason: str = ""
    salt: str = field(default="", repr=False)

    @property
    def commitment(self) -> str:
        """The SHA-256 of salt and reason, in hex."""
        return hashlib.sha256(bytes.fromhex(self.salt) + self.reason.encode()).hexdigest()


@dataclass(frozen=True)
class Project:
    """A collaboration. Only its members (and the operator's admins) can see it.

    `template` is what it was made of, `rules` the copy of its rules. `closed` is when it was
    archived, `ends` its end date (unix seconds). In a `restricted` project only people with a role
    in it see its work or take part in it, whichever organisation they are of; elsewhere the roles
    of the platform suffice until an organisation names its first person.
    """

    id: str
    name: str
    purpose: str
    organisation: str
    members: tuple[Membership, ...]
    created: int
    description: str = ""
    closed: int | None = None
    frozen: Freeze | None = None
    ends: int | None = None
    restricted: bool = False
    people: tuple[ProjectPerson, ...] = ()
    template: str = ""
    rules: ProjectRules | None = None

    def has_member(self, organisation: str, *, active: bool = True) -> bool:
        """Tell whether the organisation is an (active) member."""
        states = {"active"} if active else {"active", "invited"}
        return any(m.organisation == organisation and m.state in states for m in self.members)

    def state_at(self, now: int) -> ProjectState:
        """Return the project's state at a time in unix seconds."""
        if self.closed is not None:
            return ProjectState.ARCHIVED
        if self.ends is not None and self.ends <= now:
            return ProjectState.ENDED
        return ProjectState.ACTIVE if self.frozen is None else ProjectState.FROZEN

    @property
    def left(self) -> frozenset[str]:
        """The organisations that left, and are not members again."""
        return frozenset(m.organisation for m in self.members if m.state == "left")

    def named_by(self, organisation: str) -> bool:
        """Tell whether roles in the project decide for the people of an organisation."""
        return self.restricted or any(one.organisation == organisation for one in self.people)

    def roles_of(self, user: str) -> frozenset[ProjectRole]:
        """Return a person's roles in the project."""
        return frozenset(role for one in self.people if one.user == user for role in one.roles)
