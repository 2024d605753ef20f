"""Consent policies: an agent's own rules on who may use which dataset, for what, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT
from secureflow.domain.texts import ONE_LINE

Effect = Literal["allow", "refuse", "ask"]


@dataclass(frozen=True)
class Policy:
    """A reviewed policy file (Cedar) of an agent, identified by its digest."""

    name: str
    text: str
    digest: str


@dataclass(frozen=True)
class Decision:
    """A policy's decision on one request: allow, refuse, or ask a person, with the reasons.

    `two_people` are reasons for which two people must decide what would be allowed. `broken`: a
    policy could not be evaluated, which may be one that refuses: nothing but a person replaces it.
    """

    effect: Effect
    reasons: tuple[str, ...] = ()
    two_people: tuple[str, ...] = ()
    broken: bool = False


@dataclass(frozen=True)
class Nearly:
    """A policy that permits, and the parts of it that do not hold for a request (none: it did)."""

    title: str
    missing: tuple[str, ...]


Expected = Literal["allow", "refuse", "ask", "two_people"]


@dataclass(frozen=True)
class PolicyTest:
    """An example request, and what the owner expects the policies to decide.

    Args:
        name: of the example.
        request: the facts that policies see; what is left out is empty.
        expect: the effect; `two_people`: that two people are asked.
        by: part of the title of a policy that must be among those that decide, or empty.
    """

    __pydantic_config__ = STRICT
    name: Annotated[str, Field(min_length=1, max_length=200), ONE_LINE]
    request: dict[str, Any]
    expect: Expected
    by: Annotated[str, Field(max_length=200), ONE_LINE] = ""


@dataclass(frozen=True)
class PolicyTests:
    """The examples of a file."""

    __pydantic_config__ = STRICT
    tests: Annotated[tuple[PolicyTest, ...], Field(min_length=1, max_length=10_000)]
