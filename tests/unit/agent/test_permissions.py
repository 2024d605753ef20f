"""Every command of the socket × everybody who might give it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from peers.agent_people import OTHER, OWN, PASSWORD, Team
from peers.agent_world import World

from secureflow.agent.edge.permissions import PERMISSIONS
from secureflow.agent.settings import ControlSettings

OPEN: Final = {
    *("people.welcome", "people.login", "people.logout", "people.providers"),
    *("people.device_start", "people.device_finish", "people.oidc_start", "people.oidc_finish"),
}
READS: Final = {
    *(
        "status",
        "log",
        "leaves",
        "inbox.list",
        "inbox.show",
        "inbox.document",
        "policy.explain",
        "policy.suggest",
    ),
    *("policy.files", "policy.read", "policy.try", "ledger.head", "data.course"),
    *("charter.show", "data.list", "data.uses", "data.budget", "bundle.review", "bundle.list"),
    "data.show",
    *("model.list", "model.show"),
    *("prediction.list", "prediction.show", "probing.list", "results.list", "results.show"),
    *("results.entries", "people.list"),
    *("revenue.show", "settlement.list", "settlement.show"),
    *("data.usage", "grant.list", "grant.show", "stop.list"),
    *("notification.list", "notification.read", "notification.failed"),
    *(
        "anchor.list",
        "anchor.show",
        "anchor.heads",
        "anchor.owed",
        "anchor.verify",
        "anchor.doctor",
    ),
    *("revenue.list", "revenue.show", "settlement.list", "settlement.show"),
    "witness.show",
}
OWN_ACCOUNT: Final = {
    *("people.me", "people.password", "people.totp.enrol", "people.totp.confirm"),
    "people.absent",
    "changes",  # of who looks at a page
}
DIALS: Final = {"doctor"}
"""What reads, and dials: for deciders, and for the agent's own Unix user."""
ITEMS: Final = {"inbox.approve", "inbox.reject", "inbox.ask_back"}
DECIDERS: Final = {
    *ITEMS,
    *("data.publish", "data.remove", "prediction.remove", "results.remove", "people.delegate"),
    "model.remove",
    *("grant.create", "grant.confirm", "grant.revoke"),
    *("job.withdraw", "project.freeze", "requester.block"),
}
ADMINS: Final = {
    *("revenue.sign", "settlement.approve", "settlement.dispute", "settlement.withdraw"),
    *("settlement.pay", "settlement.confirm"),
    *("reload", "alarm.clear", "charter.pin", "charter.sign", "data.settle", "probing.settle"),
    *("people.bind", "people.unbind"),
    *("people.add", "people.disable", "people.reset", "people.roles"),
    "policy.save",
    *("revenue.sign", "settlement.approve", "settlement.dispute", "settlement.withdraw"),
    *("settlement.pay", "settlement.confirm"),
    *("anchor.admit", "anchor.remove", "anchor.upgrade", "anchor.again"),
    *("grant.unlock", "project.unfreeze", "requester.unblock", "notification.test"),
}
EVERY: Final = OPEN | READS | OWN_ACCOUNT | DIALS | DECIDERS | ADMINS
GIVERS: Final = (
    *("nobody", "nobody else", "made up", "other agent", "viewer", "decider", "owner-admin"),
    *("initial", "stand-in", "disabled", "expired", "idle"),
)
"""In an order in which they can share a team: the last ones let time pass."""


async def reached() -> str:
    return "reached"


