"""Checking who logs in: name, password, and a second factor where the account has one.

The same work is done for unknown names as for known ones. Guessing is slowed down per (name,
address) and per address, never per name alone: nobody can lock out somebody else by guessing from
elsewhere. Many people may share an address: only failures count there, and users who have logged in
from it before are not slowed down by others' guesses.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final, Protocol

from secureflow.application.accounts import is_active
from secureflow.application.failedlogins import FailedLogins
from secureflow.application.listing import list_first
from secureflow.application.namedlocks import NamedLocks
from secureflow.application.passwords import Passwords
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.throttle import Throttle, too_fast
from secureflow.domain.users import User
from secureflow.kit.clock import Ticks
from secureflow.kit.errors import InfrastructureError, SecureFlowError

GUESSES: Final = 400
"""Burst of failed logins from one address; after that one per second."""
FAMILIAR: Final = 10_000
"""Maximum (name, address) pairs remembered as having logged in."""


class SecondFactor(Protocol):
    """What is asked of a person besides the password."""

    async def require(self, work: UnitOfWork, user: User, code: str) -> bool:
        """Accept the code; False if none is needed. `work` is committed if one was used.

        It is called only once the password was right.

        Args:
            work: to read what the account has, and to note that a code was used.
            user: whose password was right.
            code: as typed, "" for none: foreign text of any length.

        Raises:
            SecureFlowError: `second_factor_required` for no code where one is needed;
                `bad_credentials` for a wrong one.
        """


class Logins:
    """Checks names and passwords.

    Args:
        begin: starts units of work.
        passwords: checks them.
        ticks: rate limit for guessing.
        failed: counts failed logins.
        second: what is asked besides; nothing by default.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        passwords: Passwords,
        ticks: Ticks,
        failed: FailedLogins,
        second: SecondFactor | None = None,
    ) -> None:
        self._begin = begin
        self._passwords = passwords
        self._failed = failed
        self._second = second
        self._by_name = Throttle(1 / 30, 5, ticks)
        self._by_address = Throttle(1.0, GUESSES, ticks)
        self._turns = NamedLocks(GUESSES)
        self._strangers = asyncio.Semaphore(1)
        self._familiar: OrderedDict[str, None] = OrderedDict()

    async def check(self, name: str, password: str, address: str, code: str = "") -> User:
        """Return the account of a name and password.

        Args:
            name: the account's.
            password: to compare.
            address: the source address, as counted by limits.
            code: of the second factor, where the account has one.

        Raises:
            SecureFlowError: `bad_credentials` (whichever part is wrong), `second_factor_required`,
                `rate_limited`.
        """
        source = f"{name[:64]}\n{address}"
        wait, counted = self._by_name.take(source), source not in self._familiar
        if not wait and counted:
            wait = self._by_address.take(address)
        if wait:
            raise too_fast(wait)
        try:
            async with self._begin() as work:
                user = await list_first(work.users, name=name)
                active = user is not None and await is_active(work, user)
        except InfrastructureError:  # it was not compared with anything: not a guess
            self._by_name.give_back(source)
            if counted:
                self._by_address.give_back(address)
            raise
        held = await self._compare(user, password, "" if not counted else address)
        if user is None or not held or not active:
            self._failed.count(user)
            raise bad_credentials()
        await self._ask_more(user, code, address)
        self._failed.finish(user, address)
        self._welcome(source, address)
        return user

    async def _compare(self, user: User | None, password: str, stranger: str) -> bool:
        """Compare a password; `stranger` is the address of who never logged in from there, or "".

        Strangers' addresses take turns, in one of the two slots for hashing: a flood of guesses
        from many addresses delays other strangers by one comparison per address, and holds up
        nobody who has logged in before.
        """
        stored = user.password if user else None
        if not stranger:
            return await self._passwords.matches(stored, password)
        async with self._turns.hold(stranger), self._strangers:
            return await self._passwords.matches(stored, password)

    def forget(self, name: str) -> None:
        """Forget from where an account logged in."""
        prefix = f"{name[:64]}\n"
        for source in [one for one in self._familiar if one.startswith(prefix)]:
            del self._familiar[source]

    async def _ask_more(self, user: User, code: str, address: str) -> None:
        if self._second is None:
            return
        try:
            async with self._begin() as work:
                if await self._second.require(work, user, code):
                    await work.commit()
        except SecureFlowError as error:
            if error.code == "bad_credentials":
                self._failed.count(user)
            elif error.code == "second_factor_required":
                self._failed.begin(user, address)
            raise

    def _welcome(self, source: str, address: str) -> None:
        """Do not count a successful login, and do not throttle the next one from there."""
        self._by_name.forget(source)
        if source not in self._familiar:
            self._by_address.give_back(address)
        self._familiar[source] = None
        self._familiar.move_to_end(source)
        if len(self._familiar) > FAMILIAR:
            self._familiar.popitem(last=False)


async def lets_in_as_before(work: UnitOfWork, user: User) -> bool:
    """Tell whether an account has the password, and is enabled, as when its owner was checked.

    A change in between ended the existing tokens and sessions, but not one that is made now.
    """
    now = await work.users.find(user.id)
    return now is not None and (now.password, now.disabled) == (user.password, user.disabled)


def bad_credentials() -> SecureFlowError:
    """Return the error for a wrong name, password or code: it does not say which."""
    return SecureFlowError(
        "bad_credentials",
        "Name and password do not match.",
        "Check both; a disabled account cannot log in either.",
    )
