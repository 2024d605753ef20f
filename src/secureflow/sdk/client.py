"""`Client` and `AsyncClient`: the whole REST API, typed, from one implementation."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from secureflow.sdk import answers, deadline, verbs
from secureflow.sdk.audit import Audit
from secureflow.sdk.bundles import Bundles
from secureflow.sdk.calls import Awaiting, Blocking, Call, D_co, Resource, operation
from secureflow.sdk.charter import CharterResource
from secureflow.sdk.connection import Connection, trust
from secureflow.sdk.datasets import Datasets, Grants
from secureflow.sdk.drivers import AwaitingDriver, BlockingDriver
from secureflow.sdk.jobs import Jobs
from secureflow.sdk.models import Models
from secureflow.sdk.mpc import Mpc
from secureflow.sdk.organisations import Agents, Enrolments, Organisations
from secureflow.sdk.people import Identities, Sessions, Tokens, Users
from secureflow.sdk.profile import Profile, load_profile
from secureflow.sdk.projects import Projects
from secureflow.sdk.views import Account, Session


class BaseClient(Resource[D_co]):
    """Common base of both clients: one attribute per resource, and the login."""

    _connection: Connection

    def __init__(self, driver: D_co, connection: Connection) -> None:
        super().__init__(driver)
        self._connection = connection
        self.users = Users(driver)
        self.tokens = Tokens(driver)
        self.sessions = Sessions(driver)
        self.identities = Identities(driver)
        self.organisations = Organisations(driver)
        self.agents = Agents(driver)
        self.enrolments = Enrolments(driver)
        self.charter = CharterResource(driver)
        self.projects = Projects(driver)
        self.datasets = Datasets(driver)
        self.grants = Grants(driver)
        self.jobs = Jobs(driver)
        self.models = Models(driver)
        self.mpc = Mpc(driver)
        self.bundles = Bundles(driver)
        self.audit = Audit(driver)

    def on_damaged(self, callback: Callable[[Sequence[str]], None]) -> None:
        """Set a callback for ids of items in lists that the server cannot read.

        Without one they are reported as a Python warning.
        """
        self._connection.damaged = callback

    @operation
    def login(self, name: str, password: str) -> Generator[Any, Any, Session]:
        """Log in; later calls of this client carry the session's token."""
        body = {"name": name, "password": password}
        session = yield from verbs.post_once("/login", body, answers.value(Session))
        self._connection.token = session.token
        return session

    @operation
    def logout(self) -> Generator[Any, Any, None]:
        """End the session that the token belongs to."""
        yield from verbs.post("/logout", {}, answers.nothing)
        self._connection.token = ""

    @operation
    def me(self) -> Call[Account]:
        """Return whose token this client carries."""
        return verbs.get("/me", Account)

    @operation
    def change_password(self, old: str, new: str) -> Call[None]:
        """Change the caller's own password."""
        return verbs.post("/me/password", {"old": old, "new": new}, answers.nothing)

    @operation
    def ca(self) -> Call[str]:
        """Return the link CA's certificate (PEM); compare its fingerprint before trusting it."""
        return verbs.read("/ca", answers.text)


class Client(BaseClient[Blocking]):
    """A blocking client.

    Args:
        url: the server, e.g. `https://secureflow.example:8443`.
        token: a bearer token; or call `login`.
        ca: PEM file of the only CA to trust; default: the system's CAs.
        patience: seconds that a read may take, including retries (default: `SECUREFLOW_PATIENCE`,
            else 30); writes may take twice as long.
        transport: an `httpx` transport in place of the network, for tests.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        ca: str | Path | None = None,
        *,
        patience: float | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        http = httpx.Client(verify=trust(ca), transport=transport)
        connection = Connection(url, token, deadline.patience(patience))
        self._http = http
        super().__init__(BlockingDriver(connection, http), connection)

    @classmethod
    def from_profile(cls, profile: Profile | None = None) -> Self:
        """Use the server, CA and token that `secureflow login` saved."""
        profile = profile or load_profile()
        return cls(profile.url, profile.token, profile.ca or None)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(BaseClient[Awaiting]):
    """An asyncio client with the same methods; arguments as for `Client`."""

    def __init__(
        self,
        url: str,
        token: str = "",
        ca: str | Path | None = None,
        *,
        patience: float | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        http = httpx.AsyncClient(verify=trust(ca), transport=transport)
        connection = Connection(url, token, deadline.patience(patience))
        self._http = http
        super().__init__(AwaitingDriver(connection, http), connection)

    @classmethod
    def from_profile(cls, profile: Profile | None = None) -> Self:
        """Use the server, CA and token that `secureflow login` saved."""
        profile = profile or load_profile()
        return cls(profile.url, profile.token, profile.ca or None)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
