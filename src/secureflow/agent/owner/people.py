"""The people of this organisation at its agent: accounts, roles, absence, and who decides for whom.

- The first account is made by whoever has the agent's uid, and is an owner-admin; from then on
  decisions need a person's session (`agent.edge.permissions`), and there is always an owner-admin
  who is not disabled.
- A password that somebody else chose is *initial*: its person changes it before deciding.
- A delegation gives the decider's right of one person to another until a date, never further. It
  makes no second person of one: who decides, and in whose place, must both differ (`distinct`).
- The record and its log have pseudonymous ids (`psn_…`); names stand in one table.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from secureflow.agent.owner import totp
from secureflow.agent.owner.acting import acting
from secureflow.agent.record.peoplerows import Delegation, ItemApproval, Person
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

VIEWER: Final = "viewer"
DECIDER: Final = "decider"
ADMIN: Final = "owner-admin"
ROLES: Final = (VIEWER, DECIDER, ADMIN)
"""From the least to the most: each may do what those before it may."""
LONGEST: Final = 366 * 86_400
"""Seconds of the longest delegation or absence."""
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
        if not _NAME.fullmatch(name):
            raise SecureFlowError(
                "invalid_request",
                "A name has 1 to 64 of the characters a-z, 0-9, . _ @ and -, a letter or digit "
                "first.",
            )
        chosen, hashed = checked_roles(roles), await self._passwords().hash(password)
        return await asyncio.to_thread(self._add, name, hashed, chosen)

    def _add(self, name: str, hashed: str, roles: tuple[str, ...]) -> dict[str, JSON]:
        with self._store.transaction():
            first = not self._store.has_people()
            if first and ADMIN not in roles:
                raise _no_admin()
            if self._store.person_named(name) is not None:
                raise SecureFlowError(
                    "already_exists", Text("This agent has an account {name!r} already.", name=name)
                )
            made = Person(
                *(new_id("psn"), name, hashed, int(not first), roles, "", 0, 0, (), 0, 0),
                at=self._clock(),
            )
            self._store.keep_person(made)
            self._note("person.added", made, roles=list(roles), first=first)
        return {"id": made.id, "name": name, "roles": list(roles), "first": first}

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
            self._note("person.roles", found, roles=list(chosen))
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
            self._note("person.disabled" if disabled else "person.enabled", found)
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
            self._note("person.recovered", found)
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
                self._note("person.reset", found, second_factor=second_factor)
            return {"id": found.id, "name": name}

        return await asyncio.to_thread(keep)

    async def change_password(self, person: str, old: str, new: str) -> dict[str, JSON]:
        """Let a person choose another password; its other sessions end, this one too.

        Raises:
            SecureFlowError: `bad_credentials`, `weak_password`.
        """
        known = self.own(person)
        if not await self._passwords().matches(known.password, old):
            raise bad_credentials()
        hashed = await self._passwords().hash(new)

        def keep() -> dict[str, JSON]:
            with self._store.transaction():
                found = replace(self.own(person), password=hashed, initial=0)
                self._store.keep_person(found)
                self._store.end_person_sessions(found.id)
                self._note("person.password", found)
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

    # The second factor.

    async def enrol_totp(self, person: str, password: str) -> dict[str, JSON]:
        """Draw a TOTP secret for a person and return it, once; it counts once it is confirmed.

        The password is asked for again: who finds a session open must not shut its person out.

        Raises:
            SecureFlowError: `bad_credentials`, `already_exists` with a confirmed one.
        """
        if not await self._passwords().matches(self.own(person).password, password):
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
            self._note("person.totp.enrolled", found)
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
            self._note("person.totp.confirmed", found)
        return {"recovery_codes": list(codes)}

    # Absence and delegation.

    def set_absent(self, person: str, until: int) -> dict[str, JSON]:
        """Say until when a person is away (unix seconds; 0: it is back)."""
        with self._store.transaction():
            found = replace(self.own(person), absent=self._until(until) if until else 0)
            self._store.keep_person(found)
            self._note("person.absent", found, until=found.absent)
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
            self._note("person.delegated", giver, to=other.id, until=until)
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
            "secureflow agent people away --until 2030-01-31",
        )

    def _keep(self, person: Person) -> None:
        """Store a changed account, if an owner-admin remains (`last_administrator`)."""
        self._store.keep_person(person)
        if not any(not one.disabled and ADMIN in one.roles for one in self._store.people()):
            raise _no_admin()

    def _note(self, action: str, person: Person, **facts: JSON) -> None:
        """Log a change of an account, and who made it."""
        by = acting().facts()
        self._store.note(self._clock(), action, "", **{**facts, "of": person.id, **by})


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


def _no_admin() -> SecureFlowError:
    return SecureFlowError(
        "last_administrator",
        "This agent needs an owner-admin who is not disabled.",
        "Give another account the role owner-admin first.",
    )
