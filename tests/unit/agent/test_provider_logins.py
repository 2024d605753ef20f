"""People of an agent at their organisation's identity provider: who gets in, and as whom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peers.agent_people import OTHER, OWN, PASSWORD, Team, waiting_item
from peers.agent_world import World
from peers.believing import BelievingProvider
from pydantic import ValidationError

from secureflow.agent.edge.main import provider_commands
from secureflow.agent.edge.providercommands import ProviderCommands, person_providers
from secureflow.agent.identitysettings import OwnIdentitySettings
from secureflow.agent.owner.identities import PersonIdentities, PersonProvider
from secureflow.agent.owner.providerlogins import MOST_PENDING, STARTS, ProviderLogins
from secureflow.agent.settings import ControlSettings
from secureflow.application.ports.identityprovider import DeviceAnswer
from secureflow.domain.oidc import PENDING_SECONDS
from secureflow.kit.errors import SecureFlowError

ROLES = {"sf-viewers": "viewer", "sf-deciders": "decider", "sf-owners": "owner-admin"}
BEN = {"sub": "ben@bank", "groups": ["sf-deciders"], "preferred_username": "benjamin"}
BOTH = '@two_people("all training") permit(principal, action, resource);'


class Desk(Team):
    """A team whose agent has two providers, `sso` and `other`."""

    provision = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sso = BelievingProvider()
        self.other = BelievingProvider("other", "Other", "https://other.example")
        known = {one.name: self._provider(one) for one in (self.sso, self.other)}
        store, clock = self.world.store, lambda: self.world.now
        identities = PersonIdentities(store, self.people, self.logins, clock)
        parts = known, identities, self.logins, clock, lambda: self.ticks
        self.at = ProviderCommands(ProviderLogins(*parts), identities)
        self.table.update(self.at.table())
        self.server._commands = self.table

    def _provider(self, port: BelievingProvider) -> PersonProvider:
        return PersonProvider(
            *(port.name, port.title, port.issuer, lambda: port, (), ("groups",), ROLES),
            *(self.provision, ("amr",), frozenset({"mfa"}), True),
        )

    def provisioning(self) -> None:
        known = self.at.logins._providers
        self.at.logins._providers = {
            name: replace(one, provision=True) for name, one in known.items()
        }

    async def device(self, name: str = "sso", user: int = OTHER, **claims: Any) -> dict[str, Any]:
        """Log somebody in at the command line; return what the agent answers."""
        self.ticks += 60
        self._port(name).claims = {**BEN, **claims}
        begun = await self.give("people.device_start", user=user, provider=name)
        self.ticks += begun["interval"]
        return dict(await self.give("people.device_finish", user=user, login=begun["login"]))

    async def refused(self, name: str = "sso", **claims: Any) -> str:
        try:
            await self.device(name, **claims)
        except SecureFlowError as error:
            return error.code
        return ""

    def _port(self, name: str) -> BelievingProvider:
        return self.sso if name == "sso" else self.other

    async def bound(self, who: str = "ben", subject: str = "ben@bank", name: str = "sso") -> None:
        await self.give("people.bind", "ada", name=who, provider=name, subject=subject)

    def noted(self, action: str) -> list[dict[str, Any]]:
        found = self.world.store.actions(limit=1000)
        return [one["facts"] for one in found if one["action"] == action]


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> World:
    return World(tmp_path / "agent", policy=BOTH)


@pytest.fixture(name="desk")
async def _desk(world: World) -> Desk:
    made = Desk(world)
    await made.gather()
    return made


# --- who gets in --------------------------------------------------------------------------------


async def test_a_bound_person_decides_with_the_session_of_the_provider(desk: Desk) -> None:
    await desk.bound()
    opened = await desk.device()
    assert (opened["name"], opened["roles"], opened["method"]) == ("ben", ["decider"], "oidc:sso")
    shown = await desk.give("people.me", opened["session"])
    assert shown["identities"] == [
        {"provider": "sso", "issuer": "https://sso.example", "subject": "ben@bank"}
    ]
    asking, item = await waiting_item(desk.world)
    assert await desk.refusal("inbox.approve", opened["session"], item=item.id) == ""
    assert desk.world.store.item_approvals(item.id)[0].person == shown["id"]
    asking.cancel()


async def test_no_name_and_no_mail_leads_to_an_account(desk: Desk) -> None:
    await desk.bound(subject="other")
    assert await desk.refused(preferred_username="ben", email="ben@bank") == ("identity_refused")
    await desk.bound("cleo", "ben@bank", "other")  # the same subject at another provider
    assert await desk.refused() == "identity_refused"
    assert (await desk.device("other"))["name"] == "cleo"


async def test_names_and_subjects_are_in_no_log(desk: Desk) -> None:
    await desk.bound()
    await desk.device()
    await desk.refused(sub="somebody@bank")
    told = str(desk.world.store.actions(limit=1000))
    assert "@bank" not in told
    assert desk.noted("person.login_failed")[0] == {
        "method": "oidc:sso", "code": "identity_refused", "user": OTHER,
    }  # fmt: skip


async def test_roles_follow_from_the_claims_at_each_login(desk: Desk) -> None:
    await desk.bound()
    assert (await desk.device(groups=["sf-owners", "x"]))["roles"] == ["owner-admin"]
    viewer = await desk.device(groups=["sf-viewers"])
    assert viewer["roles"] == ["viewer"]
    asking, item = await waiting_item(desk.world)
    assert await desk.refusal("inbox.approve", viewer["session"], item=item.id) == "role_needed"
    asking.cancel()


async def test_a_session_of_one_provider_gets_no_role_of_another(desk: Desk) -> None:
    """Who pretends to be ben at a provider that makes him a viewer waits for his own login."""
    await desk.bound()
    await desk.bound(subject="ben@other", name="other")
    weak = await desk.device("other", sub="ben@other", groups=["sf-viewers"])
    assert weak["roles"] == ["viewer"]
    strong = await desk.device()
    assert strong["roles"] == ["decider"]
    asking, item = await waiting_item(desk.world)
    assert await desk.refusal("inbox.approve", weak["session"], item=item.id) == "session_expired"
    assert (await desk.device())["roles"] == ["decider"]  # nothing changes: both sessions stay
    assert await desk.refusal("inbox.approve", strong["session"], item=item.id) == ""
    asking.cancel()


async def test_whom_the_provider_gives_no_role_has_none_and_no_session(desk: Desk) -> None:
    await desk.bound()
    session = (await desk.device())["session"]
    asking, item = await waiting_item(desk.world)
    await desk.give("inbox.approve", session, item=item.id)
    assert await desk.refused(groups=["unknown"]) == "identity_refused"
    assert desk.people.named("ben").roles == ()
    for shown in (session, "ben"):  # the one of the password, too
        assert await desk.refusal("people.me", shown) == "session_expired"
    assert desk.world.store.item_approvals(item.id) == []  # no first of two people any more
    asking.cancel()


async def test_a_disabled_account_stays_out_and_as_it_is(desk: Desk) -> None:
    await desk.bound()
    await desk.give("people.disable", "ada", name="ben")
    assert await desk.refused(groups=["sf-owners"]) == "identity_refused"
    assert desk.people.named("ben").roles == ("decider",)


async def test_the_last_owner_admin_keeps_its_role_and_does_not_get_in(desk: Desk) -> None:
    await desk.bound("ada", "ada@bank")
    for groups in (["sf-deciders"], ["unknown"]):
        code = "last_administrator" if groups == ["sf-deciders"] else "identity_refused"
        assert await desk.refused(sub="ada@bank", groups=groups) == code
        assert desk.people.named("ada").roles == ("owner-admin",)
        assert await desk.refusal("people.me", "ada") == "session_expired"
    assert (await desk.device(sub="ada@bank", groups=["sf-owners"]))["name"] == "ada"


# --- accounts -----------------------------------------------------------------------------------


async def test_a_first_login_makes_an_account_only_where_the_settings_say_so(desk: Desk) -> None:
    assert await desk.refused() == "identity_refused"
    assert "benjamin" not in desk.people.names().values()
    desk.provisioning()
    made = await desk.device()
    assert (made["name"], made["roles"]) == ("benjamin", ["decider"])
    assert (await desk.device())["id"] == made["id"]
    taken = await desk.device(sub="2", preferred_username="ada")  # a name that is taken
    assert taken["name"].startswith("sso-")
    assert (await desk.device(sub="3", preferred_username="\u202e"))["name"] == "sso"


async def test_no_login_makes_the_first_account(world: World) -> None:
    desk = Desk(world)
    desk.provisioning()
    assert await desk.refused(groups=["sf-owners"]) == "identity_refused"
    made = await desk.give(
        "people.bind", user=OWN, name="ada", provider="sso", subject="ada@bank",
        roles=["owner-admin"],
    )  # fmt: skip
    assert made["first"]
    assert (await desk.device(sub="ada@bank", groups=["sf-owners"]))["name"] == "ada"


async def test_who_has_no_password_logs_in_with_none(desk: Desk) -> None:
    desk.provisioning()
    session = (await desk.device())["session"]
    for password in ("", " ", PASSWORD):
        given = {"name": "benjamin", "password": password}
        assert await desk.refusal("people.login", **given) == "bad_credentials"
    changed = {"old": "", "new": "four new random words"}
    assert await desk.refusal("people.password", session, **changed) == "invalid_request"
    assert await desk.refusal("people.totp.enrol", session, password="") == "invalid_request"


async def test_only_an_owner_admin_binds_and_one_identity_has_one_account(desk: Desk) -> None:
    given = {"name": "ben", "provider": "sso", "subject": "ben@bank"}
    assert await desk.refusal("people.bind", "ben", **given) == "role_needed"
    assert await desk.refusal("people.bind", "ada", **given) == ""
    assert await desk.refusal("people.bind", "ada", **{**given, "name": "cleo"}) == (
        "identity_taken"
    )
    for subject in ("", "a\x00", "x" * 256, "бен"):
        assert await desk.refusal("people.bind", "ada", **{**given, "subject": subject}) == (
            "invalid_request"
        )
    assert await desk.refusal("people.bind", "ada", **{**given, "provider": "sso2"}) == "not_found"
    session = (await desk.device())["session"]
    del given["subject"]
    await desk.give("people.unbind", "ada", **given)
    assert await desk.refusal("people.me", session) == "session_expired"
    assert await desk.refused() == "identity_refused"
    assert await desk.refusal("people.unbind", "ada", **given) == "not_found"


# --- four eyes, second factors ------------------------------------------------------------------


async def test_one_human_with_two_accounts_is_not_two_people(desk: Desk) -> None:
    """Ben has an account with a password, and a login made him another one."""
    desk.provisioning()
    again = (await desk.device())["session"]
    asking, item = await waiting_item(desk.world)
    await desk.give("inbox.approve", "ben", item=item.id)
    assert await desk.refusal("inbox.approve", again, item=item.id) == "same_person"
    third = (await desk.device(sub="cleo@bank"))["session"]
    assert await desk.refusal("inbox.approve", third, item=item.id) == "same_person"
    await desk.bound("ben", "ben@work")  # who ben is there is known now
    assert await desk.refusal("inbox.approve", third, item=item.id) == ""
    assert await asking


async def test_two_people_of_one_provider_are_two_and_of_two_providers_perhaps_one(
    desk: Desk,
) -> None:
    desk.provisioning()
    ben = (await desk.device())["session"]
    cleo = (await desk.device(sub="cleo@bank"))["session"]
    elsewhere = (await desk.device("other", sub="cleo@bank"))["session"]
    asking, item = await waiting_item(desk.world)
    await desk.give("inbox.approve", ben, item=item.id)
    assert await desk.refusal("inbox.approve", elsewhere, item=item.id) == "same_person"
    assert await desk.refusal("inbox.approve", cleo, item=item.id) == ""
    assert await asking


async def test_a_second_factor_is_what_the_provider_says_of_this_login(world: World) -> None:
    desk = Desk(world, ControlSettings(second_factor="required"))
    await desk.gather()
    await desk.with_second_factor("ada")
    await desk.with_second_factor("ben")
    await desk.bound()
    without = await desk.device()
    assert not without["second_factor"]
    asking, item = await waiting_item(desk.world)
    refusal = await desk.refusal("inbox.approve", without["session"], item=item.id)
    assert refusal == "second_factor_missing"  # that of the own account was not shown
    shown = await desk.device(amr=["pwd", "mfa"])
    assert shown["second_factor"]
    assert await desk.refusal("inbox.approve", shown["session"], item=item.id) == ""
    asking.cancel()


# --- logins that were begun ---------------------------------------------------------------------


async def test_the_provider_is_asked_as_often_as_it_wants(desk: Desk) -> None:
    await desk.bound()
    desk.sso.claims = BEN
    desk.sso.waiting = [DeviceAnswer(None), DeviceAnswer(None, slower=5)]
    login = (await desk.give("people.device_start", provider="sso"))["login"]
    told = []
    for wait in (0, 5, 5, 5, 5):
        desk.ticks += wait
        told.append(await desk.give("people.device_finish", login=login))
    assert [one.get("interval") for one in told] == [5, 10, 10, 10, 10]
    assert len(desk.sso.questions) == 2
    desk.ticks += 5
    assert (await desk.give("people.device_finish", login=login))["name"] == "ben"
    assert await desk.refusal("people.device_finish", login=login) == "login_not_pending"


async def test_a_device_login_is_of_the_unix_user_who_began_it_and_ends(desk: Desk) -> None:
    await desk.bound()
    desk.sso.claims = BEN
    begun = await desk.give("people.device_start", provider="sso", user=OTHER)
    desk.ticks += 5
    taken = await desk.refusal("people.device_finish", login=begun["login"], user=OWN)
    assert taken == "login_not_pending"
    desk.world.now = begun["expires"]
    assert await desk.refusal("people.device_finish", login=begun["login"]) == "login_not_pending"
    assert "device" not in str(begun["login"])  # the provider's secret stays in the agent
    assert desk.sso.questions == []


async def test_a_refusal_of_the_provider_ends_the_login_and_is_noted(desk: Desk) -> None:
    login = (await desk.give("people.device_start", provider="sso"))["login"]
    for code, after in (("provider_unreachable", ""), ("login_denied", "login_not_pending")):
        desk.ticks += 5
        desk.sso.refusal = SecureFlowError(code, "no")
        assert await desk.refusal("people.device_finish", login=login) == code
        desk.sso.refusal = SecureFlowError("login_denied", "no") if not after else None
    desk.ticks += 5
    assert await desk.refusal("people.device_finish", login=login) == "login_not_pending"
    assert [one["code"] for one in desk.noted("person.login_failed")] == ["login_denied"]


async def test_logins_that_are_begun_are_few(desk: Desk) -> None:
    codes = [await desk.refusal("people.device_start", provider="sso") for _ in range(STARTS + 1)]
    assert codes == [""] * STARTS + ["rate_limited"]
    assert await desk.refusal("people.device_start", provider="sso", user=OWN) == ""
    assert len(desk.at.logins._pending) == STARTS + 1
    for _ in range(MOST_PENDING):
        desk.ticks += 6
        await desk.give("people.device_start", provider="sso")
    assert len(desk.at.logins._pending) == MOST_PENDING + 1  # and the one of the other user
    desk.world.now += PENDING_SECONDS
    desk.ticks += 60
    await desk.give("people.device_start", provider="sso")
    assert len(desk.at.logins._pending) == 1


def test_nobody_at_the_owners_page_ends_anothers_login() -> None:
    """All of them are one Unix user at the agent."""
    assert STARTS + PENDING_SECONDS // 6 < MOST_PENDING


async def page(desk: Desk, name: str = "sso") -> dict[str, Any]:
    """Begin a login of the page; return what comes back to its address."""
    desk.sso.claims = desk.other.claims = BEN
    begun = await desk.give("people.oidc_start", provider=name)
    assert begun["browser"] not in begun["url"]
    return {"provider": name, "code": "code", **{x: begun[x] for x in ("state", "browser")}}


async def test_the_page_logs_somebody_in_once(desk: Desk) -> None:
    await desk.bound()
    back = await page(desk)
    opened = await desk.give("people.oidc_finish", **back)
    assert (opened["name"], opened["method"]) == ("ben", "oidc:sso")
    assert await desk.refusal("people.oidc_finish", **back) == "login_not_pending"


@pytest.mark.parametrize(
    "changed",
    [
        {"browser": "A" * 43},
        {"browser": ""},
        {"state": "A" * 43},
        {"state": ""},
        {"provider": "other"},
        {"user": OWN},
    ],
    ids=str,
)
async def test_a_link_from_elsewhere_and_anothers_answer_log_nobody_in(
    desk: Desk, changed: dict[str, Any]
) -> None:
    """Login CSRF, a guessed state, mix-up, another Unix user; and it hinders nobody's login."""
    await desk.bound()
    back = await page(desk)
    assert await desk.refusal("people.oidc_finish", **{**back, **changed}) == "login_not_pending"
    assert desk.sso.answers == desk.other.answers == []
    assert (await desk.give("people.oidc_finish", **back))["name"] == "ben"


