"""The anchors in a bundle: honest ones count, and every lie about them is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.domain.charter import Charter
from secureflow.engines.anchors.bundled import anchored_json, verify_anchored
from secureflow.engines.ledger.bundle import BundleVerdict, verify_bundle
from secureflow.engines.ledger.bundle_format import MAX_ANCHORS
from tests.unit.engines.anchors.bundles import (
    APPROVED,
    DEEDS,
    EVM,
    FABRIC,
    FILE,
    KEEPER,
    OWN,
    anchors,
    approved,
    bundled,
    head,
    hostile,
    kept,
    malformed,
    proven,
    said,
)
from tests.unit.engines.ledger import test_key_changes as keychanges
from tests.unit.engines.ledger.test_bundle import BANKS, CHARTER, HONEST


def verdict(*listed: Any, charter: Charter | None = CHARTER) -> BundleVerdict:
    return verify_anchored(bundled(*listed), charter)


def test_honest_anchors_count_and_say_what_they_cover() -> None:
    found = verdict(*anchors())
    assert (found.status, found.failures) == ("verified", ())
    assert [one.number for one in found.anchors] == list(range(1, len(anchors()) + 1))
    heads = [
        (one.member, one.place, one.size, one.covers, one.standing) for one in found.anchors[:5]
    ]
    assert heads == [
        ("bank-a", EVM, OWN, "whole", "not checked"),
        ("bank-b", FABRIC, OWN + 3, "whole", "not checked"),
        ("bank-c", FILE, OWN + 5, "whole", "receipt holds"),
        ("bank-d", EVM, OWN - 4, "part", "not checked"),
        ("bank-d", FILE, OWN + 1, "", "receipt holds"),
    ]
    assert "without a proof" in found.anchors[4].reason
    deeds = found.anchors[5 : 5 + len(DEEDS)]
    assert [(one.kind, one.standing) for one in deeds] == [
        (one.kind, "receipt holds") for one in DEEDS
    ]


def test_a_bundle_without_anchors_stays_as_good() -> None:
    for bundle in (HONEST, bundled()):
        found = verify_anchored(bundle, CHARTER)
        assert (found.status, found.anchors) == ("verified", ())


def test_without_a_charter_anchors_are_read_and_prove_as_little_as_the_rest() -> None:
    found = verdict(*anchors(), charter=None)
    assert found.status == "consistent, unauthenticated"
    assert {one.standing for one in found.anchors} == {"not checked", "receipt holds"}


@pytest.mark.parametrize("what", hostile())
def test_a_false_anchor_breaks_the_bundle_and_a_foreign_one_says_nothing(what: str) -> None:
    listed, standing, words = hostile()[what]
    found = verdict(*listed)
    last = found.anchors[-1]
    assert (last.standing, last.covers) == (standing, "")
    assert words in last.reason
    if standing == "foreign":
        assert (found.status, found.failures) == ("verified", ())
    else:
        assert found.status == "broken"
        assert any(words in one for one in found.failures)
        assert found.failures[-1].startswith(
            f"anchor {len(listed)} ({last.kind} by {last.member}): "
        )


@pytest.mark.parametrize(
    "what", ["no object", "another signature", "v is 1.0", "a proof of a deed"]
)
def test_what_cannot_be_read_is_named_by_its_number(what: str) -> None:
    found = verdict(proven(OWN), malformed()[what])
    assert found.status == "broken"
    assert found.failures[0].startswith("anchor 2: The statement about an anchor is malformed: ")


def test_nothing_malformed_passes_or_ends_in_another_error() -> None:
    """But for changes of a word into another one, which are deeds of this job like any other."""
    for what, one in malformed().items():
        found = verdict(one)
        assert (found.status == "broken") != (" = 'aa" in what and found.status == "verified"), what


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("a long proof", "no list of at most 64 hashes"),
        ("receipt is 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "it is too long"),
    ],
)
def test_what_is_too_long_is_refused_as_that(what: str, words: str) -> None:
    assert words in verdict(malformed()[what]).failures[0]


@pytest.mark.parametrize("version", [1.0, True, 2])
def test_a_receipt_of_another_version_is_none(version: Any) -> None:
    body = {**kept(APPROVED)["body"], "v": version}
    receipt = {"body": body, "signature": KEEPER.sign("anchor-receipt", body)}
    assert "its keeper did not sign it" in verdict(approved(receipt)).failures[0]


def test_the_list_is_bounded_and_a_list() -> None:
    one = anchored_json(said(APPROVED))
    assert verify_bundle(bundled(*[one] * MAX_ANCHORS), CHARTER).ok
    many = verify_bundle(bundled(*[one] * (MAX_ANCHORS + 1)), CHARTER)
    assert "anchors must be a list of at most 1000" in many.failures[0]
    for wrong in (None, {}, "x", 1):
        found = verify_anchored({**HONEST, "anchors": wrong}, CHARTER)
        assert "anchors must be a list" in found.failures[0]


def test_a_record_does_not_depend_on_its_anchors() -> None:
    """Whoever needs the record alone reads it, whatever was put beside it."""
    assert verify_bundle(bundled(5, {"statement": None}), CHARTER).ok


def test_a_head_after_the_end_of_the_logs_key_is_false() -> None:
    ended = keychanges.changed().charter
    found = verify_anchored(bundled(anchored_json(said(head(OWN + 5)))), ended)
    assert any("the log's key had ended before that head" in one for one in found.failures)


def test_a_job_that_no_digest_stands_for_has_no_deeds() -> None:
    bundle = {**bundled(anchored_json(said(APPROVED))), "job": "\ud800"}
    assert "not about this job" in verify_anchored(bundle, None).anchors[0].reason


def test_who_is_named_is_who_signed() -> None:
    """A statement names nobody: the charter says whose key it is."""
    members = tuple(replace(one, name="x") for one in CHARTER.members)
    found = verify_anchored(bundled(proven(OWN, "bank-c")), replace(CHARTER, members=members))
    assert found.anchors[0].member == "bank-c"
    assert set(BANKS) >= {one.member for one in verdict(*anchors()).anchors}
