"""Refresh tokens: a login lasts for weeks, what it shows with each request for an hour.

A refresh token is `sfr_<family>_<turn>_<secret>`; the secret is a MAC over family and turn under a
key that is not in the database, so nothing is stored but the turn, and a spent token is still known
to be genuine. Each use makes the next turn (rotation). A genuine token of an earlier turn is in two
hands, and nobody can tell which are the owner's: the whole family ends, its access tokens included
(RFC 9700, section 4.14.2). A forged one changes nothing: family ids are no secrets.

An answer can be lost. So the turn that was just used may be used once more for `REPEAT_SECONDS`,
and gets the same next token: the owner is not locked out. What remains: who stole a token and uses
it within these seconds gets in, until both have gone one turn further; the slower one of the two
then shows a spent token and the family ends.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import replace
from hashlib import sha256
from typing import Final

from secureflow.application.accounts import is_active
from secureflow.application.endings import end_family, record_ended
from secureflow.application.listing import list_readable
from secureflow.application.loginplaces import Places
from secureflow.application.logins import bad_credentials, lets_in_as_before
from secureflow.application.ports.storage import UnitOfWork
from secureflow.application.tokens import Issued, fresh_token, proven
from secureflow.application.transactions import Transaction, Transactions
from secureflow.domain.ids import new_id
from secureflow.domain.logins import TokenFamily
from secureflow.domain.users import User
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError

ACCESS_SECONDS: Final = 3600
IDLE_SECONDS: Final = 30 * 86_400
MOST_SECONDS: Final = 90 * 86_400
"""After this a person logs in again in any case, as with personal access tokens."""
REPEAT_SECONDS: Final = 20
"""An answer that was lost is given again for so long."""
ACCESS_TOKENS: Final = 4
"""Access tokens of one family that are valid at the same time."""

_SHAPE: Final = re.compile(r"sfr_([0-9a-z]{20})_([1-9][0-9]{0,8})_([A-Za-z0-9_-]{43})")


class Refreshing:
    """Begins, continues and ends logins with refresh tokens.

    Args:
        transactions: those whose changes are recorded.
        clock: dates them.
        key: of the MAC, 32 bytes.
        most: families of one user at a time; a further one ends the oldest.
        places: knows from where people log in.
    """

    def __init__(
        self, transactions: Transactions, clock: Clock, key: bytes, most: int, places: Places
    ) -> None:
        self._transactions = transactions
        self._clock = clock
        self._key = key
        self._most = most
        self._places = places

    async def begin(self, user: User, method: str, address: str = "", client: str = "") -> Issued:
        """Return a refresh token and its first access token for somebody who just logged in.

        Raises:
            SecureFlowError: `bad_credentials` if the account changed since it was checked.
        """
        async with self._transactions(held=True, numbered=False) as transaction:
            return await self.begin_in(transaction, user, method, address, client)

    async def begin_in(
        self,
        transaction: Transaction,
        user: User,
        method: str,
        address: str = "",
        client: str = "",
    ) -> Issued:
        """The same inside a transaction that does more.

        Args:
            transaction: of the login.
            user: who logged in.
            method: how, for the ledger.
            address: the source address, as counted by limits; "" if it is not known.
            client: the kind of program.
        """
        now, work = self._clock(), transaction.work
        await work.lock(f"families/{user.id}")
        if not await lets_in_as_before(work, user):
            raise bad_credentials()
        living = await list_readable(work.families, user=user.id, unexpired=now)
        living.sort(key=lambda one: (one.turned, one.id))
        for oldest in living[: max(0, len(living) + 1 - self._most)]:
            await end_family(work, user.id, oldest.id)
        family = TokenFamily(
            *(new_id("fam"), user.id, now, now + IDLE_SECONDS, now + MOST_SECONDS),
            turned=now,
            label="login" if method == "password" else f"login by {method}",
        )
        await work.families.add(family)
        issued = await self._continue(work, user, family, began=True)
        about: dict[str, object] = {"user": user.id, "organisation": user.organisation}
        about |= {"token": issued.token.id, "family": family.id, "method": method}
        if await self._places.note(work, user.id, address, client):
            about["new_place"] = True
        transaction.record("login.accepted", about)
        return issued

    async def refresh(self, text: str) -> Issued:
        """Return the next refresh token and an access token for an hour.

        Raises:
            SecureFlowError: `refresh_ended`, whatever the reason.
        """
        parts = self._parts(text)
        if parts is None:
            raise _ended()
        async with self._transactions(held=True, numbered=False) as transaction:
            issued = await self._turn(transaction, *parts)
        if issued is None:  # the end of the family is committed
            raise _ended()
        return issued

    async def end(self, text: str) -> None:
        """End the family of this refresh token; an invalid one is not an error (RFC 7009)."""
        parts = self._parts(text)
        if parts is None:
            return
        async with self._transactions(held=True, numbered=False) as transaction:
            family = await transaction.work.families.find(parts[0])
            if family is not None:
                await self._end(transaction, family, "logout")

    async def _turn(self, transaction: Transaction, key: str, turn: int) -> Issued | None:
        """Continue a family; None if it has ended, or ends now."""
        now, work = self._clock(), transaction.work
        await work.lock(f"family/{key}")
        family = await work.families.find(key)
        user = await work.users.find(family.user) if family else None
        if family is None or user is None or not await is_active(work, user):
            return None
        if now >= min(family.expires, family.ends):
            return None
        if turn == family.turn:
            expires = min(now + IDLE_SECONDS, family.ends)
            family = replace(family, turn=turn + 1, turned=now, expires=expires)
            await work.families.save(family)
        elif turn > family.turn:  # a restored centre forgot it
            return None
        elif turn != family.turn - 1 or not 0 <= now - family.turned <= REPEAT_SECONDS:
            await self._end(transaction, family, "refresh_reused")
            return None
        return await self._continue(work, user, family)

    async def _continue(
        self, work: UnitOfWork, user: User, family: TokenFamily, *, began: bool = False
    ) -> Issued:
        """Return the family's next tokens; only those of its beginning prove who somebody is."""
        now = self._clock()
        fresh = fresh_token(user, now, ACCESS_SECONDS, family.label, family=family.id)
        fresh = proven(fresh) if began else fresh
        mine = await list_readable(work.tokens, user=user.id, unexpired=now)
        older = sorted((one.created, one.id) for one in mine if one.family == family.id)
        for _, old in older[: max(0, len(older) + 1 - ACCESS_TOKENS)]:
            await work.tokens.remove(old)
        await work.tokens.add(fresh.token)
        name = family.id.removeprefix("fam_")
        text = f"sfr_{name}_{family.turn}_{self._secret(family.id, family.turn)}"
        return replace(fresh, refresh=text, refresh_expires=family.expires)

    async def _end(self, transaction: Transaction, family: TokenFamily, why: str) -> None:
        gone = await end_family(transaction.work, family.user, family.id)
        owner = await transaction.work.users.find(family.user)
        if owner is not None:
            record_ended(transaction, owner, by=owner.id, why=why, tokens=[family.id, *gone])

    def _parts(self, text: str) -> tuple[str, int] | None:
        """Return family and turn of a genuine refresh token, before the database is queried."""
        match = _SHAPE.fullmatch(text)
        if match is None:
            return None
        key, turn = f"fam_{match[1]}", int(match[2])
        return (key, turn) if hmac.compare_digest(match[3], self._secret(key, turn)) else None

    def _secret(self, family: str, turn: int) -> str:
        made = hmac.digest(self._key, f"{family}/{turn}".encode(), sha256)
        return base64.urlsafe_b64encode(made).decode("ascii").rstrip("=")


def _ended() -> SecureFlowError:
    return SecureFlowError(
        "refresh_ended",
        "This login has ended.",
        "Log in again: secureflow login URL --ca FILE. If you did not end it, somebody else may "
        "have used it: change your password.",
    )
