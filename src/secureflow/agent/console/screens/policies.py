"""Policy files as their editor shows them, and what a text would decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secureflow.agent.console.screens.figures import plain, ratio, second, text_of
from secureflow.agent.console.screens.spoken import Spoken
from secureflow.agent.console.screens.troubles import Trouble, trouble_of
from secureflow.kit.plain import shown
from secureflow.kit.reading import members, objects


@dataclass(frozen=True)
class PolicyFile:
    """A policy file that agent.yaml names.

    Args:
        name: by which it is asked for.
        path: on the agent's machine.
        version: SHA-256 of what it holds, which a change must name.
        in_force: whether what it holds decides now; else `secureflow agent reload` applies it.
        writable: whether the agent may write it.
    """

    name: str
    path: str
    version: str
    in_force: bool
    writable: bool


@dataclass(frozen=True)
class PolicyText:
    """A policy file with its text (Cedar)."""

    file: PolicyFile
    text: str


@dataclass(frozen=True)
class TestedExample:
    """What a text decides about an example.

    Args:
        name: of the example.
        expected: `allow`, `refuse`, `ask` or `two_people`.
        effect: what it decides.
        by: what decides.
        ok: whether that is what was expected, by what was expected.
    """

    name: str
    expected: str
    effect: str
    by: tuple[Spoken, ...]
    ok: bool


@dataclass(frozen=True)
class ChangedRequest:
    """A request of the inbox about which a text decides otherwise than the policies of now.

    Args:
        item: its whole id.
        job: its id.
        purpose: as the submitter says.
        submitter: as the centre names them.
        at: when it was asked.
        before: what the policies of now decide.
        after: what they would.
        by: what would decide.
    """

    item: str
    job: str
    purpose: str
    submitter: str
    at: int
    before: str
    after: str
    by: tuple[Spoken, ...]


@dataclass(frozen=True)
class PolicyTrial:
    """What a text would decide; nothing was changed.

    Args:
        problem: why it is not valid; None: it is.
        tests: the examples.
        requests: of the inbox, that would be decided otherwise.
        tried: how many requests of the inbox were looked at.
    """

    problem: Trouble | None
    tests: tuple[TestedExample, ...]
    requests: tuple[ChangedRequest, ...]
    tried: int


def policy_file(one: Mapping[str, Any]) -> PolicyFile:
    """Read one of `policy.files`, or `policy.read`."""
    return PolicyFile(
        name=text_of(one, "name"),
        path=text_of(one, "path"),
        version=text_of(one, "version"),
        in_force=one.get("in_force") is True,
        writable=one.get("writable") is True,
    )


def policy_text(value: Any) -> PolicyText:
    """Read `policy.read`: what is hidden in the text is shown, and so cannot be saved unseen."""
    one = members(value)
    return PolicyText(policy_file(one), shown(str(one.get("text", "")), several=True))


def policy_trial(value: Any) -> PolicyTrial:
    """Read `policy.try`."""
    one = members(value)
    return PolicyTrial(
        problem=trouble_of(one.get("problem")),
        tests=tuple(_tested(each) for each in objects(one.get("tests"), 10_000)),
        requests=tuple(_changed(each) for each in objects(one.get("requests"), 1000)),
        tried=int(ratio(one.get("tried"))),
    )


def _tested(one: Mapping[str, Any]) -> TestedExample:
    return TestedExample(
        text_of(one, "name"),
        text_of(one, "expected"),
        text_of(one, "effect"),
        tuple(map(plain, one.get("by") or ())),
        one.get("ok") is True,
    )


def _changed(one: Mapping[str, Any]) -> ChangedRequest:
    return ChangedRequest(
        item=text_of(one, "item"),
        job=text_of(one, "job"),
        purpose=text_of(one, "purpose"),
        submitter=text_of(one, "submitter"),
        at=second(one.get("at")),
        before=text_of(one, "before"),
        after=text_of(one, "after"),
        by=tuple(map(plain, one.get("by") or ())),
    )
