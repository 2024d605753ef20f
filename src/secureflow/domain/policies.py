"""Consent policies: an agent's own rules on who may use which dataset, for what, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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

    `two_people` are reasons for which two people must decide what would be allowed.
    """

    effect: Effect
    reasons: tuple[str, ...] = ()
    two_people: tuple[str, ...] = ()
