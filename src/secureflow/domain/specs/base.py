"""The common part of all specs: names, the roster, limits, their JSON and its parser.

A spec is plain JSON with a strict schema; its digest (SHA-256 over JCS) is bound by approvals,
seals, votes and ledger leaves. All that determines a result is in it. Unknown keys are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, Final, Protocol, Self, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import SchemaValidator

from secureflow.domain.bounds import Bounds
from secureflow.domain.fewerrors import validator
from secureflow.domain.fieldfaults import (
    DIGEST_PATTERN,
    ID_PATTERN,
    SLUG_PATTERN,
    faults,
    first_of,
)
from secureflow.domain.partyengines import EngineNeeded
from secureflow.domain.specs.matchedrows import MatchedRows
from secureflow.domain.specs.partforms import (
    CodePart,
    Part,
    PartProblem,
    PartRecord,
    Patience,
    PrivacyPart,
    Times,
)
from secureflow.domain.texts import ONE_LINE, STORED
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.fieldplaces import place
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

STRICT = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)


def _absent(value: object) -> bool:
    return value is None


UNLESS_NONE: Final = Field(exclude_if=_absent)
"""For fields that came later: left out of the JSON where they say nothing, so that what was signed
without them keeps its bytes."""

MAX_PEER_MEGABYTES: Final = 1 << 18
"""Most MiB that a spec lets a party send and receive over channels to its peers."""

Slug = Annotated[str, Field(pattern=SLUG_PATTERN)]
Column = Annotated[str, Field(min_length=1, max_length=128), ONE_LINE]
Category = Annotated[str, Field(max_length=256), ONE_LINE]
Title = Annotated[str, Field(min_length=1, max_length=200), ONE_LINE]
UserId = Annotated[str, Field(max_length=128), ONE_LINE]
Id = Annotated[str, Field(pattern=ID_PATTERN)]
Digest = Annotated[str, Field(pattern=DIGEST_PATTERN)]
Key = Annotated[str, Field(min_length=44, max_length=44), ONE_LINE]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]
NotBefore = Annotated[Annotated[int, Field(ge=1, le=1 << 40)] | None, UNLESS_NONE]
"""Unix seconds, or None."""

Problem = tuple[str, str, str]
"""A contradiction in a spec: field, reason, hint."""

MAX_SHOWN: Final = 128
"""Most characters of a field's place in a message; its names may be foreign."""

_FORM: Final = re.compile(r"<[a-z_]+>|(literal|tuple|function-[a-z]+)\[.*")
"""A tag of one form of a field, or what pydantic calls one that has none."""

_T = TypeVar("_T")

_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}
_VALIDATORS: dict[type[Any], SchemaValidator] = {}


@dataclass(frozen=True)
class RosterEntry:
    """One line of a roster: the organisation, its signing key, the dataset that it contributes."""

    __pydantic_config__ = STRICT
    party: Slug
    key: Key
    dataset: Annotated[str, Field(max_length=64), ONE_LINE] = ""


