"""Logins at a provider: pending, bound to the browser, once; accounts by issuer and subject."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from peers.believing import ADA, BelievingProvider

from secureflow.application.access import Principal
from secureflow.application.identities import MOST, LoginProvider
from secureflow.application.oidc import STARTS, Callback, Finished, OidcLogins, Started
from secureflow.application.ports.identityprovider import (
    IdentityProvider,
)
from secureflow.domain.oidc import PENDING_SECONDS, ClaimMapping
from secureflow.domain.users import Role, User
from secureflow.engines.ledger.setback import Hold
from tests.stage import NOW, Stage
from tests.unit.application.refusing import refused

MAPPING = ClaimMapping(
    organisation_claim=("org",),
    organisations={"a": "bank-a", "b": "bank-b", "gone": "bank-z"},
    roles_claim=("groups",),
    role_names={
        "scientists": Role.DATA_SCIENTIST,
        "owners": Role.DATA_OWNER,
        "operators": Role.PLATFORM_ADMIN,
    },
)
ONE_BANK = replace(MAPPING, organisation="bank-a", role_names={"scientists": Role.DATA_SCIENTIST})
HOLD = Hold("restored", NOW, 1)


class Desk:
    """The use case on a stage, with two providers."""

    def __init__(self, stage: Stage, *, provision: bool = True) -> None:
        self.stage = stage
        self.sso, self.own = (
            BelievingProvider(),
            BelievingProvider("own", "Own", "https://own.example"),
        )
        ports: tuple[IdentityProvider, ...] = (self.sso, self.own)
        mappings = (MAPPING, ONE_BANK)
        self.oidc: OidcLogins = stage.services.oidc
        self.oidc.identities.providers = {
            port.name: LoginProvider(port, mapping, provision)
            for port, mapping in zip(ports, mappings, strict=True)
        }

    async def start(self, name: str = "sso", who: Principal | None = None) -> Started:
        return await self.oidc.start(name, "/jobs", "10.0.0.1", who)

    async def back(self, started: Started, name: str = "sso", **changed: Any) -> Finished:
        state = started.location.partition("state=")[2]
        callback = Callback(state, "code", browser=started.browser)
        return await self.oidc.finish(name, replace(callback, **changed), "10.0.0.1")

    async def login(self, at: str = "sso", **claims: Any) -> User:
        """Log somebody in; return the account."""
        port = self.sso if at == "sso" else self.own
        port.claims = {**ADA, **claims}
        finished = await self.back(await self.start(at), at)
        assert finished.opened is not None
        return self.users[finished.opened.session.user]

    async def bind(self, who: Principal, name: str = "sso", **claims: Any) -> Finished:
        self.sso.claims = {**ADA, **claims}
        return await self.back(await self.start(name, who), name)

    @property
    def users(self) -> dict[str, User]:
        return self.stage.database.tables.rows["users"]

    @property
    def pending(self) -> dict[str, Any]:
        return self.stage.database.tables.rows["pending_logins"]


@pytest.fixture
def desk(stage: Stage) -> Desk:
    return Desk(stage)


async def test_a_first_login_makes_an_account_and_a_session(desk: Desk) -> None:
    finished = await desk.back(await desk.start())
    assert finished.next == "/jobs"
    assert finished.opened is not None
    caller = await desk.stage.services.sessions.authenticate(finished.opened.text)
    assert (caller.name, caller.organisation, caller.roles) == (
        *("ada", "bank-a"),
        {Role.DATA_SCIENTIST},
    )
    assert finished.opened.session.method == "oidc:sso"
    assert desk.users[caller.user].display == "Ada L"
    await desk.stage.ledger.caught_up()
    assert desk.stage.ledger.kinds[-3:] == ["user.created", "identity.bound", "login.accepted"]


async def test_the_ledger_has_no_name_and_no_subject(desk: Desk) -> None:
    await desk.login(sub="ada@bank.example", name="Ada Lovelace")
    await desk.stage.ledger.caught_up()
    told = str([entry.document for entry in desk.stage.ledger.log[-3:]])
    assert "usr_" in told
    for word in ("ada", "Ada", "Lovelace", "bank.example", "idn_"):
        assert word not in told.replace("'bank-a'", "")


async def test_the_second_login_is_the_same_account(desk: Desk) -> None:
    first = await desk.login()
    again = await desk.login(preferred_username="somebody-else", email="root@example")
    assert again.id == first.id
    other = await desk.login(sub="2")
    assert other.id != first.id


async def test_an_account_of_that_name_or_mail_is_not_taken_over(desk: Desk) -> None:
    victim = desk.stage.scientist("bank-a")
    user = await desk.login(preferred_username=victim.name, email=victim.name)
    assert user.id != victim.user
    assert user.name.startswith(f"{victim.name}-")


async def test_the_same_subject_at_another_provider_is_somebody_else(desk: Desk) -> None:
    assert (await desk.login()).id != (await desk.login("own")).id


async def test_no_password_opens_an_account_without_one(desk: Desk) -> None:
    await desk.login()
    for password in ("", "x", "correct horse battery"):
        with refused("bad_credentials"):
            await desk.stage.services.tokens.login("ada", password, "10.0.0.9")


async def test_nobody_gets_an_account_where_it_is_not_wanted(stage: Stage) -> None:
    desk = Desk(stage, provision=False)
    with refused("identity_refused"):
        await desk.login()
    await desk.stage.services.oidc.identities.bind(
        stage.operator, stage.scientist("bank-a").user, "sso", "1"
    )
    assert (await desk.login()).id == stage.scientist("bank-a").user


async def test_roles_follow_the_provider_at_each_login(desk: Desk) -> None:
    user = await desk.login(groups=["scientists", "owners"])
    assert set(user.roles) == {Role.DATA_SCIENTIST, Role.DATA_OWNER}
    assert (await desk.login()).roles == (Role.DATA_SCIENTIST,)
    kinds = desk.stage.ledger.kinds
    assert kinds.count("user.updated") == 1
    await desk.login()
    assert desk.stage.ledger.kinds.count("user.updated") == 1  # nothing changed


async def test_whom_the_provider_drops_loses_open_sessions_and_tokens(desk: Desk) -> None:
    user = await desk.login()
    principal = Principal(user.id, user.name, "bank-a", frozenset(user.roles), "")
    token = await desk.stage.bearer(principal)
    for claims in ({"groups": []}, {"org": "b"}, {"org": "nowhere"}):
        opened = await desk.login()
        with refused("identity_refused"):
            await desk.login(**claims)
        rows = desk.stage.database.tables.rows
        assert not [one for one in rows["sessions"].values() if one.user == opened.id]
    with refused("unauthenticated"):
        await desk.stage.services.tokens.authenticate(token)


async def test_the_operators_people_must_be_named(desk: Desk) -> None:
    user = await desk.login(groups=["operators", "scientists"])
    assert (user.organisation, user.roles) == ("", (Role.PLATFORM_ADMIN,))
    with refused("identity_refused"):
        await desk.login(sub="3", groups=["platform-admin"])
    with refused("identity_refused"):  # that provider maps nobody to it
        await desk.login("own", sub="4", groups=["operators"])


async def test_unknown_and_disabled_organisations_get_no_accounts(desk: Desk) -> None:
    with refused("identity_refused"):
        await desk.login(org="gone")
    organisations = desk.stage.services.organisations
    await organisations.set_disabled(desk.stage.operator, "bank-b", True)
    with refused("identity_refused"):
        await desk.login(org="b")


async def test_a_disabled_account_stays_out(desk: Desk) -> None:
    user = await desk.login()
    await desk.stage.services.users.update(desk.stage.operator, user.id, disabled=True)
    with refused("identity_refused"):
        await desk.login()
    assert desk.users[user.id].disabled


async def test_refusals_are_counted_for_the_ledger(desk: Desk) -> None:
    user, failed = await desk.login(), desk.stage.services.failed_logins
    for claims in ({"groups": []}, {"sub": "2", "groups": []}):
        with refused("identity_refused"):
            await desk.login(**claims)
    with refused("login_denied"):
        await desk.back(await desk.start(), error="access_denied")
    await failed.flush()
    await desk.stage.ledger.caught_up()
    told = [one.document for one in desk.stage.ledger.log if one.kind == "login.refused"]
    assert {one["user"]: one["count"] for one in told} == {user.id: 1, "": 2}


async def test_a_login_that_another_browser_started_is_not_finished_here(desk: Desk) -> None:
    theirs, mine = await desk.start(), await desk.start()
    for browser in ("", mine.browser, "x" * 43, "x" * 5000):
        with refused("login_not_pending"):
            await desk.back(theirs, browser=browser)
    assert not desk.sso.answers  # no code was sent
    assert len(desk.pending) == 2


async def test_another_replica_finishes_a_login(desk: Desk) -> None:
    use, started = desk.stage.services, await desk.start()
    desk.oidc = OidcLogins(
        desk.stage.database.begin,  # type: ignore[arg-type]
        *(use.oidc.identities, use.sessions, use.failed_logins),
        lambda: desk.stage.now[0],
    )
    assert (await desk.back(started)).opened is not None


async def test_a_state_is_good_once(desk: Desk) -> None:
    started = await desk.start()
    await desk.back(started)
    with refused("login_not_pending"):
        await desk.back(started)
    assert len(desk.sso.answers) == 1


async def test_a_state_is_spent_before_the_provider_is_asked(desk: Desk) -> None:
    started = await desk.start()
    desk.sso.claims = {**ADA, "groups": []}
    with refused("identity_refused"):
        await desk.back(started)
    desk.sso.claims = ADA
    with refused("login_not_pending"):
        await desk.back(started)


@pytest.mark.parametrize("state", ["", "x", "x" * 43, "x" * 4096, "\x00" * 43])
async def test_unknown_states_are_refused(desk: Desk, state: str) -> None:
    with refused("login_not_pending"):
        await desk.back(await desk.start(), state=state)


async def test_a_login_takes_ten_minutes_at_most(desk: Desk) -> None:
    started = await desk.start()
    desk.stage.now[0] = NOW + PENDING_SECONDS
    with refused("login_not_pending"):
        await desk.back(started)


async def test_an_answer_of_one_provider_does_not_finish_a_login_at_another(desk: Desk) -> None:
    started = await desk.start("sso")
    with refused("login_not_pending"):
        await desk.back(started, "own")
    assert not desk.own.answers
    with refused("not_found"):
        await desk.back(started, "nobody")


async def test_neither_verifier_nor_nonce_nor_secret_is_stored(desk: Desk) -> None:
    started = await desk.start()
    request = desk.sso.requests[-1]
    stored = str(desk.pending)
    for secret in (request.state, request.nonce, request.verifier, started.browser):
        assert len(secret) == 43
        assert secret not in stored
    assert request.nonce != request.verifier


async def test_what_a_provider_says_of_a_failure_is_not_repeated(desk: Desk) -> None:
    for error, told in (("access_denied", "access_denied"), ("\x1b[2J<b>", "(error)")):
        with refused("login_denied") as caught:
            await desk.back(await desk.start(), error=error)
        assert told in caught.value.message
    assert not desk.sso.answers


async def test_logins_started_from_one_address_are_limited(desk: Desk) -> None:
    for _ in range(STARTS):
        await desk.start()
    with refused("rate_limited"):
        await desk.start()
    await desk.oidc.start("sso", "/", "10.0.0.2")


async def test_no_open_redirect_is_stored(desk: Desk) -> None:
    with refused("invalid_next"):
        await desk.oidc.start("sso", "//evil.example", "10.0.0.1")
    assert not desk.pending


async def test_the_owner_binds_an_identity_and_logs_in_with_it(desk: Desk) -> None:
    owner = desk.stage.scientist("bank-a")
    finished = await desk.bind(owner)
    assert (finished.next, finished.opened) == ("/jobs", None)
    assert (await desk.login()).id == owner.user
    (identity,) = await desk.oidc.identities.list(owner, owner.user)
    assert (identity.provider, identity.subject) == ("sso", "1")
    again = await desk.bind(owner)
    assert again.opened is None
    with refused("identity_taken"):
        await desk.bind(desk.stage.owner("bank-a"))


async def test_an_account_has_few_identities(desk: Desk) -> None:
    owner = desk.stage.scientist("bank-a")
    for number in range(MOST):
        await desk.bind(owner, sub=f"s{number}")
    with refused("quota_exceeded"):
        await desk.bind(owner, sub="more")


async def test_who_was_disabled_meanwhile_binds_nothing(desk: Desk) -> None:
    owner = desk.stage.scientist("bank-a")
    started = await desk.start(who=owner)
    await desk.stage.services.users.update(desk.stage.operator, owner.user, disabled=True)
    with refused("identity_refused"):
        await desk.back(started)


async def test_an_organisations_admin_binds_only_at_a_provider_of_its_own(desk: Desk) -> None:
    identities, admin = desk.oidc.identities, desk.stage.admin("bank-a")
    mine, theirs = desk.stage.scientist("bank-a"), desk.stage.scientist("bank-b")
    await identities.bind(admin, mine.user, "own", "7")
    with refused("forbidden"):  # a place at the shared one could be another bank's person's
        await identities.bind(admin, mine.user, "sso", "7")
    with refused("not_found"):
        await identities.bind(admin, theirs.user, "own", "8")
    with refused("not_found"):
        await identities.bind(admin, desk.stage.operator.user, "own", "8")
    with refused("forbidden"):
        await identities.bind(mine, mine.user, "own", "9")
    with refused("identity_refused"):  # its people do not come from there
        await identities.bind(desk.stage.operator, theirs.user, "own", "8")
    with refused("invalid_request"):
        await identities.bind(admin, mine.user, "own", "a\nb")


async def test_removing_an_identity_ends_what_is_open(desk: Desk) -> None:
    user = await desk.login("own")
    identities, admin = desk.oidc.identities, desk.stage.admin("bank-a")
    (identity,) = await identities.list(admin, user.id)
    other = desk.stage.admin("bank-b")
    with refused("not_found"):
        await identities.list(other, user.id)
    with refused("not_found"):
        await identities.unbind(other, user.id, identity.id)
    with refused("not_found"):
        await identities.unbind(admin, desk.stage.owner("bank-a").user, identity.id)
    desk.stage.ledger.hold = HOLD  # it takes something away: it works while the log is held
    await identities.unbind(admin, user.id, identity.id)
    assert not desk.stage.database.tables.rows["sessions"]
    desk.stage.ledger.hold = None
    assert (await desk.login("own")).id != user.id


async def test_roles_are_taken_away_while_the_log_is_held_but_not_given(desk: Desk) -> None:
    await desk.login(groups=["scientists", "owners"])
    desk.stage.ledger.hold = HOLD
    assert (await desk.login()).roles == (Role.DATA_SCIENTIST,)
    with refused("log_set_back"):
        await desk.login(groups=["scientists", "owners"])
    with refused("log_set_back"):
        await desk.login(sub="new")


async def test_what_a_stolen_session_began_ends_with_it(desk: Desk) -> None:
    who, use = desk.stage.scientist("bank-a"), desk.stage.services
    account = desk.users[who.user]
    for thief_has in ("session", "token"):
        if thief_has == "session":
            opened = await use.sessions.open(account, method="password", address="10.0.0.9")
            thief = await use.sessions.authenticate(opened.text)
        else:
            issued = await use.refreshing.begin(account, "password")
            thief = await use.tokens.authenticate(issued.text)
        begun = await desk.start(who=thief)
        await use.sessions.revoke_others(who)
        for token in await use.tokens.list(who):
            await use.tokens.revoke(who, token.id)
        with refused("identity_refused", "has ended"):
            await desk.back(begun)
    assert not desk.stage.database.tables.rows["identities"]
    issued = await use.refreshing.begin(account, "password")
    await desk.back(await desk.start(who=await use.tokens.authenticate(issued.text)))
    (bound,) = await desk.oidc.identities.list(who, who.user)
    assert bound.user == who.user
