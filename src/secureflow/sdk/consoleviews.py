"""What the centre says of links, verdicts, limits and lineage, as programs get it.

Members that a later server adds are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LinkStepShown:
    """One step: its state (`ok`, `warning`, `failed`, `unknown`), cause, who mends it, and how."""

    name: str
    state: str
    cause: str = ""
    who: str = ""
    command: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AgentLink:
    """A process's link as the centre sees it; what comes before TLS only its doctor sees."""

    agent: str
    party: str
    organisation: str
    kind: str
    state: str
    steps: list[LinkStepShown]


@dataclass(frozen=True)
class AttestationShown:
    """An agent's signed verdict on an enclave's evidence; `simulated` protects nothing."""

    index: int
    at: int
    party: str
    job: str
    generation: int
    evidence: str
    hpke: str
    release: str
    tier: str
    simulated: bool


@dataclass(frozen=True)
class AttestationList:
    """Verdicts, newest first; `next` is 0 at the end."""

    items: list[AttestationShown]
    next: int


@dataclass(frozen=True)
class LimitUse:
    """How much of a limit is used."""

    name: str
    used: int
    limit: int


@dataclass(frozen=True)
class OrganisationLimits:
    """What an organisation uses of its limits."""

    organisation: str
    limits: list[LimitUse]


@dataclass(frozen=True)
class LimitsUse:
    """Limits and their use."""

    organisations: list[OrganisationLimits]
    queue: list[LimitUse]
    user: list[LimitUse]
    next: str = ""


@dataclass(frozen=True)
class LineageNode:
    """A model, job or upload."""

    id: str
    kind: str
    name: str
    organisation: str
    created: int
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LineageEdge:
    """`source` came before `target`."""

    source: str
    target: str
    relation: str


@dataclass(frozen=True)
class MeasuredBy:
    """Figures of a model by one evaluation: by whom, on whose rows."""

    job: str
    by: str
    at: int
    figures: dict[str, Any]
    contributors: list[str]


@dataclass(frozen=True)
class Lineage:
    """The graph around a model; `more`: something was left out for its size."""

    model: str
    nodes: list[LineageNode]
    edges: list[LineageEdge]
    evaluations: list[MeasuredBy]
    more: bool
