"""Everybody who may call the API, with every kind of credential that it gives out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from argon2 import PasswordHasher
from peers.believing import BelievingProvider

from secureflow.application.identities import LoginProvider
from secureflow.application.passwords import Passwords
from secureflow.application.ports.identityprovider import AuthorizationAnswer
from secureflow.domain.oidc import ClaimMapping
from secureflow.domain.users import Role, Scope, User
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.totp import code_at
from tests.fuzz.mutations import changed_text, hostile_text
from tests.fuzz.oracle import Secrets
from tests.security.test_authorisation import World, build_world
from tests.stage import NOW, PASSWORD, Stage

SESSION, BROWSER = "__Host-secureflow", "__Host-secureflow-oidc"
OWN_PAGE: Final = ("origin", b"https://test")
NARROW: Final = (Scope.READ, Scope.JOBS, Scope.DATA, Scope.PEOPLE, Scope.SECOND_FACTOR)


class Believing(BelievingProvider):
    """Logs in whoever finishes a login that was begun, and refuses the rest as a real one does."""

    async def authenticate(self, answer: AuthorizationAnswer) -> Any:
        begun = {(one.nonce, one.verifier) for one in self.requests}
        if (answer.nonce, answer.verifier) not in begun or not answer.code:
            raise SecureFlowError("id_token_refused", "It was not begun.")
        return self.claims


@dataclass
class Callers:
    """The world of the authorisation matrix, and credentials of its people.

    `valid` bearer tokens and sessions open something; `ended` ones did once; `others` are genuine
    secrets of another kind, which open nothing as a token.
    """

    world: World
    bearers: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)

    @property
    def stage(self) -> Stage:
        return self.world.stage

    @property
    def valid(self) -> set[str]:
        return {*self.bearers, *self.sessions}

    def credential(self, random: Random) -> tuple[list[tuple[str, bytes]], bool]:
        """Return headers that say who calls, and whether they may open anything at all."""
        kind = random.randrange(12)
        if kind < 5:
            return [_bearer(random.choice(self.bearers))], True
        if kind < 7:
            page = [OWN_PAGE] if random.random() < 0.8 else []
            return [_cookie(random.choice(self.sessions)), *page], True
        if kind == 7:
            return [], False
        if kind == 8:
            both = [_bearer(random.choice(self.bearers)), _cookie(random.choice(self.sessions))]
            return [*both, OWN_PAGE], True
        if kind == 9:
            text = random.choice([*self.ended, *self.others.values()])
        else:
            text = self._broken(random)
        header = random.choice((_bearer, _cookie, _basic))(text)
        return [header, OWN_PAGE], any(one in text for one in self.valid)

    def _broken(self, random: Random) -> str:
        text = random.choice([*self.bearers, *self.sessions])
        if random.random() < 0.1:
            return hostile_text(random)
        return changed_text(random, text, (*self.bearers, *self.others.values()))

    def secrets(self) -> Secrets:
        """Return what the database holds of secrets: digests, hashes, sealed keys."""
        rows = self.stage.database.tables.rows
        names = ("digest", "password", "sealed", "secret", "browser")
        held = [
            str(getattr(row, name))
            for table in rows
            if table not in {"bundles", "jobs", "uploads", "models"}  # digests of what is shown
            for row in rows[table].values()
            for name in names
            if getattr(row, name, "")
        ]
        return Secrets([*held, *self.valid, *self.others.values()])


def _bearer(text: str) -> tuple[str, bytes]:
    return "authorization", sendable(f"Bearer {text}")


def _basic(text: str) -> tuple[str, bytes]:
    return "authorization", sendable(f"Basic {text}")


def _cookie(text: str) -> tuple[str, bytes]:
    return "cookie", sendable(f"theme=dark; {SESSION}={text}")


def sendable(text: str) -> bytes:
    """Return a header's value as far as a server lets one through (RFC 9110, 5.5)."""
    data = text.encode("utf-8", "replace")
    return bytes(one for one in data if one == 9 or 0x20 <= one <= 0x7E or one >= 0x80)


