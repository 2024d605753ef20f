"""Who people are at the organisation's identity providers, and what that makes of them here.

- An identity is issuer and subject, and nothing else: no name and no e-mail address ever leads to
  an account (OpenID Connect Core 1.0, section 5.7).
- An owner-admin binds an account to one, or the settings let a first login make the account; the
  very first account of an agent is made by whoever has its uid.
- Roles follow from the claims at each login; where they change, older sessions end. Whom the
  provider no longer gives a role has none here, and its sessions end; the last owner-admin keeps
  its role, and does not get in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from secureflow.agent.owner.logins import Logins
from secureflow.agent.owner.people import People
from secureflow.agent.owner.personrules import (
    ADMIN,
    DECIDER,
    ROLES,
    check_name,
    checked_roles,
    holds,
    no_admin,
)
from secureflow.agent.record.peoplerows import Person, PersonIdentity
from secureflow.agent.record.store import RecordStore
from secureflow.application.ports.identityprovider import DeviceProvider, IdentityProvider
from secureflow.domain.oidc import (
    Path,
    account_name,
    identity_id,
    refused,
    valid_subject,
    values_at,
)
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MOST: Final = 10
"""Identities of one account."""
MOST_PEOPLE: Final = 1000
"""Accounts that logins may make."""


class Port(IdentityProvider, DeviceProvider, Protocol):
    """A provider that can be asked in both ways."""


@dataclass(frozen=True)
class PersonProvider:
    """A provider at which people of this agent may log in.

    Args:
        name, title: in commands, and for people.
        issuer: exactly.
        port: reaches it; made when somebody logs in.
        roles: those of everyone at this provider, never owner-admin.
        roles_claim, role_names: the claim, and what its values mean besides.
        provision: whether a first login makes an account.
        factor_claim, factors: by which claim's values it says that a second factor was shown.
        paged: whether it knows where the owner's page is.
    """

    name: str
    title: str
    issuer: str
    port: Callable[[], Port] = field(repr=False)
    roles: tuple[str, ...] = ()
    roles_claim: Path = ()
    role_names: Mapping[str, str] = field(default_factory=dict)
    provision: bool = False
    factor_claim: Path = ()
    factors: frozenset[str] = frozenset()
    paged: bool = False

    def roles_of(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the roles that verified claims give, from the least to the most."""
        named = {self.role_names.get(one) for one in values_at(claims, self.roles_claim)}
        return tuple(one for one in ROLES if one in named | {*self.roles})

    def second_factor(self, claims: Mapping[str, Any]) -> bool:
        """Return whether the claims say that a second factor was shown."""
        return not self.factors.isdisjoint(values_at(claims, self.factor_claim))


