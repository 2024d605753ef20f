"""Users; their own tokens, sessions and second factors; programs that ask to be logged in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Page, Resource, listing, operation
from secureflow.sdk.views import (
    Account,
    AskingDevice,
    BrowserSession,
    DeviceCodes,
    Enrolling,
    FactorState,
    Identity,
    IssuedToken,
    RecoveryCodes,
)


class Users(Resource[D_co]):
    """The people of the platform (admins see all, others their organisation)."""

    @operation
    def get(self, user: str) -> Call[Account]:
        """Return a user by id."""
        return verbs.get(f"/users/{user}", Account)

    @operation
    def create(
        self,
        name: str,
        password: str,
        organisation: str = "",
        roles: Sequence[str] = ("data-scientist",),
        display: str = "",
    ) -> Call[Account]:
        """Create a user; roles as in `domain.users.Role`."""
        body: dict[str, Any] = {"name": name, "password": password, "roles": list(roles)}
        body |= {"organisation": organisation, "display": display or name}
        return verbs.post("/users", body, answers.value(Account))

    @operation
    def change(self, user: str, /, **fields: Any) -> Call[Account]:
        """Change a user's `display`, `roles` or `disabled`."""
        return verbs.patch(f"/users/{user}", fields, Account)

    @operation
    def erase(self, user: str) -> Call[Account]:
        """Erase for good who a user is; the id stays. It ends all their access."""
        return verbs.post(f"/users/{user}/erase", {}, answers.value(Account))

    @listing
    def list(self, organisation: str = "") -> Call[Page[Account]]:
        """Iterate over the users, optionally of one organisation."""
        return verbs.pages("/users", Account, organisation=organisation)


class Identities(Resource[D_co]):
    """The identities at providers with which people log in to accounts."""

    @operation
    def bind(self, user: str, provider: str, subject: str) -> Call[Identity]:
        """Let the person with this `sub` at a provider log in to an account."""
        body = {"provider": provider, "subject": subject}
        return verbs.post(f"/users/{user}/identities", body, answers.value(Identity))

    @operation
    def unbind(self, user: str, identity: str) -> Call[None]:
        """Remove an identity; it ends the account's tokens and sessions."""
        return verbs.delete(f"/users/{user}/identities/{identity}")

    @listing
    def list(self, user: str) -> Call[Page[Identity]]:
        """Iterate over the identities of an account."""
        return verbs.pages(f"/users/{user}/identities", Identity)


class Tokens(Resource[D_co]):
    """The caller's own bearer tokens."""

    @operation
    def create(
        self, label: str = "", days: int = 30, scopes: Sequence[str] = ()
    ) -> Call[IssuedToken]:
        """Make a token for a program; its text is shown only once.

        `scopes` of `read`, `jobs`, `data`, `people`, `admin`; without any it does all that its
        user may.
        """
        body: dict[str, Any] = {"label": label, "days": days}
        if scopes:
            body["scopes"] = list(scopes)
        return verbs.post("/tokens", body, answers.value(IssuedToken))

    @operation
    def revoke(self, token: str) -> Call[None]:
        """End a token by its id."""
        return verbs.delete(f"/tokens/{token}")

    @listing
    def list(self) -> Call[Page[IssuedToken]]:
        """Iterate over the caller's tokens."""
        return verbs.pages("/tokens", IssuedToken)

    @listing
    def list_of(self, user: str) -> Call[Page[IssuedToken]]:
        """Iterate over the tokens of a person, for their administrator."""
        return verbs.pages(f"/users/{user}/tokens", IssuedToken)

    @operation
    def revoke_of(self, user: str, token: str) -> Call[None]:
        """End a person's token, for their administrator."""
        return verbs.delete(f"/users/{user}/tokens/{token}")


class Devices(Resource[D_co]):
    """The device flow (RFC 8628): a program is logged in by a person elsewhere."""

    @operation
    def start(self, client: str) -> Call[DeviceCodes]:
        """Ask to be logged in; `client` is the program's own name, shown to the person."""
        return verbs.post_once("/devices", {"client": client}, answers.value(DeviceCodes))

    @operation
    def get(self, code: str) -> Call[AskingDevice]:
        """Return which program shows this code."""
        return verbs.get(f"/devices/{quote(code, safe='')}", AskingDevice)

    @operation
    def decide(self, code: str, approve: bool) -> Call[AskingDevice]:
        """Log the program that shows this code in as the caller, or refuse it."""
        word = "approve" if approve else "deny"
        path = f"/devices/{quote(code, safe='')}/{word}"
        return verbs.post(path, {}, answers.value(AskingDevice))


class SecondFactorResource(Resource[D_co]):
    """The caller's second factor (RFC 6238)."""

    @operation
    def get(self) -> Call[FactorState]:
        """Return whether the caller has one."""
        return verbs.get("/me/second-factor", FactorState)

    @operation
    def enrol(self) -> Call[Enrolling]:
        """Return a secret for an authenticator app; it counts once a code has confirmed it."""
        return verbs.post_once("/me/second-factor", {}, answers.value(Enrolling))

    @operation
    def confirm(self, code: str) -> Call[RecoveryCodes]:
        """Make it count; return the recovery codes, which are shown only once."""
        return verbs.post_once(
            "/me/second-factor/confirm", {"code": code}, answers.value(RecoveryCodes)
        )

    @operation
    def remove(self, code: str, password: str = "") -> Call[None]:
        """Remove it, by one of its codes, and the password if the login is not recent."""
        body = {"code": code} | ({"password": password} if password else {})
        return verbs.post("/me/second-factor/remove", body, answers.nothing)

    @operation
    def reset(self, user: str) -> Call[None]:
        """Remove a person's, who has lost it, for their administrator."""
        return verbs.delete(f"/users/{user}/second-factor")


class Sessions(Resource[D_co]):
    """The caller's own sessions in browsers."""

    @operation
    def revoke(self, session: str) -> Call[None]:
        """End a session by its id."""
        return verbs.delete(f"/sessions/{session}")

    @operation
    def revoke_all(self) -> Call[None]:
        """End every session of the caller."""
        return verbs.delete("/sessions")

    @listing
    def list(self) -> Call[Page[BrowserSession]]:
        """Iterate over the caller's sessions."""
        return verbs.pages("/sessions", BrowserSession)
