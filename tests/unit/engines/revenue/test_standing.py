"""States of a settlement: by signed deeds in their order, whatever order they come in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.revenue.deeds import CENTRE, Deed, commitment, parse_deed
from secureflow.engines.revenue.standing import (
    GRACE,
    TRANSITIONS,
    ancestors,
    check_signed,
    refusal,
    standing_of,
    standings,
)
from secureflow.kit.errors import SecureFlowError
from tests.unit.engines.revenue.parts import DAY, PROJECT, case_of, deed_of, key_of, settlement_of

AGREEMENT, SETTLEMENT, RESULT = case_of(4)
NAMES = list(AGREEMENT.keys)
END = 2000 + AGREEMENT.window


def approvals(count: int = 4, at: int = 2000, digest: str = RESULT.digest) -> list[Deed]:
    return [deed_of("approve", SETTLEMENT, one, at, computed=digest) for one in NAMES[:count]]


def dispute(who: str = "m001", at: int = 2000 + DAY) -> Deed:
    return deed_of("dispute", SETTLEMENT, who, at, evidence="ab" * 32)


def close(at: int = END + GRACE, digest: str = RESULT.digest) -> Deed:
    return deed_of("close", SETTLEMENT, CENTRE, at, computed=digest)


def pay(payee: str = "m001", amount: int = 1, reference: str = "01") -> Deed:
    facts = {"payee": payee, "amount": amount, "reference": reference * 32}
    return deed_of("pay", SETTLEMENT, "m000", END + GRACE + 1, **facts)


def confirm(who: str = "m001", amount: int = 1, reference: str = "01") -> Deed:
    facts = {"payer": "m000", "amount": amount, "reference": reference * 32}
    return deed_of("confirm", SETTLEMENT, who, END + GRACE + 2, **facts)


def state(*deeds: Deed) -> str:
    return standing_of(AGREEMENT, RESULT, deeds).state


def test_enough_equal_approvals_with_the_payers_make_it_stand() -> None:
    assert state(*approvals(2)) == "open"
    assert state(*approvals(3)) == "approved"
    without_payer = approvals(4)[1:]
    assert state(*without_payer) == "open"
    other = deed_of("approve", SETTLEMENT, "m002", 2000, computed="00" * 32)
    assert state(*approvals(2), other) == "open"
    stranger = deed_of("approve", SETTLEMENT, "m009", 2000, computed=RESULT.digest)
    assert state(*approvals(2), stranger) == "open"


def test_the_window_runs_from_the_last_needed_approval() -> None:
    late = [*approvals(2), deed_of("approve", SETTLEMENT, "m002", 9000, computed=RESULT.digest)]
    found = standing_of(AGREEMENT, RESULT, late)
    assert (found.since, found.closes) == (9000, 9000 + AGREEMENT.window + GRACE)


def test_a_dispute_stops_it_within_the_window_only() -> None:
    assert state(*approvals(), dispute()) == "disputed"
    assert state(*approvals(), dispute(), close()) == "disputed"
    assert state(*approvals(), dispute(at=END)) == "approved"
    back = deed_of("withdraw", SETTLEMENT, "m001", 2000 + 2 * DAY)
    assert state(*approvals(), dispute(), back) == "approved"
    assert state(*approvals(), dispute(), back, close()) == "closed"
    two = dispute("m002")
    assert state(*approvals(), dispute(), two, back) == "disputed"
    again = deed_of("dispute", SETTLEMENT, "m001", 2000 + 3 * DAY, evidence="cd" * 32)
    assert state(*approvals(), dispute(), back, again) == "approved"


def test_it_closes_after_window_and_grace_with_the_approved_amounts() -> None:
    assert state(*approvals(), close(END + GRACE - 1)) == "approved"
    assert state(*approvals(), close(digest="00" * 32)) == "approved"
    assert state(*approvals(2), close()) == "open"
    assert state(*approvals(), close()) == "closed"


def test_payments_are_stated_by_the_payer_and_count_once_confirmed() -> None:
    closed = [*approvals(), close()]
    owed = RESULT.owed("m000")
    found = standing_of(AGREEMENT, RESULT, [*closed, pay(amount=owed["m001"] + 1)])
    assert list(found.ignored.values()) == ["more than is owed"]
    two = [pay(amount=owed["m001"]), pay(amount=1, reference="02")]
    assert list(standing_of(AGREEMENT, RESULT, [*closed, *two]).ignored.values()) == [
        "more than is owed"
    ]
    found = standing_of(AGREEMENT, RESULT, [*closed, pay(), confirm(amount=2)])
    assert list(found.ignored.values()) == ["the payment is another one"]
    found = standing_of(AGREEMENT, RESULT, [*closed, pay(), confirm("m002")])
    assert list(found.ignored.values()) == ["the payment is another one"]
    assert found.confirmed("m001") == 0
    assert state(*closed, pay(), confirm()) == "closed"
    every = []
    for number, (name, amount) in enumerate(owed.items()):
        place = f"{number:02x}"
        every += [pay(name, amount, place), confirm(name, amount, place)]
    assert state(*closed, *every) == "paid"
    assert state(*closed, *every[:-1]) == "closed"


EVERY = [
    *approvals(),
    dispute(),
    dispute("m002"),
    deed_of("withdraw", SETTLEMENT, "m001", 2000 + 2 * DAY),
    deed_of("withdraw", SETTLEMENT, "m002", 2000 + 3 * DAY),
    close(),
    pay(amount=5),
    confirm(amount=5),
    pay("m002", 7, "02"),
]


@settings(max_examples=120, deadline=None)
@given(st.lists(st.sampled_from(EVERY), max_size=40), st.randoms(use_true_random=False))
def test_reordering_and_repeating_deeds_changes_nothing(deeds, random) -> None:
    first = standing_of(AGREEMENT, RESULT, deeds)
    again = [*deeds, *random.choices(deeds, k=5)] if deeds else []
    random.shuffle(again)
    assert standing_of(AGREEMENT, RESULT, again) == first
    stated = {}
    for payment in first.payments.values():
        payee = payment.pay.facts["payee"]
        stated[payee] = stated.get(payee, 0) + payment.pay.facts["amount"]
    assert all(one <= RESULT.owed("m000")[name] for name, one in stated.items())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(EVERY), max_size=12, unique_by=lambda one: one.digest))
def test_no_state_is_left_but_by_the_table(deeds) -> None:
    reached = {"open"} | set(TRANSITIONS.values())
    for count in range(len(deeds) + 1):
        found = standing_of(AGREEMENT, RESULT, deeds[:count])
        assert found.state in reached
        for deed in EVERY:
            if (found.state, deed.act) not in TRANSITIONS:
                assert refusal(AGREEMENT, RESULT, found, deed)


def test_a_second_statement_of_one_key_does_not_count() -> None:
    other = deed_of("approve", SETTLEMENT, "m001", 2500, computed="00" * 32)
    found = standing_of(AGREEMENT, RESULT, [*approvals(), other])
    assert found.ignored == {other.digest: "its author signed another one before"}


def test_replacements_supersede_all_before_them_unless_one_was_closed() -> None:
    second = settlement_of(AGREEMENT, "job_a", version=2, replaces=SETTLEMENT.id, nonce="11" * 16)
    third = settlement_of(AGREEMENT, "job_a", version=3, replaces=second.id, nonce="22" * 16)
    listed = {one.id: one for one in (SETTLEMENT, second, third)}
    assert ancestors(listed, third.id) == [second.id, SETTLEMENT.id]

    def judged(*deeds: Deed) -> list[str]:
        found = standings({AGREEMENT.digest: AGREEMENT}, listed.values(), deeds, {})
        return [found[key].state for key in listed]

    votes = [deed_of("approve", third, one, 3000, computed="ee" * 32) for one in NAMES]
    assert judged() == ["open", "open", "open"]
    assert judged(*approvals(), *votes) == ["superseded", "superseded", "approved"]
    late = [deed_of("approve", third, one, END + 2 * DAY, computed="ee" * 32) for one in NAMES]
    assert judged(*approvals(), close(), *late) == ["closed", "void", "void"]
    assert judged(*approvals(), *votes, close()) == ["superseded", "superseded", "approved"]


def test_forged_deeds_are_named_and_malformed_ones_refused() -> None:
    right = approvals(1)[0]
    check_signed(AGREEMENT, [key_of("log").public], [right, close()])
    forged = Deed(**{**vars_of(right), "facts": {"computed": "00" * 32}})
    for one in (forged, Deed(**{**vars_of(right), "organisation": "m002"}),
                Deed(**{**vars_of(close()), "signature": right.signature})):  # fmt: skip
        with pytest.raises(SecureFlowError) as caught:
            check_signed(AGREEMENT, [key_of("log").public], [one])
        assert caught.value.code == "settlement_deed_forged"
    value = pay().json()
    assert parse_deed(value) == pay()
    changes = [{"act": "own"}, {"amount": 0}, {"amount": 1.0}, {"amount": True}, {"v": 2},
               {"payee": "../x"}, {"reference": "ab"}, {"at": -1}, {"more": 1}, {"project": "x"},
               {"settlement": "00"}, {"organisation": CENTRE}]  # fmt: skip
    for change in changes:
        with pytest.raises(SecureFlowError) as caught:
            parse_deed({**value, "statement": {**value["statement"], **change}})
        assert caught.value.code == "malformed_settlement"


def vars_of(deed: Deed) -> dict[str, object]:
    names = ("act", "project", "settlement", "organisation", "at", "facts", "signature")
    return {one: getattr(deed, one) for one in names}


def test_a_commitment_needs_its_whole_salt() -> None:
    assert commitment(bytes(32), "a") != commitment(bytes(31) + b"\1", "a")
    with pytest.raises(SecureFlowError):
        commitment(bytes(31), "a")
    assert PROJECT.startswith("prj_")


def test_who_computed_other_amounts_does_not_say_that_all_is_paid() -> None:
    digest = "ee" * 32
    every = [*approvals(digest=digest), close(digest=digest)]
    assert state(*every) == "closed"  # RESULT is of other amounts
    assert standing_of(AGREEMENT, None, every).state == "closed"
