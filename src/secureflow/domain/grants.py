"""What an owner grants: which jobs of a project may use which columns of a dataset, and how often.

The owner's agent decides by its own signed copy (`agent.owner.grants`); a centre shows grants, and
can neither make nor widen one. The rules are pure functions over the terms, a request and what was
used so far. An empty list of purposes, kinds, parties or protections means any of them.

ε in all is the sum of the jobs' ε at the owner's δ. That is never less than what they cost together
(basic composition, Dwork and Roth 2014, 3.5); the budget of the privacy domain is kept beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from secureflow.domain.specs.base import (
    STRICT,
    UNLESS_NONE,
    Column,
    Digest,
    Id,
    Slug,
    Title,
    parse,
)
from secureflow.domain.specs.protections import ProtectionName
from secureflow.kit.canonical import JSON
from secureflow.kit.crypto import fingerprint
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

KIND: Final = "grant"
"""What an organisation's signature over its grant is of; over its end, `REVOKED`."""
REVOKED: Final = "grant-revoked"
MAX_SECONDS: Final = 5 * 366 * 86_400
_SLACK: Final = 1e-9
"""Of sums of ε, which are rounded."""

Epsilon = Annotated[float, Field(gt=0.0, le=1e6)]
GrantsMode = Literal["limit", "dataset", "required"]
"""What happens without a grant that a person here confirmed: see `ConsentSettings.grants`."""


@dataclass(frozen=True)
class SealedRows:
    """Rows that may leave, sealed to an attested enclave, for scoring what updates were worth.

    Args:
        rows: the most of one job.
        simulated: also to a SIMULATED enclave, whose operator can read them.
    """

    __pydantic_config__ = STRICT
    rows: Annotated[int, Field(ge=1, le=1 << 20)]
    simulated: bool = False


@dataclass(frozen=True)
class GrantTerms:
    """What one grant allows.

    Args:
        dataset: the dataset's name in the owner's agent.yaml.
        project: id of the project.
        columns: those that jobs may use.
        expires: unix seconds.
        purposes: those allowed, word for word.
        kinds: the kinds of job.
        parties: whom a roster may list beside the owner: slugs, or fingerprints of signing keys
            (64 hex digits, which no charter can give to somebody else).
        protections: those allowed where parties contribute to a sum.
        epsilon: ceiling of all jobs together; without DP none fits then.
        epsilon_per_job: ceiling of one job.
        min_group: the fewest parties of a sum that is opened, or of a roster without sums.
        bundles: whether jobs may bring code: `none`, the digests of this code, or `person`: any
            that a person here approves, whatever policies say.
        uses: how many jobs may be approved.
        automatic: a job that fits needs no person and no policy, unless it hands out more than
            usual (code that is not listed, predictions for one party, ids): then both are asked.
        validation: the rows that may leave for a job that scores contributions; without it none do,
            whatever policies say.
        own_trees: the most trees that this owner grew alone, on its own rows, of one job: whoever
            has the model sees them as they are. Without it none are released, whatever policies
            and floors say; `min_group` counts the sums beside them.
    """

    __pydantic_config__ = STRICT
    dataset: Slug
    project: Id
    columns: Annotated[tuple[Column, ...], Field(min_length=1, max_length=4096)]
    expires: Annotated[int, Field(ge=0, lt=1 << 53)]
    purposes: Annotated[tuple[Title, ...], Field(max_length=64)] = ()
    kinds: Annotated[tuple[Slug, ...], Field(max_length=64)] = ()
    parties: Annotated[tuple[Slug | Digest, ...], Field(max_length=256)] = ()
    protections: Annotated[tuple[ProtectionName, ...], Field(max_length=8)] = ()
    epsilon: Epsilon | None = None
    epsilon_per_job: Epsilon | None = None
    min_group: Annotated[int, Field(ge=2, le=256)] | None = None
    bundles: (
        Literal["none", "person"]
        | Annotated[tuple[Digest, ...], Field(min_length=1, max_length=256)]
    ) = "none"
    uses: Annotated[int, Field(ge=1, lt=1 << 31)] | None = None
    automatic: bool = False
    validation: Annotated[SealedRows | None, UNLESS_NONE] = None
    own_trees: Annotated[int | None, Field(ge=1, le=10_000), UNLESS_NONE] = None


