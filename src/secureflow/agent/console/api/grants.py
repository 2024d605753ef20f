"""Grants: what this organisation allows. What is shown before it is signed is what is signed."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

from pydantic import Field

from secureflow.agent.console.api.operations import Call, Operation
from secureflow.agent.console.asking import STOPPING
from secureflow.agent.console.screens.datasets import DatasetView, dataset_view
from secureflow.agent.console.screens.grantforms import DAYS, KINDS, PROTECTIONS
from secureflow.agent.console.screens.grants import (
    GrantGroup,
    GrantRow,
    GrantUseRow,
    Stopped,
    grant_row,
    groups,
    stopped_under,
    uses_of,
)
from secureflow.agent.console.screens.projects import KnownProject, known_projects
from secureflow.agent.console.screens.stops import Stop, stops
from secureflow.domain.grants import GrantTerms, read_terms
from secureflow.domain.specs.base import STRICT, dump
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members
from secureflow.kit.text import Text

Reason = Annotated[str, Field(max_length=500)]
Once = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
_PATTERNS: Final = {"grant": r"[A-Za-z0-9_-]{1,128}"}


@dataclass(frozen=True)
class Grants:
    """What is allowed, and what is stopped whatever grants allow."""

    groups: tuple[GrantGroup, ...]
    stops: tuple[Stop, ...]


@dataclass(frozen=True)
class Grant:
    """One grant.

    Args:
        grant: with its terms.
        uses: the jobs that were approved under it.
        running: the ids of those that stop if it is taken back.
        stopped: what its revocation stopped, and what of each stays.
    """

    grant: GrantRow
    uses: tuple[GrantUseRow, ...]
    running: tuple[str, ...]
    stopped: tuple[Stopped, ...]


@dataclass(frozen=True)
class Choices:
    """What the form of a grant offers.

    Args:
        kinds: of job.
        protections: of what is sent.
        projects: that are known here.
        days: that a grant lasts unless somebody chooses otherwise.
    """

    kinds: tuple[str, ...]
    protections: tuple[str, ...]
    projects: tuple[KnownProject, ...]
    days: int


@dataclass(frozen=True)
class Review:
    """Terms as they would be signed: the first of two steps.

    Args:
        terms: as the agent reads them; exactly these are to be sent to be signed.
        shown: line by line, with what an empty field means.
    """

    terms: dict[str, Any]
    shown: GrantRow


@dataclass(frozen=True)
class Terms:
    """Terms to review; nothing is signed."""

    __pydantic_config__ = STRICT
    terms: GrantTerms


@dataclass(frozen=True)
class Signing:
    """The terms that were reviewed, to be signed.

    Args:
        terms: as `Review.terms`.
        once: 32 random hex digits of this form: sent twice it makes one grant.
        proposal: the proposal of the centre that is confirmed; empty.
    """

    __pydantic_config__ = STRICT
    terms: dict[str, Any]
    once: Once
    proposal: Annotated[str, Field(max_length=128)] = ""


@dataclass(frozen=True)
class Revoke:
    """Taking back, with a reason for the log."""

    __pydantic_config__ = STRICT
    reason: Reason = ""


@dataclass(frozen=True)
class Unlock:
    """What was used of a restored agent's grant since the backup."""

    __pydantic_config__ = STRICT
    uses: Annotated[int, Field(ge=0, lt=1 << 31)]
    epsilon: Annotated[float, Field(ge=0.0, lt=1e9)] = 0.0


async def listed(call: Call) -> Grants:
    """Return the grants by state."""
    found, stopped = await asyncio.gather(call.visit.ask("grant.list"), call.visit.ask("stop.list"))
    return Grants(groups(found), stops(stopped))


async def choices(call: Call) -> Choices:
    """Return what the form offers."""
    listed, asked, stopped = await asyncio.gather(
        call.visit.ask("grant.list"),
        call.visit.ask("inbox.list", waiting=False),
        call.visit.ask("stop.list"),
    )
    return Choices(KINDS, PROTECTIONS, known_projects(listed, asked, stopped), DAYS)


