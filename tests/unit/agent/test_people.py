"""People at the agent: accounts, second factors and sessions."""

from __future__ import annotations

import asyncio
import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.agent_people import OTHER, OWN, PASSWORD, Team
from peers.agent_world import World

from secureflow.agent.edge.diagnosis import Diagnosis
from secureflow.agent.edge.peoplecheck import check_people
from secureflow.agent.edge.peoplerecovery import recover
from secureflow.agent.owner import totp
from secureflow.agent.owner.acting import Actor, as_actor
from secureflow.agent.record.folder import locked_folder
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings, ControlSettings, TwoPeopleRule
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.totp import RECOVERY_CODES


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> World:
    return World(tmp_path / "agent", policy="")


@pytest.fixture(name="team")
async def _team(world: World) -> Team:
    return await Team(world).gather()


def actions(world: World, name: str) -> list[dict[str, Any]]:
    return [one["facts"] for one in world.store.actions() if one["action"] == name]


async def test_whoever_has_the_uid_makes_the_first_account_and_nobody_else(world: World) -> None:
    team = Team(world)
    given = {"name": "ada", "password": PASSWORD, "roles": ["owner-admin"]}
    assert await team.refusal("people.add", user=OTHER, **given) == "session_needed"
    assert await team.refusal("people.add", user=OWN, **{**given, "roles": ["decider"]}) == (
        "last_administrator"
    )
    made = await team.give("people.add", user=OWN, **given)
    assert made["first"]
    assert actions(world, "person.added") == [
        {"of": made["id"], "roles": ["owner-admin"], "first": True, "user": OWN}
    ]
    again = {**given, "name": "eve"}
    assert await team.refusal("people.add", user=OWN, **again) == "session_needed"
    ada = await team.log_in("ada")
    assert await team.refusal("people.add", ada, **again) == ""
    assert await team.refusal("people.add", ada, **again) == "already_exists"


async def test_a_password_that_another_chose_decides_nothing(team: Team) -> None:
    await team.give("people.add", "ada", name="dora", password=PASSWORD, roles=["owner-admin"])
    dora = await team.log_in("dora")
    assert await team.refusal("people.disable", dora, name="ben") == "password_initial"
    changed = {"old": PASSWORD, "new": "words that only dora knows"}
    assert await team.refusal("people.password", dora, old="wrong" * 3, new="x" * 20) == (
        "bad_credentials"
    )
    await team.give("people.password", dora, **changed)
    assert await team.refusal("people.me", dora) == "session_expired"  # every session of it
    dora = await team.log_in("dora", password=changed["new"])
    assert await team.refusal("people.disable", dora, name="ben") == ""


async def test_who_has_a_session_guesses_its_password_slowly(team: Team, world: World) -> None:
    ada, new = await team.log_in("ada"), "words that only ada knows"
    codes = [
        await team.refusal("people.password", ada, old=f"no password {one}", new=new)
        for one in range(7)
    ]
    assert codes == ["bad_credentials"] * 5 + ["rate_limited"] * 2
    assert len(actions(world, "person.login_failed")) == 5
    assert await team.refusal("people.password", ada, old=PASSWORD, new=new) == "rate_limited"


async def test_a_new_password_that_is_too_weak_is_no_guess(team: Team) -> None:
    ada = await team.log_in("ada")
    codes = {await team.refusal("people.password", ada, old=PASSWORD, new="weak") for _ in range(7)}
    assert codes == {"weak_password"}


async def test_names_are_in_one_table_alone(team: Team, world: World) -> None:
    assert "ada" not in str(world.store.actions(limit=1000))
    assert PASSWORD not in str(world.store.people())
    shown = await team.give("people.list", "vera")
    assert {"password", "totp", "recovery"}.isdisjoint(shown[0])


async def test_an_owner_admin_always_remains(team: Team, world: World) -> None:
    for command, arguments in (
        ("people.disable", {"name": "ada"}),
        ("people.roles", {"name": "ada", "roles": ["decider"]}),
    ):
        assert await team.refusal(command, "ada", **arguments) == "last_administrator"
    assert world.store.person_named("ada").roles == ("owner-admin",)  # type: ignore[union-attr]
    await team.give("people.roles", "ada", name="ben", roles=["owner-admin", "decider"])
    assert await team.refusal("people.disable", "ben", name="ada") == ""
    assert await team.refusal("people.me", "ada") == "session_expired"


@pytest.mark.parametrize("name", ["", "Ada", "a da", "a" * 65, "аda", "a\u202e"])
async def test_a_name_is_plain(team: Team, name: str) -> None:
    given = {"name": name, "password": PASSWORD, "roles": ["viewer"]}
    assert await team.refusal("people.add", "ada", **given) == "invalid_request"