async def prepare(callers: Callers) -> None:
    """Give people passwords, second factors and credentials of every kind."""
    stage, use = callers.stage, callers.stage.services
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    for holder in (use.logins, use.users):
        passwords: Passwords = holder._passwords
        passwords._hasher = quick
    await _with_passwords(stage, quick.hash(PASSWORD))
    mapping = ClaimMapping(organisation="bank-a", roles=(Role.AUDITOR,))
    use.oidc.identities.providers = {"sso": LoginProvider(Believing(), mapping, provision=True)}
    people = [stage.operator, stage.scientist("outsider"), stage.admin("outsider")]
    people += [stage.person("bank-a", role) for role in stage.people_of("bank-a")]
    for one in people:
        callers.bearers.append(await stage.bearer(one))
        async with use.begin() as work:
            user: User = await work.users.get(one.user)
        opened = await use.sessions.open(user, method="password", address="192.0.2.1")
        callers.sessions.append(opened.text)
    for scope in NARROW:
        lead = stage.scientist("bank-a")
        callers.bearers.append(await stage.bearer(replace(lead, scopes=frozenset({scope}))))
    await _ended(callers)
    await _of_other_kinds(callers)


async def _with_passwords(stage: Stage, stored: str) -> None:
    async with stage.services.begin() as work:
        for user in (await work.users.list(limit=500)).items:
            await work.users.save(replace(user, password=stored))
        await work.commit()


async def _ended(callers: Callers) -> None:
    """Make a token that expired, a session that was closed, and a token of somebody disabled."""
    stage, use = callers.stage, callers.stage.services
    stage.now[0] = NOW - 90 * 86_400
    callers.ended.append(await stage.bearer(stage.owner("bank-b")))
    stage.now[0] = NOW
    auditor = stage.person("bank-b", Role.AUDITOR)
    async with use.begin() as work:
        user = await work.users.get(auditor.user)
    opened = await use.sessions.open(user, method="password", address="192.0.2.1")
    await use.sessions.close(opened.text)
    callers.ended += [opened.text, await stage.bearer(auditor)]
    await use.users.update(stage.operator, auditor.user, disabled=True)


async def _of_other_kinds(callers: Callers) -> None:
    """Begin a refreshed login, a device's, one at a provider, a second factor, an enrolment."""
    stage, use, others = callers.stage, callers.stage.services, callers.others
    scientist = stage.scientist("bank-b")
    async with use.begin() as work:
        user = await work.users.get(scientist.user)
    others["refresh"] = (await use.refreshing.begin(user, "password")).refresh
    device = await use.devices.start("training-3", "192.0.2.9")
    others["device"], others["code"] = device.secret, device.code
    started = await use.oidc.start("sso", "/jobs", "192.0.2.9")
    others["state"] = dict(parse_qsl(urlsplit(started.location).query))["state"]
    others["browser"] = started.browser
    owner = stage.owner("bank-b")
    enrolling = await use.second_factors.enrol(owner)
    others["totp"] = enrolling.secret
    import base64

    code = code_at(base64.b32decode(enrolling.secret), stage.now[0])
    others["recovery"] = (await use.second_factors.confirm(owner, code))[0]
    others["later"] = code_at(base64.b32decode(enrolling.secret), stage.now[0] + 30)
    _, others["enrolment"] = await use.organisations.invite(stage.operator, "agent", "bank-b")


def build(directory: Path) -> Callers:
    """Build the world with its callers; what calls do later is undone by `world.reset`."""
    import asyncio

    callers = Callers(build_world(directory))
    asyncio.run(prepare(callers))
    world = callers.world
    world.stage.stopping[0] = True  # streams would watch for ever
    world.tables, world.ids = world.stage.database.tables, dict(world.stage.ids)
    return callers


def rows_of(tables: Any) -> dict[str, int]:
    """Return how many rows each table has."""
    found = {name: len(rows) for name, rows in tables.rows.items()}
    more: Iterable[str] = ("answers", "queue", "told", "events", "journal", "pending")
    return {**found, **{name: len(getattr(tables, name)) for name in more}}
