"""A login at a real provider (`oidc-provider-mock`)."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from secureflow.adapters.identity import Client, Fetcher, OidcProvider
from secureflow.application.identities import LoginProvider
from secureflow.domain.oidc import ClaimMapping
from secureflow.domain.users import Role
from secureflow.kit.clock import system_clock
from tests.stage import two_worlds
from tests.unit.server.conftest import Api

MAPPING = ClaimMapping(
    organisation="bank-a",
    roles_claim=("groups",),
    role_names={"scientists": Role.DATA_SCIENTIST, "owners": Role.DATA_OWNER},
)


def port_of(issuer: str, **more: bool) -> OidcProvider:
    fetcher = Fetcher("sso", frozenset({"127.0.0.1"}), loopback_http=True)
    redirect = "https://test/api/v1/oidc/sso/callback"
    client = Client("secureflow", "s3cret", redirect, ("openid", "profile"), **more)
    return OidcProvider("SSO", issuer, client, fetcher, system_clock)


@pytest.mark.parametrize("userinfo", [False, True])
async def test_somebody_logs_in_and_the_providers_word_changes(
    issuer: str, tmp_path: Path, userinfo: bool
) -> None:
    api = Api(await two_worlds(tmp_path))
    api.stage.now[0] = system_clock()
    port = port_of(issuer, userinfo=userinfo)
    provider = LoginProvider(port, MAPPING, provision=True)
    api.stage.services.oidc.identities.providers = {"sso": provider}
    async with api.http, httpx.AsyncClient(base_url=issuer) as user:
        groups = {"groups": ["scientists"], "name": "Ada L"}
        await user.put("/users/ada", json=groups)
        answer = await _login(api, user)
        assert (answer.status_code, answer.headers["location"]) == (302, "/jobs"), answer.text
        me = (await api.http.get("/api/v1/me")).json()
        assert (me["organisation"], me["roles"], me["display"]) == (
            *("bank-a", ["data-scientist"]),
            "Ada L",
        )
        await user.put("/users/ada", json={"groups": ["owners"]})
        await _login(api, user)
        again = (await api.http.get("/api/v1/me")).json()
        assert (again["id"], again["roles"]) == (me["id"], ["data-owner"])
        await user.put("/users/ada", json={"groups": []})
        answer = await _login(api, user)
        assert (answer.status_code, answer.json()["code"]) == (403, "identity_refused")
        assert (await api.http.get("/api/v1/me")).status_code == 401


async def _login(api: Api, user: httpx.AsyncClient) -> httpx.Response:
    """Log Ada in, at the provider's own form; return the callback's answer."""
    start = await api.http.get("/api/v1/oidc/sso/start?next=/jobs")
    form = await user.get(start.headers["location"])
    assert re.search("<form", form.text)
    agreed = await user.post(start.headers["location"], data={"sub": "ada"})
    assert agreed.status_code == 302, agreed.text
    back = urlsplit(agreed.headers["location"])
    return await api.http.get(f"{back.path}?{back.query}")


async def test_a_check_finds_the_provider_right(issuer: str) -> None:
    await port_of(issuer).check()
