"""Grants as the owner's page shows them: state, terms, and what is used of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import computed_field

from secureflow.agent.console.screens.figures import (
    Share,
    exact,
    limit,
    plain,
    ratio,
    second,
    text_of,
    texts,
)
from secureflow.agent.console.screens.spoken import Spoken
from secureflow.agent.owner.stoppedjobs import StoppedJob
from secureflow.kit.reading import listed, members, objects

STATES: Final = ("proposed", "in force", "locked", "forged", "used up", "expired", "taken back")
"""In the order of the page: what somebody must do something about stands before what is over."""
OVER: Final = frozenset({"used up", "expired", "taken back"})
_WORDS: Final = {"granted": "in force", "revoked": "taken back"}
_COLUMNS: Final = 4096
"""As many as a grant may name: whoever signs it must see each."""
REVOCABLE: Final = frozenset({"in force", "locked", "forged", "used up"})


@dataclass(frozen=True)
class Term:
    """One line of a grant's terms.

    Args:
        name: of the field, as the command line names it.
        values: what is allowed; empty: `otherwise` says what that means.
        otherwise: the word for no value: `any`, `none`, `no`.
    """

    name: str
    values: tuple[str, ...]
    otherwise: str = "any"


@dataclass(frozen=True)
class GrantRow:
    """A grant.

    Args:
        id: whole.
        state: one of `STATES`.
        dataset: its name here.
        project: its id.
        columns: those that jobs may use.
        expires: unix seconds.
        uses: approvals, of how many.
        epsilon: of all jobs, of how much.
        terms: every field that the grant names, in the order of the command line.
        raw: the terms as JSON, for what is signed.
        proposal: the grant at the centre that it confirmed.
        by: who proposed it there, as the centre names them.
        created: unix seconds; 0 for a proposal.
        revoked: unix seconds; 0.
        reason: of the revocation.
    """

    id: str
    state: str
    dataset: str
    project: str
    columns: tuple[str, ...]
    expires: int
    uses: Share
    epsilon: Share
    terms: tuple[Term, ...]
    raw: Mapping[str, Any]
    proposal: str = ""
    by: str = ""
    created: int = 0
    revoked: int = 0
    reason: str = ""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def revocable(self) -> bool:
        """Whether there is anything to revoke."""
        return self.state in REVOCABLE


@dataclass(frozen=True)
class GrantUseRow:
    """A job that was approved under a grant; `outcome` is empty where the record has none."""

    job: str
    at: int
    epsilon: float
    outcome: str = ""
    purpose: str = ""
    requester: str = ""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def running(self) -> bool:
        """Whether it would stop if the grant were revoked."""
        return self.outcome == "running"


@dataclass(frozen=True)
class Stopped:
    """A job that a revocation stopped, with what of it cannot be taken back."""

    job: str
    at: int
    told: tuple[Spoken, ...]


@dataclass(frozen=True)
class GrantGroup:
    """The grants of one state."""

    state: str
    rows: tuple[GrantRow, ...]


def grant_row(value: Mapping[str, Any]) -> GrantRow:
    """Read one grant of `grant.list` or `grant.show`."""
    terms, used = members(value.get("terms")), members(value.get("used"))
    uses = Share(ratio(used.get("uses")), limit(terms.get("uses")))
    epsilon = Share(ratio(used.get("epsilon")), limit(terms.get("epsilon")))
    return GrantRow(
        id=text_of(value, "id"),
        state=_state(text_of(value, "state"), uses, epsilon),
        dataset=text_of(terms, "dataset"),
        project=text_of(terms, "project"),
        columns=texts(terms.get("columns"), _COLUMNS),
        expires=second(terms.get("expires")),
        uses=uses,
        epsilon=epsilon,
        terms=tuple(terms_of(terms)),
        raw=terms,
        proposal=text_of(value, "proposal"),
        by=text_of(value, "by"),
        created=second(value.get("created")),
        revoked=second(value.get("revoked")),
        reason=text_of(value, "reason"),
    )


def groups(value: Any) -> tuple[GrantGroup, ...]:
    """Sort the grants of `grant.list` by state, the newest of each first."""
    rows = [grant_row(one) for one in objects(value)]
    found = []
    for state in STATES:
        of_state = sorted((one for one in rows if one.state == state), key=_newest)
        if of_state:
            found.append(GrantGroup(state, tuple(of_state)))
    return tuple(found)


def terms_of(terms: Mapping[str, Any]) -> Iterable[Term]:
    """Yield every field of a grant's terms, with what it means where it names nothing."""
    yield Term("dataset", (text_of(terms, "dataset"),))
    yield Term("project", (text_of(terms, "project"),))
    yield Term("columns", texts(terms.get("columns"), _COLUMNS))
    for name in ("purposes", "kinds", "parties", "protections"):
        yield Term(name, texts(terms.get(name)))
    for name in ("epsilon", "epsilon_per_job", "min_group", "uses"):
        most = limit(terms.get(name))
        yield Term(name, () if most is None else (exact(most),))
    bundles = terms.get("bundles", "none")
    listed_code = texts(bundles) if not isinstance(bundles, str) else ()
    named = () if bundles == "none" else ("person",)
    yield Term("bundles", listed_code or named, "none")
    yield Term("validation", tuple(_leaving(members(terms.get("validation")))), "none")
    trees = limit(terms.get("own_trees"))
    yield Term("own_trees", () if trees is None else (exact(trees),), "none")
    yield Term("automatic", ("yes",) if terms.get("automatic") is True else (), "no")


