"""Personal access tokens: scopes only narrow, last use is told, an administrator sees and ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secureflow.application.access import ACTIONS, Principal, require
from secureflow.application.scopes import covers
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.users import Role, Scope, Token
from tests.stage import Stage
from tests.unit.application.refusing import refused

ALL = frozenset({Scope.ALL})
ALL_BUT = frozenset(Scope) - {Scope.ALL}


async def caller(stage: Stage, who: Principal, *scopes: Scope) -> Principal:
    """Return the caller with a token of these scopes."""
    issued = await stage.services.tokens.create(who, "t", 3600, scopes=scopes)
    return await stage.services.tokens.authenticate(issued.text)


async def logged_in(stage: Stage, who: Principal) -> Principal:
    """Return the caller with a login of just now."""
    async with stage.services.begin() as work:
        user = await work.users.get(who.user)
    issued = await stage.services.refreshing.begin(user, "password")
    return await stage.services.tokens.authenticate(issued.text)


@pytest.mark.parametrize(
    ("scope", "covered", "not_covered"),
    [
        (Scope.READ, {"job.read", "audit.read", "token.read"}, {"job.submit", "model.download"}),
        (Scope.JOBS, {"job.read", "job.submit", "model.download"}, {"grant.create", "user.read"}),
        (Scope.DATA, {"grant.create", "dataset.remove"}, {"job.submit", "token.create"}),
        (Scope.PEOPLE, {"user.create", "token.create"}, {"account.change", "grant.create"}),
        (Scope.ADMIN, {"organisation.create", "charter.sign"}, {"user.create", "job.submit"}),
        (Scope.SECOND_FACTOR, {"second_factor.enrol"}, {"job.read", "token.create"}),
    ],
)
def test_the_table_says_what_a_scope_covers(
    scope: Scope, covered: set[str], not_covered: set[str]
) -> None:
    for action in (*ACTIONS, *covered, *not_covered):
        assert covers(ALL, action)
    assert {one for one in covered if covers(frozenset({scope}), one)} == covered
    assert not {one for one in not_covered if covers(frozenset({scope}), one)}


def test_an_action_that_nobody_put_into_the_table_is_for_administrators() -> None:
    narrow = frozenset(Scope) - {Scope.ALL, Scope.ADMIN}
    assert not covers(narrow, "novelty.make")
    assert covers(frozenset({Scope.ADMIN}), "novelty.make")


async def test_a_scope_never_gives_more_than_the_roles(stage: Stage) -> None:
    for scope in (Scope.ALL, Scope.ADMIN, Scope.DATA, Scope.PEOPLE):
        scientist = await caller(stage, stage.scientist("bank-a"), scope)
        for action in ("grant.create", "user.create", "organisation.create"):
            assert not scientist.may(action)


async def test_a_narrow_token_is_refused_the_rest(stage: Stage) -> None:
    admin = await caller(stage, stage.admin("bank-a"), Scope.READ)
    require(admin, "user.read")
    assert not admin.may("grant.create")
    with refused("scope_too_narrow", "grant.create"):
        require(admin, "grant.create")
    with refused("scope_too_narrow"):
        await stage.services.projects.create(admin, name="n", purpose="p")


async def test_a_token_makes_none_with_more_scopes(stage: Stage) -> None:
    tokens, who = stage.services.tokens, stage.admin("bank-a")
    people = await caller(stage, who, Scope.PEOPLE, Scope.READ)
    for wanted in ((Scope.ALL,), (Scope.PEOPLE, Scope.DATA), (), (Scope.SECOND_FACTOR,)):
        with refused("scope_too_narrow"):
            await tokens.create(people, "more", 60, scopes=wanted)
    made = await tokens.create(people, "less", 60, scopes=(Scope.READ,))
    assert made.token.scopes == (Scope.READ,)
    reader = await tokens.authenticate(made.text)
    with refused("scope_too_narrow", "token.create"):
        await tokens.create(reader, "again", 60, scopes=(Scope.READ,))
    with refused("scope_too_narrow"):
        await tokens.revoke(reader, people.token)
    with refused("scope_too_narrow"):
        await tokens.list(await caller(stage, who, Scope.JOBS))


def test_a_token_from_before_scopes_means_everything() -> None:
    stored = dump(Token("tok_1", "usr_1", "ab" * 32, 1, 9))
    for later in ("scopes", "used", "family", "proven"):
        stored.pop(later)
    assert parse(Token, stored, "token", stored=True).scope == ALL


async def test_its_last_use_is_written_once_a_minute(stage: Stage) -> None:
    tokens, who = stage.services.tokens, stage.admin("bank-a")
    issued = await tokens.create(who, "nightly", 7200)

    def stored() -> int:
        return int(stage.database.tables.rows["tokens"][issued.token.id].used)

    (mine,) = await tokens.list(who)
    assert mine.used == 0
    await tokens.authenticate(issued.text)
    (mine,) = await tokens.list(who)
    assert mine.used == stage.now[0]
    await tokens.uses.poll()
    assert stored() == 0  # a minute has not passed
    stage.now[0] += 60
    await tokens.uses.poll()
    first = stored()
    assert first == stage.now[0] - 60
    stage.now[0] = first + 59
    await tokens.authenticate(issued.text)
    stage.now[0] += 61
    await tokens.uses.poll()
    assert stored() == first
    await tokens.authenticate(issued.text)
    stage.now[0] += 60
    await tokens.uses.poll()
    assert stored() == stage.now[0] - 60
    await tokens.authenticate(issued.text)
    stage.now[0] += 60
    await tokens.revoke(who, issued.token.id)
    await tokens.uses.poll()  # it does not come back
    assert issued.token.id not in stage.database.tables.rows["tokens"]


async def test_an_administrator_lists_and_revokes_those_of_their_people_only(stage: Stage) -> None:
    tokens, ada = stage.services.tokens, stage.scientist("bank-a")
    issued = await tokens.create(ada, "nightly", 3600)
    stranger = await tokens.create(stage.scientist("bank-b"), "theirs", 3600)
    admin = stage.admin("bank-a")
    (shown,) = await tokens.list_of(admin, ada.user)
    assert (shown.id, shown.digest) == (issued.token.id, "")
    with refused("forbidden"):
        await tokens.list_of(stage.person("bank-a", Role.AUDITOR), ada.user)
    for user in (stage.scientist("bank-b").user, "usr_unknown"):
        with refused("not_found"):
            await tokens.list_of(admin, user)
        with refused("not_found"):
            await tokens.revoke_of(admin, user, stranger.token.id)
    with refused("not_found"):  # not by way of an own person either
        await tokens.revoke_of(admin, ada.user, stranger.token.id)
    await tokens.revoke_of(admin, ada.user, issued.token.id)
    with refused("unauthenticated"):
        await tokens.authenticate(issued.text)
    await tokens.authenticate(stranger.text)


async def test_the_ledger_tells_of_them_by_ids_alone(stage: Stage) -> None:
    tokens, ada = stage.services.tokens, stage.scientist("bank-a")
    issued = await tokens.create(ada, "my little label", 3600, scopes=(Scope.JOBS,))
    await tokens.revoke(ada, issued.token.id)
    await stage.ledger.caught_up()
    created, revoked = (entry.document for entry in stage.ledger.log[-2:])
    assert stage.ledger.kinds[-2:] == ["token.created", "access.ended"]
    about = {"user": ada.user, "organisation": "bank-a"}
    expires = stage.now[0] + 3600
    assert created == {
        **about, "token": issued.token.id, "scopes": ["jobs"], "expires": expires,
    }  # fmt: skip
    ended = {"by": ada.user, "why": "revoked", "tokens": [issued.token.id], "sessions": []}
    assert revoked == {**about, **ended}
    assert "label" not in str(stage.ledger.log)
    assert issued.text not in str(stage.ledger.log)


async def test_what_changes_the_account_takes_a_login(stage: Stage) -> None:
    use, who = stage.services, stage.admin("bank-a")
    for scope in (Scope.READ, Scope.PEOPLE, Scope.ADMIN):
        thief = await caller(stage, who, scope)
        with refused("scope_too_narrow", "account.bind"):
            await use.oidc.start("sso", "/", "10.0.0.1", thief)
        with refused("scope_too_narrow"):
            await use.oidc.identities.bind(replace(thief, scopes=ALL_BUT), who.user, "sso", "1")
        with refused("scope_too_narrow", "account.unbind"):
            await use.oidc.identities.unbind(thief, who.user, "idn_x")
        with refused("scope_too_narrow", "account.password"):
            await use.users.change_password(thief, "old", "new")
        with refused("scope_too_narrow", "account.preferences"):
            await use.notifications.prefer(thief, silenced=["agent_revoked"])
        with refused("scope_too_narrow", "account.preferences"):
            await use.notifications.confirm(thief, "00000000")
    with refused("scope_too_narrow", "account.password"):
        await use.users.update(await caller(stage, who, Scope.PEOPLE), who.user, password="x" * 20)


async def test_a_narrow_token_ends_no_browser_session(stage: Stage) -> None:
    sessions = stage.services.sessions
    reader = await caller(stage, stage.admin("bank-a"), Scope.READ)
    with refused("scope_too_narrow", "session.revoke"):
        await sessions.revoke(reader, "ses_x")
    with refused("scope_too_narrow", "session.revoke"):
        await sessions.revoke_others(reader)
    assert await sessions.list(reader) == []
    await sessions.revoke_others(await caller(stage, stage.admin("bank-a"), Scope.PEOPLE))


async def test_access_that_was_ended_meanwhile_makes_no_other(stage: Stage) -> None:
    """A request whose body came slowly was let in before its owner ended what it came with."""
    use, who = stage.services, stage.scientist("bank-a")
    thief = await logged_in(stage, who)
    started = await use.devices.start("cli", "10.0.0.9")
    await use.users.update(stage.operator, who.user, disabled=True)
    await use.users.update(stage.operator, who.user, disabled=False)
    with refused("unauthenticated"):
        await use.tokens.create(thief, "kept", 3600)
    with refused("unauthenticated"):
        await use.devices.decide(thief, started.code, "10.0.0.9", approve=True)
    assert await use.tokens.list(who) == []
    again = await logged_in(stage, who)
    await use.devices.decide(again, started.code, "10.0.0.9", approve=True)