class JobSpec(Protocol):
    """What the platform needs from a job's spec, whatever its kind.

    Each kind's class implements it; `SpecBase` implements what most have in common.
    """

    @property
    def kind(self) -> str:
        """The kind of job, the key into every layer's table of kinds."""

    @property
    def script(self) -> str:
        """The script, with its version."""

    @property
    def project(self) -> str:
        """Project id."""

    @property
    def name(self) -> str:
        """The job's name."""

    @property
    def purpose(self) -> str:
        """What the data is used for."""

    @property
    def submitter(self) -> str:
        """The person who submits it, as named by the centre."""

    @property
    def roster(self) -> tuple[RosterEntry, ...]:
        """Who takes part, in their order."""

    @property
    def parties(self) -> tuple[str, ...]:
        """The roster's party names in spec order."""

    @property
    def keys(self) -> dict[str, str]:
        """Party name to base64 signing key."""

    @property
    def min_contributors(self) -> int:
        """The fewest contributors whose sum is opened."""

    @property
    def limits(self) -> Patience:
        """The job's limits."""

    @property
    def protection(self) -> str:
        """How contributions are protected."""

    @property
    def privacy(self) -> PrivacyPart | None:
        """The differential-privacy part, if there is one."""

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that the job uses; a job that counts rows uses none."""

    def columns_of(self, party: str) -> tuple[str, ...]:
        """Return every column that the job uses of a party of the roster."""

    @property
    def bounds(self) -> tuple[tuple[str, Bounds], ...]:
        """The number columns and the bounds that their values are clamped to."""

    @property
    def reads_rows(self) -> bool:
        """Whether rows are read at all."""

    @property
    def tells_rows(self) -> bool:
        """Whether anyone learns the exact number of a party's rows."""

    @property
    def all_private(self) -> bool:
        """Whether every number that it releases is differentially private."""

    @property
    def hides_among(self) -> int | None:
        """Among how many contributions a release hides each, where no sum of all does."""

    @property
    def planned_rounds(self) -> int:
        """The most rounds that the job takes."""

    @property
    def dated(self) -> bool:
        """Whether only an older version drafts such a spec: no owner is asked anew about it."""

    @property
    def of_0_2_0(self) -> bool:
        """Whether version 0.2.0 drafted it, which left numeric code to the processor."""

    @property
    def parameters(self) -> int:
        """The number of float32 values that rounds update; 0 without a model."""

    def file_bytes(self, party: str) -> int:
        """Return the most that files of a party take beside those of a model, at one time."""

    @property
    def bundle(self) -> CodePart | None:
        """The code that it brings, if any."""

    @property
    def bases(self) -> tuple[str, ...]:
        """The digests of models that it stands on, which each agent holds itself."""

    @property
    def engine_needed(self) -> EngineNeeded | None:
        """The engine that every party must have installed, if any."""

    @property
    def splits_by_key(self) -> bool:
        """Whether rows are held out by the owners' keys, which then are read as well."""

    @property
    def not_before(self) -> int | None:
        """Unix seconds before which it does not start; None for as soon as it may."""

    def starting_at(self, not_before: int) -> Self:
        """Return the same, not to be started before."""

    @property
    def not_after(self) -> int | None:
        """Unix seconds after which it does not begin; None but for a run of a timetable."""

    @property
    def times(self) -> Times | None:
        """When its parts start, if they have times of their own: of a timetable."""

    @property
    def part_of(self) -> Part | None:
        """The job that starts this one, and whose approval covers it; None if a person did."""

    @property
    def rows(self) -> MatchedRows | None:
        """The rows that alone are read; None for all of them."""

    def tests(self, party: str) -> Mapping[str, int]:
        """Return how many ids of each other party its parts test at a party, at most."""

    def parts(self, job: str) -> tuple[JobSpec, ...]:
        """Return the specs of the jobs that this one starts, if its own id is `job`, in order.

        Its approval covers them, and its charge is theirs. Of a pipeline they are the steps as they
        were approved: what runs follows from what came out before (`due`).
        """

    def due(self, job: str, number: int, offered: JobSpec, record: PartRecord) -> JobSpec:
        """Return the spec of the part that this job, if its own id is `job`, starts as a number.

        `number` is from 1, `offered` the centre's word, `record` what is known of those before.

        Raises:
            PartProblem: why there is none.
        """

    def facts(self) -> Mapping[str, Any]:
        """Return the policy attributes that only this kind of job has."""


@dataclass(frozen=True)
class SpecBase:
    """The fields that every kind's spec begins with, and what follows from them.

    `not_before`: unix seconds before which the job does not start, whoever has approved it; None
    for as soon as it may. `not_after`: those after which it does not begin, of a run of a
    timetable. `part_of`: the job that starts this one, if one does. `rows`: those that alone are
    read of each party, of a pipeline's step that takes them of another.
    """

    __pydantic_config__ = STRICT
    project: Id
    name: Title
    purpose: Title
    submitter: UserId
    roster: Annotated[tuple[RosterEntry, ...], Field(min_length=1, max_length=256)]
    not_before: NotBefore = field(default=None, kw_only=True)
    not_after: NotBefore = field(default=None, kw_only=True)
    part_of: Annotated[Part | None, UNLESS_NONE] = field(default=None, kw_only=True)
    rows: Annotated[MatchedRows | None, UNLESS_NONE] = field(default=None, kw_only=True)

    def starting_at(self, not_before: int) -> Self:
        """Return the same, not to be started before (unix seconds)."""
        return replace(self, not_before=not_before)

    @property
    def dated(self) -> bool:
        """No spec of this kind is."""
        return False

    @property
    def of_0_2_0(self) -> bool:
        """Its sums are the same in any numeric code."""
        return False

    @property
    def splits_by_key(self) -> bool:
        """It reads no keys of rows, unless a kind of job says otherwise."""
        return False

    @property
    def parties(self) -> tuple[str, ...]:
        """The roster's party names in spec order."""
        return tuple(c.party for c in self.roster)

    @property
    def keys(self) -> dict[str, str]:
        """Party name to base64 signing key."""
        return {c.party: c.key for c in self.roster}

    def file_bytes(self, party: str) -> int:
        """Return 0: it leaves none, unless a kind of job says otherwise."""
        del party
        return 0

    @property
    def bundle(self) -> CodePart | None:
        """No code, unless a kind of job says otherwise."""
        return None

    @property
    def hides_among(self) -> int | None:
        """Nothing but sums of all contributions is released."""
        return None

    @property
    def bases(self) -> tuple[str, ...]:
        """It stands on none, unless a kind of job says otherwise."""
        return ()

    @property
    def engine_needed(self) -> EngineNeeded | None:
        """No engine, unless a kind of job says otherwise."""
        return None

    @property
    def times(self) -> Times | None:
        """Its parts have no times of their own, unless a kind of job says otherwise."""
        return None

    @property
    def column_names(self) -> tuple[str, ...]:
        """It uses none, unless a kind of job says otherwise."""
        return ()

    def columns_of(self, party: str) -> tuple[str, ...]:
        """Return the same columns of every party, unless a kind of job says otherwise."""
        del party
        return self.column_names

    def tests(self, party: str) -> Mapping[str, int]:
        """Return none: it has no parts that test any, unless a kind of job says otherwise."""
        del party
        return {}

    def parts(self, job: str) -> tuple[JobSpec, ...]:
        """It starts no other job, unless a kind of job says otherwise."""
        del job
        return ()

    def due(self, job: str, number: int, offered: JobSpec, record: PartRecord) -> JobSpec:
        """Return the part of a number: all of them are known from the start."""
        del offered, record
        planned = self.parts(job)
        if not 1 <= number <= len(planned):
            raise PartProblem(Text("it has {count} parts", count=len(planned)))
        return planned[number - 1]


