"""`Client` and `AsyncClient`: the whole REST API, typed, from one implementation."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from secureflow.sdk import answers, deadline, verbs
from secureflow.sdk.anchors import Anchors
from secureflow.sdk.audit import Audit
from secureflow.sdk.bundles import Bundles
from secureflow.sdk.calls import Awaiting, Blocking, Call, D_co, Resource, operation
from secureflow.sdk.charter import CharterResource
from secureflow.sdk.connection import Connection, trust
from secureflow.sdk.datasets import Datasets, Grants
from secureflow.sdk.drivers import AwaitingDriver, BlockingDriver
from secureflow.sdk.jobs import Jobs
from secureflow.sdk.jobtemplates import JobTemplates
from secureflow.sdk.models import Models
from secureflow.sdk.mpc import Mpc
from secureflow.sdk.notifications import Notifications, Webhooks
from secureflow.sdk.organisations import Agents, Enrolments, Organisations
from secureflow.sdk.people import Devices, Identities, SecondFactorResource, Sessions, Tokens, Users
from secureflow.sdk.profile import Profile, ProfileTokens, load_profile, profile_path
from secureflow.sdk.projects import Projects
from secureflow.sdk.queue import Queue
from secureflow.sdk.settlements import Settlements
from secureflow.sdk.strategies import Strategies
from secureflow.sdk.timetables import Timetables
from secureflow.sdk.views import Account, Proof, Session


class BaseClient(Resource[D_co]):
    """Common base of both clients: one attribute per resource, and the login."""

    _connection: Connection

    def __init__(self, driver: D_co, connection: Connection) -> None:
        super().__init__(driver)
        self._connection = connection
        self.users = Users(driver)
        self.tokens = Tokens(driver)
        self.sessions = Sessions(driver)
        self.devices = Devices(driver)
        self.second_factor = SecondFactorResource(driver)
        self.identities = Identities(driver)
        self.organisations = Organisations(driver)
        self.agents = Agents(driver)
        self.enrolments = Enrolments(driver)
        self.charter = CharterResource(driver)
        self.projects = Projects(driver)
        self.datasets = Datasets(driver)
        self.grants = Grants(driver)
        self.jobs = Jobs(driver)
        self.queue = Queue(driver)
        self.anchors = Anchors(driver)
        self.job_templates = JobTemplates(driver)
        self.strategies = Strategies(driver)
        self.timetables = Timetables(driver)
        self.models = Models(driver)
        self.mpc = Mpc(driver)
        self.bundles = Bundles(driver)
        self.audit = Audit(driver)
        self.settlements = Settlements(driver)
        self.notifications = Notifications(driver)
        self.webhooks = Webhooks(driver)

    def on_damaged(self, callback: Callable[[Sequence[str]], None]) -> None:
        """Set a callback for ids of items in lists that the server cannot read.

        Without one they are reported as a Python warning.
        """
        self._connection.damaged = callback

    @operation
    def login(
        self, name: str, password: str, code: str = "", *, refresh: bool = False
    ) -> Generator[Any, Any, Session]:
        """Log in; later calls of this client carry the session's token.

        Args:
            name, password: the account's.
            code: of its second factor, where it has one.
            refresh: continue the login by itself, for as long as it is used every 30 days.

        Raises:
            SecureFlowError: `second_factor_required` without a code where one is needed.
        """
        body: dict[str, Any] = {"name": name, "password": password}
        body |= {"code": code} if code else {}
        body |= {"refresh": True} if refresh else {}
        session = yield from verbs.post_once("/login", body, answers.value(Session))
        return self._logged_in(session)

    @operation
    def fetch_device_login(self, device_code: str) -> Generator[Any, Any, Session]:
        """Return the login of a device that a person has approved, and carry it from now on.

        Raises:
            SecureFlowError: `authorization_pending`, `slow_down`, `access_denied`,
                `device_code_expired`.
        """
        body = {"device_code": device_code}
        session = yield from verbs.post_once("/devices/login", body, answers.value(Session))
        return self._logged_in(session)

    def _logged_in(self, session: Session) -> Session:
        self._connection.token, self._connection.refresh = session.token, session.refresh
        return session

    @operation
    def logout(self) -> Generator[Any, Any, None]:
        """End the session that the token belongs to."""
        refresh = self._connection.refresh
        body: dict[str, Any] = {"refresh": refresh} if refresh else {}
        self._connection.refresh = ""
        yield from verbs.post("/logout", body, answers.nothing)
        self._connection.token = ""

    @operation
    def me(self) -> Call[Account]:
        """Return whose token this client carries."""
        return verbs.get("/me", Account)

    @operation
    def prove(self, password: str, code: str = "") -> Call[Proof]:
        """Prove again who the caller is, for what is refused as `proof_required`.

        It is good for five minutes, for the login that this client carries.

        Args:
            password: the account's.
            code: of its second factor, where it has one.

        Raises:
            SecureFlowError: `second_factor_required` without a code where one is needed.
        """
        body = {"password": password} | ({"code": code} if code else {})
        return verbs.post_once("/me/proof", body, answers.value(Proof))

    @operation
    def change_password(self, old: str, new: str) -> Call[None]:
        """Change the caller's own password."""
        return verbs.post("/me/password", {"old": old, "new": new}, answers.nothing)

    @operation
    def ca(self) -> Call[str]:
        """Return the link CA's certificate (PEM); compare its fingerprint before trusting it."""
        return verbs.read("/ca", answers.text)

    def _continue(self, profile: Profile, path: Path | None) -> None:
        """Continue a login that has a refresh token, and store what it becomes in its profile."""
        self._connection.refresh = profile.refresh
        self._connection.keeper = ProfileTokens(path or profile_path()) if profile.refresh else None


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
    def from_profile(cls, profile: Profile | None = None, path: Path | None = None) -> Self:
        """Use the server, CA and token that `secureflow login` saved.

        A login with a refresh token is continued, and stored in the profile at `path` (default: the
        chosen context's).
        """
        profile = profile or load_profile(path)
        client = cls(profile.url, profile.token, profile.ca or None)
        client._continue(profile, path)
        return client

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
    def from_profile(cls, profile: Profile | None = None, path: Path | None = None) -> Self:
        """Use the server, CA and token that `secureflow login` saved.

        A login with a refresh token is continued, and stored in the profile at `path` (default: the
        chosen context's).
        """
        profile = profile or load_profile(path)
        client = cls(profile.url, profile.token, profile.ca or None)
        client._continue(profile, path)
        return client

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
