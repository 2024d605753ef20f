"""Users: people with roles inside one organisation, or administrators of the platform.

An organisation admin manages only their own organisation's people and cannot make a platform admin;
the platform keeps at least one administrator.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from secureflow.application.access import Principal, missing, require, require_own
from secureflow.application.endings import end_access
from secureflow.application.listing import (
    EVERYTHING,
    Narrowing,
    list_first,
    list_readable,
    narrowed,
)
from secureflow.application.namedlocks import NamedLocks
from secureflow.application.passwords import Passwords
from secureflow.application.ports.storage import Page, UnitOfWork, UnitOfWorkFactory
from secureflow.application.proofs import require_proof
from secureflow.application.quotas import Quotas
from secureflow.application.throttle import Throttle, too_fast
from secureflow.application.transactions import Transactions
from secureflow.domain.ids import new_id
from secureflow.domain.users import Role, User
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.text import Text

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")


class Users:
    """Use cases around accounts.

    `ticks` limits guesses of an old password; `forget` is called with the name of an erased user.

    Hashing is expensive, and logins wait for it: each organisation has one password hashed at a
    time.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        passwords: Passwords,
        clock: Clock,
        quotas: Quotas,
        ticks: Ticks = time.monotonic,
        forget: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._passwords = passwords
        self._clock = clock
        self._quotas = quotas
        self._forget = forget
        self._locks = NamedLocks()
        self._guesses = Throttle(1 / 30, 5, ticks)

    async def create_first(self, name: str, password: str) -> User:
        """Make the first platform admin, on the machine itself (`server init`).

        Raises:
            SecureFlowError: `already_exists` if there is any user.
        """
        hashed = await self._passwords.hash(password, name)
        user = self._new(name, name, "", (Role.PLATFORM_ADMIN,), hashed)
        async with self._transactions() as transaction:
            await transaction.work.lock("administrators")
            if await list_first(transaction.work.users):
                raise SecureFlowError("already_exists", "The platform already has users.")
            await transaction.work.users.add(user)
            transaction.record("user.created", user_document(user, by="init"))
        return user

    async def create(
        self,
        principal: Principal,
        *,
        name: str,
        password: str,
        display: str,
        organisation: str,
        roles: Sequence[Role],
    ) -> User:
        """Make an account: whoever took over an administrator's session could come back by it.

        Raises:
            SecureFlowError: `forbidden`, `invalid_name`, `invalid_roles`, `weak_password`,
                `not_found` (organisation), `already_exists`, `quota_exceeded`, `proof_required`.
        """
        require(principal, "user.create")
        if not principal.operator and not principal.acts_for(organisation):
            raise missing("organisation", organisation)
        user = self._new(name, display, organisation, roles, "")
        async with self._begin() as work:
            await require_proof(work, principal, self._clock(), others=True)
        hashed = await self._hash(principal, password, name, organisation)
        user = replace(user, password=hashed, handed=True)
        async with self._transactions() as transaction:
            if organisation and await transaction.work.organisations.find(organisation) is None:
                raise missing("organisation", organisation)
            await self._quotas.another_user(transaction.work, organisation)
            if await list_first(transaction.work.users, name=name):
                raise SecureFlowError(
                    "already_exists",
                    Text("The user name {name} is taken.", name=name),
                    "Choose another one.",
                )
            await transaction.work.users.add(user)
            transaction.record("user.created", user_document(user, by=principal.user))
            transaction.answer(user)
        return user

    async def get(self, principal: Principal, key: str) -> User:
        """Return a user whom the caller may see: themselves, or their organisation's."""
        if key != principal.user:
            require(principal, "user.read")
        async with self._begin() as work:
            return await visible_user(work, principal, key)

    async def list(
        self,
        principal: Principal,
        *,
        organisation: str = "",
        narrowing: Narrowing = EVERYTHING,
        cursor: str = "",
        limit: int = 50,
    ) -> Page:
        """Return the people of one organisation, or all for the operator."""
        require(principal, "user.read")
        if not principal.operator:
            if organisation and not principal.acts_for(organisation):
                raise missing("organisation", organisation)
            organisation = principal.organisation
        equals = {"organisation": organisation} if organisation else {}
        async with self._begin() as work:
            return await narrowed(work.users, narrowing, cursor, limit, **equals)

    async def update(
        self,
        principal: Principal,
        key: str,
        *,
        display: str | None = None,
        roles: Sequence[Role] | None = None,
        disabled: bool | None = None,
        password: str | None = None,
    ) -> User:
        """Change an account; disabling it or setting its password ends its tokens and sessions.

        This works while the log is held: a restored centre may have forgotten it.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `invalid_roles`, `weak_password`,
                `last_administrator`, `user_erased`; `proof_required` for password or roles.
        """
        require(principal, "user.update")
        if key == principal.user and password is not None:
            require_own(principal, "account.password")
        if roles is not None or password is not None:
            others = key != principal.user
            async with self._begin() as work:
                await require_proof(work, principal, self._clock(), others=others)
        hashed = await self._new_password(principal, key, password)
        only_less = roles is None and display is None and disabled is not False
        async with self._transactions(held=only_less) as transaction:
            # Two administrators who disable each other at the same time must not both succeed.
            await transaction.work.lock("administrators")
            old = await visible_user(transaction.work, principal, key)
            if old.erased is not None:
                raise _erased(old)
            new = replace(
                old,
                display=old.display if display is None else display,
                roles=old.roles if roles is None else _roles(roles, old.organisation),
                disabled=old.disabled if disabled is None else disabled,
                password=hashed or old.password,
                handed=key != principal.user if hashed else old.handed,
            )
            await _keep_an_administrator(transaction.work, old, new)
            await transaction.work.users.save(new)
            if new.disabled or hashed:
                why = "disabled" if new.disabled else "password"
                await end_access(transaction, new, by=principal.user, why=why)
            about = user_document(new, by=principal.user) | ({"password": True} if hashed else {})
            transaction.record("user.updated", about)
            transaction.answer(new)
        return new

    async def erase(self, principal: Principal, key: str) -> User:
        """Erase for good who a user is: names, password, identities, e-mail address, where from.

        The id stays, so that ledger entries about it still verify; the account's tokens and
        sessions end. What was signed under the user's name (specifications of jobs) is unchanged,
        and a backup made before has the name still: after restoring one, erase again what the
        ledger's `user.erased` entries name. This works while the log is held.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `last_administrator`.
        """
        require(principal, "user.erase")
        async with self._transactions(held=True) as transaction:
            await transaction.work.lock("administrators")
            old = await visible_user(transaction.work, principal, key)
            if old.erased is not None:
                return transaction.answer(old)
            new = replace(
                old,
                name=f"erased:{old.id}",
                display="",
                password="",
                handed=False,
                disabled=True,
                erased=self._clock(),
            )
            await _keep_an_administrator(transaction.work, old, new)
            await transaction.work.users.save(new)
            await end_access(transaction, new, by=principal.user, why="erased")
            for identity in await list_readable(transaction.work.identities, user=old.id):
                await transaction.work.identities.remove(identity.id)
            await transaction.work.second_factors.remove(old.id)
            await transaction.work.preferences.remove(old.id)
            await transaction.work.login_places.remove(old.id)
            for waiting in await list_readable(transaction.work.deliveries, target=old.id):
                await transaction.work.deliveries.remove(waiting.id)
            await transaction.work.idempotency.forget(old.id)
            transaction.record(
                "user.erased",
                {"user": old.id, "organisation": old.organisation, "by": principal.user},
            )
            transaction.then(lambda: self._forget(old.name))
            return transaction.answer(new)

    async def change_password(self, principal: Principal, old: str, new: str) -> None:
        """Set the caller's own password and end their other tokens and sessions.

        If it is the new one already, the caller missed the answer: nothing is done.

        Raises:
            SecureFlowError: `bad_credentials`, `weak_password`; `rate_limited` after five wrong
                ones (a stolen token must not allow faster guesses than the login); `stale_version`
                if the account was changed while the passwords were hashed; `scope_too_narrow`.
        """
        require_own(principal, "account.password")
        if wait := self._guesses.take(principal.user):
            raise too_fast(wait)
        try:
            async with self._begin() as work:
                user = await work.users.get(principal.user)
        except InfrastructureError:  # it was not compared with anything: not a guess
            self._guesses.give_back(principal.user)
            raise
        async with self._locks.hold(principal.organisation or principal.user):
            held = await self._passwords.matches(user.password, old)
            if not held and await self._passwords.matches(user.password, new):
                self._guesses.forget(principal.user)
                return
        if not held:
            raise SecureFlowError("bad_credentials", "The old password is wrong.")
        self._guesses.forget(principal.user)
        hashed = await self._hash(principal, new, user.name, user.organisation)
        async with self._transactions(held=True) as transaction:
            if (
                await transaction.work.users.get(user.id) != user
            ):  # a stale copy would undo a disabling
                raise SecureFlowError(
                    "stale_version",
                    "The account was changed by someone else in the meantime.",
                    "Log in again and repeat the change.",
                )
            await transaction.work.users.save(replace(user, password=hashed, handed=False))
            await end_access(transaction, user, by=user.id, why="password", but=principal)
            about = user_document(user, by=principal.user) | {"password": True}
            transaction.record("user.updated", about)

    async def _new_password(
        self, principal: Principal, key: str, password: str | None
    ) -> str | None:
        if password is None:
            return None
        async with self._begin() as work:
            user = await visible_user(work, principal, key)
        return await self._hash(principal, password, user.name, user.organisation)

    async def _hash(self, principal: Principal, password: str, *names: str) -> str:
        async with self._locks.hold(principal.organisation or principal.user):
            return await self._passwords.hash(password, *names)

    def _new(
        self, name: str, display: str, organisation: str, roles: Sequence[Role], password: str
    ) -> User:
        if not _NAME.fullmatch(name):
            raise SecureFlowError(
                "invalid_name",
                Text("{name!r:.80} cannot be a user name.", name=name),
                "Use up to 64 lowercase letters, digits and . _ @ -",
            )
        chosen = _roles(roles, organisation)
        return User(
            new_id("usr"), name, display or name, organisation, chosen, password, self._clock()
        )


