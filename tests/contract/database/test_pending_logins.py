"""A pending login is finished once, by whichever replica is asked first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from peers.believing import BelievingProvider

from secureflow.adapters.database.engine import Database
from secureflow.application.identities import LoginProvider
from secureflow.application.oidc import Callback, OidcLogins
from secureflow.domain.oidc import PENDING_SECONDS, ClaimMapping, PendingLogin
from secureflow.kit.errors import SecureFlowError

NOW = 1_800_000_000


class Refusing:
    """Stands for identities and sessions: these logins end at the provider."""

    def __init__(self, provider: BelievingProvider) -> None:
        self.providers = {"sso": LoginProvider(provider, ClaimMapping("bank-a"))}

    def provider(self, name: str) -> LoginProvider:
        return self.providers[name]

    def count(self, user: object) -> None:
        return


def replica(database: Database, provider: BelievingProvider) -> OidcLogins:
    rest: Any = Refusing(provider)
    return OidcLogins(database.begin, rest, rest, rest, lambda: NOW)


async def test_one_of_two_replicas_finishes_a_login(database: Database) -> None:
    provider = BelievingProvider()
    started = await replica(database, provider).start("sso", "/jobs", "10.0.0.1")
    state = started.location.partition("state=")[2]
    callback = Callback(state, "", "access_denied", browser=started.browser)
    tries = [replica(database, provider).finish("sso", callback, "10.0.0.1") for _ in range(6)]
    ended = await asyncio.gather(*tries, return_exceptions=True)
    codes = sorted(one.code for one in ended if isinstance(one, SecureFlowError))
    assert codes == ["login_denied"] + ["login_not_pending"] * 5


async def test_what_nobody_finished_is_swept(database: Database) -> None:
    await replica(database, BelievingProvider()).start("sso", "/jobs", "10.0.0.1")
    for now, gone in ((NOW + PENDING_SECONDS - 1, 0), (NOW + PENDING_SECONDS, 1)):
        async with database.begin() as unit:
            assert await unit.sweep(now) == gone
            await unit.commit()


async def test_the_fullest_network_is_found(database: Database) -> None:
    async with database.begin() as work:
        assert await work.pending_logins.crowded("block", unexpired=NOW) == ""
        for number, block in enumerate(["b", "a", "b", "c", "c", "c"]):
            expires = NOW if block == "c" else NOW + 1
            row = PendingLogin(str(number), "sso", "x", "/", NOW, expires, block=block)
            await work.pending_logins.add(row)
        assert await work.pending_logins.crowded("block", unexpired=NOW) == "b"
        assert await work.pending_logins.count(block="b", unexpired=NOW) == 2
        with pytest.raises(TypeError):
            await work.pending_logins.crowded("user")
