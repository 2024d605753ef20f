"""Users and their identities, and one's own tokens and browser sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Page, Resource, listing, operation
from secureflow.sdk.views import Account, BrowserSession, Identity, IssuedToken


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
    def create(self, label: str = "", days: int = 30) -> Call[IssuedToken]:
        """Make a token for a program; its text is shown only once."""
        body = {"label": label, "days": days}
        return verbs.post("/tokens", body, answers.value(IssuedToken))

    @operation
    def revoke(self, token: str) -> Call[None]:
        """End a token by its id."""
        return verbs.delete(f"/tokens/{token}")

    @listing
    def list(self) -> Call[Page[IssuedToken]]:
        """Iterate over the caller's tokens."""
        return verbs.pages("/tokens", IssuedToken)


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