@dataclass(frozen=True)
class GrantRequest:
    """What a job asks of one owner, as far as a grant looks at it.

    Args:
        dataset: its name at the owner.
        project: id.
        columns: every column that the job uses of it.
        purpose: the spec's.
        kind: the kind of job.
        owner: the owner's slug.
        keys: every party of the roster → its base64 signing key.
        protection: how contributions are protected; "" if nobody contributes to a sum.
        epsilon: the job's ε at the owner's δ; None without DP.
        group: the fewest parties of a sum that is opened, or the roster's size.
        bundle: digest of the code that it brings; "" for none.
        runs: how many uses it takes: of a timetable, its runs.
        until: unix seconds until which a timetable goes on; 0 for any other job.
        validation: the rows that leave, sealed to an enclave.
        own_trees: the most trees of this owner alone that are released.
    """

    dataset: str
    project: str
    columns: tuple[str, ...]
    purpose: str
    kind: str
    owner: str
    keys: Mapping[str, str]
    protection: str
    epsilon: float | None
    group: int
    bundle: str = ""
    runs: int = 1
    until: int = 0
    validation: int = 0
    own_trees: int = 0

    @property
    def by_name(self) -> bool:
        """Whether it asks for what no policy and no person allows without a grant's own term."""
        return bool(self.validation or self.own_trees)


@dataclass(frozen=True)
class Used:
    """What other jobs have used of a grant: approvals, and the sum of their ε."""

    uses: int = 0
    epsilon: float = 0.0


def read_terms(value: Any, now: int | None = None, *, stored: bool = False) -> GrantTerms:
    """Read foreign or stored terms; with `now`, they must end in the future, within five years.

    Raises:
        SecureFlowError: `invalid_grant` naming the field.
    """
    terms = parse(GrantTerms, value, "grant", stored=stored)
    if now is not None and not now < terms.expires <= now + MAX_SECONDS:
        raise SecureFlowError(
            "invalid_grant", "A grant must end in the future, at most five years from now."
        )
    return terms


def fits(
    grant: GrantTerms, request: GrantRequest, used: Used, now: int, *, part: bool = False
) -> list[str]:
    """Return every reason why a job may not run under a grant; none if it may.

    A `part` of a job that was approved under it uses neither ε nor a further approval.
    """
    reasons = [*_of_data(grant, request), *_of_people(grant, request), *_of_privacy(grant, request)]
    if now >= grant.expires:
        reasons.append("it has expired")
    elif request.until > grant.expires:
        reasons.append("it expires before the timetable ends")
    if not part:
        reasons += _of_uses(grant, request, used)
    return reasons


def widens(new: GrantTerms, old: GrantTerms) -> bool:
    """Tell whether new terms allow anything that the old ones do not."""
    return not (
        (new.dataset, new.project) == (old.dataset, old.project)
        and set(new.columns) <= set(old.columns)
        and new.expires <= old.expires
        and all(
            _within(getattr(new, name), getattr(old, name))
            for name in ("purposes", "kinds", "parties", "protections")
        )
        and all(
            _at_most(getattr(new, name), getattr(old, name))
            for name in ("epsilon", "epsilon_per_job", "uses")
        )
        and (new.min_group or 0) >= (old.min_group or 0)
        and _code_within(new.bundles, old.bundles)
        and _rows_within(new.validation, old.validation)
        and (new.own_trees or 0) <= (old.own_trees or 0)
        and new.automatic <= old.automatic
    )