def _roles(roles: Sequence[Role], organisation: str) -> tuple[Role, ...]:
    chosen = tuple(role for role in Role if role in roles)
    if not chosen:
        raise SecureFlowError("invalid_roles", "A user needs at least one role.")
    if (Role.PLATFORM_ADMIN in chosen) != (organisation == ""):
        raise SecureFlowError(
            "invalid_roles",
            "Platform admins belong to no organisation, everyone else to one.",
            "Give the operator's people the role platform-admin and no organisation.",
        )
    return chosen


async def visible_user(work: UnitOfWork, principal: Principal, key: str) -> User:
    """Return a user whom the caller may know of; raises `not_found`."""
    user = await work.users.find(key)
    if user is None or not (
        principal.operator or user.id == principal.user or principal.acts_for(user.organisation)
    ):
        raise missing("user", key)
    return user


def _erased(user: User) -> SecureFlowError:
    return SecureFlowError(
        "user_erased",
        Text("The account {id} was erased.", id=user.id),
        "Erasing cannot be undone; make a new account.",
    )


async def _keep_an_administrator(work: UnitOfWork, old: User, new: User) -> None:
    def rules(user: User) -> bool:
        return Role.PLATFORM_ADMIN in user.roles and not user.disabled

    if not rules(old) or rules(new):
        return
    others = [u for u in await list_readable(work.users, organisation="") if u.id != old.id]
    if not any(rules(user) for user in others):
        raise SecureFlowError(
            "last_administrator",
            Text("{name} is the platform's last administrator.", name=old.name),
            "Make another platform admin first.",
        )


def user_document(user: User, *, by: str) -> dict[str, object]:
    """Return the ledger's document: ids and roles, no personal name."""
    return {
        "user": user.id,
        "organisation": user.organisation,
        "roles": [role.value for role in user.roles],
        "disabled": user.disabled,
        "by": by,
    }
