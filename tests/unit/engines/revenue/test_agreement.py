"""Agreements: who must sign, what binds, and what is no agreement."""

from __future__ import annotations

import json

import pytest

from secureflow.engines.revenue.agreement import (
    KIND,
    Agreement,
    Member,
    SignedAgreement,
    Weights,
    accepted,
    check_charter_keys,
    needed,
)
from secureflow.engines.revenue.evidence import left_out
from secureflow.engines.revenue.settlement import Computed, Settlement, computed
from secureflow.kit.errors import SecureFlowError
from tests.unit.engines.revenue.parts import (
    agreement_of,
    case_of,
    evidence_of,
    key_of,
    measured,
    names_of,
    settlement_of,
    signed_by_all,
)

NAMES = names_of(4)
FIRST = agreement_of(NAMES)


def second_of(**changes: object) -> Agreement:
    return agreement_of(NAMES, version=2, previous=FIRST.digest, **changes)


def signed(agreement: Agreement, *names: str) -> SignedAgreement:
    made = SignedAgreement(agreement)
    for name in names:
        made = made.sign(name, key_of(name))
    return made


def test_every_member_signs_the_first_version() -> None:
    assert accepted(None, signed_by_all(FIRST))
    assert not accepted(None, signed(FIRST, *NAMES[:3]))
    theirs = signed(FIRST, *NAMES[:3]).signatures
    lent = SignedAgreement(FIRST, {**theirs, "m003": key_of("m000").sign(KIND, FIRST.json())})
    assert not accepted(None, lent)


def test_a_change_needs_more_than_two_thirds_and_whom_it_binds_anew() -> None:
    change = second_of(floor=100)
    assert accepted(FIRST, signed(change, *NAMES[:3]))
    assert not accepted(FIRST, signed(change, *NAMES[:2]))
    payer = second_of(payer="m003")
    assert not accepted(FIRST, signed(payer, *NAMES[:3]))
    assert accepted(FIRST, signed(payer, *NAMES[1:]))
    joined = agreement_of([*NAMES, "m004"], version=2, previous=FIRST.digest)
    assert not accepted(FIRST, signed(joined, *NAMES))
    assert accepted(FIRST, signed(joined, *NAMES[:3], "m004"))
    assert needed(FIRST, joined) == (frozenset({"m004"}), 3)
    removed = agreement_of(NAMES[:3], version=2, previous=FIRST.digest)
    assert accepted(FIRST, signed(removed, *NAMES[:3]))
    with pytest.raises(SecureFlowError) as caught:
        accepted(FIRST, signed(agreement_of(NAMES, version=3, previous=FIRST.digest), *NAMES))
    assert caught.value.code == "agreement_mismatch"


def test_keys_are_those_of_the_charter() -> None:
    check_charter_keys(FIRST, FIRST.keys)
    with pytest.raises(SecureFlowError) as caught:
        check_charter_keys(FIRST, {**FIRST.keys, "m001": key_of("x").public})
    assert caught.value.code == "agreement_altered"


def test_it_is_the_same_after_a_journey_and_nothing_else_is_read() -> None:
    made = signed_by_all(agreement_of(NAMES, kinds=("training",), weights=Weights(1, 2, 3)))
    again = SignedAgreement.from_json(json.loads(json.dumps(made.json())))
    assert again.agreement == made.agreement
    assert again.agreement.digest == made.agreement.digest
    changes = [
        {"floor": 2501}, {"floor": 1.0}, {"floor": -1}, {"rounding": "m009"}, {"payer": ""},
        {"currency": "eur"}, {"window_days": 366}, {"per_job": 10**15 + 1}, {"per_job": True},
        {"entered": 1}, {"entered": False, "per_job": 0}, {"unscored": "x"}, {"kinds": ["A"]},
        {"kinds": ["a", "a"]}, {"version": 0}, {"previous": "ab" * 32}, {"members": []}, {"v": 2},
        {"weights": {"scores": 0, "rows": 0, "participation": 0}}, {"weights": {}}, {"more": 1},
        {"project": "prj_../x"}, {"origin": "a b"},
    ]  # fmt: skip
    for change in changes:
        value = made.json()
        value["agreement"] = {**value["agreement"], **change}
        with pytest.raises(SecureFlowError) as caught:
            SignedAgreement.from_json(value)
        assert caught.value.code == "malformed_agreement", change


def test_one_key_is_one_member() -> None:
    members = (*FIRST.members, Member("m009", FIRST.members[0].key))
    with pytest.raises(SecureFlowError):
        agreement_of(NAMES, members=members)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"project": "prj_other"}, "other_project"),
        ({"outcome": "failed"}, "not_succeeded"),
        ({"kind": "psi"}, "kind"),
        ({"measured": {"m009": measured(1)}}, "others_took_part"),
        ({"measured": {"m001": measured(None)}}, "unscored"),
        ({}, ""),
    ],
)
def test_jobs_that_do_not_count_are_named(change: dict[str, object], rule: str) -> None:
    agreement = agreement_of(NAMES, kinds=("training",))
    parts = {"measured": {"m001": measured(1)}, "outcome": "succeeded", **change}
    record = evidence_of("job_a", parts.pop("measured"), parts.pop("outcome"), **parts)
    assert left_out(agreement, record) == rule


def test_what_follows_is_computed_or_refused() -> None:
    agreement, settlement, result = case_of(3)
    assert Computed.from_json(json.loads(json.dumps(result.json()))).digest == result.digest
    assert Settlement.from_json(json.loads(json.dumps(settlement.json()))).id == settlement.id
    record = evidence_of("job_a", {"m000": measured(1)})
    two = [record, evidence_of("job_a", {"m000": measured(2)})]
    closed = agreement_of(names_of(3), entered=False)
    for wrong in (
        lambda: computed(agreement, settlement, []),
        lambda: computed(agreement, settlement, two),
        lambda: computed(agreement, settlement, [evidence_of("job_a", {}, "failed")]),
        lambda: computed(closed, settlement_of(closed, "job_a", entered=1), [record]),
    ):
        with pytest.raises(SecureFlowError) as caught:
            wrong()
        assert caught.value.code == "settlement_not_possible"
    with pytest.raises(SecureFlowError) as caught:
        computed(agreement_of(names_of(3), floor=1), settlement, [record])
    assert caught.value.code == "agreement_mismatch"