class PersonIdentities:
    """Binds identities to accounts, and lets their people in.

    Args:
        store: the agent's record.
        people: the accounts.
        logins: begins sessions.
        clock: unix seconds.
    """

    def __init__(self, store: RecordStore, people: People, logins: Logins, clock: Clock) -> None:
        self._store = store
        self._people = people
        self._logins = logins
        self._clock = clock

    def log_in(
        self, provider: PersonProvider, claims: Mapping[str, Any], user: int
    ) -> dict[str, JSON]:
        """Begin a session of whom verified claims name; roles and session in one transaction.

        Args:
            provider: whose claims they are.
            claims: verified; `sub` is a valid subject.
            user: the Unix user at the other end of the socket.

        Raises:
            SecureFlowError: `identity_refused`, `last_administrator`.
        """
        with self._store.transaction():
            known = self._store.identity(identity_id(provider.issuer, str(claims["sub"])))
            person = None if known is None else self._store.person(known.person)
            try:
                admitted = self._admitted(provider, person, claims)
            except SecureFlowError as error:
                if error.code not in ("identity_refused", "last_administrator"):
                    raise
                refusal = error
                self._shut_out(provider, person, claims)
                told = {"method": f"oidc:{provider.name}", "code": error.code}
                self._logins.note_failure(person, user, **told)
            else:
                factor = provider.second_factor(claims)
                method = f"oidc:{provider.name}"
                return self._logins.begin(admitted, user, method=method, factor=factor)
        raise refusal

    def _admitted(
        self, provider: PersonProvider, person: Person | None, claims: Mapping[str, Any]
    ) -> Person:
        """Return the account with the roles of now."""
        if person is not None and person.disabled:
            raise refused("your account at this agent is disabled")
        roles = provider.roles_of(claims)
        if not roles:
            raise refused("the provider names no group that has a role here")
        if person is None:
            return self._made(provider, claims, roles)
        if person.roles != roles:
            person = self._with_roles(provider, person, roles)
        return person

    def _made(
        self, provider: PersonProvider, claims: Mapping[str, Any], roles: tuple[str, ...]
    ) -> Person:
        """Make the account of a first login."""
        if not provider.provision:
            subject = str(claims["sub"])
            raise refused(
                Text(
                    "no account at this agent is bound to the subject {subject} of {provider}",
                    subject=subject,
                    provider=provider.name,
                )
            )
        known = self._store.people()
        if not known:
            raise refused("the first account of an agent is made by whoever has its uid")
        if len(known) >= MOST_PEOPLE:
            raise refused("this agent has as many accounts as logins may make")
        key = identity_id(provider.issuer, str(claims["sub"]))
        name = account_name(claims, provider.name)
        if self._store.person_named(name) is not None or not name[0].isalnum():
            name = f"{provider.name}-{key[-12:]}"
        made, _ = self._people.insert(name, "", roles, provider=provider.name)
        self._bind(made, provider, str(claims["sub"]), made=True)
        return made

    def _with_roles(
        self, provider: PersonProvider, person: Person, roles: tuple[str, ...]
    ) -> Person:
        """Store the roles that the provider gives; raises `last_administrator`.

        What was begun before ends: another provider, or a password, gave no claim to these roles.
        """
        if ADMIN not in roles and not self._others(person):
            raise no_admin()
        changed = replace(person, roles=roles)
        self._store.keep_person(changed)
        self._store.end_person_sessions(person.id)
        if not holds(roles, DECIDER):
            self._store.forget_authority(person.id)
        self._people.note("person.roles", changed, roles=list(roles), provider=provider.name)
        return changed

    def _others(self, person: Person) -> bool:
        """Return whether an owner-admin remains without this one."""
        return any(
            one.id != person.id and not one.disabled and ADMIN in one.roles
            for one in self._store.people()
        )

    def _shut_out(
        self, provider: PersonProvider, person: Person | None, claims: Mapping[str, Any]
    ) -> None:
        """End what somebody has open here, and take the roles that the provider took."""
        if person is None:
            return
        self._store.end_person_sessions(person.id)
        roles = provider.roles_of(claims)
        if not person.disabled and person.roles and not roles and self._others(person):
            self._with_roles(provider, person, roles)

    # Binding, by an owner-admin.

    def add(
        self, name: str, provider: PersonProvider, subject: str, roles: tuple[str, ...]
    ) -> dict[str, JSON]:
        """Make an account of who logs in at a provider alone.

        Raises:
            SecureFlowError: `already_exists`, `last_administrator`, `identity_taken`,
                `invalid_request`.
        """
        check_name(name)
        with self._store.transaction():
            made, told = self._people.insert(name, "", checked_roles(roles))
            self._bind(made, provider, subject)
        return told

    def bind(self, name: str, provider: PersonProvider, subject: str) -> dict[str, JSON]:
        """Let a person of a provider in under an account.

        Raises:
            SecureFlowError: `person_unknown`, `identity_taken`, `quota_exceeded`,
                `invalid_request` for what is no subject.
        """
        with self._store.transaction():
            found = self._people.named(name)
            self._bind(found, provider, subject)
        return {"id": found.id, "name": found.name, "provider": provider.name}

    def unbind(self, name: str, provider: str) -> dict[str, JSON]:
        """Let nobody of a provider in under an account any more; the account's sessions end.

        Raises:
            SecureFlowError: `person_unknown`, `not_found`.
        """
        with self._store.transaction():
            found = self._people.named(name)
            known = [one for one in self._store.identities_of(found.id) if one.provider == provider]
            if not known:
                raise SecureFlowError(
                    "not_found",
                    Text("{name} is bound to nobody of {provider!r}.", name=name,
                         provider=provider[:64]),
                    "secureflow agent people list",
                )  # fmt: skip
            for one in known:
                self._store.remove_identity(one.id)
            self._store.end_person_sessions(found.id)
            self._people.note("person.unbound", found, provider=provider)
        return {"id": found.id, "name": found.name, "provider": provider}

    def _bind(
        self, person: Person, provider: PersonProvider, subject: str, *, made: bool = False
    ) -> None:
        if not valid_subject(subject):
            raise SecureFlowError(
                "invalid_request",
                "A subject has 1 to 255 printable ASCII characters.",
                "Copy the provider's `sub` of the person.",
            )
        key = identity_id(provider.issuer, subject)
        known = self._store.identity(key)
        if known is not None and known.person == person.id:
            return
        if known is not None:
            raise SecureFlowError(
                "identity_taken",
                "This person of the provider has another account already.",
                "Remove the identity there first, or use that account.",
            )
        if len(self._store.identities_of(person.id)) >= MOST:
            raise SecureFlowError(
                "quota_exceeded",
                Text("An account has at most {most} identities.", most=MOST),
                "Remove one that is not needed.",
            )
        one = PersonIdentity(
            *(key, person.id, provider.name, provider.issuer, subject, int(made), self._clock())
        )
        self._store.add_identity(one)
        self._people.note("person.bound", person, provider=provider.name)
