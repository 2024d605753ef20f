"""A settlement as people and programs are shown it: every figure, and what it follows from.

Amounts are whole minor units; `money` writes them in the currency's own. A formula has the numbers
of its line filled in, so that anybody with a pencil can compute the share again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from secureflow.engines.anchors.entries import WHOLE
from secureflow.engines.revenue.agreement import Agreement
from secureflow.engines.revenue.deeds import Deed
from secureflow.engines.revenue.settlement import Booking, Computed, Settlement
from secureflow.engines.revenue.standing import Standing
from secureflow.kit.crypto import fingerprint

_DECIMALS: Final[Mapping[str, int]] = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND",
         "VUV", "XAF", "XOF", "XPF"), 0
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}  # fmt: skip
"""Decimals of currencies that have not two (ISO 4217, list one)."""
_USUAL: Final = 2


@dataclass(frozen=True)
class LineView:
    """What one organisation gets of a job, and why.

    `score`, `low` and `high` are in the unit of the loss, in 10⁻⁴; None without scores. `share` is
    in basis points, `amount` in minor units.
    """

    organisation: str = ""
    score: int | None = None
    low: int | None = None
    high: int | None = None
    rows: int = 0
    steps: int = 0
    formula: str = ""
    share: int = 0
    amount: int = 0


@dataclass(frozen=True)
class BookingView:
    """One job that counts; `spec` and `scores` are digests of what was verified."""

    job: str = ""
    spec: str = ""
    scores: str = ""
    amount: int = 0
    lines: tuple[LineView, ...] = ()


@dataclass(frozen=True)
class SignatureView:
    """A member's approval, dispute or accusation; `key` is the fingerprint of its charter key."""

    organisation: str = ""
    at: int = 0
    key: str = ""
    digest: str = ""
    equal: bool = False
    withdrawn: bool = False
    code: str = ""


@dataclass(frozen=True)
class PaymentView:
    """A payment; `reference` is a salted commitment, `confirmed` unix seconds or None."""

    payer: str = ""
    payee: str = ""
    amount: int = 0
    reference: str = ""
    stated: int = 0
    confirmed: int | None = None


@dataclass(frozen=True)
class MemberView:
    """What a member gets in all, what of it is owed to it, and what was paid."""

    organisation: str = ""
    key: str = ""
    amount: int = 0
    owed: int = 0
    stated: int = 0
    confirmed: int = 0


@dataclass(frozen=True)
class LeftOutView:
    """A job that does not count, and by which rule."""

    job: str = ""
    rule: str = ""


@dataclass(frozen=True)
class SettlementView:
    """A settlement with everything about it; times in unix seconds, amounts in minor units."""

    id: str = ""
    project: str = ""
    state: str = ""
    agreement: str = ""
    agreement_version: int = 0
    version: int = 0
    replaces: str = ""
    opened: int = 0
    by: str = ""
    jobs: tuple[str, ...] = ()
    entered: int = 0
    currency: str = ""
    decimals: int = _USUAL
    payer: str = ""
    rounding: str = ""
    floor: int = 0
    amount: int = 0
    computed: str = ""
    needed: int = 0
    since: int | None = None
    closes: int | None = None
    closed: int | None = None
    members: tuple[MemberView, ...] = ()
    bookings: tuple[BookingView, ...] = ()
    left_out: tuple[LeftOutView, ...] = ()
    approvals: tuple[SignatureView, ...] = ()
    disputes: tuple[SignatureView, ...] = ()
    payments: tuple[PaymentView, ...] = ()
    accusations: tuple[SignatureView, ...] = ()
    ignored: Mapping[str, str] = field(default_factory=dict)


def view_of(
    agreement: Agreement,
    settlement: Settlement,
    result: Computed,
    standing: Standing,
    by: str = "",
) -> SettlementView:
    """Return what is shown of a settlement."""
    payments = tuple(
        PaymentView(
            payer=one.pay.organisation,
            payee=one.pay.facts["payee"],
            amount=one.pay.facts["amount"],
            reference=one.pay.facts["reference"],
            stated=one.pay.at,
            confirmed=None if one.confirm is None else one.confirm.at,
        )
        for one in standing.payments.values()
    )
    return SettlementView(
        id=settlement.id,
        project=settlement.project,
        state=standing.state,
        agreement=agreement.digest,
        agreement_version=agreement.version,
        version=settlement.version,
        replaces=settlement.replaces,
        opened=settlement.at,
        by=by,
        jobs=settlement.jobs,
        entered=settlement.entered,
        currency=agreement.currency,
        decimals=decimals_of(agreement.currency),
        payer=agreement.payer,
        rounding=agreement.rounding,
        floor=agreement.floor,
        amount=result.amount,
        computed=result.digest,
        needed=agreement.quorum,
        since=standing.since,
        closes=standing.closes,
        closed=standing.closed,
        members=_members(agreement, result, standing),
        bookings=tuple(_booking(agreement, one) for one in result.bookings),
        left_out=tuple(LeftOutView(job, rule) for job, rule in sorted(result.left_out.items())),
        payments=payments,
        ignored=dict(standing.ignored),
        **_signatures(agreement, result, standing),
    )


