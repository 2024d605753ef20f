"""How access ends: the tokens and sessions of an account, and the ledger entry that says so."""

from __future__ import annotations

from collections.abc import Sequence

from secureflow.application.access import Principal
from secureflow.application.listing import list_readable
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
        why: `logout`, `revoked`, `disabled`, `password` or `erased`.
        tokens, sessions: their public ids.
    """
    document = {"user": user.id, "organisation": user.organisation, "by": by, "why": why}
    transaction.record(
        "access.ended", {**document, "tokens": list(tokens), "sessions": list(sessions)}
    )


async def end_access(
    transaction: Transaction, user: User, *, by: str, why: str, but: Principal | None = None
) -> None:
    """End every token and session of a user, but those of the caller `but`."""
    work = transaction.work
    kept = {but.token, but.session} if but else set()
    tokens = [one.id for one in await list_readable(work.tokens, user=user.id)]
    sessions = [one.id for one in await list_readable(work.sessions, user=user.id)]
    tokens = [key for key in tokens if key not in kept]
    sessions = [key for key in sessions if key not in kept]
    for key in tokens:
        await work.tokens.remove(key)
    for key in sessions:
        await work.sessions.remove(key)
    if tokens or sessions:
        record_ended(transaction, user, by=by, why=why, tokens=tokens, sessions=sessions)