async def test_a_device_code_is_no_state_and_a_state_no_device_code(desk: Desk) -> None:
    await desk.bound()
    back = await page(desk)
    desk.ticks += 60
    assert await desk.refusal("people.device_finish", login=back["state"]) == "login_not_pending"
    login = (await desk.give("people.device_start", provider="sso"))["login"]
    given = {**back, "state": login}
    assert await desk.refusal("people.oidc_finish", **given) == "login_not_pending"


async def test_what_the_provider_refused_is_told_without_its_words(desk: Desk) -> None:
    back = {**await page(desk), "error": "call 555"}
    hidden = {**back, "error": "\x1b[31mcall 555"}
    assert await desk.refusal("people.oidc_finish", **hidden) == "invalid_request"
    with pytest.raises(SecureFlowError) as caught:
        await desk.give("people.oidc_finish", **back)
    assert caught.value.code == "login_denied"
    assert "555" not in caught.value.message
    assert desk.sso.answers == []


async def test_the_page_names_no_address(desk: Desk) -> None:
    given = {"provider": "sso", "redirect": "https://evil.example/"}
    assert await desk.refusal("people.oidc_start", **given) == "invalid_request"
    assert await desk.refusal("people.oidc_finish", **(await page(desk)), redirect="x") == (
        "invalid_request"
    )


