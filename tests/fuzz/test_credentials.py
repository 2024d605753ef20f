"""Mutated credentials: every parser of what the centre gives out to whom it let in.

A genuine token, session, cookie, refresh token, device secret, state of a login at a provider, code
of a second factor, password, enrolment token or ID token is changed: a sign, its length, its case,
its parts for those of somebody else. Promised: a typed refusal, or nothing but what the genuine one
would have given; and a refusal changes no row.
"""

from __future__ import annotations

import asyncio
import base64
import unicodedata
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from peers.oidcprovider import signed, signing_key
from starlette.datastructures import Headers

from secureflow.adapters.identity.idtokens import ALGORITHMS, Expected, read_header, verify
from secureflow.adapters.identity.idtokens import read_keys as keys_of
from secureflow.application.oidc import Callback
from secureflow.domain.errors import CATALOGUE
from secureflow.domain.oidc import local_path
from secureflow.kit.enrolment import EnrolmentToken
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.paging import decode_cursor, encode_cursor
from secureflow.kit.plain import hidden
from secureflow.kit.totp import code_at, plain
from secureflow.server.rest.cookies import cookie_of
from tests.fuzz.callers import SESSION, Callers, build, sendable
from tests.fuzz.mutations import changed_text, hostile_text
from tests.fuzz.oracle import tell
from tests.seeded import portions
from tests.stage import NOW, PASSWORD

REPEAT = "python -m pytest tests/fuzz/test_credentials.py -k test_seeds --seeds {}:{}"
CLAIMS: Final = {
    **{"iss": "https://sso.example", "aud": "client", "sub": "1", "nonce": "n" * 43},
    **{"iat": NOW, "exp": NOW + 600},
}
EXPECTED: Final = Expected("https://sso.example", "client", "n" * 43, NOW - 10, NOW)
Attempt = Callable[["Parsers", Random], Awaitable[tuple[str, bool]]]


class Parsers:
    """The parsers over one world; each attempt returns what was tried, and whether it was let in.

    An attempt with something that means the same as the genuine one is none: it returns "".
    """

    def __init__(self, callers: Callers) -> None:
        self.callers, self.use = callers, callers.stage.services
        self.others = callers.others
        self.secret = base64.b32decode(self.others["totp"])
        self.id_token = signed(dict(CLAIMS))
        (self.key,) = keys_of({"keys": [signing_key().as_dict(private=False)]})
        self.owner: Any = None

    def changed(self, random: Random, text: str, *more: str) -> str:
        others = (*self.callers.bearers, *self.others.values(), *more)
        return changed_text(random, text, others)

    async def token(self, random: Random) -> tuple[str, bool]:
        text = self.changed(random, random.choice([*self.callers.bearers, *self.callers.sessions]))
        if text in self.callers.bearers:
            return "", False
        await self.use.tokens.authenticate(text)
        return text, True

    async def session(self, random: Random) -> tuple[str, bool]:
        text = self.changed(random, random.choice(self.callers.sessions), *self.callers.sessions)
        if text in self.callers.sessions:
            return "", False
        await self.use.sessions.authenticate(text)
        return text, True

    async def cookie(self, random: Random) -> tuple[str, bool]:
        mine, other = random.sample(self.callers.sessions, 2)
        sent = [f"{SESSION}={mine}", f"{SESSION}={other}", "theme=dark"]
        header = self.changed(random, "; ".join(random.sample(sent, random.choice((1, 2, 3)))))
        data = sendable(header).decode("latin-1")
        found = cookie_of(Headers({"cookie": data}), "")
        pairs = [one.strip().partition("=") for one in data.split(";")]
        values = {value for name, _, value in pairs if name == SESSION}
        whole = found == "" or (found in values and len(values & {mine, other}) <= 1)
        return header, not whole

    async def refresh(self, random: Random) -> tuple[str, bool]:
        text = self.changed(random, self.others["refresh"])
        if text == self.others["refresh"]:
            return "", False
        await self.use.refreshing.refresh(text)
        return text, True

    async def device(self, random: Random) -> tuple[str, bool]:
        text = self.changed(random, self.others["device"])
        if text == self.others["device"]:
            return "", False
        await self.use.devices.poll(text)
        return text, True

    async def user_code(self, random: Random) -> tuple[str, bool]:
        text = self.changed(random, self.others["code"])
        typed = "".join(one for one in text[:32] if not one.isspace() and one != "-").upper()
        if typed == self.others["code"].replace("-", ""):
            return "", False
        found = await self.use.devices.find(self.callers.stage.operator, text, "192.0.2.9")
        return f"{text} {found}", True

    async def callback(self, random: Random) -> tuple[str, bool]:
        state, browser = self.others["state"], self.others["browser"]
        kind = random.randrange(3)
        told = self.changed(random, state) if kind != 1 else state
        kept = self.changed(random, browser) if kind != 0 else browser
        if (told, kept) == (state, browser):
            return "", False
        issuer = random.choice((None, "https://sso.example", hostile_text(random)))
        answer = Callback(told, "code", "", issuer, kept, random.choice(self.callers.sessions))
        await self.use.oidc.finish("sso", answer, "192.0.2.9")
        return f"{told} {kept}", True

    async def second_factor(self, random: Random) -> tuple[str, bool]:
        text = self.changed(random, random.choice((self.others["later"], self.others["recovery"])))
        steps = {code_at(self.secret, NOW + 30 * away) for away in (-1, 0, 1)}
        if plain(text) in {*steps, *map(plain, (self.others["recovery"], ""))}:
            return "", False
        async with self.use.begin() as work:
            await self.use.second_factors.require(work, self.owner, text)
        return text, True

    async def password(self, random: Random) -> tuple[str, bool]:
        # JSON's halves of characters get past no door: bodies and lines refuse them.
        text = changed_text(random, PASSWORD).encode(errors="replace").decode()
        if unicodedata.normalize("NFKC", text) == PASSWORD:
            return "", False
        await self.use.logins.check("bank-a.auditor", text, "192.0.2.9")
        return text, True

    async def enrolment(self, random: Random) -> tuple[str, bool]:
        genuine = self.others["enrolment"]
        text = self.changed(random, genuine)
        found = EnrolmentToken.parse(text)
        same = text.strip() == genuine  # it is pasted
        return text, not same and found == EnrolmentToken.parse(genuine)

    async def id_token_(self, random: Random) -> tuple[str, bool]:
        text = self.changed(random, self.id_token, signed({**CLAIMS, "aud": "other"}))
        if text == self.id_token:
            return "", False
        verify(text, read_header(text, ALGORITHMS), self.key, EXPECTED)
        return text, True

    async def cursor(self, random: Random) -> tuple[str, bool]:
        text = changed_text(random, encode_cursor("usr_0123456789"))
        return text, encode_cursor(decode_cursor(text)) != text

    async def next_path(self, random: Random) -> tuple[str, bool]:
        text = changed_text(random, random.choice(("/jobs?x=1", "//evil.example", "https://a.b/")))
        found = local_path(text)
        return text, not found.startswith("/") or found[1:2] in {"/", "\\"} or hidden(found)


