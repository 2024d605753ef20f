"""One settlement: which jobs of a project are paid by which version of its agreement, and how much.

Its id is the digest of what it says, so that nobody can show two of one id. What follows from it
is computed by everybody from the verified records of its jobs: the bookings, the shares, the
amounts. The digest of that is what members approve; a job whose record says otherwise, or another
rule, gives another digest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Final

from secureflow.engines.revenue.agreement import MAX_AMOUNT, Agreement
from secureflow.engines.revenue.evidence import JobEvidence, left_out
from secureflow.engines.revenue.shares import (
    Measured,
    amounts_of,
    portions,
    shares_of,
    weighed,
)
from secureflow.kit import canonical
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_JOBS: Final = 100
"""Jobs of one settlement: each agent verifies the record of every one."""
MAX_VERSION: Final = 1000
_PROJECT: Final = re.compile(r"prj_[0-9a-z]{1,40}")
_JOB: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NONCE: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Settlement:
    """What is to be settled; a proposal that binds nobody until enough members approve it.

    Args:
        project: id.
        agreement: hex digest of the version by which it is shared.
        jobs: their ids, ascending.
        entered: minor units beside what the agreement fixes for each job.
        version: one more than that of any settlement before it with one of its jobs, or that it
            replaces: a place takes the contributions of a job in ascending versions only.
        replaces: id of that one; "" of none.
        at: unix seconds.
        nonce: 32 hex digits, drawn.

    Raises:
        SecureFlowError: `malformed_settlement` naming the field.
    """

    project: str
    agreement: str
    jobs: tuple[str, ...]
    entered: int
    version: int
    at: int
    nonce: str
    replaces: str = ""

    def __post_init__(self) -> None:
        for name, right in _RULES.items():
            if not right(self):
                raise malformed(name)

    def json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"v": 1, **vars(self), "jobs": list(self.jobs)}

    @classmethod
    def from_json(cls, value: Any) -> Settlement:
        """Build one from foreign JSON; raises `malformed_settlement`."""
        names = {"v", *(one.name for one in fields(cls))}
        if not isinstance(value, dict) or set(value) != names or value["v"] != 1:
            raise malformed("settlement")
        jobs = value["jobs"]
        if not isinstance(jobs, list) or len(jobs) > MAX_JOBS:
            raise malformed("jobs")
        body = {name: one for name, one in value.items() if name != "v"}
        return cls(**body | {"jobs": tuple(jobs)})

    @property
    def id(self) -> str:
        """The hex SHA-256 over the canonical JSON."""
        return canonical.digest(self.json())


def _jobs_right(of: Settlement) -> bool:
    if not isinstance(of.jobs, tuple) or not 1 <= len(of.jobs) <= MAX_JOBS:
        return False
    formed = all(isinstance(one, str) and _JOB.fullmatch(one) for one in of.jobs)
    return formed and list(of.jobs) == sorted(set(of.jobs))


def _is(form: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def _whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


_RULES: Final[Mapping[str, Callable[[Settlement], bool]]] = {
    "project": lambda of: _is(_PROJECT, of.project),
    "agreement": lambda of: _is(_DIGEST, of.agreement),
    "jobs": _jobs_right,
    "entered": lambda of: _whole(of.entered, 0, MAX_AMOUNT),
    "version": lambda of: _whole(of.version, 1, MAX_VERSION),
    "replaces": lambda of: of.replaces == "" or (of.version > 1 and _is(_DIGEST, of.replaces)),
    "at": lambda of: _whole(of.at, 0, 2**53 - 1),
    "nonce": lambda of: _is(_NONCE, of.nonce),
}


@dataclass(frozen=True)
class Booking:
    """One job that counts: what was measured, who gets which share, and how much.

    Args:
        job, spec, scores: of its evidence.
        measured: party → what its record says.
        weighed: measure → (its weight, party → its part as a whole number): the formula's numbers.
        shares: member → basis points, 10,000 in sum.
        amount: minor units that the job brings.
        amounts: member → minor units, `amount` in sum.
    """

    job: str
    spec: str
    scores: str
    measured: Mapping[str, Measured]
    weighed: Mapping[str, tuple[int, Mapping[str, int]]]
    shares: Mapping[str, int]
    amount: int
    amounts: Mapping[str, int]

    def json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return vars(self) | {
            "measured": {name: one.json() for name, one in self.measured.items()},
            "weighed": {
                name: {"weight": weight, "parts": dict(parts)}
                for name, (weight, parts) in self.weighed.items()
            },
            "shares": dict(self.shares),
            "amounts": dict(self.amounts),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Booking:
        """Build it from own stored JSON."""
        measured = {name: Measured(**one) for name, one in value["measured"].items()}
        parts = {name: (one["weight"], one["parts"]) for name, one in value["weighed"].items()}
        return cls(**{**value, "measured": measured, "weighed": parts})

    @property
    def root(self) -> bytes:
        """Digest of what the shares follow from: the root of contributions at a place."""
        return canonical.sha256(canonical.canonical_bytes(self.json()))


@dataclass(frozen=True)
class Computed:
    """What follows from a settlement, the same for everybody who verified its records.

    Args:
        settlement: its id.
        agreement: digest of the version that was applied.
        bookings: the jobs that count, by id.
        left_out: job → the rule by which it does not.
    """

    settlement: str
    agreement: str
    bookings: tuple[Booking, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "settlement": self.settlement,
            "agreement": self.agreement,
            "bookings": [one.json() for one in self.bookings],
            "left_out": dict(self.left_out),
            "amount": self.amount,
            "totals": self.totals,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Computed:
        """Build it from own stored JSON; a foreign one is never read, but computed again."""
        bookings = tuple(Booking.from_json(one) for one in value["bookings"])
        return cls(value["settlement"], value["agreement"], bookings, value["left_out"])

    @cached_property
    def digest(self) -> str:
        """The hex SHA-256 over the canonical JSON: what members approve."""
        return canonical.digest(self.json())

    @property
    def amount(self) -> int:
        """Minor units in all."""
        return sum(one.amount for one in self.bookings)

    @cached_property
    def totals(self) -> dict[str, int]:
        """Minor units of each member, `amount` in sum."""
        found: dict[str, int] = {}
        for booking in self.bookings:
            for name, one in booking.amounts.items():
                found[name] = found.get(name, 0) + one
        return dict(sorted(found.items()))

    def owed(self, payer: str) -> dict[str, int]:
        """Return what the payer owes each other member; its own part is nobody's debt."""
        return {name: one for name, one in self.totals.items() if name != payer and one}


