"""What a verified record says, and what it must hold to say it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.revenue.evidence import JobEvidence, contradiction, evidence_of
from secureflow.kit.errors import SecureFlowError
from tests.unit.engines.ledger.test_bundle import CHARTER, SPEC, Story, honest_actions


def bundle() -> dict[str, Any]:
    """Return the record of a job without scores, whose parties sign rows."""
    actions = [
        replace(one, document={**one.document, "rows": 40 + len(one.author)})
        if one.kind == "update"
        else one
        for one in honest_actions()
    ]
    return Story(actions, {**SPEC, "project": "prj_1", "kind": "training"}).bundle()


def read(record: dict[str, Any]) -> JobEvidence:
    return evidence_of(record, verify_bundle(record, CHARTER))


def test_rows_and_steps_are_those_that_parties_signed() -> None:
    found = read(bundle())
    assert (found.project, found.kind, found.outcome, found.scores) == (
        "prj_1", "training", "succeeded", "",
    )  # fmt: skip
    assert {name: (one.rows, one.steps, one.score) for name, one in found.measured.items()} == {
        "bank-a": (46, 1, None), "bank-b": (46, 2, None), "bank-c": (46, 1, None),
        "bank-d": (46, 1, None),
    }  # fmt: skip
    assert not found.scored


def test_a_record_that_leaves_a_partys_part_closed_says_nothing() -> None:
    record = bundle()
    for one in record["entries"]:
        if one["leaf"]["leaf"]["kind"] == "update" and one["leaf"]["leaf"]["author"] == "bank-b":
            del one["document"], one["salt"]
    assert verify_bundle(record, CHARTER).ok  # it verifies all the same
    with pytest.raises(SecureFlowError) as caught:
        read(record)
    assert caught.value.code == "evidence_not_verified"
    assert caught.value.details["party"] == "bank-b"


def test_a_record_that_does_not_verify_says_nothing() -> None:
    record = copy.deepcopy(bundle())
    record["entries"][0]["leaf"]["leaf"]["at"] += 1
    with pytest.raises(SecureFlowError) as caught:
        read(record)
    assert caught.value.code == "evidence_not_verified"
    unauthenticated = verify_bundle(bundle(), None)
    with pytest.raises(SecureFlowError):
        evidence_of(bundle(), unauthenticated)
    assert evidence_of(bundle(), unauthenticated, authenticated=False).measured


def test_what_a_party_signed_itself_is_held_against_it() -> None:
    found = read(bundle())
    own = [
        {"kind": "update", "document": {"round": number, "rows": 46}, "place": number}
        for number in (0, 1)
    ]
    assert contradiction(found, "bank-b", own) == ""
    assert contradiction(found, "bank-b", own[:1]) == "participation"
    more = [own[0], {"kind": "update", "document": {"round": 1, "rows": 47}, "place": 1}]
    assert contradiction(found, "bank-b", more) == "rows"
    ended = [*own, {"kind": "finished", "document": {"scores": "ab" * 32}}]
    assert contradiction(found, "bank-b", ended) == "scores"
    assert contradiction(found, "bank-z", own) == "its parties"
    assert contradiction(found, "bank-b", []) == ""


def test_an_update_that_came_too_late_or_never_accuses_nobody() -> None:
    found = read(bundle())
    own = [
        {"kind": "update", "document": {"round": number, "rows": 46}, "place": number}
        for number in (0, 1)
    ]
    ends = [one["index"] for one in bundle()["entries"]
            if one["leaf"]["leaf"]["kind"] == "job.closed"]  # fmt: skip
    assert [found.end] == ends
    later = {"kind": "update", "document": {"round": 2, "rows": 99}}
    for place in (None, ends[0] + 1):
        assert contradiction(found, "bank-b", [*own, {**later, "place": place}]) == ""
    assert contradiction(found, "bank-b", [*own, {**later, "place": ends[0] - 1}]) == (
        "participation"
    )


def test_rows_that_no_table_has_count_as_none() -> None:
    actions = [
        replace(one, document={**one.document, "rows": 2**53 - 1 if one.author == "bank-b" else 7})
        if one.kind == "update"
        else one
        for one in honest_actions()
    ]
    record = Story(actions, {**SPEC, "project": "prj_1", "kind": "training"}).bundle()
    found = read(record)
    assert found.measured["bank-b"].rows == 0
    assert found.measured["bank-a"].rows == 7
