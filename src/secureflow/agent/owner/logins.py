"""Sessions of people at the agent.

A session's secret is `sfa_` and 256 random bits; the record has its SHA-256 alone. It ends after a
time without a command, after an absolute time, by logout, when its person is disabled or its
password or second factor changes, and when the agent is restored from a backup.

Guesses are slowed down by (name, Unix user): who guesses slows down only itself, and whoever can
reach the socket is known by the kernel. Behind the owner's page are many people with one Unix user:
it tells a *source* of each guess, so that they do not slow one another down (`console.attempts`).
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from secureflow.agent.owner import totp
from secureflow.agent.owner.personrules import (
    bad_credentials,
    session_ended,
    session_token,
)
from secureflow.agent.record.peoplerows import PASSWORD, Person, PersonSession
from secureflow.agent.record.store import RecordStore
from secureflow.application.throttle import Throttle, too_fast
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.totp import matching

if TYPE_CHECKING:
    from secureflow.application.passwords import Passwords

MOST: Final = 8
"""Sessions of one person; a further one removes the one used longest ago."""
_SHAPE: Final = re.compile(r"sfa_[A-Za-z0-9_-]{43}")
_TOUCH: Final = 60
"""Seconds after which the time of the last command is written again: each write is a disk flush."""
_GUESSES: Final = 5
"""Burst of guesses at one name; after that one in half a minute."""
_AIMED: Final = 40
"""Burst of one Unix user's guesses at one name from all the sources that it tells; after that one
in ten seconds: who takes the owner's page over can make sources up."""
_SOURCE: Final = 64
"""Characters of a source."""
_FAILURES: Final = 60
"""Burst of one Unix user's guesses at all names, each of which is an entry of the log."""


@dataclass(frozen=True)
class Limits:
    """How long a session lasts: seconds without a command, and in all."""

    idle: int
    absolute: int


