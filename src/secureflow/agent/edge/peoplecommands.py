"""The commands about people and their sessions, over the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from secureflow.agent.edge.arguments import SURROGATE
from secureflow.agent.edge.control import Command
from secureflow.agent.owner.acting import acting
from secureflow.agent.owner.logins import Logins
from secureflow.agent.owner.people import People
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError

_LONGEST: Final = 1024
"""Characters of a name, a password or a code."""


@dataclass(frozen=True)
class PeopleCommands:
    """The commands, over the parts of a running agent."""

    people: People
    logins: Logins

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {
            "people.welcome": self.welcome,
            "people.login": self.login,
            "people.logout": self.logout,
            "people.list": self.every,
            "people.add": self.add,
            "people.disable": self.disable,
            "people.reset": self.reset,
            "people.roles": self.roles,
            "people.me": self.me,
            "people.password": self.password,
            "people.totp.enrol": self.totp_enrol,
            "people.totp.confirm": self.totp_confirm,
            "people.absent": self.absent,
            "people.delegate": self.delegate,
        }

    async def welcome(self) -> dict[str, JSON]:
        """Return what the owner's page shows to who is not logged in: whose agent this is."""
        return {"organisation": self.people.organisation, "accounts": self.people.any()}

    async def login(
        self, name: str, password: str, code: str = "", source: str = ""
    ) -> dict[str, JSON]:
        """Return a new session's secret, once.

        `source` is from where the owner's page was asked: its guesses are slowed down by it.
        """
        _check_texts(name, password, code, source)
        return await self.logins.login(name, password, code, acting().user, source)

    async def logout(self) -> dict[str, JSON]:
        """End the session that is shown."""
        return await asyncio.to_thread(self.logins.logout, acting().session)

    async def every(self) -> list[dict[str, JSON]]:
        """Return the accounts, without secrets."""
        return await asyncio.to_thread(self.people.every)

    async def add(self, name: str, password: str, roles: JSON) -> dict[str, JSON]:
        """Make an account."""
        _check_texts(name, password, *_texts(roles))
        return await self.people.add(name, password, _texts(roles))

    async def disable(self, name: str, disabled: bool = True) -> dict[str, JSON]:
        """Disable an account, or enable it again."""
        _check_texts(name)
        return await asyncio.to_thread(self.people.disable, name, disabled=bool(disabled))

    async def reset(self, name: str, password: str, second_factor: bool = False) -> dict[str, JSON]:
        """Give an account another initial password."""
        _check_texts(name, password)
        return await self.people.reset(name, password, second_factor=bool(second_factor))

    async def roles(self, name: str, roles: JSON) -> dict[str, JSON]:
        """Give an account exactly these roles."""
        _check_texts(name, *_texts(roles))
        return await asyncio.to_thread(self.people.set_roles, name, _texts(roles))

    async def me(self) -> dict[str, JSON]:
        """Return the account of the session that is shown."""
        own = self.people.own(acting().person)
        return next(one for one in await self.every() if one["id"] == own.id)

    async def password(self, old: str, new: str) -> dict[str, JSON]:
        """Choose another password."""
        _check_texts(old, new)
        person = acting().person
        async with self.logins.guessing(person, acting().user):
            return await self.people.change_password(person, old, new)

    async def totp_enrol(self, password: str) -> dict[str, JSON]:
        """Draw a secret for a second factor, and return it once."""
        _check_texts(password)
        person = acting().person
        async with self.logins.guessing(person, acting().user):
            return await self.people.enrol_totp(person, password)

    async def totp_confirm(self, code: str) -> dict[str, JSON]:
        """Confirm it by a code; return the recovery codes once."""
        _check_texts(code)
        return await asyncio.to_thread(self.people.confirm_totp, acting().person, code)

    async def absent(self, until: int) -> dict[str, JSON]:
        """Say until when one is away; 0: no longer."""
        return await asyncio.to_thread(self.people.set_absent, acting().person, _second(until))

    async def delegate(self, to: str, until: int) -> dict[str, JSON]:
        """Let another person decide in one's place; 0 ends it."""
        _check_texts(to)
        return await asyncio.to_thread(self.people.delegate, acting().person, to, _second(until))


def _check_texts(*values: JSON) -> None:
    """Refuse what is no text, not UTF-8, or longer than any of these may be (`invalid_request`)."""
    for one in values:
        if not isinstance(one, str) or len(one) > _LONGEST or SURROGATE.search(one):
            raise SecureFlowError("invalid_request", "A value is no text, or too long.")


def _texts(value: JSON) -> list[str]:
    given = value if isinstance(value, list) else [value]
    return [str(one) for one in given[:16]]


def _second(value: JSON) -> int:
    if type(value) is int and 0 <= value < 1 << 53:
        return value
    raise SecureFlowError("invalid_request", "A date is given in whole unix seconds.")