async def show(call: Call) -> Grant:
    """Return a grant; before it is taken back, `running` names the jobs that stop."""
    shown, usage, log = await asyncio.gather(
        call.visit.ask("grant.show", grant=call.named("grant")),
        call.visit.ask("data.usage"),
        call.visit.ask("log", limit=1000, names=["job.stopped"]),
    )
    row, uses = grant_row(members(shown)), uses_of(members(shown), usage)
    running = tuple(one.job for one in uses if one.running)
    return Grant(row, uses, running, stopped_under(log, row.id))


async def review(call: Call) -> Review:
    """Return terms as they would be signed, or what is wrong with them."""
    visit = call.visit
    terms = read_terms(dump(call.body.terms), visit.site.now())
    dataset = dataset_view(members(await visit.ask("data.show", name=terms.dataset)))
    check_columns(dataset, terms.columns)
    return _reviewed(dump(terms))


def check_columns(dataset: DatasetView, columns: tuple[str, ...]) -> None:
    """Refuse columns that the dataset does not declare, before anybody is asked to sign them.

    Raises:
        SecureFlowError: `unknown_column`.
    """
    known = {one.name for one in dataset.columns}
    if unknown := sorted(set(columns) - known):
        raise SecureFlowError(
            "unknown_column",
            Text(
                "The dataset {name} declares no column {unknown!r:.130}.",
                name=dataset.name,
                unknown=unknown[0],
            ),
            "Grant declared columns only.",
        )


async def proposal(call: Call) -> Review:
    """Return a proposal's terms as they would be signed."""
    shown = members(await call.visit.ask("grant.show", grant=call.named("grant")))
    return _reviewed(dict(members(shown.get("terms"))))


def _reviewed(terms: dict[str, Any]) -> Review:
    return Review(terms, grant_row({"id": "", "state": "proposed", "terms": terms}))


async def make(call: Call) -> GrantRow:
    """Have the agent sign the terms that the person was shown."""
    sent = asdict(call.body)
    if sent["proposal"]:
        made = await call.visit.ask("grant.confirm", **sent)
    else:
        sent.pop("proposal")
        made = await call.visit.ask("grant.create", **sent)
    return grant_row(members(made))


async def revoke(call: Call) -> Grant:
    """Take a grant back, and stop its jobs; the answer says what of each stays."""
    grant, reason = call.named("grant"), call.body.reason.strip()
    await call.visit.ask("grant.revoke", STOPPING, grant=grant, reason=reason)
    return await show(call)


async def unlock(call: Call) -> GrantRow:
    """Confirm a restored agent's grant again."""
    grant, sent = call.named("grant"), call.body
    asking = call.visit.ask("grant.unlock", grant=grant, uses=sent.uses, epsilon=sent.epsilon)
    return grant_row(members(await asking))


OPERATIONS: Final = (
    Operation("grants", "GET", "/grants", listed, Grants, about="The grants by their state."),
    Operation(
        "grantChoices", "GET", "/grant-choices", choices, Choices,
        about="What the form of a grant offers.",
    ),
    Operation(
        "reviewGrant", "POST", "/grants/review", review, Review, Terms,
        about="The first of two steps: terms as they would be signed.",
    ),
    Operation(
        "signGrant", "POST", "/grants", make, GrantRow, Signing, need="decider",
        about="The second step: sign exactly the terms that were shown.",
    ),
    Operation(
        "grant", "GET", "/grants/{grant}", show, Grant, patterns=_PATTERNS,
        about="One grant: terms, uses, what its revocation stops or stopped.",
    ),
    Operation(
        "reviewProposal", "GET", "/grants/{grant}/review", proposal, Review, patterns=_PATTERNS,
        about="The terms of a proposal of the centre, as they would be signed.",
    ),
    Operation(
        "revokeGrant", "POST", "/grants/{grant}/revoke", revoke, Grant, Revoke, need="decider",
        patterns=_PATTERNS, about="Take a grant back: its running jobs stop.",
    ),
    Operation(
        "unlockGrant", "POST", "/grants/{grant}/unlock", unlock, GrantRow, Unlock,
        need="owner-admin", patterns=_PATTERNS,
        about="Confirm a grant of a restored agent, with what was used of it meanwhile.",
    ),
)  # fmt: skip
