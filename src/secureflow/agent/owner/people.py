"""The people of this organisation at its agent: accounts, roles, absence, and who decides for whom.

- The first account is made by whoever has the agent's uid, and is an owner-admin; from then on
  decisions need a person's session (`agent.edge.permissions`), and there is always an owner-admin
  who is not disabled.
- A password that somebody else chose is *initial*: its person changes it before deciding.
- A delegation gives the decider's right of one person to another until a date, never further. It
  makes no second person of one: who decides, and in whose place, must both differ (`distinct`).
- The record and its log have pseudonymous ids (`psn_…`); names stand in two tables.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from secureflow.agent.owner import totp
from secureflow.agent.owner.acting import acting
from secureflow.agent.owner.personrules import (
    ADMIN,
    DECIDER,
    bad_credentials,
    check_name,
    checked_roles,
    holds,
    no_admin,
    role_needed,
    session_needed,
    session_token,
)
from secureflow.agent.record.peoplerows import Delegation, Person
from secureflow.agent.record.store import RecordStore
from secureflow.domain.ids import new_id
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.kit.totp import new_recovery_codes

if TYPE_CHECKING:
    from secureflow.application.passwords import Passwords

LONGEST: Final = 366 * 86_400
"""Seconds of the longest delegation or absence."""


class People:
    """The accounts.

    Args:
        store: the agent's record.
        key: the agent's signing key, under which second factors are stored.
        organisation: its slug, for the authenticator app.
        clock: unix seconds.
        passwords: hashes them.
    """

    def __init__(
        self,
        store: RecordStore,
        key: SigningKey,
        organisation: str,
        clock: Clock,
        passwords: Callable[[], Passwords],
    ) -> None:
        self._store = store
        self._key = key
        self.organisation = organisation
        self._clock = clock
        self._passwords = passwords

    def any(self) -> bool:
        """Return whether accounts exist: then people decide, and not whoever has the uid."""
        return self._store.has_people()

    def named(self, name: str) -> Person:
        """Return an account by its name.

        Raises:
            SecureFlowError: `person_unknown`.
        """
        found = self._store.person_named(name[:64])
        if found is None:
            raise SecureFlowError(
                "person_unknown",
                Text("This agent has no account {name!r}.", name=name[:64]),
                "secureflow agent people list",
            )
        return found

    def every(self) -> list[dict[str, JSON]]:
        """Return the accounts without their secrets, the oldest first."""
        now, given = self._clock(), self._store.delegations()
        names = self.names()
        return [
            {
                "id": one.id,
                "name": one.name,
                "roles": list(one.roles),
                "disabled": bool(one.disabled),
                "second_factor": bool(one.confirmed),
                "initial_password": bool(one.initial),
                "absent_until": one.absent if one.absent > now else None,
                "decides_for": [
                    {"name": names[d.giver], "until": d.until}
                    for d in given
                    if d.taker == one.id and d.until > now
                ],
                "has_password": bool(one.password),
                "identities": [
                    {"provider": known.provider, "issuer": known.issuer, "subject": known.subject}
                    for known in self._store.identities_of(one.id)
                ],
                "sessions": len(self._store.sessions_of(one.id)),
                "at": one.at,
            }
            for one in self._store.people()
        ]

    async def add(self, name: str, password: str, roles: Sequence[str]) -> dict[str, JSON]:
        """Make an account; the first one is an owner-admin, whose password it chooses itself.

        Raises:
            SecureFlowError: `invalid_request`, `already_exists`, `weak_password`,
                `last_administrator`.
        """
        check_name(name)
        chosen, hashed = checked_roles(roles), await self._passwords().hash(password)

        def keep() -> dict[str, JSON]:
            with self._store.transaction():
                return self.insert(name, hashed, chosen)[1]

        return await asyncio.to_thread(keep)

    def insert(
        self, name: str, hashed: str, roles: tuple[str, ...], **facts: JSON
    ) -> tuple[Person, dict[str, JSON]]:
        """Make an account in the caller's transaction; return it, and what its maker is told.

        Args:
            name: checked.
            hashed: the password's hash; empty for who logs in at a provider alone.
            roles: checked.
            facts: for the log.

        Raises:
            SecureFlowError: `already_exists`, `last_administrator`.
        """
        first = not self._store.has_people()
        if first and ADMIN not in roles:
            raise no_admin()
        if self._store.person_named(name) is not None:
            raise SecureFlowError(
                "already_exists", Text("This agent has an account {name!r} already.", name=name)
            )
        initial = int(bool(hashed) and not first)
        made = Person(
            *(new_id("psn"), name, hashed, initial, roles, "", 0, 0, (), 0, 0), at=self._clock()
        )
        self._store.keep_person(made)
        self.note("person.added", made, roles=list(roles), first=first, **facts)
        return made, {"id": made.id, "name": name, "roles": list(roles), "first": first}

    def set_roles(self, name: str, roles: Sequence[str]) -> dict[str, JSON]:
        """Give an account exactly these roles; approvals of no decider end where they wait.

        Raises:
            SecureFlowError: `person_unknown`, `invalid_request`, `last_administrator`.
        """
        chosen = checked_roles(roles)
        with self._store.transaction():
            found = replace(self.named(name), roles=chosen)
            self._keep(found)
            if not holds(chosen, DECIDER):
                self._store.forget_authority(found.id)
            self.note("person.roles", found, roles=list(chosen))
        return {"id": found.id, "name": name, "roles": list(chosen)}

    def disable(self, name: str, *, disabled: bool) -> dict[str, JSON]:
        """Disable an account, or enable it again.

        A disabled one's sessions and delegations end, and what it approved as the first of two
        people, or somebody in its place, is asked of two others.

        Raises:
            SecureFlowError: `person_unknown`, `last_administrator`.
        """
        with self._store.transaction():
            found = replace(self.named(name), disabled=int(disabled))
            self._keep(found)
            if disabled:
                self._store.end_person_sessions(found.id)
                self._store.forget_authority(found.id, acted=True)
                for one in self._store.delegations():
                    if found.id in (one.giver, one.taker):
                        self._store.end_delegation(one.giver, one.taker)
            self.note("person.disabled" if disabled else "person.enabled", found)
        return {"id": found.id, "name": name, "disabled": disabled}

    async def recover(self, name: str, password: str) -> dict[str, JSON]:
        """Let an owner-admin in again whom nobody can let in: see `agent.edge.peoplerecovery`.

        Raises:
            SecureFlowError: `person_unknown`, `weak_password`; `role_needed` for no owner-admin.
        """
        if ADMIN not in self.named(name).roles:
            raise role_needed(ADMIN)
        done = await self.reset(name, password, second_factor=True)
        with self._store.transaction():
            found = replace(self.named(name), disabled=0)
            self._store.keep_person(found)
            self.note("person.recovered", found)
        return done

    async def reset(self, name: str, password: str, *, second_factor: bool) -> dict[str, JSON]:
        """Give an account another initial password; `second_factor`: and remove that as well.

        Raises:
            SecureFlowError: `person_unknown`, `weak_password`.
        """
        hashed = await self._passwords().hash(password)

        def keep() -> dict[str, JSON]:
            with self._store.transaction():
                found = replace(self.named(name), password=hashed, initial=1)
                if second_factor:
                    found = replace(found, totp="", confirmed=0, step=0, recovery=())
                self._store.keep_person(found)
                self._store.end_person_sessions(found.id)
                self.note("person.reset", found, second_factor=second_factor)
            return {"id": found.id, "name": name}

        return await asyncio.to_thread(keep)

    async def change_password(self, person: str, old: str, new: str) -> dict[str, JSON]:
        """Let a person choose another password; its other sessions end, this one too.

        Raises:
            SecureFlowError: `bad_credentials`, `weak_password`.
        """
        known = self._with_password(person)
        if not await self._passwords().matches(known.password, old):
            raise bad_credentials()
        hashed = await self._passwords().hash(new)

        def keep() -> dict[str, JSON]:
            with self._store.transaction():
                found = replace(self.own(person), password=hashed, initial=0)
                self._store.keep_person(found)
                self._store.end_person_sessions(found.id)
                self.note("person.password", found)
            return {"id": found.id, "name": found.name}

        return await asyncio.to_thread(keep)

    def own(self, person: str) -> Person:
        """Return the account of the person who acts.

        Raises:
            SecureFlowError: `session_needed`.
        """
        found = self._store.person(person) if person else None
        if found is None:
            raise session_needed()
        return found

    def _with_password(self, person: str) -> Person:
        known = self.own(person)
        if not known.password:
            raise SecureFlowError(
                "invalid_request",
                "This account logs in at an identity provider, and has no password here.",
                "Passwords and second factors of such accounts are kept at the provider.",
            )
        return known

    # The second factor.

    async def enrol_totp(self, person: str, password: str) -> dict[str, JSON]:
        """Draw a TOTP secret for a person and return it, once; it counts once it is confirmed.

        The password is asked for again: who finds a session open must not shut its person out.

        Raises:
            SecureFlowError: `bad_credentials`, `already_exists` with a confirmed one.
        """
        known = self._with_password(person)
        if not await self._passwords().matches(known.password, password):
            raise bad_credentials()
        return await asyncio.to_thread(self._enrol_totp, person)

    def _enrol_totp(self, person: str) -> dict[str, JSON]:
        secret = totp.new_secret()
        with self._store.transaction():
            found = self.own(person)
            if found.confirmed:
                raise SecureFlowError(
                    "already_exists",
                    "This account has a second factor already.",
                    "An owner-admin removes it: secureflow agent people reset NAME "
                    "--second-factor.",
                )
            sealed = totp.seal(secret, found.id, self._key)
            self._store.keep_person(replace(found, totp=sealed, step=0))
            self.note("person.totp.enrolled", found)
        where = totp.address(secret, found.name, self.organisation)
        return {"secret": secret, "address": where}

    def confirm_totp(self, person: str, code: str) -> dict[str, JSON]:
        """Confirm the secret by a code of it; return the recovery codes, once.

        The person's other sessions end: whoever knows the password alone may have begun them.

        Raises:
            SecureFlowError: `not_found` without a secret; `second_factor_refused`.
        """
        with self._store.transaction():
            found = self.own(person)
            if not found.totp or found.confirmed:
                raise SecureFlowError(
                    "not_found",
                    "No second factor waits for its confirmation.",
                    "secureflow agent people totp",
                )
            secret = totp.unseal(found.totp, found.id, self._key)
            step = totp.accepted_step(secret, code, self._clock(), found.step)
            if step is None:
                raise SecureFlowError(
                    "second_factor_refused",
                    "The code does not belong to the secret and this time.",
                    "Compare the clocks, and type the code that the app shows now.",
                )
            codes = new_recovery_codes()
            kept = totp.stored_codes(codes)
            self._store.keep_person(replace(found, confirmed=1, step=step, recovery=kept))
            own = session_token(acting().session)
            for one in self._store.sessions_of(found.id):
                if one.token != own:  # it was begun by the password alone
                    self._store.end_person_session(one.token)
            self.note("person.totp.confirmed", found)
        return {"recovery_codes": list(codes)}

    # Absence and delegation.

    def set_absent(self, person: str, until: int) -> dict[str, JSON]:
        """Say until when a person is away (unix seconds; 0: it is back)."""
        with self._store.transaction():
            found = replace(self.own(person), absent=self._until(until) if until else 0)
            self._store.keep_person(found)
            self.note("person.absent", found, until=found.absent)
        return {"name": found.name, "until": found.absent}

    def delegate(self, person: str, taker: str, until: int) -> dict[str, JSON]:
        """Let another person decide in a decider's place until a date; 0 ends it.

        Raises:
            SecureFlowError: `person_unknown`, `role_needed`, `invalid_request`.
        """
        with self._store.transaction():
            giver, other = self.own(person), self.named(taker)
            if not until:
                self._store.end_delegation(giver.id, other.id)
            else:
                if not holds(giver.roles, DECIDER):
                    raise role_needed(DECIDER)
                if other.id == giver.id or other.disabled:
                    raise SecureFlowError(
                        "invalid_request",
                        Text("{name} cannot decide in your place.", name=taker),
                        "Name another account that is not disabled.",
                    )
                end = self._until(until)
                self._store.keep_delegation(Delegation(giver.id, other.id, end, self._clock()))
            self.note("person.delegated", giver, to=other.id, until=until)
        return {"from": giver.name, "to": other.name, "until": until}

    def authorities(self, person: Person) -> tuple[str, ...]:
        """Return in whose places a person may decide now: its own first, if it is a decider."""
        now = self._clock()
        own = (person.id,) if holds(person.roles, DECIDER) else ()
        given = []
        for one in self._store.delegations():
            giver = self._store.person(one.giver) if one.taker == person.id else None
            if giver is None or giver.disabled or one.until <= now:
                continue
            if holds(giver.roles, DECIDER):
                given.append(giver.id)
        return (*own, *given)

    def names(self) -> dict[str, str]:
        """Return the name of every person by its id."""
        return {one.id: one.name for one in self._store.people()}

    def present(self) -> list[str]:
        """Return the names of those who can decide now: in their own right or another's place."""
        now = self._clock()
        return [
            one.name
            for one in self._store.people()
            if not one.disabled and one.absent <= now and self.authorities(one)
        ]

    def _until(self, until: int) -> int:
        now = self._clock()
        if now < until <= now + LONGEST:
            return until
        raise SecureFlowError(
            "invalid_request",
            "The date must lie ahead, by a year at most.",
            "secureflow agent people away --until YYYY-MM-DD",
        )

    def _keep(self, person: Person) -> None:
        """Store a changed account, if an owner-admin remains (`last_administrator`)."""
        self._store.keep_person(person)
        if not any(not one.disabled and ADMIN in one.roles for one in self._store.people()):
            raise no_admin()

    def note(self, action: str, person: Person, **facts: JSON) -> None:
        """Log a change of an account, and who made it."""
        by = acting().facts()
        self._store.note(self._clock(), action, "", **{**facts, "of": person.id, **by})
