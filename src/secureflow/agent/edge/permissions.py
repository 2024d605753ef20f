"""Who may give which command over the control socket: one table, and the rule that reads it.

Without any account, whoever has the agent's own uid (or root) may do everything. Once there is one:

- a command that only *reads* may come from that uid without a session, unless `control.sessions` is
  `all`; other Unix users always show a person's session;
- a command that *watches* needs a session, and does not keep it alive: a page that is open and
  that nobody looks at does not stay logged in. Nor does one that reads, or is about the own
  account, and is *unattended*: a page asks so for what changed while nobody touched it;
- an *own* command is about the account of the session that is shown;
- a *decision* needs a session, its role, a password that the person chose itself, and a second
  factor if the settings say so.

A command that the table does not name is a decision of owner-admins: what is forgotten is closed,
and a test walks every command that an agent serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from secureflow.agent.owner.acting import Actor
from secureflow.agent.owner.logins import Logins
from secureflow.agent.owner.people import People
from secureflow.agent.owner.personrules import (
    ADMIN,
    DECIDER,
    VIEWER,
    holds,
    role_needed,
    session_needed,
)
from secureflow.agent.record.peoplerows import PASSWORD, Person, PersonSession
from secureflow.agent.settings import ControlSettings
from secureflow.kit.errors import SecureFlowError

Need = Literal["open", "watch", "read", "own", "decision"]


@dataclass(frozen=True)
class Permission:
    """What a command needs.

    Args:
        need: see the module.
        least: the least role.
        delegable: whether a decider may have somebody decide in its place.
    """

    need: Need
    least: str = VIEWER
    delegable: bool = False


_READ: Final = Permission("read")
_WATCH: Final = Permission("watch")
_OWN: Final = Permission("own")
_ITEM: Final = Permission("decision", DECIDER, delegable=True)
_DECIDES: Final = Permission("decision", DECIDER)
_ADMINISTERS: Final = Permission("decision", ADMIN)

PERMISSIONS: Final[Mapping[str, Permission]] = {
    "status": _READ,
    "reload": _ADMINISTERS,
    "log": _READ,
    "leaves": _READ,
    "ledger.head": _READ,
    "changes": _WATCH,
    "doctor": Permission("read", DECIDER),
    "alarm.clear": _ADMINISTERS,
    "inbox.list": _READ,
    "inbox.show": _READ,
    "inbox.document": _READ,
    "inbox.approve": _ITEM,
    "inbox.reject": _ITEM,
    "inbox.ask_back": _ITEM,
    "policy.explain": _READ,
    "policy.suggest": _READ,
    "policy.files": _READ,
    "policy.read": _READ,
    "policy.try": _READ,
    "policy.save": _ADMINISTERS,
    "charter.show": _READ,
    "charter.pin": _ADMINISTERS,
    "charter.sign": _ADMINISTERS,
    "data.list": _READ,
    "data.show": _READ,
    "data.publish": _DECIDES,
    "data.uses": _READ,
    "data.remove": _DECIDES,
    "data.budget": _READ,
    "data.course": _READ,
    "data.settle": _ADMINISTERS,
    "bundle.review": _READ,
    "bundle.list": _READ,
    "model.list": _READ,
    "model.show": _READ,
    "model.remove": _DECIDES,
    "prediction.list": _READ,
    "prediction.show": _READ,
    "prediction.remove": _DECIDES,
    "probing.list": _READ,
    "probing.settle": _ADMINISTERS,
    "results.list": _READ,
    "results.show": _READ,
    "results.remove": _DECIDES,
    "results.entries": _READ,
    "data.usage": _READ,
    "stop.list": _READ,
    "grant.list": _READ,
    "grant.show": _READ,
    "grant.create": _DECIDES,
    "grant.confirm": _DECIDES,
    "grant.revoke": _DECIDES,
    "grant.unlock": _ADMINISTERS,
    "revenue.list": _READ,
    "revenue.show": _READ,
    "revenue.sign": _ADMINISTERS,
    "settlement.list": _READ,
    "settlement.show": _READ,
    "settlement.approve": _ADMINISTERS,
    "settlement.dispute": _ADMINISTERS,
    "settlement.withdraw": _ADMINISTERS,
    "settlement.pay": _ADMINISTERS,
    "settlement.confirm": _ADMINISTERS,
    "job.withdraw": _DECIDES,
    "project.freeze": _DECIDES,
    "project.unfreeze": _ADMINISTERS,
    "requester.block": _DECIDES,
    "requester.unblock": _ADMINISTERS,
    "anchor.list": _READ,
    "anchor.show": _READ,
    "anchor.heads": _READ,
    "anchor.verify": _READ,
    "anchor.doctor": _READ,
    "anchor.owed": _READ,
    "anchor.admit": _ADMINISTERS,
    "anchor.remove": _ADMINISTERS,
    "anchor.upgrade": _ADMINISTERS,
    "anchor.again": _ADMINISTERS,
    "witness.show": _READ,
    "notification.list": _READ,
    "notification.read": _READ,
    "notification.failed": _READ,
    "notification.test": _ADMINISTERS,
    "people.welcome": Permission("open"),
    "people.login": Permission("open"),
    "people.logout": Permission("open"),
    "people.providers": Permission("open"),
    "people.device_start": Permission("open"),
    "people.device_finish": Permission("open"),
    "people.oidc_start": Permission("open"),
    "people.oidc_finish": Permission("open"),
    "people.bind": _ADMINISTERS,
    "people.unbind": _ADMINISTERS,
    "people.list": _READ,
    "people.add": _ADMINISTERS,
    "people.disable": _ADMINISTERS,
    "people.reset": _ADMINISTERS,
    "people.roles": _ADMINISTERS,
    "people.me": _OWN,
    "people.password": _OWN,
    "people.totp.enrol": _OWN,
    "people.totp.confirm": _OWN,
    "people.absent": _OWN,
    "people.delegate": _DECIDES,
}
"""Command → what it needs."""


class Gate:
    """Decides who gives a command.

    Args:
        people: the accounts.
        logins: recognises sessions.
        settings: of the control socket.
        own: the Unix users that may act without accounts: the agent's and root.
    """

    def __init__(
        self,
        people: People,
        logins: Logins,
        settings: ControlSettings,
        own: Callable[[int], bool],
    ) -> None:
        self._people = people
        self._logins = logins
        self._settings = settings
        self._own = own

    def admit(
        self,
        command: str,
        session: str,
        user: int,
        *,
        strict: bool = False,
        unattended: bool = False,
    ) -> Actor:
        """Return who gives a command.

        Args:
            command: its name.
            session: the secret of a person's session, or empty.
            user: the Unix user at the other end of the socket.
            strict: whether a session is demanded of whoever it is.
            unattended: whether nobody asks but a page by itself; a decision is somebody's anyway.

        Raises:
            SecureFlowError: `session_needed`, `session_expired`, `role_needed`, `password_initial`,
                `second_factor_missing`.
        """
        needed = PERMISSIONS.get(command, _ADMINISTERS)
        if needed.need == "open":
            return Actor(user=user, session=session)
        own = self._own(user) and not strict
        if not self._people.any():
            if own and needed.need not in ("own", "watch"):
                return Actor(user=user)
            raise _no_accounts() if own else session_needed()
        free = needed.need == "read" and own and self._settings.sessions == "decisions"
        if not session:
            if free:
                return Actor(user=user)
            raise session_needed()
        try:
            quiet = needed.need == "watch" or (unattended and needed.need != "decision")
            person, shown = self._logins.session(session, keep=not quiet)
        except SecureFlowError as error:
            if free and error.code == "session_expired":
                return Actor(user=user)
            raise
        authorities = self._authorities(needed, person)
        if needed.need == "decision":
            self._check_credentials(person, shown)
        return Actor(person.id, user, authorities, session)

    def _authorities(self, needed: Permission, person: Person) -> tuple[str, ...]:
        authorities = self._people.authorities(person)
        if not holds(person.roles, needed.least) and not (needed.delegable and authorities):
            raise role_needed(needed.least)
        return authorities

    def _check_credentials(self, person: Person, session: PersonSession) -> None:
        """Refuse decisions under a password that others know, or without a second factor.

        Of who logged in at a provider, the provider says whether a second factor was shown.
        """
        own = session.method == PASSWORD
        if own and person.initial:
            raise SecureFlowError(
                "password_initial",
                "Somebody else chose the password of this account.",
                "Choose your own: secureflow agent people password",
            )
        shown = person.confirmed if own else session.factor
        if self._settings.second_factor == "required" and not shown:
            raise SecureFlowError(
                "second_factor_missing",
                "Decisions at this agent need an account with a second factor.",
                "secureflow agent people totp"
                if own
                else "Log in again, with a second factor at your identity provider.",
            )


def _no_accounts() -> SecureFlowError:
    return SecureFlowError(
        "session_needed",
        "Nobody has an account at this agent yet.",
        "secureflow agent people add NAME --role owner-admin",
    )
