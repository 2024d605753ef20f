"""The accounts of this organisation's people at its agent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import Field

from secureflow.agent.console.api.operations import Call, Operation
from secureflow.agent.console.asking import HASHING
from secureflow.agent.console.screens.people import PersonRow, people_rows
from secureflow.domain.specs.base import STRICT
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Role = Literal["viewer", "decider", "owner-admin"]
Roles = Annotated[tuple[Role, ...], Field(max_length=3)]
Password = Annotated[str, Field(max_length=1024)]
_PATTERNS: Final = {"name": r"[^/]{1,64}"}


@dataclass(frozen=True)
class People:
    """The accounts: those in use first."""

    people: tuple[PersonRow, ...]


@dataclass(frozen=True)
class NewPerson:
    """An account; its person must choose another password before deciding."""

    __pydantic_config__ = STRICT
    name: Annotated[str, Field(min_length=1, max_length=64)]
    password: Password = field(repr=False)
    roles: Roles


@dataclass(frozen=True)
class GivenRoles:
    """The roles that an account has from now on."""

    __pydantic_config__ = STRICT
    roles: Roles


@dataclass(frozen=True)
class State:
    """Whether an account is disabled."""

    __pydantic_config__ = STRICT
    disabled: bool


@dataclass(frozen=True)
class Reset:
    """Another initial password; `second_factor`: that is removed as well."""

    __pydantic_config__ = STRICT
    password: Password = field(repr=False)
    second_factor: bool = False


async def listed(call: Call) -> People:
    """Return the accounts."""
    return People(people_rows(await call.visit.ask("people.list")))


async def add(call: Call) -> PersonRow:
    """Make an account."""
    sent, name = call.body, call.body.name.strip()
    roles = list(sent.roles)
    await call.visit.ask("people.add", HASHING, name=name, password=sent.password, roles=roles)
    return await _row(call, name)


async def give_roles(call: Call) -> PersonRow:
    """Give an account exactly these roles."""
    await call.visit.ask("people.roles", name=call.named("name"), roles=list(call.body.roles))
    return await _row(call, call.named("name"))


async def set_state(call: Call) -> PersonRow:
    """Disable an account, which ends its sessions at once, or enable it again."""
    name = call.named("name")
    await call.visit.ask("people.disable", name=name, disabled=call.body.disabled)
    return await _row(call, name)


async def reset(call: Call) -> PersonRow:
    """Give an account another initial password."""
    name, sent = call.named("name"), call.body
    await call.visit.ask(
        "people.reset", HASHING, name=name, password=sent.password, second_factor=sent.second_factor
    )
    return await _row(call, name)


async def show(call: Call) -> PersonRow:
    """Return an account."""
    return await _row(call, call.named("name"))


async def _row(call: Call, name: str) -> PersonRow:
    for one in people_rows(await call.visit.ask("people.list")):
        if one.name == name:
            return one
    raise SecureFlowError(
        "person_unknown",
        Text("This agent has no account {name!r:.80}.", name=name),
        "The page of people lists the accounts.",
    )


OPERATIONS: Final = (
    Operation("people", "GET", "/people", listed, People, about="The accounts."),
    Operation(
        "addPerson", "POST", "/people", add, PersonRow, NewPerson, need="owner-admin",
        about="Make an account.",
    ),
    Operation(
        "person", "GET", "/people/{name}", show, PersonRow, patterns=_PATTERNS,
        about="One account.",
    ),
    Operation(
        "setRoles", "PUT", "/people/{name}/roles", give_roles, PersonRow, GivenRoles,
        need="owner-admin", patterns=_PATTERNS, about="Give an account exactly these roles.",
    ),
    Operation(
        "setPersonState", "PUT", "/people/{name}/state", set_state, PersonRow, State,
        need="owner-admin", patterns=_PATTERNS, about="Disable an account, or enable it again.",
    ),
    Operation(
        "resetPerson", "POST", "/people/{name}/reset", reset, PersonRow, Reset,
        need="owner-admin", patterns=_PATTERNS, about="Give an account another initial password.",
    ),
)  # fmt: skip