ATTEMPTS: Final[tuple[Attempt, ...]] = (
    *(Parsers.token, Parsers.session, Parsers.cookie, Parsers.refresh, Parsers.device),
    *(Parsers.user_code, Parsers.callback, Parsers.second_factor, Parsers.enrolment),
    *(Parsers.id_token_, Parsers.cursor, Parsers.next_path),
)
RARE: Final = Parsers.password
"""Hashing takes as long as hundreds of the others."""


async def one_case(seed: int, parsers: Parsers) -> list[str]:
    """Make one attempt; return what is wrong with what came of it."""
    random = Random(seed)
    stage, world = parsers.callers.stage, parsers.callers.world
    world.reset()
    stage.ticks[0] += 100_000.0
    attempt = RARE if random.random() < 0.02 else random.choice(ATTEMPTS)
    name = attempt.__name__
    try:
        tried, let_in = await attempt(parsers, random)
    except SecureFlowError as error:
        wrong = [] if error.code in CATALOGUE else [f"unknown code {error.code}"]
        if hidden(error.message) or hidden(error.hint):
            wrong.append(f"hides characters: {error}")
        if stage.database.tables is not world.tables:
            wrong.append(f"a refusal changed the database: {error.code}")
        return [f"{name}: {one}" for one in wrong]
    except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
        return [f"{name}: {error!r}"]
    return [f"{name}: let in with {tried!r}"] if let_in else []


def check(seeds: range, directory: Path) -> None:
    """Try each seed in one world; before that, what is genuine."""
    parsers = Parsers(build(directory))

    async def played() -> list[tuple[int, list[str]]]:
        async with parsers.use.begin() as work:
            parsers.owner = await work.users.get(parsers.callers.stage.owner("bank-b").user)
        await the_genuine_ones_are_let_in(parsers)
        return [(seed, await one_case(seed, parsers)) for seed in seeds]

    tell(asyncio.run(played()), REPEAT)


async def the_genuine_ones_are_let_in(parsers: Parsers) -> None:
    """Else the refusals would say nothing."""
    use, others, world = parsers.use, parsers.others, parsers.callers.world
    world.reset()
    for text in parsers.callers.bearers:
        assert (await use.tokens.authenticate(text)).user
    for text in parsers.callers.sessions:
        assert (await use.sessions.authenticate(text)).user
    assert (await use.refreshing.refresh(others["refresh"])).refresh
    with pytest.raises(SecureFlowError, match="decided"):
        await use.devices.poll(others["device"])
    world.reset()
    assert await use.devices.find(parsers.callers.stage.operator, others["code"], "a")
    answer = Callback(others["state"], "c", "", None, others["browser"], "")
    assert (await use.oidc.finish("sso", answer, "a")).opened
    async with use.begin() as work:
        assert await use.second_factors.require(work, parsers.owner, others["later"])
    assert await use.logins.check("bank-a.auditor", PASSWORD, "a")
    assert verify(
        parsers.id_token, read_header(parsers.id_token, ALGORITHMS), parsers.key, EXPECTED
    )


@portions(0, 11_500, 11_500)
def test_seeds(seeds: range, tmp_path: Path) -> None:
    check(seeds, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@portions(0, 400_000, 20_000)
def test_many_seeds(seeds: range, tmp_path: Path) -> None:
    check(seeds, tmp_path)
