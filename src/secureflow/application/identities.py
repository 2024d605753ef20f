"""Identities: which account a person at an identity provider has here.

The binding is to issuer and subject. No name and no e-mail address ever leads to an account:
whoever could choose one at a provider would take the account over. An existing account is bound
only by its logged-in owner, or by an administrator who may set its password anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from secureflow.application.access import Principal, missing, require, require_own
from secureflow.application.accounts import is_active
from secureflow.application.endings import end_access, has_access
from secureflow.application.failedlogins import FailedLogins
from secureflow.application.listing import list_first, list_readable
from secureflow.application.ports.identityprovider import IdentityProvider
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.proofs import require_proof
from secureflow.application.quotas import Quotas
from secureflow.application.transactions import Transaction, Transactions
from secureflow.application.users import user_document, visible_user
from secureflow.domain.ids import new_id
from secureflow.domain.oidc import (
    ClaimMapping,
    Identity,
    Standing,
    account_name,
    identity_id,
    refused,
    valid_subject,
)
from secureflow.domain.users import Role, User
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

MOST: Final = 10
"""Identities of one account."""
MAX_DISPLAY: Final = 200


@dataclass(frozen=True)
class LoginProvider:
    """A provider that people may log in at.

    Args:
        port: reaches it.
        mapping: what its claims mean here.
        provision: whether a person without an account gets one at the first login.
    """

    port: IdentityProvider
    mapping: ClaimMapping
    provision: bool = False


class Identities:
    """Binds identities to accounts.

    Args:
        begin, transactions: the database, and changes with their ledger entries.
        providers: by name.
        quotas: limits of accounts.
        clock: dates what is made.
        failed: counts people who are refused.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        providers: Mapping[str, LoginProvider],
        quotas: Quotas,
        clock: Clock,
        failed: FailedLogins,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._quotas = quotas
        self._clock = clock
        self._failed = failed
        self.providers = providers

    def provider(self, name: str) -> LoginProvider:
        """Return a provider by its name; raises `not_found`."""
        found = self.providers.get(name)
        if found is None:
            raise missing("identity provider", name)
        return found

    async def list(self, principal: Principal, user: str) -> list[Identity]:
        """Return the identities of an account: one's own, or one that the caller may see."""
        if user != principal.user:
            require(principal, "user.read")
        async with self._begin() as work:
            await visible_user(work, principal, user)
            return await list_readable(work.identities, user=user)

    async def bind(self, principal: Principal, user: str, name: str, subject: str) -> Identity:
        """Bind an identity to an account, as an administrator.

        An organisation's administrator may do so only at a provider of that organisation alone: at
        a shared one they could take the place of another organisation's person.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `identity_taken`, `identity_refused`,
                `quota_exceeded`, `invalid_request` for what is no subject, `proof_required`.
        """
        require(principal, "user.update")
        if user == principal.user:
            require_own(principal, "account.bind")
        provider = self.provider(name)
        if not principal.operator and provider.mapping.reach != {principal.organisation}:
            raise SecureFlowError(
                "forbidden",
                Text("{name} has people of other organisations too.", name=name),
                "The owner of the account binds it while logged in, or the operator does.",
            )
        if not valid_subject(subject):
            raise SecureFlowError(
                "invalid_request",
                "A subject has 1 to 255 printable ASCII characters.",
                "Copy the provider's `sub` of the person.",
            )
        async with self._transactions() as transaction:
            account = await visible_user(transaction.work, principal, user)
            others = user != principal.user
            await require_proof(transaction.work, principal, self._clock(), others=others)
            bound = await self._bind(transaction, account, provider, subject, principal.user)
            return transaction.answer(bound)

    async def bind_own(
        self, user: str, provider: LoginProvider, claims: Mapping[str, Any], access: str = ""
    ) -> Identity:
        """Bind the identity of verified claims to the account whose owner began this, logged in.

        Where the session or token that began it (`access`) was ended meanwhile it is refused: who
        ends access to an account ends what was begun with it.

        Raises:
            SecureFlowError: `identity_taken`, `identity_refused`, `quota_exceeded`.
        """
        async with self._transactions() as transaction:
            account = await transaction.work.users.find(user)
            if account is None or not await is_active(transaction.work, account):
                raise refused("your account here, or your organisation, is disabled")
            if access and not await has_access(transaction.work, user, access):
                raise refused("the session or token that began this has ended")
            return await self._bind(transaction, account, provider, str(claims["sub"]), user)

    async def unbind(self, principal: Principal, user: str, key: str) -> None:
        """Remove an identity of one's own account, or of one that the caller administers.

        It ends the account's tokens and sessions, except the caller's own.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `scope_too_narrow`, `proof_required`.
        """
        own = user == principal.user
        if own:
            require_own(principal, "account.unbind")
        else:
            require(principal, "user.update")
        async with self._transactions(held=True) as transaction:
            account = await visible_user(transaction.work, principal, user)
            identity = await transaction.work.identities.find(key)
            if identity is None or identity.user != user:
                raise missing("identity", key)
            if own:
                await require_proof(transaction.work, principal, self._clock())
            await transaction.work.identities.remove(key)
            await end_access(
                transaction,
                account,
                by=principal.user,
                why="unbound",
                but=principal if own else None,
            )
            _record(transaction, "identity.unbound", account, identity.provider, principal.user)
            transaction.answer(None)

    async def account(self, provider: LoginProvider, claims: Mapping[str, Any]) -> User:
        """Return the account of verified claims, with the roles that these give it now.

        Whom the provider no longer gives a place loses the tokens and sessions that are open.

        Raises:
            SecureFlowError: `identity_refused`, `quota_exceeded`, `stale_version`.
        """
        issuer, subject = provider.port.issuer, str(claims["sub"])
        user = await self._bound(identity_id(issuer, subject))
        try:
            await self._check_active(user)
            standing = provider.mapping.standing(claims)
            if user is None:
                return await self._provision(provider, claims, standing)
            _check_same(user, standing)
        except SecureFlowError as error:
            if error.code == "identity_refused":
                self._failed.count(user)
                await self._shut_out(user, provider)
            raise
        if user.roles == standing.roles:
            return user
        return await self._change_roles(user, standing.roles, provider)

    async def _bound(self, key: str) -> User | None:
        """Return the account of an identity, active or not."""
        async with self._begin() as work:
            identity = await work.identities.find(key)
            return await work.users.find(identity.user) if identity else None

    async def _check_active(self, user: User | None) -> None:
        async with self._begin() as work:
            if user is not None and not await is_active(work, user):
                raise refused("your account here, or your organisation, is disabled")

    async def _bind(
        self,
        transaction: Transaction,
        user: User,
        provider: LoginProvider,
        subject: str,
        by: str,
    ) -> Identity:
        work, port = transaction.work, provider.port
        if user.organisation not in provider.mapping.reach:
            raise refused("people of this organisation do not come from this provider")
        key = identity_id(port.issuer, subject)
        await work.lock(f"identities/{key}")
        await work.lock(f"identities/{user.id}")
        known = await work.identities.find(key)
        if known is not None and known.user != user.id:
            raise SecureFlowError(
                "identity_taken",
                "This person of the provider has another account already.",
                "Remove the identity there first, or use that account.",
            )
        if known is not None:
            return known
        if await work.identities.count(user=user.id) >= MOST:
            raise SecureFlowError(
                "quota_exceeded",
                Text("An account has at most {most} identities.", most=MOST),
                "Remove one that is not needed.",
            )
        identity = Identity(key, user.id, port.name, port.issuer, subject, self._clock())
        await work.identities.add(identity)
        _record(transaction, "identity.bound", user, port.name, by)
        return identity

    async def _provision(
        self, provider: LoginProvider, claims: Mapping[str, Any], standing: Standing
    ) -> User:
        if not provider.provision:
            raise refused("no account here is bound to you")
        by, identity = _source(provider), new_id("usr")
        async with self._transactions() as transaction:
            work = transaction.work
            key = identity_id(provider.port.issuer, str(claims["sub"]))
            await work.lock(f"identities/{key}")
            known = await work.identities.find(key)
            if known is not None:  # by a login at the same time
                return await work.users.get(known.user)
            await self._check_room(work, standing)
            name = await _free_name(work, claims, provider.port.name, identity)
            user = User(
                *(identity, name, _display(claims, name), standing.organisation),
                *(standing.roles, "", self._clock()),
            )
            await work.users.add(user)
            transaction.record("user.created", user_document(user, by=by))
            await self._bind(transaction, user, provider, str(claims["sub"]), by)
        return user

    async def _check_room(self, work: UnitOfWork, standing: Standing) -> None:
        if not standing.organisation:
            return
        organisation = await work.organisations.find(standing.organisation)
        if organisation is None or organisation.disabled:
            raise refused("your organisation is not known here, or is disabled")
        await self._quotas.another_user(work, standing.organisation)

    async def _change_roles(
        self, user: User, roles: tuple[Role, ...], provider: LoginProvider
    ) -> User:
        """Store new roles; taking some away works while the log is held."""
        new = replace(user, roles=roles)
        async with self._transactions(held=set(roles) < set(user.roles)) as transaction:
            if await transaction.work.users.find(user.id) != user:
                raise SecureFlowError(
                    "stale_version",
                    "The account was changed by someone else in the meantime.",
                    "Start the login again.",
                )
            await transaction.work.users.save(new)
            transaction.record("user.updated", user_document(new, by=_source(provider)))
        return new

    async def _shut_out(self, user: User | None, provider: LoginProvider) -> None:
        if user is None:
            return
        async with self._transactions(held=True) as transaction:
            await end_access(transaction, user, by=_source(provider), why="refused")


def _check_same(user: User, standing: Standing) -> None:
    """Refuse somebody who has moved: an account stays with its organisation."""
    if user.organisation != standing.organisation:
        raise refused("the provider says that you belong to another organisation than before")


async def _free_name(
    work: UnitOfWork, claims: Mapping[str, Any], provider: str, identity: str
) -> str:
    tail = identity[-6:]
    name = account_name(claims, f"{provider}-{tail}")
    taken = await list_first(work.users, name=name) is not None
    return f"{name}-{tail}" if taken else name


def _display(claims: Mapping[str, Any], name: str) -> str:
    given = claims.get("name")
    return shown(given[:MAX_DISPLAY])[:MAX_DISPLAY] if isinstance(given, str) and given else name


def _source(provider: LoginProvider) -> str:
    return f"oidc:{provider.port.name}"


def _record(transaction: Transaction, kind: str, user: User, provider: str, by: str) -> None:
    """Record a binding: never the subject, which may be a name, nor its digest."""
    document = {"user": user.id, "organisation": user.organisation, "provider": provider, "by": by}
    transaction.record(kind, document)
