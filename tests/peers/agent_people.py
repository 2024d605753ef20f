"""People with accounts at an agent of a test, their sessions and the codes of their apps."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any, Final

from argon2 import PasswordHasher
from peers.agent_world import World

from secureflow.agent.edge.anchors import own_anchors
from secureflow.agent.edge.commands import Commands
from secureflow.agent.edge.control import ControlServer
from secureflow.agent.edge.documents import document_command
from secureflow.agent.edge.grantwatch import GrantWatch
from secureflow.agent.edge.main import logins_of, more_commands
from secureflow.agent.edge.notifying import NotificationCommands
from secureflow.agent.edge.pagecommands import page_commands
from secureflow.agent.edge.permissions import Gate
from secureflow.agent.edge.reload import Reload
from secureflow.agent.edge.witnesscommands import WitnessCommands
from secureflow.agent.owner.logins import Logins
from secureflow.agent.owner.notifications import OwnNotifications
from secureflow.agent.owner.people import People
from secureflow.agent.owner.personrules import ADMIN, DECIDER, VIEWER
from secureflow.agent.settings import ControlSettings
from secureflow.application.passwords import Passwords
from secureflow.cli.pagedocument import PageDocuments
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.totp import code_at

PASSWORD: Final = "four random words here"
OWN, OTHER = 1000, 4711
"""The agent's Unix user, and one of the group that may connect."""
PEOPLE: Final = {"ada": ADMIN, "ben": DECIDER, "cleo": DECIDER, "vera": VIEWER}


def quick_passwords() -> Passwords:
    """Return a checker that is as quick as Argon2id can be."""
    made = Passwords()
    made._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return made


@dataclass
class Team:
    """An agent's people, its gate and its commands, without a socket.

    `ada` is owner-admin, `ben` and `cleo` are deciders, `vera` is a viewer; all chose their own
    passwords, and are logged in.
    """

    world: World
    control: ControlSettings = field(default_factory=ControlSettings)
    sessions: dict[str, str] = field(default_factory=dict)
    passwords: Passwords = field(default_factory=quick_passwords)

    def __post_init__(self) -> None:
        assembly, nothing = self.world.assembly, None
        context = assembly.context
        assembly.people._passwords = lambda: self.passwords
        self.people: People = assembly.people
        self.ticks = 0.0
        self.logins: Logins = logins_of(assembly, self.control)
        self.logins._passwords = lambda: self.passwords
        for one in (self.logins._guesses, self.logins._aimed, self.logins._failures):
            one._ticks = lambda: self.ticks
        self.gate = Gate(self.people, self.logins, self.control, lambda user: user == OWN)
        link: Any = self.world.link
        link.connected, link.trouble = asyncio.Event(), None
        unused: Any = nothing
        commands = Commands(assembly, link, unused, unused, unused)
        settings, clock = context.settings.notifications, context.clock
        notifications = OwnNotifications(context.store, settings, {}, clock)
        told = NotificationCommands(notifications).table()
        self.watch = GrantWatch(link, assembly)
        more = more_commands(assembly, link, self.logins, self.watch)
        self.reload = Reload(self.world.directory / "agent.yaml", assembly, unused)
        own = page_commands(assembly, link, self.reload, self.watch, context.kinds.specs)
        anchors = own_anchors(assembly, link, lambda _: {}, contextlib.AsyncExitStack())
        witness = WitnessCommands(context.settings.witness, context.store, None)
        self.table = {**commands.table(), **told, **more, **own, **anchors.table()}
        self.table |= witness.table()
        self.table |= document_command(self.table, PageDocuments())
        self.server = ControlServer(context.settings.socket, self.table, self.gate.admit)

    async def gather(self, *names: str) -> Team:
        """Make the accounts, the owner-admin first, and log everybody in."""
        for name in names or tuple(PEOPLE):
            await self.people.add(name, PASSWORD, [PEOPLE[name]])
            self.chosen(name)
            self.sessions[name] = await self.log_in(name)
        return self

    def chosen(self, name: str) -> None:
        """Let the password count as the person's own."""
        store = self.world.store
        with store.transaction():
            found = self.people.named(name)
            store.keep_person(type(found)(**{**vars(found), "initial": 0}))

    async def log_in(self, name: str, code: str = "", password: str = PASSWORD) -> str:
        opened = await self.logins.login(name, password, code, OTHER)
        return str(opened["session"])

    async def give(self, command: str, who: str = "", user: int = OTHER, **arguments: Any) -> Any:
        """Send a command as the socket would get it; raise its error."""
        session = self.sessions.get(who, who)
        asked = {"command": command, "arguments": arguments, "session": session}
        answer = await self.server._answer(json.dumps(asked).encode(), user)
        if "error" in answer:
            raise SecureFlowError.from_json(answer["error"])
        return answer["result"]

    async def refusal(self, command: str, who: str = "", user: int = OTHER, **given: Any) -> str:
        """Return the code with which a command is refused, empty if it is not."""
        try:
            await self.give(command, who, user, **given)
        except SecureFlowError as error:
            return error.code
        return ""

    async def with_second_factor(self, name: str) -> tuple[str, list[str]]:
        """Set up a second factor; return its secret and the recovery codes."""
        secret = (await self.give("people.totp.enrol", name, password=PASSWORD))["secret"]
        codes = await self.give("people.totp.confirm", name, code=self.code(secret))
        return secret, codes["recovery_codes"]

    def code(self, secret: str, away: int = 0) -> str:
        """Return the code that an app shows now, or so many steps away."""
        return code_at(base64.b32decode(secret), self.world.now + 30 * away)


async def waiting_item(world: World, body: dict[str, Any] | None = None) -> tuple[Any, Any]:
    """Ask for consent; return the asking task and the item once it waits."""
    asking = asyncio.create_task(world.ask("consent", body or world.consent_body()))
    known = {one.id for one in world.assembly.inbox.list(waiting=False)}
    while True:
        new = [one for one in world.assembly.inbox.list() if one.id not in known]
        if new or asking.done():
            return asking, new[0] if new else None
        await asyncio.sleep(0.001)