class Logins:
    """Logs people in and recognises them.

    Args:
        store: the agent's record.
        key: the agent's signing key, under which second factors are stored.
        clock: unix seconds.
        ticks: rate limit for guessing.
        limits: of sessions.
        passwords: checks them.
    """

    def __init__(
        self,
        store: RecordStore,
        key: SigningKey,
        clock: Clock,
        ticks: Ticks,
        limits: Limits,
        passwords: Callable[[], Passwords],
    ) -> None:
        self._store = store
        self._key = key
        self._clock = clock
        self._limits = limits
        self._passwords = passwords
        self._guesses = Throttle(1 / 30, _GUESSES, ticks)
        self._aimed = Throttle(1 / 10, _AIMED, ticks)
        self._failures = Throttle(1.0, _FAILURES, ticks)

    async def login(
        self, name: str, password: str, code: str, user: int, source: str = ""
    ) -> dict[str, JSON]:
        """Return a new session's secret, once, and whose it is.

        Args:
            name: of the account.
            password: to compare.
            code: of the second factor, or a recovery code; empty if none was asked for yet.
            user: the Unix user at the other end of the socket.
            source: who of many people behind one Unix user, as the owner's page tells it.

        Raises:
            SecureFlowError: `bad_credentials`, `rate_limited`; `second_factor_required` after the
                right password of an account that has one.
        """
        named = f"{user}\n{name[:64]}"
        source = f"{named}\n{source[:_SOURCE]}"
        # The few keys first: names and sources that are made up would push out those that count.
        if wait := self._failures.take(str(user)):
            raise too_fast(wait)
        if wait := self._guesses.take(source) or self._aimed.take(named):
            self._failures.give_back(str(user))
            raise too_fast(wait)
        known = self._store.person_named(name[:64])
        usable = None if known is None or known.disabled or not known.password else known
        right = await self._passwords().matches(
            None if usable is None else usable.password, password
        )
        if usable is None or not right:
            await asyncio.to_thread(self._note_failure, known, user)
            raise bad_credentials()
        if usable.confirmed and not code:
            for spent, by in ((self._guesses, source), (self._aimed, named)):
                spent.give_back(by)
            self._failures.give_back(str(user))
            raise SecureFlowError(
                "second_factor_required",
                "This account has a second factor.",
                "Give the code of your authenticator app, or a recovery code: --code CODE.",
            )
        try:
            opened = await asyncio.to_thread(self._open, usable, code, user)
        except SecureFlowError as error:
            if error.code == "bad_credentials":
                await asyncio.to_thread(self._note_failure, usable, user)
            raise
        self._guesses.forget(source)
        self._aimed.give_back(named)
        self._failures.give_back(str(user))
        return opened

    @asynccontextmanager
    async def guessing(self, person: str, user: int) -> AsyncIterator[None]:
        """Slow down and note whoever has a session and guesses its person's password.

        Args:
            person: id of the account whose session was shown; empty: nobody's.
            user: the Unix user at the other end of the socket.

        Raises:
            SecureFlowError: `rate_limited`, and what the guarded block raises.
        """
        source = f"{user}\n{person}"
        if wait := self._guesses.take(source):
            raise too_fast(wait)
        try:
            yield
        except SecureFlowError as error:
            if error.code == "bad_credentials":
                known = self._store.person(person)
                await asyncio.to_thread(self._note_failure, known, user)
            else:
                self._guesses.give_back(source)
            raise
        self._guesses.forget(source)

    def _open(self, known: Person, code: str, user: int) -> dict[str, JSON]:
        secret, now = f"sfa_{secrets.token_urlsafe(32)}", self._clock()
        with self._store.transaction():
            person = self._store.person(known.id)
            if person is None or person.disabled or person.password != known.password:
                raise bad_credentials()  # changed meanwhile
            if person.confirmed:
                person = self._second_factor(person, code, now)
                self._store.keep_person(person)
            return self.begin(person, user, secret=secret)

    def begin(
        self,
        person: Person,
        user: int,
        *,
        secret: str = "",
        method: str = PASSWORD,
        factor: bool = False,
    ) -> dict[str, JSON]:
        """Begin a session of somebody who has proved who it is, in the caller's transaction.

        Args:
            person: who is not disabled.
            user: the Unix user at the other end of the socket.
            secret: of the session; drawn if left out.
            method: how the person logged in.
            factor: whether an identity provider said that a second factor was shown.
        """
        secret, now = secret or f"sfa_{secrets.token_urlsafe(32)}", self._clock()
        for old in self._store.sessions_of(person.id)[MOST - 1 :]:
            self._store.end_person_session(old.token)
        own = method == PASSWORD
        session = PersonSession(
            *(session_token(secret), person.id, now, now, user, method, int(factor))
        )
        self._store.keep_person_session(session)
        told = {} if own else {"method": method}
        self._store.note(now, "person.login", "", person=person.id, user=user, **told)
        return {
            "session": secret,
            "id": person.id,
            "name": person.name,
            "roles": list(person.roles),
            "expires": now + self._limits.absolute,
            "method": method,
            "initial_password": own and bool(person.initial),
            "second_factor": bool(person.confirmed) if own else factor,
            "recovery_codes": len(person.recovery),
        }

    def _second_factor(self, person: Person, code: str, now: int) -> Person:
        """Return the person with the code used up.

        Raises:
            SecureFlowError: `bad_credentials`, `second_factor_unreadable`.
        """
        if (used := matching(person.recovery, code)) is not None:
            self._store.note(now, "person.recovery_code", "", person=person.id)
            return replace(person, recovery=tuple(o for o in person.recovery if o != used))
        secret = totp.unseal(person.totp, person.id, self._key)
        step = totp.accepted_step(secret, code, now, person.step)
        if step is None:
            raise bad_credentials()
        return replace(person, step=step)

    def _note_failure(self, known: Person | None, user: int) -> None:
        with self._store.transaction():
            self.note_failure(known, user)

    def note_refusal(self, user: int, facts: Mapping[str, JSON]) -> None:
        """Log a login that an identity provider did not confirm."""
        with self._store.transaction():
            self.note_failure(None, user, **facts)

    def note_failure(self, known: Person | None, user: int, **more: JSON) -> None:
        """Log a failed login, in the caller's transaction; a wrong name may be a password."""
        facts = more if known is None else {**more, "person": known.id}
        self._store.note(self._clock(), "person.login_failed", "", **facts, user=user)

    def recognise(self, secret: str) -> Person:
        """Return whose session this is, and keep it alive.

        Raises:
            SecureFlowError: `session_expired`: unknown here, too old, or its person is disabled.
        """
        return self.session(secret)[0]

    def session(self, secret: str, *, keep: bool = True) -> tuple[Person, PersonSession]:
        """Return a session and whose it is; raises as `recognise`.

        Args:
            secret: of the session.
            keep: whether it is kept alive, because somebody uses it.
        """
        session = (
            self._store.person_session(session_token(secret)) if _SHAPE.fullmatch(secret) else None
        )
        person = None if session is None else self._store.person(session.person)
        now = self._clock()
        if (
            session is None
            or person is None
            or person.disabled
            or not session.begun <= now < session.begun + self._limits.absolute
            or now >= session.used + self._limits.idle
        ):
            raise session_ended()
        if keep and now >= session.used + _TOUCH:
            with self._store.transaction():
                self._store.keep_person_session(replace(session, used=now))
        return person, session

    def logout(self, secret: str) -> dict[str, JSON]:
        """End a session; one that has ended already is no error."""
        with self._store.transaction():
            session = self._store.person_session(session_token(secret))
            if session is not None:
                self._store.end_person_session(session.token)
                self._store.note(self._clock(), "person.logout", "", person=session.person)
        return {"ended": session is not None}