def adapter(of: type[Any]) -> TypeAdapter[Any]:
    """Return the cached pydantic adapter of a class; building one is expensive."""
    if of not in _ADAPTERS:
        _ADAPTERS[of] = TypeAdapter(of)
    return _ADAPTERS[of]


def parse(of: type[_T], value: Any, what: str = "spec", *, stored: bool = False) -> _T:
    """Build a domain dataclass from foreign JSON, naming the first wrong field.

    A `stored` value may hold texts that are refused today; it is read, and shown escaped.

    Raises:
        SecureFlowError: `invalid_<what>` with `details.fields` listing the wrong fields that were
            found: at most 20, and of a list the first.
    """
    if of not in _VALIDATORS:
        _VALIDATORS[of] = validator(adapter(of))
    try:
        found: _T = _VALIDATORS[of].validate_python(value, context=STORED if stored else None)
    except ValidationError as error:
        found_wrong = error.errors(include_url=False, include_input=False)[:20]
        fields = [
            {"field": place_of(one.members) or what, "problem": one.problem}
            for one in faults(found_wrong, partial(place, adapter(of).core_schema))
        ]
        first = first_of(fields)
        raise SecureFlowError(
            f"invalid_{what}",
            Text(
                "The {what} is not valid: {field}: {problem}.",
                what=what,
                field=first["field"],
                problem=first["problem"],
            ),
            "Correct the named field; there may be more.",
            {"fields": fields},
        ) from error
    return found


def place_of(path: Iterable[int | str]) -> str:
    """Return the place of a wrong field; its names are foreign, so they are escaped and cut.

    What tells the forms of a field apart (`<mlp>`) is no member of the JSON.
    """
    members = (str(name)[:MAX_SHOWN] for name in path)
    return ".".join(shown(name) for name in members if not _FORM.fullmatch(name))[:MAX_SHOWN]


_WITHOUT_ENDS: Final = frozenset({"training/1", "statistics/1"})  # from before ends were recorded


def closes(script: str) -> bool:
    """Tell whether a script records each author's last leaf at its end; the first ones did not."""
    return script not in _WITHOUT_ENDS


def dump(value: Any) -> dict[str, Any]:
    """Return the JSON form of a domain dataclass (tuples become lists, defaults written out)."""
    result: dict[str, Any] = adapter(type(value)).dump_python(value, mode="json")
    return result


def spec_digest(spec: Any) -> str:
    """Return the hex SHA-256 over the JCS form of a spec with every default written out."""
    return digest(dump(spec))


def dataset_name(spec: JobSpec, party: str) -> str:
    """Return the name of the dataset that a party of the roster brings; empty for none."""
    return next(one.dataset for one in spec.roster if one.party == party)


def brings_rows(spec: JobSpec, party: str) -> bool:
    """Tell whether rows of a party are read: one without a dataset only computes along."""
    return spec.reads_rows and bool(dataset_name(spec, party))


def refuse(problem: Problem | None) -> None:
    """Raise a contradiction in a spec, if there is one.

    Raises:
        SecureFlowError: `contradictory_spec` naming the field and the reason.
    """
    if problem:
        raise contradiction(*problem)


def contradiction(name: str, reason: str, hint: str) -> SecureFlowError:
    """Return the error of a contradiction in a spec.

    Args:
        name: the field, as people are told it.
        reason: what is wrong with it.
        hint: the next step.
    """
    return SecureFlowError(
        "contradictory_spec",
        Text("{name}: {reason}.", name=name, reason=reason),
        hint,
        {"field": name},
    )
