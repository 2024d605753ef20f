"""How access ends: tokens, sessions and logins of an account, and the ledger entry that says so."""

from __future__ import annotations

from collections.abc import Sequence

from secureflow.application.access import Principal
from secureflow.application.listing import list_readable
from secureflow.application.ports.storage import UnitOfWork
from secureflow.application.transactions import Transaction
from secureflow.domain.users import User


def record_ended(
    transaction: Transaction,
    user: User,
    *,
    by: str,
    why: str,
    tokens: Sequence[str] = (),
    sessions: Sequence[str] = (),
) -> None:
    """Record that tokens and sessions of a user ended before their time: ids only.

    Args:
        transaction: that ends them.
        user: whose they were.
        by: the id of the user who ended them.
        why: `logout`, `revoked`, `disabled`, `password`, `erased` or `refresh_reused`.
        tokens, sessions: their public ids.
    """
    document = {"user": user.id, "organisation": user.organisation, "by": by, "why": why}
    transaction.record(
        "access.ended", {**document, "tokens": list(tokens), "sessions": list(sessions)}
    )


async def end_access(
    transaction: Transaction, user: User, *, by: str, why: str, but: Principal | None = None
) -> None:
    """End every token, session and login of a user, but those of the caller `but`."""
    work = transaction.work
    kept = {but.token, but.session} if but else set()
    living = await list_readable(work.tokens, user=user.id)
    kept |= {one.family for one in living if one.id in kept and one.family}
    tokens = [one.id for one in living if one.id not in kept and (one.family or one.id) not in kept]
    families = [one.id for one in await list_readable(work.families, user=user.id)]
    for family in families:
        if family not in kept:
            await work.families.remove(family)
            tokens.append(family)
    for device in await list_readable(work.devices, user=user.id):  # approved, not fetched yet
        await work.devices.remove(device.id)
    sessions = [one.id for one in await list_readable(work.sessions, user=user.id)]
    tokens = [key for key in tokens if key not in kept]
    sessions = [key for key in sessions if key not in kept]
    for key in tokens:
        await work.tokens.remove(key)
    for key in sessions:
        await work.sessions.remove(key)
    if tokens or sessions:
        record_ended(transaction, user, by=by, why=why, tokens=tokens, sessions=sessions)


def access_of(principal: Principal) -> str:
    """Return the id of the session or token with which a caller is here."""
    return principal.session or principal.token


async def has_access(work: UnitOfWork, user: str, access: str) -> bool:
    """Tell whether a session or token of a user, by id, has not been ended."""
    found = await work.sessions.find(access) or await work.tokens.find(access)
    return found is not None and found.user == user


async def end_family(work: UnitOfWork, user: str, family: str) -> list[str]:
    """End a login that is continued by refresh tokens; return the ids of its access tokens."""
    if not family:
        return []
    await work.families.remove(family)
    gone = [one.id for one in await list_readable(work.tokens, user=user) if one.family == family]
    for key in gone:
        await work.tokens.remove(key)
    return gone