class Matrix(Team):
    """A team whose commands do nothing, so that each can be given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.served = {*self.table}
        self.server._commands = dict.fromkeys(self.served, reached)


async def initial(team: Team) -> str:
    await team.people.add("ivy", PASSWORD, ["owner-admin"])
    return await team.log_in("ivy")


async def stand_in(team: Team) -> str:
    team.people.delegate(team.people.named("ben").id, "vera", team.world.now + 3600)
    return team.sessions["vera"]


async def disabled(team: Team) -> str:
    team.people.disable("cleo", disabled=True)
    return team.sessions["cleo"]


async def idle(team: Team) -> str:
    ada = await team.log_in("ada")
    team.world.now += 30 * 60
    return ada


async def expired(team: Team) -> str:
    for _ in range(12 * 3600 // 1200):  # kept alive to its last second
        team.logins.recognise(team.sessions["ada"])
        team.world.now += 1200
    return team.sessions["ada"]


async def of_another_agent(team: Team) -> str:
    other = await Team(World(team.world.directory.parent / "other", policy="")).gather("ada")
    return other.sessions["ada"]


async def session_of(giver: str, team: Team) -> tuple[str, int]:
    """Return the session that this giver shows, and its Unix user."""
    if giver in ("nobody", "nobody else"):
        return "", OWN if giver == "nobody" else OTHER
    if giver == "made up":
        return "sfa_" + "A" * 43, OTHER
    if giver in LOGGED_IN:
        return team.sessions[LOGGED_IN[giver]], OTHER
    return await PREPARED[giver](team), OTHER


LOGGED_IN: Final = {"viewer": "vera", "decider": "ben", "owner-admin": "ada"}
PREPARED: Final = {
    **{"initial": initial, "stand-in": stand_in, "disabled": disabled, "idle": idle},
    **{"expired": expired, "other agent": of_another_agent},
}


def expected(giver: str, command: str) -> str:
    """Return the code with which a command is refused, by the rule as people are told it."""
    if command in OPEN:
        return ""
    if giver in ("nobody", "nobody else"):
        return "" if giver == "nobody" and command in READS | DIALS else "session_needed"
    if giver in ("disabled", "idle", "expired", "other agent", "made up"):
        return "session_expired"
    if command in READS | OWN_ACCOUNT:
        return ""
    if command in DIALS:
        return "role_needed" if giver in ("viewer", "stand-in") else ""
    if giver == "initial":
        return "password_initial"
    if giver == "stand-in" and command in ITEMS:
        return ""
    allowed = {"decider": DECIDERS, "owner-admin": DECIDERS | ADMINS}.get(giver, set())
    return "" if command in allowed else "role_needed"


def test_every_command_has_its_line(tmp_path: Path) -> None:
    served = Matrix(World(tmp_path / "agent", policy="")).served
    assert served == {*PERMISSIONS}, "each command needs its line in agent/edge/permissions.py"
    assert served == EVERY, "and its place in this test"


async def test_who_may_give_which_command(tmp_path: Path) -> None:
    team = await Matrix(World(tmp_path / "agent", policy="")).gather()
    for giver in GIVERS:
        session, user = await session_of(giver, team)
        found = {command: await team.refusal(command, session, user) for command in team.served}
        assert found == {command: expected(giver, command) for command in EVERY}, giver


async def test_what_has_no_line_is_closed_and_an_ended_session_hinders_no_reading(
    tmp_path: Path,
) -> None:
    team = await Matrix(World(tmp_path / "agent", policy="")).gather("ada", "ben")
    ended = "sfa_" + "A" * 43
    assert await team.refusal("inbox.list", ended, user=OWN) == ""
    assert await team.refusal("inbox.approve", ended, user=OWN) == "session_expired"
    team.server._commands = {"data.sell": reached}
    assert [await team.refusal("data.sell", who) for who in ("", "ben", "ada")] == [
        "session_needed", "role_needed", "",
    ]  # fmt: skip


async def test_who_asks_strictly_needs_a_session_whoever_it_is(tmp_path: Path) -> None:
    """The owner's page may run as the agent's own user: it passes nobody's reading on."""
    team = await Matrix(World(tmp_path / "agent", policy="")).gather("ada")
    for command in team.served:
        if command not in OPEN:
            asked = {"command": command, "arguments": {}, "session": "", "strict": True}
            answer = await team.server._answer(json.dumps(asked).encode(), OWN)
            assert answer["error"]["code"] == "session_needed", command


async def test_what_nobody_attends_keeps_no_session_alive_unless_it_decides(
    tmp_path: Path,
) -> None:
    team = await Matrix(World(tmp_path / "agent", policy="")).gather("ada")
    secret, before = team.sessions["ada"], team.world.now
    team.world.now += 600
    for command in ("inbox.list", "people.me", "doctor", "changes"):
        team.gate.admit(command, secret, OTHER, strict=True, unattended=True)
        asked = {"command": command, "arguments": {}, "session": secret, "unattended": True}
        assert "result" in await team.server._answer(json.dumps(asked).encode(), OTHER)
        assert team.logins.session(secret, keep=False)[1].used == before, command
    team.gate.admit("inbox.approve", secret, OTHER, unattended=True)
    assert team.logins.session(secret, keep=False)[1].used == team.world.now


async def test_without_accounts_the_uid_decides_and_nobody_else(tmp_path: Path) -> None:
    team = Matrix(World(tmp_path / "agent", policy=""))
    for command in team.served:
        own = "session_needed" if command in OWN_ACCOUNT else ""
        other = "" if command in OPEN else "session_needed"
        assert await team.refusal(command, user=OWN) == own, command
        assert await team.refusal(command, user=OTHER) == other, command


async def test_settings_may_ask_for_more(tmp_path: Path) -> None:
    control = ControlSettings(sessions="all", second_factor="required")
    team = await Matrix(World(tmp_path / "agent", policy=""), control).gather()
    assert await team.refusal("inbox.list", user=OWN) == "session_needed"
    assert await team.refusal("inbox.list", "vera", user=OWN) == ""
    assert await team.refusal("inbox.approve", "ben") == "second_factor_missing"
    assert await team.refusal("people.totp.enrol", "ben") == ""
