"""The policies by which the agent decides: reading, trying and saving their files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from secureflow.agent.console.api.operations import Call, Operation
from secureflow.agent.console.deciding import ITEM
from secureflow.agent.console.screens.policies import (
    PolicyFile,
    PolicyText,
    PolicyTrial,
    policy_file,
    policy_text,
    policy_trial,
)
from secureflow.agent.console.screens.requests import RuleAsked, rule_asked
from secureflow.domain.specs.base import STRICT
from secureflow.kit.reading import members, objects

DECIDING: Final = 60.0
"""Seconds to wait where many requests are decided."""
_FILE: Final = {"name": r"[^/]{1,128}"}
Text = Annotated[str, Field(max_length=131_072)]


@dataclass(frozen=True)
class Policies:
    """The policy files that agent.yaml names; without one, people are asked about everything."""

    files: tuple[PolicyFile, ...]


@dataclass(frozen=True)
class Draft:
    """A text to try in a file's place.

    Args:
        text: Cedar.
        examples: YAML, as `secureflow agent policy test` reads it; empty: none.
    """

    __pydantic_config__ = STRICT
    text: Text
    examples: Annotated[str, Field(max_length=65_536)] = ""


@dataclass(frozen=True)
class Edited:
    """A text to save.

    Args:
        text: Cedar; it must be valid together with the other files.
        version: of the file as its editor began with it.
    """

    __pydantic_config__ = STRICT
    text: Text
    version: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Suggestion:
    """A policy that would have decided a request as people did."""

    policy: str


async def listed(call: Call) -> Policies:
    """Return the files."""
    return Policies(tuple(map(policy_file, objects(await call.visit.ask("policy.files")))))


async def show(call: Call) -> PolicyText:
    """Return one of them."""
    return policy_text(await call.visit.ask("policy.read", name=call.named("name")))


async def attempt(call: Call) -> PolicyTrial:
    """Try a text: nothing changes."""
    name, sent = call.named("name"), call.body
    asking = call.visit.ask(
        "policy.try", DECIDING, name=name, text=sent.text, examples=sent.examples
    )
    return policy_trial(await asking)


async def save(call: Call) -> PolicyText:
    """Save a text; it takes effect at once."""
    name, sent = call.named("name"), call.body
    asking = call.visit.ask("policy.save", name=name, text=sent.text, version=sent.version)
    return policy_text(await asking)


async def explain(call: Call) -> RuleAsked:
    """Return what the policies of now decide about a request."""
    found = await call.visit.ask("policy.explain", item=call.named("item"))
    return rule_asked(members(found))


async def suggest(call: Call) -> Suggestion:
    """Return a policy that would have decided a request as people did."""
    found = members(await call.visit.ask("policy.suggest", item=call.named("item")))
    return Suggestion(str(found.get("policy", "")))


OPERATIONS: Final = (
    Operation("policies", "GET", "/policies", listed, Policies, about="The policy files."),
    Operation(
        "policy", "GET", "/policies/{name}", show, PolicyText, patterns=_FILE,
        about="One policy file with its text.",
    ),
    Operation(
        "tryPolicy", "POST", "/policies/{name}/try", attempt, PolicyTrial, Draft, patterns=_FILE,
        about="Try a text on examples and on the requests of the inbox; nothing changes.",
    ),
    Operation(
        "savePolicy", "PUT", "/policies/{name}", save, PolicyText, Edited, need="owner-admin",
        patterns=_FILE, about="Save a text; it takes effect at once.",
    ),
    Operation(
        "explainRequest", "GET", "/inbox/{item}/rule", explain, RuleAsked,
        patterns={"item": ITEM}, about="What the policies of now decide about a request, and why.",
    ),
    Operation(
        "suggestPolicy", "GET", "/inbox/{item}/policy", suggest, Suggestion,
        patterns={"item": ITEM}, about="A policy that would decide such requests as people did.",
    ),
)  # fmt: skip
