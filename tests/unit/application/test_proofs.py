"""Recent proof of identity: a stolen session or token makes no way in that outlives it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from peers.believing import ADA, BelievingProvider

from secureflow.application.access import Principal
from secureflow.application.identities import LoginProvider
from secureflow.application.oidc import Callback
from secureflow.application.passwords import Passwords
from secureflow.application.proofs import RECENT
from secureflow.domain.oidc import ClaimMapping
from secureflow.domain.users import Role, Scope, User
from secureflow.kit import totp
from tests.stage import PASSWORD, Stage
from tests.unit.application.refusing import refused

HERE = "10.0.0.1"
Deed = Callable[[Stage, Principal], Awaitable[object]]


async def account(stage: Stage, who: Principal) -> User:
    async with stage.services.begin() as work:
        return await work.users.get(who.user)


async def with_password(stage: Stage, who: Principal) -> User:
    """Give a person a password."""
    async with stage.services.begin() as work:
        user = await work.users.get(who.user)
        new = replace(user, password=await Passwords().hash(PASSWORD))
        await work.users.save(new)
        await work.commit()
    return new


async def in_browser(stage: Stage, who: Principal, method: str = "password") -> Principal:
    opened = await stage.services.sessions.open(
        await account(stage, who), method=method, address=HERE
    )
    return await stage.services.sessions.authenticate(opened.text)


async def at_terminal(stage: Stage, who: Principal) -> Principal:
    issued = await stage.services.tokens.login(who.name, PASSWORD, HERE)
    return await stage.services.tokens.authenticate(issued.text)


def provider(stage: Stage) -> BelievingProvider:
    port = BelievingProvider()
    mapping = ClaimMapping(organisation="bank-a", roles=(Role.DATA_SCIENTIST,))
    stage.services.oidc.identities.providers = {port.name: LoginProvider(port, mapping, True)}
    return port


async def enrol(stage: Stage, who: Principal) -> object:
    return await stage.services.second_factors.enrol(who)


async def make_token(stage: Stage, who: Principal) -> object:
    return await stage.services.tokens.create(who, "kept", 3600)


async def approve(stage: Stage, who: Principal) -> object:
    started = await stage.services.devices.start("cli", HERE)
    return await stage.services.devices.decide(who, started.code, HERE, approve=True)


async def bind(stage: Stage, who: Principal) -> object:
    return await stage.services.oidc.start("sso", "/", HERE, who)


OWN = {"enrol": enrol, "token": make_token, "device": approve, "bind": bind}


@pytest.mark.parametrize("deed", OWN.values(), ids=OWN)
@pytest.mark.parametrize("login", [in_browser, at_terminal])
async def test_what_makes_a_way_in_takes_a_recent_proof(
    stage: Stage, deed: Deed, login: Deed
) -> None:
    who, use = stage.scientist("bank-a"), stage.services
    await with_password(stage, who)
    provider(stage)
    thief = await login(stage, who)
    assert isinstance(thief, Principal)
    stage.now[0] += RECENT + 1
    with refused("proof_required") as caught:
        await deed(stage, thief)
    assert caught.value.details == {"password": True}
    with refused("bad_credentials"):
        await use.proofs.give(thief, "a wrong password", HERE)
    with refused("proof_required"):
        await deed(stage, thief)
    assert await use.proofs.give(thief, PASSWORD, HERE) == stage.now[0] + RECENT
    await deed(stage, thief)


async def test_a_fresh_login_is_a_proof_of_its_own_session_only(stage: Stage) -> None:
    who = stage.scientist("bank-a")
    await with_password(stage, who)
    old = await in_browser(stage, who)
    stage.now[0] += RECENT + 1
    new = await in_browser(stage, who)
    await enrol(stage, new)
    with refused("proof_required"):
        await enrol(stage, old)
    await stage.services.proofs.give(new, PASSWORD, HERE)
    with refused("proof_required"):
        await enrol(stage, old)


async def test_a_refreshed_login_proves_nothing(stage: Stage) -> None:
    who, use = stage.scientist("bank-a"), stage.services
    user = await with_password(stage, who)
    begun = await use.refreshing.begin(user, "password")
    await make_token(stage, await use.tokens.authenticate(begun.text))
    turned = await use.refreshing.refresh(begun.refresh)
    with refused("proof_required"):
        await make_token(stage, await use.tokens.authenticate(turned.text))


async def test_a_program_that_was_approved_has_proven_nothing(stage: Stage) -> None:
    """Else a proof would never grow old: each program would approve the next one."""
    who, use = stage.scientist("bank-a"), stage.services
    await with_password(stage, who)
    started = await use.devices.start("cli", HERE)
    mine = await in_browser(stage, who)
    await use.devices.decide(mine, started.code, HERE, approve=True)
    program = await use.tokens.authenticate((await use.devices.poll(started.secret)).text)
    for deed in (enrol, make_token, approve):
        with refused("proof_required"):
            await deed(stage, program)
    await use.proofs.give(program, PASSWORD, HERE)
    await approve(stage, program)


async def test_narrow_tokens_and_what_takes_access_away_need_none(stage: Stage) -> None:
    who, use = stage.scientist("bank-a"), stage.services
    await with_password(stage, who)
    mine = await in_browser(stage, who)
    wide = await use.tokens.create(mine, "wide", 3600)
    stage.now[0] += RECENT + 1
    await use.tokens.create(mine, "reads", 3600, scopes=(Scope.READ, Scope.JOBS))
    with refused("proof_required"):
        await use.tokens.create(mine, "data", 3600, scopes=(Scope.DATA,))
    with refused("proof_required"):  # nor does a personal token make its like
        await make_token(stage, await use.tokens.authenticate(wide.text))
    await use.tokens.revoke(mine, wide.token.id)
    await use.sessions.revoke_others(mine)
    started = await use.devices.start("cli", HERE)
    await use.devices.decide(mine, started.code, HERE, approve=False)


async def test_a_proof_takes_the_second_factor_too(stage: Stage) -> None:
    who, use = stage.scientist("bank-a"), stage.services
    await with_password(stage, who)
    mine = await in_browser(stage, who)
    await enrol(stage, mine)
    secret = use.second_factors._open(stage.database.tables.rows["second_factors"][who.user])
    (spare, *_) = await use.second_factors.confirm(mine, totp.code_at(secret, stage.now[0]))
    stage.now[0] += RECENT + 1
    with refused("second_factor_required"):
        await use.proofs.give(mine, PASSWORD, HERE)
    with refused("proof_required"):
        await use.second_factors.remove(mine, totp.code_at(secret, stage.now[0]))
    await use.proofs.give(mine, PASSWORD, HERE, spare)
    with refused("bad_credentials"):
        await use.second_factors.remove(mine, spare)
    await use.second_factors.remove(mine, totp.code_at(secret, stage.now[0]))
    assert not (await use.second_factors.state(who)).enrolled


async def test_who_has_no_password_logs_in_again_at_the_provider(stage: Stage) -> None:
    port, use = provider(stage), stage.services

    async def login(*, fresh: bool = False, **claims: object) -> Principal:
        port.claims = {**ADA, **claims}
        begun = await use.oidc.start("sso", "/", HERE, fresh=fresh)
        back = Callback(begun.location.partition("state=")[2], "code", browser=begun.browser)
        finished = await use.oidc.finish("sso", back, HERE)
        assert finished.opened is not None
        return await use.sessions.authenticate(finished.opened.text)

    mine = await login()
    assert port.requests[-1].age is None
    await enrol(stage, mine)
    stage.now[0] += RECENT + 1
    with refused("proof_required", "no password here") as caught:
        await enrol(stage, mine)
    assert caught.value.details == {"password": False}
    with refused("proof_required", "no password here"):
        await use.proofs.give(mine, PASSWORD, HERE)
    # The provider says that it knew the person from long before: a proof of long before.
    early = await login(auth_time=stage.now[0] - 3600)
    with refused("proof_required"):
        await enrol(stage, early)
    for told in ({}, {"auth_time": stage.now[0] - 3600}, {"auth_time": "now"}):
        with refused("id_token_refused", "prove anew"):
            await login(fresh=True, **told)
    mine = await login(fresh=True, auth_time=stage.now[0])
    assert port.requests[-1].age == RECENT
    await enrol(stage, mine)


async def test_an_administrators_old_session_makes_no_way_into_another_account(
    stage: Stage,
) -> None:
    admin, other, use = stage.admin("bank-a"), stage.scientist("bank-a"), stage.services
    await with_password(stage, admin)
    provider(stage)
    mine = await in_browser(stage, admin)
    program = await use.tokens.create(mine, "people", 3600, scopes=(Scope.PEOPLE,))
    stage.now[0] += RECENT + 1

    async def back_door(who: Principal, name: str) -> User:
        facts = {"password": "another long secret", "display": "", "organisation": "bank-a"}
        return await use.users.create(who, name=name, roles=[Role.ORGANISATION_ADMIN], **facts)

    async def deeds(who: Principal) -> None:
        await back_door(who, f"new-{who.session or who.token}")
        await use.users.update(who, other.user, password="another long secret")
        await use.oidc.identities.bind(who, other.user, "sso", "2")
        await use.second_factors.reset(who, other.user)

    with refused("proof_required"):
        await back_door(mine, "mallory")
    with refused("proof_required"):
        await use.users.update(mine, other.user, password="another long secret")
    with refused("proof_required"):
        await use.oidc.identities.bind(mine, other.user, "sso", "2")
    with refused("proof_required"):
        await use.second_factors.reset(mine, other.user)
    with refused("proof_required"):  # its agent would outlive the session, and sees what people see
        await use.organisations.invite(mine, "agent", "bank-a")
    with refused("proof_required"):  # it would go on telling what is told here
        await use.webhooks.create(mine, "https://siem.example/in")
    await use.users.update(mine, other.user, disabled=True)  # that takes away only
    await use.users.update(mine, other.user, disabled=False)
    await deeds(await use.tokens.authenticate(program.text))
    await use.proofs.give(mine, PASSWORD, HERE)
    await deeds(mine)
    await use.organisations.invite(mine, "agent", "bank-a")
    assert (await use.webhooks.create(mine, "https://siem.example/in")).secret


async def test_a_narrow_token_proves_nothing(stage: Stage) -> None:
    who, use = stage.scientist("bank-a"), stage.services
    await with_password(stage, who)
    mine = await in_browser(stage, who)
    for scope in (Scope.READ, Scope.PEOPLE):
        issued = await use.tokens.create(mine, "t", 3600, scopes=(scope,))
        with refused("scope_too_narrow"):
            await use.proofs.give(await use.tokens.authenticate(issued.text), PASSWORD, HERE)


async def test_an_address_for_mail_takes_a_proof(stage: Stage) -> None:
    who, use = stage.scientist("bank-a"), stage.services
    await with_password(stage, who)
    mine = await in_browser(stage, who)
    stage.now[0] += RECENT + 1
    await use.notifications.prefer(mine, language="zh")
    with refused("proof_required"):
        await use.notifications.prefer(mine, email="mallory@example.org")


async def test_other_roles_count_at_once(stage: Stage) -> None:
    """Sessions and tokens do what the account's roles allow now, not what they did."""
    who, admin, use = stage.scientist("bank-a"), stage.admin("bank-a"), stage.services
    await with_password(stage, who)
    mine = await use.sessions.open(await account(stage, who), method="password", address=HERE)
    token = await use.tokens.login(who.name, PASSWORD, HERE)
    boss = await in_browser(stage, admin)
    await use.users.update(boss, who.user, roles=(Role.AUDITOR,))
    assert (await use.sessions.authenticate(mine.text)).roles == {Role.AUDITOR}
    assert (await use.tokens.authenticate(token.text)).roles == {Role.AUDITOR}
    await stage.ledger.caught_up()
    changed = [one.document for one in stage.ledger.log if one.kind == "user.updated"]
    assert (changed[-1]["roles"], changed[-1]["by"]) == (["auditor"], admin.user)
    stage.now[0] += RECENT + 1
    with refused("proof_required"):
        await use.users.update(boss, who.user, roles=(Role.ORGANISATION_ADMIN,))
    with refused("last_administrator"):
        await use.users.update(stage.operator, stage.operator.user, disabled=True)
    with refused("invalid_roles"):
        await use.users.update(stage.operator, stage.operator.user, roles=(Role.AUDITOR,))
