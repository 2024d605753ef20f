"""Two requests at once: what an administrator takes away does not come back by a stale copy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from secureflow.adapters.link import PeerIdentity
from secureflow.application.organisations import ENCLAVE
from secureflow.application.passwords import Passwords
from secureflow.application.throttle import Throttle
from secureflow.application.witnessing import Witnessing
from secureflow.domain.users import Role
from secureflow.kit.pki import make_csr, new_link_key
from secureflow.kit.spiffe import SpiffeId
from secureflow.server.rpc import PartyDesk
from tests.stage import PASSWORD, Stage, two_worlds
from tests.unit.application.refusing import refused

OTHER = "another long password"


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    return await two_worlds(tmp_path)


async def mallory(stage: Stage) -> Any:
    return await stage.services.users.create(
        stage.admin("bank-a"),
        name="mallory",
        password=PASSWORD,
        display="Mallory",
        organisation="bank-a",
        roles=[Role.ORGANISATION_ADMIN],
    )


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, method: str, act: Callable[[], Awaitable[Any]]
) -> None:
    """While a password is hashed or checked, something else happens, once."""
    original = getattr(Passwords, method)
    left = [act]

    async def slow(self: Passwords, *arguments: Any) -> Any:
        result = await original(self, *arguments)
        if left:
            await left.pop()()
        return result

    monkeypatch.setattr(Passwords, method, slow)


async def test_changing_a_password_does_not_undo_a_dismissal(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await mallory(stage)
    users, tokens = stage.services.users, stage.services.tokens
    session = await tokens.authenticate((await tokens.login("mallory", PASSWORD, "10.0.0.1")).text)
    dismiss = {"disabled": True, "roles": [Role.AUDITOR]}
    meanwhile(
        monkeypatch, "matches", lambda: users.update(stage.admin("bank-a"), user.id, **dismiss)
    )
    with refused("stale_version"):
        await users.change_password(session, PASSWORD, OTHER)
    found = await users.get(stage.admin("bank-a"), user.id)
    assert (found.disabled, found.roles) == (True, (Role.AUDITOR,))


@pytest.mark.parametrize("change", [{"password": OTHER}, {"disabled": True}])
async def test_a_login_that_began_with_the_old_password_gives_no_token(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    user = await mallory(stage)
    users, tokens = stage.services.users, stage.services.tokens
    meanwhile(
        monkeypatch, "matches", lambda: users.update(stage.admin("bank-a"), user.id, **change)
    )
    with refused("bad_credentials"):
        await tokens.login("mallory", PASSWORD, "10.0.0.1")
    assert [t for t in stage.database.tables.rows["tokens"].values() if t.user == user.id] == []


async def test_a_greeting_does_not_undo_a_revocation(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    organisations = stage.services.organisations
    _, text = await organisations.invite(stage.operator, "enclave", "")
    enrolled = await organisations.enroll(text, make_csr(new_link_key()), "main", "", "")
    witnessing = Witnessing(stage.ledger, stage.services.charters.keys)
    clock = lambda: stage.now[0]  # noqa: E731
    desk = PartyDesk(
        witnessing,
        1,
        clock,
        stage.artifacts,
        None,
        Throttle(1.0, 100, lambda: 0.0),
    )  # type: ignore[arg-type]
    desk.open(stage.services)
    admitted = organisations.admitted

    async def then_revoked(spiffe: str) -> Any:
        agent = await admitted(spiffe)
        await organisations.revoke(stage.operator, spiffe)
        return agent

    monkeypatch.setattr(organisations, "admitted", then_revoked)
    peer = PeerIdentity(ENCLAVE, SpiffeId.parse(enrolled.spiffe), "1")
    with refused("certificate_revoked"):
        await desk.hello(peer, {"address": "enclave.example:9000"})
    with refused("certificate_revoked"):
        await admitted(enrolled.spiffe)
