"""Contradictions of an intersection's spec, who probes whom, its facts, and its request."""

from __future__ import annotations

from typing import Any

import pytest
from unit.engines.psi.world import asked, specified

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.contributors import two_sum
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.protections import between_peers, contributes
from secureflow.domain.specs.psi import PsiSpec
from secureflow.domain.specs.psi_request import PsiRequest
from secureflow.domain.specs.request import parts_of
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese

ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in "abc"]
TWO, THREE = ROSTER[:2], ROSTER
OPENMINED = {"name": "openmined", "version": "2.0.6"}


def sides(*parts: dict[str, Any], most_rows: int = 100) -> dict[str, Any]:
    return {
        "sides": [
            {"party": one["party"], "key": ["phone"], "most_rows": most_rows, **part}
            for one, part in zip(ROSTER, parts, strict=False)
        ]
    }


@pytest.mark.parametrize(
    ("roster", "changes", "field", "reason"),
    [
        (ROSTER[:1], {}, "roster", "fewer than 2"),
        (TWO, sides({}), "columns", "the columns of bank-b are missing"),
        (TWO, sides({}, {}, {}), "columns", "bank-c is not on the roster"),
        (TWO, {"sides": [*reversed(sides({}, {})["sides"])]}, "columns", "in the roster's order"),
        (TWO, sides({}, {"key": ["phone", "name"]}), "columns.bank-b.key", "has 2 columns, and 1"),
        (TWO, {**sides({"key": ["a", "a"]}, {"key": ["a", "b"]}),
               "key": {"parts": [{}, {}]}}, "columns.bank-a.key", "listed twice"),
        (TWO, sides({"granted": ["x", "x"]}, {}), "columns.bank-a.granted", "listed twice"),
        (TWO, sides({"granted": ["phone"]}, {}), "columns.bank-a.granted", "key already"),
        (TWO, {"receiver": "bank-z"}, "receiver", "bank-z is not on the roster"),
        (THREE, {"learns": "size", "protocol": "openmined", "engine": OPENMINED},
         "learns", "no protocol here tells how many"),
        (THREE, {"learns": "all", "join": "left"}, "join", "between two parties only"),
        (THREE, {"learns": "all", "join": "full"}, "join", "between two parties only"),
        (THREE, {**sides({}, {"granted": ["x"]}, {"granted": ["x"]}), "learns": "all"},
         "columns.bank-c.granted", "bank-b has a column 'x' as well"),
        (TWO, {"engine": OPENMINED}, "protocol", "openmined has no protocol rr22"),
        (TWO, {"learns": "size"}, "protocol", "not only how many"),
        (TWO, {**sides({}, {}, most_rows=200_000), "protocol": "openmined", "engine": OPENMINED},
         "most_rows", "may bring 200000 keys"),
        (TWO, {**sides({}, {}, most_rows=200_000), "minimum": 5, "size_first": True},
         "most_rows", "may bring 200000 keys"),
        (TWO, {"learns": "size", "protocol": "openmined", "engine": OPENMINED, "join": "left"},
         "join", "a number has no rows"),
        (TWO, {"join": "full"}, "join", "only from a party that learns"),
        (TWO, sides({}, {"granted": ["segment"]}), "columns.bank-b.granted", "would have to learn"),
        (TWO, {**sides({"granted": ["x"]}, {}), "learns": "size", "protocol": "openmined",
               "engine": OPENMINED}, "columns.bank-a.granted", "a number has no columns"),
        (TWO, {**sides({"granted": ["x"]}, {}), "learns": "all", "join": "difference"},
         "columns.bank-a.granted", "rows without a match"),
        (TWO, {**sides({}, {"granted": ["x"]}), "learns": "all", "join": "difference"},
         "columns.bank-b.granted", "have no columns of another party"),
        (TWO, sides({"granted": ["row"]}, {}), "columns.bank-a.granted", "called 'row' already"),
        (TWO, sides({"key": ["matched"]}, {}), "columns.bank-a.key", "called 'matched' already"),
        (TWO, {**sides({}, {"key": ["x"], "granted": ["phone"]}), "learns": "all"},
         "columns.bank-b.granted", "bank-a has a column 'phone' as well"),
        (TWO, {"size_first": True}, "size_first", "no minimum"),
        (TWO, {"size_first": True, "minimum": 5, "learns": "all"}, "size_first", "the one party"),
        (TWO, {"minimum": 101}, "minimum", "may not bring that many"),
    ],
)  # fmt: skip
def test_a_contradiction_is_refused_by_name(
    roster: list[dict[str, str]], changes: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        specified(roster, **changes)
    assert caught.value.code == "contradictory_spec"
    assert caught.value.details["field"] == field
    assert reason in caught.value.message
    assert chinese(caught.value.message)
    assert chinese(caught.value.hint)


@pytest.mark.parametrize(
    ("roster", "changes", "probed"),
    [
        (TWO, {}, {"bank-a": 0, "bank-b": 100}),
        (TWO, {"receiver": "bank-b"}, {"bank-a": 100, "bank-b": 0}),
        (TWO, {"learns": "all"}, {"bank-a": 100, "bank-b": 100}),
        (TWO, {"minimum": 5, "size_first": True}, {"bank-a": 100, "bank-b": 100}),
        (THREE, {}, {"bank-a": 0, "bank-b": 100, "bank-c": 100}),
        (TWO, {"tells_size": True}, {"bank-a": 100, "bank-b": 100}),
        (TWO, {"tells_size": True, "learns": "all"}, {"bank-a": 100, "bank-b": 100}),
        (THREE, {"learns": "all"}, {"bank-a": 200, "bank-b": 200, "bank-c": 200}),
        (THREE, {"tells_size": True}, {"bank-a": 200, "bank-b": 200, "bank-c": 200}),
    ],
)
def test_whoever_learns_of_single_keys_probes_the_others(
    roster: list[dict[str, str]], changes: dict[str, Any], probed: dict[str, int]
) -> None:
    spec = specified(roster, **changes)
    assert {party: spec.probes(party) for party in spec.parties} == probed


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        (sides({}, {"granted": ["segment"]}, {}), "Set learns to all"),
        ({"join": "full"}, "Set join to inner or left."),
        ({"learns": "all", "join": "right"}, "Set join to inner or difference"),
        ({"learns": "size"}, "Name the party that learns the keys, or all."),
    ],
)
def test_among_three_nobody_is_sent_where_three_cannot_go(
    changes: dict[str, Any], hint: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        specified(THREE, **changes)
    assert caught.value.hint.startswith(hint)
    assert chinese(caught.value.hint)


def test_what_is_told_in_the_report_is_told_once_however_often_a_job_is_begun() -> None:
    spec = specified(TWO, tells_size=True, attempts=4)
    assert [spec.probes_at_worst(party) for party in spec.parties] == [100, 400]
    assert [specified(TWO, attempts=4).probes_at_worst(one) for one in spec.parties] == [0, 400]


def test_a_receiver_can_tell_of_keys_that_it_did_not_bring() -> None:
    spec = specified(THREE, **sides({}, {"most_rows": 40}, {}), learns="all", attempts=2)
    assert [spec.probes(one) for one in spec.parties] == [140, 200, 140]
    assert [spec.probes_at_worst(one) for one in spec.parties] == [280, 2 * 240, 2 * 180]


def test_files_take_room_by_keys_columns_and_the_rows_that_are_shown() -> None:
    spec = specified(TWO, **sides({"granted": ["age"]}, {"most_rows": 40}))
    assert spec.file_bytes("bank-a") == 100 * 128 + 64 * 3 * 40
    assert spec.file_bytes("bank-b") == 40 * 128
    spec = specified(TWO, **sides({}, {"most_rows": 40}), learns="all", join="full")
    assert spec.file_bytes("bank-b") == 40 * 128 + 64 * 2 * (40 + 140)
    spec = specified(THREE, **sides({}, {"most_rows": 40}, {"granted": ["x"]}), learns="all")
    assert spec.file_bytes("bank-a") == 100 * 128 + 40 * 32 + 64 * 3 * 40
    engine = {"protocol": "openmined", "engine": OPENMINED}
    assert specified(TWO, learns="size", **engine).file_bytes("bank-a") == 100 * 128


def test_each_party_reads_its_own_columns() -> None:
    spec = specified(TWO, **sides({"key": ["mobile"], "granted": ["age"]}, {"key": ["msisdn"]}))
    assert (spec.columns_of("bank-a"), spec.columns_of("bank-b")) == (
        ("mobile", "age"),
        ("msisdn",),
    )
    assert spec.column_names == ("mobile", "age", "msisdn")
    assert (spec.min_contributors, spec.privacy, spec.tells_rows, spec.all_private) == (
        2, None, True, False,
    )  # fmt: skip
    assert (between_peers(spec), contributes(spec), two_sum(spec)) == (True, False, False)


def test_what_is_handed_over_follows_from_join_and_columns() -> None:
    spec = specified(TWO, **sides({}, {"granted": ["x"]}), learns="all")
    assert (spec.hands_over("bank-a"), spec.hands_over("bank-b")) == (False, True)
    assert not spec.shows_others("bank-a", "bank-a")
    spec = specified(TWO, learns="all", join="left")
    assert (spec.hands_over("bank-a"), spec.hands_over("bank-b")) == (True, False)
    assert spec.shows_others("bank-a", "bank-b")
    spec = specified(TWO, join="difference")
    assert spec.shows_others("bank-a", "bank-a")
    assert not spec.shows_others("bank-b", "bank-a")


def test_of_three_that_learn_messages_grow_with_columns_alone() -> None:
    """SPU tells the receiver alone, and what it tells the others has one length."""
    assert specified(TWO, learns="all").bytes_tell_size
    assert not specified(THREE, learns="all").bytes_tell_size
    handed = specified(THREE, **sides({}, {"granted": ["x"]}, {}), learns="all")
    assert handed.bytes_tell_size
    assert handed.partners("bank-a") == ("bank-b", "bank-c")
    assert handed.partners("bank-c") == ("bank-a",)
    others = specified(THREE), specified(TWO, learns="all")
    assert [one.tells_others for one in (handed, *others)] == [True, False, False]


def test_the_facts_of_a_policy_are_the_kinds_own() -> None:
    spec = specified(TWO, **sides({"granted": ["x"]}, {}), minimum=5)
    assert spec.facts() == {
        "learns": "one", "receiver": "bank-a", "join": "inner", "protocol": "rr22",
        "engine": "spu", "rules": ("phone",), "granted": ("bank-a/x",), "most_rows": 100,
        "minimum": 5, "attempts": 3,
    }  # fmt: skip
    assert set(spec.facts()) == set(SPEC_KINDS["psi"].facts)


def test_a_spec_is_the_same_after_its_json_and_its_program_covers_what_runs() -> None:
    spec = specified(TWO)
    assert parse(PsiSpec, dump(spec)) == spec
    assert SPEC_KINDS.parse(dump(spec)) == spec
    others = (
        {"protocol": "kkrt"}, {"receiver": "bank-b"}, {"learns": "all"},
        {"key": {"parts": [{"rule": "trim"}]}}, {"engine": {"name": "spu", "version": "0.9.6"}},
        {"minimum": 5, "size_first": True},
    )  # fmt: skip
    programs = {specified(TWO, **change).program for change in others}
    assert len(programs | {spec.program}) == len(others) + 1


def test_a_request_names_rules_alone_or_with_their_country() -> None:
    given = {
        "project": "p", "name": "n", "purpose": "q", "datasets": ["a", "b"],
        "key": ["trim", {"rule": "phone", "country": "DE"}], "learns": "bank-a",
        "columns": {"bank-a": {"key": ["x", "y"]}, "bank-b": {"key": ["x", "y"]}}, "kind": "psi",
    }  # fmt: skip
    parts = parts_of(parse(PsiRequest, given))
    assert parts["key"] == ["trim", {"rule": "phone", "country": "DE"}]
    with pytest.raises(SecureFlowError, match="key"):
        parse(PsiRequest, {**given, "key": ["rot13"]})
    with pytest.raises(SecureFlowError, match="columns"):
        parse(PsiRequest, {**given, "columns": {}})
    assert "sides" in asked(TWO)