def _leaving(allowed: Mapping[str, Any]) -> Iterable[str]:
    most = limit(allowed.get("rows"))
    if most is not None:
        yield exact(most)
        if allowed.get("simulated") is True:
            yield "SIMULATED"


def uses_of(shown: Mapping[str, Any], usage: Any) -> tuple[GrantUseRow, ...]:
    """Join the jobs of `grant.show` with `data.usage`, the newest first."""
    known = {text_of(one, "job"): one for one in objects(members(usage).get("uses"), 10_000)}
    rows = []
    for one in objects(shown.get("jobs"), 10_000):
        job = text_of(one, "job")
        use = known.get(job, {})
        rows.append(
            GrantUseRow(
                job,
                second(one.get("at")),
                ratio(one.get("epsilon")),
                text_of(use, "outcome"),
                text_of(use, "purpose"),
                text_of(use, "requester"),
            )
        )
    return tuple(sorted(rows, key=lambda one: (-one.at, one.job)))


def stopped_under(log: Any, grant: str) -> tuple[Stopped, ...]:
    """Return the jobs that the revocation of a grant stopped, from the log's `job.stopped`."""
    found = []
    for one in objects(log, 10_000):
        facts = members(one.get("facts"))
        if facts.get("code") == "grant_revoked" and facts.get("name") == grant:
            job = stopped_job(text_of(one, "job"), facts)
            found.append(Stopped(job.job, second(one.get("at")), tuple(job.told())))
    return tuple(found)


def stopped_job(job: str, facts: Mapping[str, Any]) -> StoppedJob:
    """Read back what the record says of a job that was stopped."""
    return StoppedJob(
        job,
        _places(facts.get("voted")),
        _places(facts.get("sent")),
        int(ratio(facts.get("needed"))),
        int(ratio(facts.get("parties"))),
        facts.get("kept") is True,
    )


def _places(value: Any) -> tuple[tuple[int, str], ...]:
    pairs: Sequence[Any] = listed(value)
    return tuple(
        (int(ratio(one[0])), plain(one[1]))
        for one in pairs
        if isinstance(one, list | tuple) and len(one) == 2
    )


def _state(state: str, uses: Share, epsilon: Share) -> str:
    if state == "granted" and (uses.exhausted or epsilon.exhausted):
        return "used up"
    return _WORDS.get(state, state)


def _newest(row: GrantRow) -> tuple[int, str]:
    return -(row.revoked or row.created or row.expires), row.id