def decimals_of(currency: str) -> int:
    """Return how many decimals a currency has."""
    return _DECIMALS.get(currency, _USUAL)


def money(amount: int, decimals: int, currency: str) -> str:
    """Return minor units as people write them, such as `279.90 EUR`."""
    whole, rest = divmod(amount, 10**decimals)
    return f"{whole}.{rest:0{decimals}d} {currency}" if decimals else f"{whole} {currency}"


def in_steps(steps: int | None) -> str:
    """Return a score of 10⁻⁴ steps with its four decimals; "" without one."""
    if steps is None:
        return ""
    whole, rest = divmod(abs(steps), WHOLE)
    return f"{'-' if steps < 0 else ''}{whole}.{rest:04d}"


def _members(agreement: Agreement, result: Computed, standing: Standing) -> tuple[MemberView, ...]:
    owed = result.owed(agreement.payer) if standing.closed is not None else {}
    return tuple(
        MemberView(
            organisation=name,
            key=fingerprint(key),
            amount=result.totals.get(name, 0),
            owed=owed.get(name, 0) - standing.confirmed(name),
            stated=standing.stated(name),
            confirmed=standing.confirmed(name),
        )
        for name, key in agreement.keys.items()
    )


def _signatures(agreement: Agreement, result: Computed, standing: Standing) -> dict[str, Any]:
    def shown(deed: Deed, **more: Any) -> SignatureView:
        key = fingerprint(agreement.keys[deed.organisation])
        return SignatureView(deed.organisation, deed.at, key, **more)

    approvals = tuple(
        shown(one, digest=one.facts["computed"], equal=one.facts["computed"] == result.digest)
        for one in standing.approvals.values()
    )
    disputes = tuple(
        shown(one, digest=one.facts["evidence"], withdrawn=name in standing.withdrawn)
        for name, one in {**standing.withdrawn, **standing.disputes}.items()
    )
    accusations = tuple(
        shown(one, digest=one.facts["evidence"], code=one.facts["code"])
        for one in standing.accusations
    )
    return {"approvals": approvals, "disputes": disputes, "accusations": accusations}


def _booking(agreement: Agreement, booking: Booking) -> BookingView:
    lines = []
    for name, share in booking.shares.items():
        measured = booking.measured.get(name)
        line = LineView(
            organisation=name,
            formula=_formula(agreement, booking, name),
            share=share,
            amount=booking.amounts[name],
        )
        if measured is not None:
            figures = (measured.score, measured.low, measured.high, measured.rows, measured.steps)
            line = LineView(name, *figures, line.formula, share, line.amount)
        lines.append(line)
    return BookingView(booking.job, booking.spec, booking.scores, booking.amount, tuple(lines))


def _formula(agreement: Agreement, booking: Booking, name: str) -> str:
    """Return the formula of a share with its numbers: floor + rest · (weights of parts)."""
    share, count = booking.shares[name], len(booking.measured)
    if name not in booking.measured:
        return f"{WHOLE} − {WHOLE - share} = {share}"
    rest = WHOLE - agreement.floor * count
    total = sum(weight for weight, _ in booking.weighed.values())
    equal = agreement.unscored == "equal" and agreement.weights.scores > 0
    unscored = any(one.score is None for one in booking.measured.values())
    if not total or (equal and unscored):
        inner, part = f"1/{count}", Fraction(1, count)
    else:
        terms = [
            (weight, parts[name], sum(parts.values())) for weight, parts in booking.weighed.values()
        ]
        inner = " + ".join(f"{weight}/{total} · {own}/{whole}" for weight, own, whole in terms)
        part = sum((Fraction(w * own, total * whole) for w, own, whole in terms), Fraction(0))
    plain = agreement.floor + int(rest * part)
    text = f"{agreement.floor} + ⌊{rest} · ({inner})⌋"
    return f"{text} = {share}" if plain == share else f"{text} + {share - plain} = {share}"
