"""Amounts, shares and keys at their bounds."""

from __future__ import annotations

import pytest

from secureflow.application.settlements import check_free
from secureflow.engines.revenue.agreement import MAX_AMOUNT, Weights, keys_since
from secureflow.engines.revenue.settlement import MAX_JOBS, computed, next_version
from secureflow.engines.revenue.standing import check_signed
from secureflow.engines.revenue.view import decimals_of, money
from secureflow.kit.canonical import MAX_INTEGER
from secureflow.kit.errors import SecureFlowError
from tests.unit.engines.revenue.parts import (
    agreement_of,
    deed_of,
    evidence_of,
    key_of,
    measured,
    names_of,
    settlement_of,
)


def test_amounts_that_have_no_exact_form_are_refused_by_name() -> None:
    agreement = agreement_of(names_of(3), per_job=MAX_AMOUNT)
    jobs = [f"job_{at:03d}" for at in range(MAX_JOBS)]
    parties = {name: measured(1) for name in names_of(3)}
    for count in (9, 10, MAX_JOBS):
        settlement = settlement_of(agreement, *jobs[:count])
        records = [evidence_of(job, parties) for job in jobs[:count]]
        if count * MAX_AMOUNT <= MAX_INTEGER:
            assert len(computed(agreement, settlement, records).digest) == 64
            continue
        with pytest.raises(SecureFlowError, match="settlement_not_possible"):
            computed(agreement, settlement, records)


@pytest.mark.parametrize("count", [1, 2, 3, 256])
@pytest.mark.parametrize("scores", [(0, 0), (-5, -7), (10**8, 1), (0, 1)])
def test_shares_and_amounts_are_whole_whatever_the_roster(
    count: int, scores: tuple[int, int]
) -> None:
    names = names_of(count)
    for floor in (0, 10_000 // count):
        for rounding in (names[0], names[-1]):
            agreement = agreement_of(
                names, floor=floor, rounding=rounding, per_job=1, weights=Weights(1000, 1000, 1)
            )
            parties = {name: measured(scores[at % 2], 10**13, 1) for at, name in enumerate(names)}
            settlement = settlement_of(agreement, "job_a")
            (booking,) = computed(agreement, settlement, [evidence_of("job_a", parties)]).bookings
            assert sum(booking.shares.values()) == 10_000
            assert min(booking.shares.values()) >= floor
            assert sum(booking.amounts.values()) == 1
            assert min(booking.amounts.values()) >= 0
            assert len(computed(
                agreement, settlement, [evidence_of("job_a", parties)]
            ).digest) == 64  # fmt: skip


def test_money_is_written_in_the_decimals_of_its_currency() -> None:
    written = [money(1005, decimals_of(one), one) for one in ("JPY", "EUR", "KWD", "CLF")]
    assert written == ["1005 JPY", "10.05 EUR", "1.005 KWD", "0.1005 CLF"]


def test_a_member_whose_key_changed_signs_in_older_settlements_too() -> None:
    names = names_of(4)
    first = agreement_of(names)
    members = tuple(
        type(one)(one.organisation, key_of("new").public if one.organisation == "m001" else one.key)
        for one in first.members
    )
    second = agreement_of(names, members=members, version=2, previous=first.digest)
    assert keys_since([first, second], first, "m001") == (
        key_of("m001").public,
        key_of("new").public,
    )
    assert keys_since([first, second], second, "m001") == (key_of("new").public,)
    assert keys_since([first, second], first, "m009") == ()
    old, new = (settlement_of(one, "job_a") for one in (first, second))
    facts = {"payer": "m000", "amount": 1, "reference": "ab" * 32}
    signed = deed_of("confirm", old, "m001", 5, **facts)
    renewed = type(signed)(**{**_parts(signed), "signature": ""}).sign(key_of("new"))
    check_signed(first, [], [signed, renewed], [first, second])
    with pytest.raises(SecureFlowError, match="settlement_deed_forged"):
        check_signed(first, [], [renewed], [first])  # not before a version stands with it
    stale = deed_of("confirm", new, "m001", 5, **facts)
    with pytest.raises(SecureFlowError, match="settlement_deed_forged"):
        check_signed(second, [], [stale], [first, second])  # nor the old key afterwards


def _parts(deed: object) -> dict[str, object]:
    names = ("act", "project", "settlement", "organisation", "at", "facts", "signature")
    return {one: getattr(deed, one) for one in names}


def test_a_settlement_of_a_job_has_a_version_above_all_before_it() -> None:
    """A job that a replacement left free again: a place takes ascending versions only."""
    agreement = agreement_of(names_of(4))
    first = settlement_of(agreement, "job_a", "job_b")
    second = settlement_of(agreement, "job_a", version=2, replaces=first.id)
    known = [first, second]
    assert next_version(known, ["job_b"], "") == 2
    assert next_version(known, ["job_a"], second.id) == 3
    assert next_version(known, ["job_c"], "") == 1
    assert next_version(known, ["job_c"], second.id) == 3
    third = settlement_of(agreement, "job_b", version=2)
    others = {one.id: one for one in known}
    check_free(third, others, [second.id])
    with pytest.raises(SecureFlowError, match="opened meanwhile"):
        check_free(settlement_of(agreement, "job_b"), others, [second.id])
    with pytest.raises(SecureFlowError, match="malformed_settlement"):
        settlement_of(agreement, "job_b", replaces=first.id)