def computed(
    agreement: Agreement, settlement: Settlement, records: Iterable[JobEvidence]
) -> Computed:
    """Return what follows from a settlement; each job once, however often its record comes.

    Raises:
        SecureFlowError: `agreement_mismatch` for another agreement; `settlement_not_possible` if
            a record is missing, says two things, or no job counts.
    """
    if (agreement.digest, agreement.project) != (settlement.agreement, settlement.project):
        raise SecureFlowError(
            "agreement_mismatch", "The settlement is of another version of the revenue agreement."
        )
    if settlement.entered and not agreement.entered:
        raise impossible("the agreement knows no entered amount")
    known = _by_job(settlement.jobs, records)
    reasons = {job: left_out(agreement, one) for job, one in known.items()}
    counted = [known[job] for job in settlement.jobs if not reasons[job]]
    if not counted:
        raise impossible("none of its jobs counts")
    extra = portions(settlement.entered, len(counted))
    bookings = tuple(
        _booked(agreement, one, agreement.per_job + more)
        for one, more in zip(counted, extra, strict=True)
    )
    amount = sum(one.amount for one in bookings)
    if not amount:
        raise impossible("it has no amount")
    if amount > canonical.MAX_INTEGER:
        raise impossible("its amounts are more than can be written exactly")
    out = {job: reason for job, reason in reasons.items() if reason}
    return Computed(settlement.id, agreement.digest, bookings, out)


def _booked(agreement: Agreement, evidence: JobEvidence, amount: int) -> Booking:
    shares = shares_of(agreement, evidence.measured)
    return Booking(
        job=evidence.job,
        spec=evidence.spec,
        scores=evidence.scores,
        measured=dict(sorted(evidence.measured.items())),
        weighed=weighed(agreement, evidence.measured),
        shares=dict(sorted(shares.items())),
        amount=amount,
        amounts=dict(sorted(amounts_of(amount, shares, agreement.rounding).items())),
    )


def _by_job(jobs: Sequence[str], records: Iterable[JobEvidence]) -> dict[str, JobEvidence]:
    known: dict[str, JobEvidence] = {}
    for one in records:
        if known.setdefault(one.job, one) != one:
            raise impossible("two records of one job differ")
    if any(job not in known for job in jobs):
        raise impossible("the record of a job is missing")
    return {job: known[job] for job in jobs}


def next_version(others: Iterable[Settlement], jobs: Iterable[str], replaces: str) -> int:
    """Return the version of a settlement of these jobs, in whose place it may come."""
    wanted = set(jobs)
    before = (one for one in others if wanted & set(one.jobs) or one.id == replaces)
    return 1 + max((one.version for one in before), default=0)


def impossible(reason: str) -> SecureFlowError:
    """Return the refusal of what a settlement does not allow."""
    return SecureFlowError(
        "settlement_not_possible",
        Text("This settlement does not allow it: {reason}.", reason=reason),
        "secureflow settlement show shows its jobs, figures and state.",
    )


def malformed(name: str) -> SecureFlowError:
    """Return the error of a field."""
    return SecureFlowError(
        "malformed_settlement",
        Text("The settlement or what was signed in it is malformed: {field}.", field=name),
        "Ask whoever sent it for it again.",
    )
