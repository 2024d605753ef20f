"""The rules of accounts at an agent: roles, names, who counts as two people, and their errors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from typing import Final

from secureflow.agent.record.peoplerows import ItemApproval, PersonIdentity
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

VIEWER: Final = "viewer"
DECIDER: Final = "decider"
ADMIN: Final = "owner-admin"
ROLES: Final = (VIEWER, DECIDER, ADMIN)
"""From the least to the most: each may do what those before it may."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")


def holds(roles: Collection[str], least: str) -> bool:
    """Return whether one of the roles is `least` or more."""
    return any(ROLES.index(one) >= ROLES.index(least) for one in roles if one in ROLES)


def distinct(approvals: Sequence[ItemApproval]) -> bool:
    """Return whether all of these are of different people, in the places of different people."""
    people = {one.person for one in approvals}
    authorities = {one.authority for one in approvals}
    return len(people) == len(authorities) == len(approvals) and not any(
        one.person in authorities - {one.authority} for one in approvals
    )


def apart(one: Sequence[PersonIdentity], other: Sequence[PersonIdentity]) -> bool:
    """Return whether two accounts, with these identities, are of two people for certain.

    An owner-admin who makes an account knows whose it is. One that a login made may be of somebody
    who has another account here: only one provider's word tells its people apart.
    """
    if not any(known.made for known in (*one, *other)):
        return True
    return not {known.issuer for known in one}.isdisjoint(known.issuer for known in other)


def check_name(name: str) -> None:
    """Refuse what is no name of an account (`invalid_request`)."""
    if not _NAME.fullmatch(name):
        raise SecureFlowError(
            "invalid_request",
            "A name has 1 to 64 of the characters a-z, 0-9, . _ @ and -, a letter or digit first.",
        )


def session_token(secret: str) -> str:
    """Return under which name the record has a session."""
    return hashlib.sha256(secret.encode()).hexdigest()


def checked_roles(roles: Sequence[str]) -> tuple[str, ...]:
    """Return roles in their order.

    Raises:
        SecureFlowError: `invalid_request` for none, or one that does not exist.
    """
    unknown = sorted(set(roles) - set(ROLES))
    if unknown or not roles:
        raise SecureFlowError(
            "invalid_request",
            Text("{role!r} is no role of people at an agent.", role=unknown[0][:40])
            if unknown
            else "An account needs a role.",
            Text("The roles are: {roles}.", roles=", ".join(ROLES)),
        )
    return tuple(one for one in ROLES if one in roles)


def bad_credentials() -> SecureFlowError:
    """Return the error of a login that failed, whichever part was wrong."""
    return SecureFlowError("bad_credentials", "Name, password or code is wrong.")


def session_needed() -> SecureFlowError:
    """Return the error of a command that needs a person."""
    return SecureFlowError(
        "session_needed",
        "People have accounts at this agent: this needs a person's session.",
        "secureflow agent login",
    )


def session_ended() -> SecureFlowError:
    """Return the error of a session that is unknown here, too old, or of a disabled account."""
    return SecureFlowError(
        "session_expired",
        "The session has ended, or is none of this agent.",
        "Log in again: secureflow agent login",
    )


def role_needed(least: str) -> SecureFlowError:
    """Return the error of a person whose roles do not suffice."""
    return SecureFlowError(
        "role_needed",
        Text("This needs the role {role} at this agent.", role=least),
        "An owner-admin gives roles: secureflow agent people roles NAME ROLE….",
    )


def no_admin() -> SecureFlowError:
    """Return the error of a change that would leave no owner-admin."""
    return SecureFlowError(
        "last_administrator",
        "This agent needs an owner-admin who is not disabled.",
        "Give another account the role owner-admin first.",
    )
