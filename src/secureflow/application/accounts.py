"""Whether an account acts: neither it nor its organisation is disabled."""

from __future__ import annotations

from secureflow.application.access import Principal
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.users import User


async def is_active(work: UnitOfWork, user: User) -> bool:
    """Tell whether neither the account nor its organisation is disabled."""
    if user.disabled:
        return False
    if not user.organisation:
        return True
    organisation = await work.organisations.find(user.organisation)
    return organisation is not None and not organisation.disabled


async def acts_as(work: UnitOfWork, principal: Principal) -> bool:
    """Tell whether a caller's account still acts, with the roles that it had when it was let in."""
    user = await work.users.find(principal.user)
    return (
        user is not None
        and frozenset(user.roles) == principal.roles
        and await is_active(work, user)
    )
