"""People in the agent's record: accounts, sessions, delegations, and approvals of requests.

Part of `store.RecordStore`, with its rules: writers require an open transaction. Names are in two
tables alone, of people and of their identities at providers: other rows, the log of actions and
the ledger have pseudonymous ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from secureflow.agent.record.bundlerows import BundleRows
from secureflow.agent.record.records import RowRecord

PASSWORD: Final = "password"  # noqa: S105  a method, not a secret
"""How a session was begun that no provider vouches for."""


@dataclass(frozen=True)
class Person(RowRecord):
    """An account of a person at this agent.

    Args:
        id: pseudonymous, `psn_…`.
        name: what the person logs in with.
        password: Argon2id hash; empty for who logs in at a provider alone.
        initial: 1 while somebody else chose the password.
        roles: of `agent.owner.people.ROLES`.
        totp: the sealed TOTP secret, empty without one.
        confirmed: 1 once a code of it was shown.
        step: the last RFC 6238 time step whose code was accepted.
        recovery: hex SHA-256 of the unused recovery codes.
        disabled: 1 if the account is.
        absent: unix seconds until which the person is away.
        at: unix seconds of its making.
    """

    _json = ("roles", "recovery")
    id: str
    name: str
    password: str = field(repr=False)
    initial: int
    roles: tuple[str, ...]
    totp: str = field(repr=False)
    confirmed: int
    step: int
    recovery: tuple[str, ...] = field(repr=False)
    disabled: int
    absent: int
    at: int

    @classmethod
    def from_row(cls, row: Any) -> Person:
        """Build it from its row; lists are tuples."""
        found = super().from_row(row)
        object.__setattr__(found, "roles", tuple(found.roles))
        object.__setattr__(found, "recovery", tuple(found.recovery))
        return found


@dataclass(frozen=True)
class PersonSession(RowRecord):
    """A person's session.

    Args:
        token: hex SHA-256 of its secret.
        person: whose.
        begun: unix seconds of the login.
        used: unix seconds of the last command, at most a minute late.
        user: the Unix user that logged in.
        method: `password`, or `oidc:` and the provider's name.
        factor: 1 if the provider said that a second factor was shown.
    """

    token: str = field(repr=False)
    person: str
    begun: int
    used: int
    user: int
    method: str = PASSWORD
    factor: int = 0


@dataclass(frozen=True)
class PersonIdentity(RowRecord):
    """Who a person is at an identity provider, by issuer and subject and nothing else.

    Args:
        id: `domain.oidc.identity_id` of both.
        person: whose account it leads to.
        provider: its name in the settings of then.
        issuer, subject: of the provider.
        made: 1 if a login made the account: nobody here said who that is.
        at: unix seconds of the binding.
    """

    id: str
    person: str
    provider: str
    issuer: str
    subject: str
    made: int
    at: int


@dataclass(frozen=True)
class Delegation(RowRecord):
    """One person lets another decide in its place, `until` unix seconds; made `at`."""

    giver: str
    taker: str
    until: int
    at: int


@dataclass(frozen=True)
class ItemApproval(RowRecord):
    """A person's approval of a request.

    Args:
        item: the request's id.
        person: who approved.
        authority: in whose place: the person itself, or the giver of a delegation.
        user: the Unix user at the other end of the socket.
        at: unix seconds.
        reason: the note that was left.
    """

    item: str
    person: str
    authority: str
    user: int
    at: int
    reason: str


class PeopleRows(BundleRows):
    """Reads and writes those rows."""

    def people(self) -> list[Person]:
        """Return every account, the oldest first."""
        return [Person.from_row(row) for row in self._all("SELECT * FROM people ORDER BY at, id")]

    def has_people(self) -> bool:
        """Return whether any account was ever made, disabled ones included."""
        return self._one("SELECT 1 FROM people LIMIT 1") is not None

    def person(self, person: str) -> Person | None:
        """Return an account by its id."""
        row = self._one("SELECT * FROM people WHERE id = ?", person)
        return None if row is None else Person.from_row(row)

    def person_named(self, name: str) -> Person | None:
        """Return an account by its name."""
        row = self._one("SELECT * FROM people WHERE name = ?", name)
        return None if row is None else Person.from_row(row)

    def keep_person(self, person: Person) -> None:
        """Insert an account, or replace its row."""
        row = person.row()
        changes = ", ".join(f"{name} = excluded.{name}" for name in row)
        places = ", ".join("?" * len(row))
        names = ", ".join(row)  # of this module's dataclass, never from outside
        self._write(
            f"INSERT INTO people ({names}) VALUES ({places}) "  # noqa: S608
            f"ON CONFLICT (id) DO UPDATE SET {changes}",
            *row.values(),
        )

    def person_session(self, token: str) -> PersonSession | None:
        """Return a session by the digest of its secret."""
        row = self._one("SELECT * FROM person_sessions WHERE token = ?", token)
        return None if row is None else PersonSession.from_row(row)

    def sessions_of(self, person: str) -> list[PersonSession]:
        """Return a person's sessions, the one used last first."""
        rows = self._all(
            "SELECT * FROM person_sessions WHERE person = ? ORDER BY used DESC, token", person
        )
        return [PersonSession.from_row(row) for row in rows]

    def keep_person_session(self, session: PersonSession) -> None:
        """Insert a session, or replace its row."""
        self._insert("person_sessions", session.row(), replace=True)

    def end_person_session(self, token: str) -> None:
        """Remove a session."""
        self._write("DELETE FROM person_sessions WHERE token = ?", token)

    def end_person_sessions(self, person: str) -> None:
        """Remove every session of a person."""
        self._write("DELETE FROM person_sessions WHERE person = ?", person)

    def identity(self, key: str) -> PersonIdentity | None:
        """Return an identity by its id."""
        row = self._one("SELECT * FROM person_identities WHERE id = ?", key)
        return None if row is None else PersonIdentity.from_row(row)

    def identities_of(self, person: str) -> list[PersonIdentity]:
        """Return who a person is at providers, the oldest binding first."""
        rows = self._all("SELECT * FROM person_identities WHERE person = ? ORDER BY at, id", person)
        return [PersonIdentity.from_row(row) for row in rows]

    def add_identity(self, identity: PersonIdentity) -> None:
        """Insert who a person is at a provider; its id is unique."""
        self._insert("person_identities", identity.row())

    def remove_identity(self, key: str) -> None:
        """Remove who a person is at a provider."""
        self._write("DELETE FROM person_identities WHERE id = ?", key)

    def delegations(self) -> list[Delegation]:
        """Return every delegation, ended ones included."""
        rows = self._all("SELECT * FROM delegations ORDER BY at, giver, taker")
        return [Delegation.from_row(row) for row in rows]

    def keep_delegation(self, delegation: Delegation) -> None:
        """Insert a delegation, or replace the one between the same two."""
        self._insert("delegations", delegation.row(), replace=True)

    def end_delegation(self, giver: str, taker: str) -> None:
        """Remove a delegation."""
        self._write("DELETE FROM delegations WHERE giver = ? AND taker = ?", giver, taker)

    def item_approvals(self, item: str) -> list[ItemApproval]:
        """Return the approvals of a request by people, the first one first."""
        rows = self._all("SELECT * FROM item_approvals WHERE item = ? ORDER BY number", item)
        return [ItemApproval.from_row(row) for row in rows]

    def add_item_approval(self, approval: ItemApproval) -> None:
        """Insert a person's one approval of a request."""
        self._insert("item_approvals", approval.row())

    def forget_authority(self, person: str, *, acted: bool = False) -> None:
        """Remove a person's approvals of requests that wait; `acted`: in others' places too."""
        self._write(
            "DELETE FROM item_approvals WHERE (authority = ?1 OR (person = ?1 AND ?2))"
            " AND item IN (SELECT id FROM inbox WHERE state = 'waiting')",
            *(person, int(acted)),
        )

    def forget_item_approvals(self, item: str) -> None:
        """Remove the approvals of a request, which is asked anew."""
        self._write("DELETE FROM item_approvals WHERE item = ?", item)
