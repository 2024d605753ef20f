"""Mutated lines at the agent's socket: every command, from each person, with arguments of any form.

Promised: an answer for each line; a typed error with a catalogued code, which is no defect; nothing
for who shows no session that is genuine; no row more after a refusal; no stored secret in answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from peers.agent_people import OTHER, OWN, PASSWORD, PEOPLE, Team, waiting_item
from peers.agent_world import JOB, NOW, World

from secureflow.agent.edge.anchors import own_anchors
from secureflow.agent.edge.commands import Commands
from secureflow.agent.edge.documents import document_command
from secureflow.agent.edge.grantwatch import GrantWatch
from secureflow.agent.edge.main import more_commands
from secureflow.agent.edge.notifying import NotificationCommands
from secureflow.agent.edge.pagecommands import page_commands
from secureflow.agent.edge.permissions import PERMISSIONS
from secureflow.agent.edge.witnesscommands import WitnessCommands
from secureflow.agent.notificationsettings import OwnNotificationSettings
from secureflow.agent.owner.notifications import OwnNotifications
from secureflow.agent.witnesssettings import WitnessSettings
from secureflow.kit.errors import SecureFlowError
from tests.fuzz.mutations import changed_text, changed_value, hostile_value, spelled
from tests.fuzz.oracle import Secrets, as_json, faults_of_error, tell
from tests.seeded import portions

REPEAT = "python -m pytest tests/fuzz/test_socket.py -k test_seeds --seeds {}:{}"
TERMS: Final = {
    **{"dataset": "customers", "project": "prj_0123456789", "columns": ["age"]},
    "expires": NOW + 1000,
}
OPEN: Final = {name for name, one in PERMISSIONS.items() if one.need == "open"}
TABLES: Final = ("people", "grants", "stops", "delegations")
ADDS: Final = {"people.add", "grant.create", "grant.confirm", "project.freeze", "requester.block",
               "people.delegate"}  # fmt: skip


class Silent:
    """The link while the centre is away, and everything else that a command may need of it."""

    trouble = None

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.skew = 0.0

    async def call(self, kind: str, body: Any) -> Any:
        raise SecureFlowError("link_broken", "The centre is silent.")

    async def describe(self, *_: Any) -> Any:
        raise SecureFlowError("dataset_unreadable", "It is not read here.")

    async def difference(self) -> dict[str, Any]:
        return {"state": "same", "changed": [], "restart": [], "problem": None}

    async def check_read(self, dataset: str) -> None:
        return

    async def preview(self) -> dict[str, Any]:
        return {}

    async def apply(self, agreed: Any) -> dict[str, Any]:
        return {"agreed": list(agreed)}


SLOW = {"changes", "doctor"}
"""Commands that wait, or dial."""


class Staff(Team):
    """Four people at an agent, one request that waits, a grant, and all commands that it serves."""

    async def open(self) -> None:
        silent: Any = Silent()
        assembly, store = self.world.assembly, self.world.assembly.context.store
        watch = GrantWatch(silent, assembly)
        watch.proposals["grt_0123456789"] = {"id": "grt_0123456789", "terms": dict(TERMS)}
        notify = OwnNotifications(store, OwnNotificationSettings(), {}, lambda: self.world.now)
        stack = contextlib.AsyncExitStack()
        self.table = {
            **Commands(assembly, silent, silent, silent, silent).table(),
            **NotificationCommands(notify).table(),
            **more_commands(assembly, silent, self.logins, watch),
            **own_anchors(assembly, silent, lambda _: {}, stack).table(),
            **WitnessCommands(WitnessSettings(), assembly.context.store, None).table(),
        }
        self.table |= document_command(self.table, None)
        kinds = assembly.context.kinds.specs
        own = page_commands(assembly, silent, self.reload, watch, kinds)
        self.table |= {name: one for name, one in own.items() if name not in SLOW}
        assert self.table.keys() == PERMISSIONS.keys() - SLOW
        self.server._commands = self.table
        await self.gather()
        _, self.codes = await self.with_second_factor("cleo")
        self.sessions["cleo"] = await self.log_in("cleo", code=self.codes.pop())
        self.kept = {name: self.people.named(name) for name in PEOPLE}
        self.asking, item = await waiting_item(self.world)
        made = await self.give("grant.create", "ada", terms=TERMS)
        self.genuine = arguments(item.id, made["id"], self.kept["ben"].id)
        self.secrets = Secrets(
            (*(one.password for one in self.kept.values()), self.kept["cleo"].totp,
             *self.kept["cleo"].recovery, *self.sessions.values())
        )  # fmt: skip

    async def restore(self) -> None:
        """Give the four people back what a command that was carried out may have taken."""
        store = self.world.store
        with store.transaction():
            for one in self.kept.values():
                store.keep_person(one)
        for name in PEOPLE:
            if not self.knows(name):
                code = self.codes[0] if name == "cleo" else ""  # spent, and restored above
                self.sessions[name] = await self.log_in(name, code=code)

    def knows(self, name: str) -> bool:
        try:
            return self.logins.recognise(self.sessions[name]).name == name
        except SecureFlowError:
            return False

    def rows(self) -> tuple[int, ...]:
        return tuple(self.world.store._one(f"SELECT count(*) FROM {table}")[0] for table in TABLES)


def arguments(item: str, grant: str, person: str) -> dict[str, dict[str, Any]]:
    """Return what a person would give with each command."""
    until, project, domain = NOW + 3600, {"project": "prj_0123456789"}, {"domain": "customers"}
    new = {"password": "another four words"}
    named = {"name": "ben"}
    return {
        "reload": {"preview": False, "agreed": [{"dataset": "customers"}]},
        "log": {"job": JOB, "limit": 10},
        "leaves": {"job": JOB},
        "alarm.clear": {"reason": "it was a test"},
        "inbox.list": {"waiting": False},
        **{key: {"item": item} for key in ("inbox.show", "policy.explain", "policy.suggest")},
        **{key: {"item": "x" * 64, "reason": "yes"} for key in ("inbox.approve", "inbox.reject")},
        "inbox.ask_back": {"item": item, "question": "What for?"},
        "bundle.review": {"item": item},
        "bundle.list": {"limit": 10},
        "charter.pin": {"charter": None, "confirm": "ab" * 32},
        "charter.sign": {"confirm": "ab" * 32},
        "data.publish": {"name": "customers", "title": "Customers"},
        "data.uses": {"name": "customers"},
        "data.remove": {"name": "nothing"},
        "data.budget": {"exact": True},
        "data.settle": {**domain, "bundles": [{}]},
        "data.usage": {"dataset": "customers"},
        **{key: {"job": JOB} for key in ("prediction.show", "prediction.remove")},
        **{key: {"job": JOB} for key in ("results.show", "results.entries", "results.remove")},
        "probing.settle": {**domain, "tested": 3},
        "grant.show": {"grant": grant},
        "grant.create": {"terms": TERMS},
        "grant.confirm": {"proposal": "grt_0123456789", "terms": TERMS},
        "grant.revoke": {"grant": "ab" * 32, "reason": "over"},
        "grant.unlock": {"grant": grant, "uses": 1, "epsilon": 0.5},
        "job.withdraw": {"job": JOB, "reason": "over"},
        **dict.fromkeys(("project.freeze", "project.unfreeze"), project),
        **{key: {"user": "usr_bob"} for key in ("requester.block", "requester.unblock")},
        "notification.list": {"unread": True, "limit": 5},
        "notification.read": {"ids": [1, 2]},
        "anchor.admit": {"place": "chain", "account": {"binding": "ab" * 64}},
        "anchor.remove": {"place": "chain", "member": "ab" * 32},
        "anchor.upgrade": {"place": "chain", "successor": "evm:1337:0x" + "ab" * 20},
        "anchor.again": {"entry": "ab" * 32, "place": "chain"},
        "people.login": {"name": "ada", "password": PASSWORD, "code": ""},
        "people.add": {"name": "eve", **new, "roles": ["viewer"]},
        "people.disable": {**named, "disabled": True},
        "people.reset": {**named, **new, "second_factor": True},
        "people.roles": {**named, "roles": ["decider"]},
        "people.password": {"old": PASSWORD, "new": "five other random words"},
        "people.totp.enrol": {"password": PASSWORD},
        "people.totp.confirm": {"code": "123456"},
        "people.absent": {"until": until},
        "people.delegate": {"to": person, "until": until},
    }


def asked(random: Random, team: Staff) -> tuple[bytes, str, bool, int]:
    """Return a line, its command, whether its session is genuine, and the Unix user."""
    command = random.choice(sorted(team.table))
    given: Any = team.genuine.get(command, {})
    for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
        given = changed_value(random, given) if isinstance(given, dict) and given else given
    if random.random() < 0.05:
        given = hostile_value(random)
    mine = random.choice(sorted(team.sessions))
    session: Any = team.sessions[mine]
    kind = random.randrange(8)
    if kind == 0:
        others = tuple(team.sessions[one] for one in team.sessions if one != mine)
        session = changed_text(random, session, others)
    elif kind == 1:
        session = hostile_value(random)
    request: Any = {"command": command, "arguments": given, "session": session}
    if random.random() < 0.05:
        request = changed_value(random, request)
    genuine = isinstance(session, str) and session in team.sessions.values()
    return spelled(random, request), command, genuine, random.choice((OWN, OTHER, OTHER))


def free(command: str, user: int) -> bool:
    """Tell whether a command needs no session from this Unix user."""
    return command in OPEN or (user == OWN and PERMISSIONS[command].need == "read")


async def one_case(seed: int, team: Staff) -> list[str]:
    """Send one line; return what is wrong with its answer."""
    random = Random(seed)
    team.ticks += 600
    line, command, genuine, user = asked(random, team)
    before = team.rows()
    answer = await team.server._answer(line, user)
    data = json.dumps(answer).encode()
    wrong = team.secrets.told(data, line)
    if answer.keys() == {"error"}:
        wrong += faults_of_error(as_json(data)["error"])
        if team.rows() != before:
            wrong.append(f"a refusal left rows: {before} {team.rows()}")
    elif answer.keys() != {"result"}:
        wrong.append("no answer")
    elif not genuine and not free(command, user):
        wrong.append(f"a stranger was answered: {data[:200]!r}")
    else:
        if command not in ADDS and team.rows() > before:
            wrong.append(f"{command} added rows: {before} {team.rows()}")
        if PERMISSIONS[command].need != "read":
            await team.restore()
    return [f"{line[:300]!r}: {one}" for one in wrong]


@asynccontextmanager
async def staff(directory: Path) -> AsyncIterator[Staff]:
    world = World(directory / "agent", policy="")
    team = Staff(world)
    await team.open()
    yield team
    team.asking.cancel()
    await asyncio.gather(team.asking, return_exceptions=True)
    world.store.close()


async def check(seeds: range, directory: Path) -> None:
    async with staff(directory) as team:
        tell([(seed, await one_case(seed, team)) for seed in seeds], REPEAT)


@portions(0, 2500, 2500)
async def test_seeds(seeds: range, tmp_path: Path) -> None:
    await check(seeds, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@portions(0, 150_000, 5000)
async def test_many_seeds(seeds: range, tmp_path: Path) -> None:
    await check(seeds, tmp_path)
