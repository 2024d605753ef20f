"""Agreements and settlements as this agent verified and computed them, for who decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.agent.console.screens.figures import plain, second, text_of, texts, whole
from secureflow.kit.reading import members, objects

_MOST: Final = 10_000
"""Settlements of a project that are listed."""


@dataclass(frozen=True)
class SignedVersion:
    """A version of a revenue agreement, whose members' keys were held to the pinned charter.

    Args:
        agreement: every term, as it is signed.
        digest: of it, whole.
        signed: who signed it.
    """

    agreement: dict[str, Any]
    digest: str
    signed: tuple[str, ...]


@dataclass(frozen=True)
class OwnRevenue:
    """A project's agreement at this agent.

    Args:
        project: its id.
        pinned: the version that stands; None before the first.
        candidate: the one that waits for signatures; None.
        mine: whether this organisation signed the one that waits.
    """

    project: str
    pinned: SignedVersion | None
    candidate: SignedVersion | None
    mine: bool


@dataclass(frozen=True)
class SettlementRow:
    """Where a settlement stands by what was checked here; times in unix seconds, 0 for none.

    Args:
        id: whole.
        state: by the deeds that were checked.
        jobs: their ids.
        entered: minor units beside what the agreement fixes.
        approvals, disputes: whose.
        withdrawn: who took a dispute back, for good.
        needed: equal approvals.
        replaces: id of the settlement in whose place it comes; empty.
        since, closes, closed: of the window for disputes.
    """

    id: str
    state: str
    jobs: tuple[str, ...]
    entered: int
    approvals: tuple[str, ...]
    disputes: tuple[str, ...]
    withdrawn: tuple[str, ...]
    needed: int
    replaces: str
    since: int
    closes: int
    closed: int


@dataclass(frozen=True)
class ShareLine:
    """What a member gets of a job: its record's figures, basis points, minor units."""

    organisation: str
    score: int | None
    low: int | None
    high: int | None
    rows: int
    steps: int
    share: int
    amount: int


@dataclass(frozen=True)
class BookedJob:
    """A job that counts; `spec` and `scores` are digests of what was verified here."""

    job: str
    spec: str
    scores: str
    amount: int
    lines: tuple[ShareLine, ...]


@dataclass(frozen=True)
class NamedAmount:
    """Minor units of a member."""

    organisation: str
    amount: int


@dataclass(frozen=True)
class LeftOut:
    """A job that does not count, and the rule."""

    job: str
    rule: str


@dataclass(frozen=True)
class OwnPayment:
    """A payment; `reference` is the commitment that its payer signed."""

    payer: str
    payee: str
    amount: int
    reference: str
    confirmed: bool


@dataclass(frozen=True)
class Accused:
    """A member's accusation of the centre, by the code of what it refused."""

    by: str
    code: str


@dataclass(frozen=True)
class OwnSettlement:
    """A settlement with the amounts that this agent computed from records that it verified.

    Args:
        row: where it stands.
        organisation: this one.
        currency, payer: of the pinned agreement.
        digest: of the amounts as they were computed here: what is approved.
        centre: the digest of the amounts that the centre shows.
        amount: minor units in all.
        totals: of each member.
        owed: what the payer owes by them.
        bookings, left_out: job by job.
        payments, accusations: that members signed.
    """

    row: SettlementRow
    organisation: str
    currency: str
    payer: str
    digest: str
    centre: str
    amount: int
    totals: tuple[NamedAmount, ...]
    owed: tuple[NamedAmount, ...]
    bookings: tuple[BookedJob, ...]
    left_out: tuple[LeftOut, ...]
    payments: tuple[OwnPayment, ...]
    accusations: tuple[Accused, ...]


def revenue_of(found: Any, organisation: str) -> OwnRevenue:
    """Return what `revenue.show` says."""
    told = members(found)
    pinned = objects(told.get("pinned"))
    waits = told.get("candidate")
    candidate = _version(waits) if isinstance(waits, Mapping) else None
    mine = candidate is not None and organisation in candidate.signed
    latest = _version(pinned[-1]) if pinned else None
    return OwnRevenue(text_of(told, "project"), latest, candidate, mine)


def rows_of(found: Any) -> tuple[SettlementRow, ...]:
    """Return what `settlement.list` says, the newest last."""
    return tuple(_row(one) for one in objects(found, _MOST))


def settlement_of(found: Any, organisation: str) -> OwnSettlement:
    """Return what `settlement.show` says."""
    told = members(found)
    result = members(told.get("computed"))
    return OwnSettlement(
        row=_row(told),
        organisation=organisation,
        currency=text_of(told, "currency"),
        payer=text_of(told, "payer"),
        digest=text_of(told, "digest"),
        centre=text_of(told, "centre"),
        amount=whole(result.get("amount")),
        totals=_amounts(result.get("totals")),
        owed=_amounts(told.get("owed")),
        bookings=tuple(_booked(one) for one in objects(result.get("bookings"), _MOST)),
        left_out=tuple(
            LeftOut(plain(job), plain(rule))
            for job, rule in members(result.get("left_out")).items()
        ),
        payments=tuple(
            OwnPayment(
                payer=text_of(one, "payer"),
                payee=text_of(one, "payee"),
                amount=whole(one.get("amount")),
                reference=text_of(one, "reference"),
                confirmed=one.get("confirmed") is True,
            )
            for one in objects(told.get("payments"), _MOST)
        ),
        accusations=tuple(
            Accused(text_of(one, "by"), text_of(one, "code"))
            for one in objects(told.get("accusations"), _MOST)
        ),
    )


def _version(told: Mapping[str, Any]) -> SignedVersion:
    agreement = dict(members(told.get("agreement")))
    return SignedVersion(agreement, text_of(told, "digest"), texts(told.get("signed")))


def _row(told: Mapping[str, Any]) -> SettlementRow:
    return SettlementRow(
        id=text_of(told, "id"),
        state=text_of(told, "state"),
        jobs=texts(told.get("jobs"), _MOST),
        entered=whole(told.get("entered")),
        approvals=texts(told.get("approvals")),
        disputes=texts(told.get("disputes")),
        withdrawn=texts(told.get("withdrawn")),
        needed=whole(told.get("needed")),
        replaces=text_of(told, "replaces"),
        since=second(told.get("since")),
        closes=second(told.get("closes")),
        closed=second(told.get("closed")),
    )


def _booked(told: Mapping[str, Any]) -> BookedJob:
    measured, amounts = members(told.get("measured")), members(told.get("amounts"))
    lines = tuple(
        _line(plain(name), members(measured.get(name)), whole(share), whole(amounts.get(name)))
        for name, share in members(told.get("shares")).items()
    )
    return BookedJob(
        job=text_of(told, "job"),
        spec=text_of(told, "spec"),
        scores=text_of(told, "scores"),
        amount=whole(told.get("amount")),
        lines=lines,
    )


def _line(organisation: str, measured: Mapping[str, Any], share: int, amount: int) -> ShareLine:
    return ShareLine(
        organisation=organisation,
        score=_steps(measured.get("score")),
        low=_steps(measured.get("low")),
        high=_steps(measured.get("high")),
        rows=whole(measured.get("rows")),
        steps=whole(measured.get("steps")),
        share=share,
        amount=amount,
    )


def _amounts(value: Any) -> tuple[NamedAmount, ...]:
    return tuple(NamedAmount(plain(name), whole(one)) for name, one in members(value).items())


def _steps(value: Any) -> int | None:
    return value if type(value) is int and abs(value) < 1 << 53 else None