# --- settings -----------------------------------------------------------------------------------

SSO = {
    "name": "sso",
    "issuer": "https://sso.example",
    "client_id": "agent",
    "roles": {"claim": "groups", "map": ROLES},
}


def settings(**more: Any) -> OwnIdentitySettings:
    return OwnIdentitySettings.model_validate({"oidc": [{**SSO, **more}]})


def test_the_callback_is_the_agents_own(world: World) -> None:
    one = settings(redirect="http://127.0.0.1:8444/").oidc[0]
    assert one.callback == "http://127.0.0.1:8444/oidc/sso/callback"
    assert settings().oidc[0].callback == ""
    active = world.assembly.context.active
    active.replace(active.settings.model_copy(update={"identity": settings()}))
    found = provider_commands(world.assembly, Team(world).logins).logins.list()
    assert found == [{"name": "sso", "title": "sso", "page": False}]


@pytest.mark.parametrize(
    "wrong",
    [
        {"redirect": "http://consent.bank-a.example"},
        {"redirect": "https://a@evil.example"},
        {"redirect": "https://consent.example/?next=x"},
        {"issuer": "http://sso.example"},
        {"scopes": ["profile"]},
        {"roles": {"fixed": ["owner-admin"]}},
        {"roles": {}},
        {"roles": {"claim": "groups"}},
        {"roles": {"claim": "groups", "map": {"a": "platform-admin"}}},
        {"second_factor": {"values": []}},
        {"max_age": 5},
    ],
    ids=str,
)
def test_settings_that_would_let_others_in_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**wrong)


def test_providers_differ_in_name_and_issuer() -> None:
    for other in ({"name": "two"}, {"issuer": "https://two.example"}):
        with pytest.raises(ValidationError):
            OwnIdentitySettings.model_validate({"oidc": [SSO, {**SSO, **other}]})


def test_nothing_is_loaded_and_dialled_before_somebody_logs_in() -> None:
    known = person_providers(settings(client_secret_file="/no/such/file").oidc, lambda: 0)
    with pytest.raises(SecureFlowError) as error:
        known["sso"].port()
    assert error.value.code == "invalid_settings"
