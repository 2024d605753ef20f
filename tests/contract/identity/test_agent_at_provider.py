"""People of an agent at a provider, through the agent's own commands: both flows, end to end.

The code flow at `oidc-provider-mock`; the device flow, which that one lacks, at the double of
`peers.oidcprovider`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from peers.agent_people import Team
from peers.agent_world import World
from peers.oidcprovider import CLIENT, SECRET, Provider, running, unsigned

from secureflow.agent.edge.main import provider_commands
from secureflow.agent.edge.providercheck import check_providers
from secureflow.agent.identitysettings import OwnIdentitySettings
from secureflow.agent.settings import AgentSettings
from secureflow.kit.clock import system_clock
from secureflow.kit.errors import SecureFlowError

PAGE = "http://127.0.0.1:8444"
ROLES = {"claim": "groups", "map": {"scientists": "decider"}}


class Diagnosed:
    """What the doctor knows."""

    def __init__(self, settings: AgentSettings) -> None:
        self.known, self.clock = settings, system_clock


async def agent(tmp_path: Path, issuer: str, **more: Any) -> tuple[Team, list[float]]:
    """Return the people of an agent that has this provider, and the clock that paces questions."""
    secret = tmp_path / "sso.secret"
    secret.write_text(f"{more.pop('secret', SECRET)}\n")
    secret.chmod(0o600)
    world = World(tmp_path / "agent", policy="")
    world.now = system_clock()
    team = await Team(world).gather()
    provider = {
        "name": "sso", "issuer": issuer, "client_id": CLIENT, "client_secret_file": str(secret),
        "redirect": PAGE, "roles": ROLES, "loopback_http": True, **more,
    }  # fmt: skip
    identity = OwnIdentitySettings.model_validate({"oidc": [provider]})
    active = world.assembly.context.active
    active.replace(active.settings.model_copy(update={"identity": identity}))
    at = provider_commands(world.assembly, team.logins)
    ticks = [1000.0]
    at.logins._ticks = lambda: ticks[0]
    team.server._commands = {**team.table, **at.table()}
    return team, ticks


async def test_the_page_logs_somebody_in_at_a_real_provider(issuer: str, tmp_path: Path) -> None:
    team, _ = await agent(tmp_path, issuer, secret="s3cret")
    await team.give("people.bind", "ada", name="ben", provider="sso", subject="ada")
    async with httpx.AsyncClient(base_url=issuer) as user:
        await user.put("/users/ada", json={"groups": ["scientists"]})
        begun = await team.give("people.oidc_start", provider="sso")
        agreed = await user.post(begun["url"], data={"sub": "ada"})
        back = urlsplit(agreed.headers["location"])
        assert f"{back.scheme}://{back.netloc}{back.path}" == f"{PAGE}/oidc/sso/callback"
        brought = dict(parse_qsl(back.query))
        assert brought["state"] == begun["state"]
        given = {
            "provider": "sso", "state": brought["state"], "code": brought["code"],
            "browser": begun["browser"],
        }  # fmt: skip
        opened = await team.give("people.oidc_finish", **given)
        assert (opened["name"], opened["roles"]) == ("ben", ["decider"])
        assert await team.refusal("people.oidc_finish", **given) == "login_not_pending"
        assert await team.refusal("people.me", opened["session"]) == ""


async def test_the_command_line_logs_somebody_in_with_a_device_code(tmp_path: Path) -> None:
    now = system_clock()
    async with running(Provider(now=[now])) as provider:
        provider.claims = {"sub": "ada@bank", "groups": ["scientists"]}
        team, ticks = await agent(tmp_path, provider.issuer)
        await team.give("people.bind", "ada", name="ben", provider="sso", subject="ada@bank")
        begun = await team.give("people.device_start", provider="sso")
        assert (begun["code"], begun["address"]) == ("WDJB-MJHT", f"{provider.issuer}/activate")
        ticks[0] += begun["interval"]
        waiting = await team.give("people.device_finish", login=begun["login"])
        assert waiting == {"waiting": True, "interval": 5}
        provider.decide()
        ticks[0] += 5
        opened = await team.give("people.device_finish", login=begun["login"])
        assert (opened["name"], opened["method"]) == ("ben", "oidc:sso")
        assert await team.refusal("people.me", opened["session"]) == ""


async def test_a_hostile_provider_lets_nobody_in(tmp_path: Path) -> None:
    async with running(Provider(now=[system_clock()])) as provider:
        provider.claims = {"sub": "ada@bank", "groups": ["scientists"]}
        team, ticks = await agent(tmp_path, provider.issuer)
        await team.give("people.bind", "ada", name="ben", provider="sso", subject="ada@bank")
        provider.token = unsigned
        for change in ({}, {"aud": "another"}, {"iss": "https://evil.example"}, {"exp": 1}):
            provider.claims |= change
            provider.devices.clear()
            begun = await team.give("people.device_start", provider="sso")
            provider.decide()
            ticks[0] += 60
            code = await team.refusal("people.device_finish", login=begun["login"])
            assert code == "id_token_refused"
        assert team.world.store.actions(limit=1)[0]["action"] == "person.login_failed"


async def test_the_doctor_asks_each_provider(tmp_path: Path) -> None:
    import asyncio

    async with running() as provider:
        team, _ = await agent(tmp_path, provider.issuer)
        known: Any = Diagnosed(team.world.assembly.context.settings)
        assert "sso" in await asyncio.to_thread(check_providers, known)
        provider.described = {"issuer": "https://evil.example"}
        with pytest.raises(SecureFlowError) as error:
            await asyncio.to_thread(check_providers, known)
        assert error.value.code == "provider_untrusted"
        assert "secureflow agent doctor" in (error.value.hint or "")