async def test_every_action_of_a_command_names_who_gave_it(team: Team, world: World) -> None:
    with world.store.transaction():
        world.store.set_fact("alarm", {"code": "leaf_missing"})
        world.store.note(world.now, "alarm", code="leaf_missing")  # the agent's own
    await team.give("alarm.clear", "ada", reason="looked at")
    (cleared,) = actions(world, "alarm.cleared")
    assert (cleared["person"], cleared["user"]) == (team.people.named("ada").id, OTHER)
    assert actions(world, "alarm") == [{"code": "leaf_missing"}]


# --- the second factor ------------------------------------------------------------------------


async def test_a_code_is_needed_and_counts_once(team: Team, world: World) -> None:
    secret, _ = await team.with_second_factor("ben")
    with pytest.raises(SecureFlowError) as missing:
        await team.log_in("ben")
    assert missing.value.code == "second_factor_required"
    with pytest.raises(SecureFlowError) as replayed:  # the one that confirmed it
        await team.log_in("ben", team.code(secret))
    assert replayed.value.code == "bad_credentials"
    world.now += 30
    code = team.code(secret)
    assert await team.log_in("ben", code)
    with pytest.raises(SecureFlowError) as again:
        await team.log_in("ben", code)
    assert again.value.code == "bad_credentials"
    with pytest.raises(SecureFlowError):  # an older one neither
        await team.log_in("ben", team.code(secret, -1))


async def test_a_code_is_nothing_without_the_password(team: Team, world: World) -> None:
    secret, codes = await team.with_second_factor("ben")
    world.now += 30
    for code in (team.code(secret), codes[0]):
        with pytest.raises(SecureFlowError) as error:
            await team.log_in("ben", code, password="not the password")
        assert error.value.code == "bad_credentials"
    assert await team.log_in("ben", codes[0])  # a wrong password used nothing up


async def test_a_second_factor_ends_the_sessions_of_the_password_alone(team: Team) -> None:
    """Who stole the password was in already, and would decide with the other's second factor."""
    thief = await team.log_in("ben")
    await team.with_second_factor("ben")
    assert await team.refusal("people.me", thief) == "session_expired"
    assert (await team.give("people.me", "ben"))["second_factor"]


async def test_a_recovery_code_is_for_one_login(team: Team) -> None:
    _, codes = await team.with_second_factor("ben")
    assert len(set(codes)) == RECOVERY_CODES
    assert await team.log_in("ben", codes[3].lower().replace("-", " "))
    with pytest.raises(SecureFlowError):
        await team.log_in("ben", codes[3])
    assert await team.log_in("ben", codes[4])


async def test_only_a_confirmed_factor_counts_and_nobody_replaces_it(team: Team) -> None:
    enrol = {"command": "people.totp.enrol", "who": "ben"}
    assert await team.refusal(**enrol, password="a stolen session") == "bad_credentials"
    secret = (await team.give(**enrol, password=PASSWORD))["secret"]
    assert await team.log_in("ben")  # not confirmed yet
    wrong = f"{(int(team.code(secret)) + 1) % 10**6:06}"
    assert await team.refusal("people.totp.confirm", "ben", code=wrong) == "second_factor_refused"
    await team.give("people.totp.confirm", "ben", code=team.code(secret))
    assert await team.refusal(**enrol, password=PASSWORD) == "already_exists"
    await team.give("people.reset", "ada", name="ben", password=PASSWORD, second_factor=True)
    assert await team.log_in("ben")


