"""Money is exact: every sum, to the basis point and to the minor unit, for any agreement."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.revenue.agreement import Weights
from secureflow.engines.revenue.settlement import computed
from secureflow.engines.revenue.shares import Measured, amounts_of, portions, shares_of
from tests.unit.engines.revenue.parts import (
    agreement_of,
    evidence_of,
    measured,
    names_of,
    settlement_of,
)

WEIGHTS = st.builds(Weights, *[st.integers(0, 1000)] * 3).filter(
    lambda one: one.scores + one.rows + one.participation > 0
)
SIZES = st.one_of(st.integers(2, 8), st.sampled_from([16, 64, 255, 256]))


@st.composite
def agreed(draw: st.DrawFn) -> tuple[object, dict[str, Measured]]:
    count = draw(SIZES)
    names = names_of(count)
    floor = draw(st.integers(0, 10_000 // count))
    agreement = agreement_of(
        names, weights=draw(WEIGHTS), floor=floor,
        rounding=draw(st.sampled_from(names)), payer=draw(st.sampled_from(names)),
        unscored=draw(st.sampled_from(["left_out", "other_measures", "equal"])),
    )  # fmt: skip
    parties = names[: draw(st.integers(1, count))]
    scored = draw(st.booleans())
    spread = draw(st.integers(1, 10**13))
    seeds = draw(st.integers(0, 2**64))
    found = {
        name: Measured(
            *([(seeds * (place + 1)) % (2 * spread) - spread] * 3 if scored else [None] * 3),
            0 if scored else None,
            (seeds >> place % 40) % 10**6,
            (seeds >> place % 30) % 50,
        )
        for place, name in enumerate(parties)
    }
    return agreement, found


@settings(max_examples=150, deadline=None)
@given(agreed(), st.integers(0, 10**15))
def test_sums_are_exact_for_any_agreement(case, amount) -> None:
    agreement, parties = case
    shares = shares_of(agreement, parties)
    assert sum(shares.values()) == 10_000
    assert set(shares) == {*parties, agreement.rounding}
    assert all(shares[name] >= agreement.floor for name in parties)
    amounts = amounts_of(amount, shares, agreement.rounding)
    assert sum(amounts.values()) == amount
    assert all(one >= 0 for one in amounts.values())
    for name, share in shares.items():
        if name != agreement.rounding:
            assert amounts[name] == amount * share // 10_000


@settings(max_examples=60, deadline=None)
@given(agreed())
def test_no_share_is_off_by_a_basis_point_but_the_rounding_members(case) -> None:
    agreement, parties = case
    shares = shares_of(agreement, parties)
    if any(one.score is None for one in parties.values()) and agreement.unscored == "equal":
        return
    exact = dict.fromkeys(parties, Fraction(0))
    total = 0
    for weight, value in (
        (agreement.weights.scores, lambda one: max(one.score or 0, 0)),
        (agreement.weights.rows, lambda one: one.rows * 100),
        (agreement.weights.participation, lambda one: one.steps),
    ):
        whole = sum(value(one) for one in parties.values())
        if weight and whole:
            total += weight
            for name, one in parties.items():
                exact[name] += Fraction(weight * value(one), whole)
    for name in parties:
        part = exact[name] / total if total else Fraction(1, len(parties))
        right = agreement.floor + (10_000 - agreement.floor * len(parties)) * part
        if name != agreement.rounding:
            assert 0 <= right - shares[name] < 1
    rest = shares[agreement.rounding]
    assert rest >= agreement.floor if agreement.rounding in parties else rest < len(parties)


@given(st.integers(0, 10**15), st.integers(1, 100))
def test_portions_lose_nothing(amount, count) -> None:
    found = portions(amount, count)
    assert (sum(found), len(found)) == (amount, count)
    assert max(found) - min(found) < count


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(0, 10**12), st.permutations(range(6)))
def test_a_settlement_books_each_job_once_in_any_order(count, entered, order) -> None:
    names = names_of(5)
    agreement = agreement_of(names, per_job=33_333)
    jobs = [f"job_{number}" for number in range(count)]
    records = [
        evidence_of(job, {name: measured(number * 11 + place) for place, name in enumerate(names)})
        for number, job in enumerate(jobs)
    ]
    settlement = settlement_of(agreement, *jobs, entered=entered)
    first = computed(agreement, settlement, records)
    again = [records[one] for one in order if one < count] * 2
    assert computed(agreement, settlement, again).digest == first.digest
    assert sum(first.totals.values()) == first.amount == 33_333 * count + entered
    assert [one.job for one in first.bookings] == jobs


def test_negative_scores_are_clipped_and_the_floor_comes_off_the_top() -> None:
    agreement = agreement_of(names_of(3), floor=1000, rounding="m002")
    parties = {"m000": measured(-500), "m001": measured(3000), "m002": measured(1000)}
    assert shares_of(agreement, parties) == {"m000": 1000, "m001": 6250, "m002": 2750}


def test_a_rounding_member_that_took_no_part_gets_the_rest_alone() -> None:
    agreement = agreement_of(names_of(4), rounding="m003")
    parties = {name: measured(1) for name in names_of(3)}
    assert shares_of(agreement, parties) == {"m000": 3333, "m001": 3333, "m002": 3333, "m003": 1}


def test_agreed_quality_weighs_rows() -> None:
    names = names_of(2)
    plain = agreement_of(names, weights=Weights(0, 1, 0))
    members = (plain.members[0], type(plain.members[1])("m001", plain.members[1].key, 50))
    half = agreement_of(names, weights=Weights(0, 1, 0), members=members)
    parties = {name: measured(None, rows=300) for name in names}
    assert shares_of(plain, parties) == {"m000": 5000, "m001": 5000}
    assert shares_of(half, parties) == {"m000": 6667, "m001": 3333}


def test_jobs_without_scores_follow_the_rule_by_its_name() -> None:
    names = names_of(2)
    parties = {"m000": measured(None, rows=300), "m001": measured(None, rows=100)}
    record = evidence_of("job_a", parties, scores="")
    for rule, wanted in (("equal", 5000), ("other_measures", 7500)):
        agreement = agreement_of(names, unscored=rule, weights=Weights(2, 1, 0), rounding="m001")
        result = computed(agreement, settlement_of(agreement, "job_a"), [record])
        assert result.bookings[0].shares["m000"] == wanted
    out = agreement_of(names, weights=Weights(2, 1, 0))
    both = [record, evidence_of("job_b", {name: measured(5) for name in names})]
    result = computed(out, settlement_of(out, "job_a", "job_b"), both)
    assert dict(result.left_out) == {"job_a": "unscored"}
    assert result.amount == 100_000