def _of_data(grant: GrantTerms, request: GrantRequest) -> Iterable[str]:
    if request.dataset != grant.dataset:
        yield "it is for another dataset"
    if request.project != grant.project:
        yield "it is for another project"
    if more := sorted(set(request.columns) - set(grant.columns)):
        yield Text("it does not allow the columns {columns}", columns=", ".join(more[:20]))
    if grant.bundles == "none" and request.bundle:
        yield "it allows no code that a job brings"
    if isinstance(grant.bundles, tuple) and request.bundle not in {"", *grant.bundles}:
        yield Text("it does not allow the code {bundle}", bundle=request.bundle)
    allowed = grant.validation.rows if grant.validation else 0
    if request.validation > allowed:
        yield Text(
            "it allows {allowed} rows to leave, sealed to an enclave, and the job asks for {asked}",
            allowed=allowed,
            asked=request.validation,
        )
    if request.own_trees > (grant.own_trees or 0):
        yield Text(
            "it allows {allowed} trees of this owner alone to be released, and the job asks for "
            "{asked}",
            allowed=grant.own_trees or 0,
            asked=request.own_trees,
        )


def _of_people(grant: GrantTerms, request: GrantRequest) -> Iterable[str]:
    if grant.purposes and request.purpose not in grant.purposes:
        yield Text("it does not allow the purpose {purpose!r}", purpose=request.purpose)
    if grant.kinds and request.kind not in grant.kinds:
        yield Text("it does not allow jobs of kind {kind}", kind=request.kind)
    if grant.parties:
        named = set(grant.parties)
        others = ((party, key) for party, key in request.keys.items() if party != request.owner)
        if out := sorted(
            p for p, key in others if p not in named and fingerprint(key) not in named
        ):
            yield Text("it does not allow a job with {parties}", parties=", ".join(out[:20]))


def _of_privacy(grant: GrantTerms, request: GrantRequest) -> Iterable[str]:
    if grant.protections and request.protection and request.protection not in grant.protections:
        yield Text("it does not allow the protection {name}", name=request.protection)
    if grant.min_group is not None and request.group < grant.min_group:
        yield Text(
            "it asks for groups of {least} or more, the job has {found}",
            least=grant.min_group,
            found=request.group,
        )
    limited = grant.epsilon is not None or grant.epsilon_per_job is not None
    if limited and request.epsilon is None:
        yield "it allows only jobs with differential privacy"
    most = grant.epsilon_per_job if request.runs == 1 else None  # of a timetable, each run is asked
    if most is not None and (request.epsilon or 0.0) > most + _SLACK:
        yield Text(
            "it allows ε {most:g} per job, not {asked:.4g}", most=most, asked=request.epsilon
        )


def _of_uses(grant: GrantTerms, request: GrantRequest, used: Used) -> Iterable[str]:
    if grant.uses is not None and used.uses >= grant.uses:
        yield Text("all of its {uses} uses were approved", uses=grant.uses)
    elif grant.uses is not None and used.uses + request.runs > grant.uses:
        yield Text(
            "{left} of its {uses} uses are left, and the timetable has {runs} runs",
            left=grant.uses - used.uses,
            uses=grant.uses,
            runs=request.runs,
        )
    total = used.epsilon + (request.epsilon or 0.0)
    if grant.epsilon is not None and total > grant.epsilon + _SLACK:
        yield Text(
            "it allows ε {most:g} in all, and {used:.4g} of it is used",
            most=grant.epsilon,
            used=used.epsilon,
        )


def _within(new: tuple[str, ...], old: tuple[str, ...]) -> bool:
    return not old or (bool(new) and set(new) <= set(old))


def _at_most(new: float | None, old: float | None) -> bool:
    return old is None or (new is not None and new <= old)


def _code_within(new: str | tuple[str, ...], old: str | tuple[str, ...]) -> bool:
    if new in ("none", old):
        return True
    return isinstance(new, tuple) and isinstance(old, tuple) and set(new) <= set(old)


def _rows_within(new: SealedRows | None, old: SealedRows | None) -> bool:
    if new is None or old is None:
        return new is None
    return new.rows <= old.rows and new.simulated <= old.simulated


def statement(
    grant: str, organisation: str, terms: Mapping[str, JSON], created: int
) -> dict[str, JSON]:
    """Return what the organisation's signature of kind `grant` covers."""
    return {
        "grant": grant, "organisation": organisation, "terms": dict(terms), "created": created,
    }  # fmt: skip