def test_codes_of_rfc_6238() -> None:
    """Appendix B, SHA-1, the last six of its eight digits."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # 12345678901234567890
    vectors = {59: "287082", 1_111_111_109: "081804", 1_234_567_890: "005924",
               20_000_000_000: "353130"}  # fmt: skip
    for now, code in vectors.items():
        assert totp.accepted_step(secret, code, now, 0) == now // 30
        assert totp.accepted_step(secret, code, now + 30, 0) == now // 30  # one step late
        assert totp.accepted_step(secret, code, now + 60, 0) is None
        assert totp.accepted_step(secret, code, now, now // 30) is None
    assert totp.accepted_step(secret, "２８７０８２", 59, 0) is None


def test_the_record_alone_gives_no_secret() -> None:
    key, secret = SigningKey.generate(), totp.new_secret()
    sealed = totp.seal(secret, "psn_a", key)
    assert secret not in sealed
    assert totp.unseal(sealed, "psn_a", key) == secret
    for person, other in (("psn_b", key), ("psn_a", SigningKey.generate())):
        with pytest.raises(SecureFlowError) as error:
            totp.unseal(sealed, person, other)
        assert error.value.code == "second_factor_unreadable"


# --- sessions ---------------------------------------------------------------------------------


async def test_a_session_ends_when_idle_and_in_any_case(world: World) -> None:
    team = await Team(world, ControlSettings(idle_minutes=30, hours=2)).gather("ada")
    for _ in range(4):
        world.now += 29 * 60
        assert await team.refusal("people.me", "ada") == ""
    world.now += 4 * 60
    assert await team.refusal("people.me", "ada") == "session_expired"  # two hours
    ada = await team.log_in("ada")
    world.now += 30 * 60
    assert await team.refusal("people.me", ada) == "session_expired"  # half an hour without one


async def test_a_session_ends_with_its_account_its_logout_and_a_restore(
    team: Team, world: World
) -> None:
    await team.give("people.disable", "ada", name="ben")
    assert await team.refusal("people.me", "ben") == "session_expired"
    await team.give("people.disable", "ada", name="ben", disabled=False)
    assert await team.refusal("people.me", "ben") == "session_expired"
    assert (await team.give("people.logout", "cleo"))["ended"]
    assert await team.refusal("people.me", "cleo") == "session_expired"
    with world.store.transaction():
        world.store.end_all("restored")
    assert await team.refusal("people.me", "ada") == "session_expired"


async def test_a_restore_brings_no_delegation_back(team: Team, world: World) -> None:
    """It may have been taken back since the backup was made."""
    await team.give("people.delegate", "ben", to="vera", until=world.now + 3600)
    assert team.people.authorities(team.people.named("vera"))
    with world.store.transaction():
        world.store.end_all("restored")
    assert not team.people.authorities(team.people.named("vera"))


async def test_a_disabled_account_neither_logs_in_nor_acts(team: Team, world: World) -> None:
    ben = team.people.named("ben")
    with world.store.transaction():  # its session is still there
        world.store.keep_person(replace(ben, disabled=1))
    assert world.store.sessions_of(ben.id)
    assert await team.refusal("people.me", "ben") == "session_expired"
    with pytest.raises(SecureFlowError) as error:
        await team.log_in("ben")
    assert error.value.code == "bad_credentials"


async def test_sessions_survive_the_agent_and_only_this_one_knows_them(
    team: Team, world: World, tmp_path: Path
) -> None:
    other = await Team(World(tmp_path / "other", policy="")).gather("ada")
    assert await team.refusal("people.me", other.sessions["ada"]) == "session_expired"
    world.reopen()
    later = Team(world, sessions=team.sessions)
    assert (await later.give("people.me", "ada"))["name"] == "ada"
    assert team.sessions["ada"] not in str(RecordStore(world.settings.record).sessions_of(
        world.store.person_named("ada").id  # type: ignore[union-attr]
    )[0].row())  # fmt: skip


async def test_guesses_are_slow_for_who_guesses_alone(team: Team) -> None:
    codes = []
    for _ in range(7):
        try:
            await team.logins.login("ben", "a wrong password", "", OWN)
        except SecureFlowError as error:
            codes.append(error.code)
    assert codes == ["bad_credentials"] * 5 + ["rate_limited"] * 2
    with pytest.raises(SecureFlowError) as right:  # not even the right one now
        await team.logins.login("ben", PASSWORD, "", OWN)
    assert right.value.code == "rate_limited"
    assert await team.log_in("ben")  # the person itself is another Unix user
    team.ticks += 30
    assert await team.logins.login("ben", PASSWORD, "", OWN)


async def test_guesses_at_many_names_are_bounded(team: Team, world: World) -> None:
    codes = set()
    for number in range(70):
        try:
            await team.logins.login(f"name{number}", "a wrong password", "", OTHER)
        except SecureFlowError as error:
            codes.add(error.code)
    assert codes == {"bad_credentials", "rate_limited"}
    assert len(actions(world, "person.login_failed")) <= 60


async def test_a_person_has_few_sessions(team: Team, world: World) -> None:
    for _ in range(10):
        world.now += 1
        newest = await team.log_in("ben")
    ben = world.store.person_named("ben")
    assert ben is not None
    assert len(world.store.sessions_of(ben.id)) == 8
    assert await team.refusal("people.me", newest) == ""
    assert await team.refusal("people.me", "ben") == "session_expired"


async def test_the_uid_lets_an_owner_admin_in_again_and_that_is_recorded(
    team: Team, world: World
) -> None:
    await team.with_second_factor("ada")
    with pytest.raises(SecureFlowError) as error:
        await team.people.recover("ben", PASSWORD)
    assert error.value.code == "role_needed"
    with as_actor(Actor(user=OWN)):
        await team.people.recover("ada", "another four random words")
    assert actions(world, "person.recovered")[0]["user"] == OWN
    assert await team.refusal("people.me", "ada") == "session_expired"
    ada = await team.log_in("ada", password="another four random words")
    assert await team.refusal("people.disable", ada, name="ben") == "password_initial"


def test_a_running_agent_is_not_recovered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = world.settings
    world.all_keys[world.me].save(settings.signing_key)
    monkeypatch.setattr(AgentSettings, "load", lambda _: settings)
    with locked_folder(settings.directory), pytest.raises(SecureFlowError) as error:
        recover(settings.directory / "agent.yaml", "ada", PASSWORD)
    assert error.value.code == "agent_running"


VALUES = st.one_of(
    st.text(), st.text(alphabet="\ud800\udfff\x00a"), st.none(), st.integers(), st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False), st.lists(st.text(max_size=4), max_size=3),
    st.just("x" * 2000), st.just({}),
)  # fmt: skip


def test_any_value_has_an_answer(tmp_path: Path) -> None:
    """Of whoever can connect, in every place: none is an internal error, none logs anybody in."""
    team = Team(World(tmp_path / "agent", policy=""))
    asyncio.run(team.gather("ada"))
    names = (
        *("people.login", "people.add", "people.disable", "people.reset", "people.roles"),
        *("people.password", "people.totp.confirm", "people.absent", "people.delegate"),
        *("inbox.approve", "inbox.reject", "inbox.ask_back", "policy.explain", "policy.suggest"),
    )
    fields = {name: [*inspect.signature(team.table[name]).parameters] for name in names}

    @given(st.sampled_from(names), st.lists(VALUES, min_size=5, max_size=5), st.booleans())
    @settings(max_examples=150, deadline=None)
    def ask(name: str, values: list[Any], known: bool) -> None:
        team.ticks += 60
        session = team.sessions["ada"] if known else str(values[4])
        given_ = dict(zip(fields[name], values, strict=False))
        asked = {"command": name, "arguments": given_, "session": session}
        answer = asyncio.run(team.server._answer(json.dumps(asked).encode(), OTHER))
        code = answer["error"]["code"] if "error" in answer else ""
        assert code != "internal", answer
        assert code or known, "nobody gets anything without a session"

    ask()


# --- the doctor -------------------------------------------------------------------------------


async def test_the_doctor_says_who_decides(world: World) -> None:
    rule = TwoPeopleRule(any=True)
    so_far = Diagnosis(world.directory / "agent.yaml", settings=world.settings)
    assert "whoever has this uid decides" in check_people(so_far)
    consent = world.settings.consent.model_copy(update={"two_people": (rule,)})
    strict = world.settings.model_copy(
        update={"consent": consent, "control": ControlSettings(second_factor="required")}
    )
    demanding = Diagnosis(so_far.config, settings=strict)
    with pytest.raises(SecureFlowError) as alone:
        check_people(demanding)
    assert alone.value.code == "two_people_needed"
    team = await Team(world).gather("ada", "ben", "vera")
    assert check_people(so_far).startswith("3 accounts; 2 can decide, 0 of them")
    with pytest.raises(SecureFlowError) as without:
        check_people(demanding)
    assert without.value.code == "second_factor_missing"
    for name in ("ada", "ben"):
        await team.with_second_factor(name)
    assert "2 of them" in check_people(demanding)
    with world.store.transaction():
        team.people._keep(replace(team.people.named("ben"), disabled=1))
    with pytest.raises(SecureFlowError) as again:
        check_people(demanding)
    assert again.value.code == "two_people_needed"


async def test_made_up_names_do_not_make_room_for_more_guesses_at_a_real_one(team: Team) -> None:
    """Counters are few: whoever fills them with made-up names does not push a real one's out."""
    for counters in (team.logins._guesses, team.logins._aimed):
        counters._keys = 50

    async def guessed(name: str, source: str) -> str:
        given = {"name": name, "password": "guess of words", "source": source}
        return await team.refusal("people.login", **given)

    assert {await guessed("ben", f"a{number}") for number in range(40)} == {"bad_credentials"}
    for number in range(200):
        await guessed(f"nobody{number}", "flood")
    team.ticks += 30
    again = [await guessed("ben", f"b{number}") for number in range(20)]
    assert again.count("bad_credentials") == 3  # one in ten seconds, as after 40 guesses
