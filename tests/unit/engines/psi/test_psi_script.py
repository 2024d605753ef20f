"""The script of attempts without a network: driven whole, crashed everywhere, parties lost."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from secureflow.application.reports.page import render
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.ledger.leaves import leaf_from_json
from secureflow.engines.psi.kind import PSI_ENGINE
from secureflow.engines.run.attemptcodes import AGAIN
from secureflow.engines.run.attempts import ATTEMPT
from secureflow.engines.run.kept import KEPT
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import text_in
from secureflow.texts import chinese
from tests.full import thinned
from tests.unit.engines.psi.world import (
    BROKEN,
    AllWorld,
    Keeping,
    OnceLost,
    PsiWorld,
    Unheard,
    specified,
)
from tests.unit.engines.training.world import Crash, Journal, World, drive, told_dropouts

WORLDS = (PsiWorld, AllWorld, OnceLost, Keeping, Unheard)
BOUND = ("program", "learns", "receiver", "attempt", "entered", "kept")
"""What the log binds of the report's part."""


def told(report: dict[str, Any]) -> dict[str, Any]:
    """The report without what a second run measures anew."""
    intersection = dict(report["intersection"])
    attempts = [{**one, "seconds": 0} for one in intersection.pop("attempts")]
    del intersection["seconds"]
    left_out = {"ledger", "history", "sections", "intersection"}
    shown = {k: v for k, v in report.items() if k not in left_out}
    return {**shown, "intersection": intersection, "attempts": attempts}


def kinds(world: World, party: str) -> list[str]:
    return [leaf_from_json(one["leaf"]).leaf.kind for one in world.made[party]]


def test_who_learns_keeps_a_result_and_the_report_has_counts_alone() -> None:
    world = PsiWorld(count=2)
    report = drive(world, [])
    found = report["intersection"]
    assert (found["keys"], found["matched"]) == ({"bank-a": 12, "bank-b": 12}, {"bank-a": 11})
    assert kinds(world, "bank-a") == ["approval", ATTEMPT, KEPT, "finished"]
    assert kinds(world, "bank-b") == ["approval", ATTEMPT, "finished"]
    (kept,) = [leaf_from_json(one["leaf"]) for one in world.made["bank-a"]
               if one["leaf"]["leaf"]["kind"] == KEPT]  # fmt: skip
    assert found["kept"] == {"bank-a": {"leaf": kept.hash(), "commitment": kept.leaf.commitment}}
    bound = {name: found[name] for name in BOUND}
    assert found["digest"] == digest(bound)
    finished = next(one for one in world.entries if one.get("kind") == "job.finished")
    assert finished["document"]["intersection"] == digest(bound)
    assert {verb for _, verb in world.asked} == {
        "consent", "cosign", "peer_offer", "peer_run", "finish",
    }  # fmt: skip


def test_the_keys_are_committed_to_in_the_log_before_anybody_computes() -> None:
    world = PsiWorld(count=2)
    seen: list[int] = []
    run = world.party_peer_run

    def noting(party: str, body: dict[str, Any]) -> dict[str, Any]:
        seen.append(sum(b'"kind":"attempt"' in one.data for one in world.log))
        return run(party, body)

    world.party_peer_run = noting  # type: ignore[method-assign]
    drive(world, [])
    assert seen == [2, 2]
    verdict = verify_bundle(json.loads(json.dumps(world.bundle())), world.charter)
    assert (verdict.status, verdict.failures) == ("verified", ())


def test_the_log_has_no_word_of_what_is_kept() -> None:
    world = PsiWorld(count=2)
    report = drive(world, [])
    assert '"rows": 11' not in json.dumps([world.bundle(), report, world.told])


@pytest.mark.parametrize("world_of", WORLDS)
@pytest.mark.parametrize("die_at", thinned(range(8, 36), 3, pytest.mark.full))
def test_a_crash_at_any_effect_changes_nothing(world_of: type[PsiWorld], die_at: int) -> None:
    undisturbed = told(drive(world_of(count=2), []))
    world, journal = world_of(count=2), Journal()
    try:
        drive(world, journal, die_at)
    except Crash:
        pass
    else:
        pytest.skip("the script has fewer effects")
    assert told(drive(world, journal)) == undisturbed
    assert all(kinds(world, party).count(KEPT) <= 1 for party in world.keys)


def test_an_attempt_that_a_restart_ended_is_begun_again() -> None:
    world = OnceLost(count=2)
    report = drive(world, [])
    attempts = report["intersection"]["attempts"]
    assert [(one["attempt"], one["state"]) for one in attempts] == [(1, "failed"), (2, "succeeded")]
    assert [one["code"] for one in attempts[0]["reasons"]] == ["peer_broken", "attempt_lost"]
    assert kinds(world, "bank-b").count(ATTEMPT) == 2
    assert {one["party"] for one in told_dropouts(world)} == {"bank-a", "bank-b"}
    assert report["intersection"]["attempt"] == 2


def test_attempts_end_by_name() -> None:
    world = PsiWorld(count=2)
    world.refuse["bank-b", "peer_run"] = BROKEN
    with pytest.raises(SecureFlowError, match="bank-b: The engine ended") as caught:
        drive(world, [])
    assert caught.value.code == "attempts_exhausted"
    assert caught.value.details["attempts"] == 3
    assert caught.value.hint == BROKEN.hint
    assert chinese(caught.value.message)
    ended = [one["document"] for one in world.entries if one.get("kind") == "attempt.ended"]
    assert [one["outcome"] for one in ended] == ["failed"] * 3
    assert ended[0]["failures"] == {"bank-a": "peer_absent", "bank-b": "engine_failed"}


@pytest.mark.parametrize("verb", ["peer_offer", "peer_run"])
def test_what_no_repetition_changes_ends_the_job_at_once(verb: str) -> None:
    world = PsiWorld(count=2)
    refused = SecureFlowError("dataset_changed", "The file was altered.", "Publish it again.")
    world.refuse["bank-b", verb] = refused
    with pytest.raises(SecureFlowError, match="bank-b: The file was altered") as caught:
        drive(world, [])
    assert caught.value.code == "dataset_changed" not in AGAIN
    assert caught.value.details["parties"] == ["bank-b"]
    assert caught.value.hint == "Publish it again."
    assert chinese(caught.value.message)
    assert [one for one in world.asked if one[1] == "peer_offer"] == [
        ("bank-a", "peer_offer"), ("bank-b", "peer_offer"),
    ]  # fmt: skip


def test_a_sender_that_is_lost_after_the_result_costs_no_attempt() -> None:
    world = PsiWorld(count=4)
    world.refuse["bank-d", "peer_run"] = BROKEN
    report = drive(world, [])
    assert report["intersection"]["attempt"] == 1
    assert report["survivors"] == ["bank-a", "bank-b", "bank-c"]
    assert "bank-d" not in report["intersection"]["keys"]
    (gone,) = told_dropouts(world)
    assert (gone["party"], gone["stage"], gone["code"]) == ("bank-d", "intersect", "engine_failed")


def test_a_result_that_was_made_is_not_made_again() -> None:
    world = Keeping(count=2)
    report = drive(world, [])
    assert kinds(world, "bank-a").count(KEPT) == kinds(world, "bank-b").count(KEPT) == 1
    assert report["intersection"]["attempt"] == 2
    assert world.runs == [("bank-a", 1), ("bank-a", 2), ("bank-b", 2)]


def test_a_receiver_that_is_done_needs_no_further_run() -> None:
    world = Unheard(count=2)
    report = drive(world, [])
    assert world.runs == [("bank-a", 1), ("bank-b", 1)]
    assert report["intersection"]["matched"] == {"bank-a": 11}
    assert [one["state"] for one in report["intersection"]["attempts"]] == ["failed", "succeeded"]


@pytest.mark.parametrize("fault", ["no leaf", "other attempt", "other statement", "for nobody"])
def test_an_entry_that_the_peers_would_refuse_is_its_partys_failure(fault: str) -> None:
    world = PsiWorld(count=2)

    def lie(party: str, verb: str, given: dict[str, Any]) -> dict[str, Any]:
        if (party, verb) != ("bank-b", "peer_offer"):
            return given
        if fault == "no leaf":
            return {"statements": given["statements"]}
        if fault == "for nobody":
            return {**given, "statements": {}}
        if fault == "other statement":
            return {**given, "statements": {"bank-a": {"body": {}, "signature": "another"}}}
        document = {**given["document"], "attempt": 7}
        return {**given, "document": document}

    world.liar = lie
    with pytest.raises(SecureFlowError, match="The entry of bank-b into the attempt") as caught:
        drive(world, [])
    assert caught.value.code == "peer_offer_forged"
    assert ("bank-a", "peer_run") not in world.asked


def test_a_receiver_that_commits_to_nothing_has_no_result() -> None:
    world = PsiWorld(count=2)

    def lie(party: str, verb: str, given: dict[str, Any]) -> dict[str, Any]:
        if (party, verb) != ("bank-a", "peer_run"):
            return given
        return {**given, "leaf": world.made["bank-a"][1]["leaf"], "leaves": []}

    world.liar = lie
    with pytest.raises(SecureFlowError, match="bank-a does not commit to what it keeps") as caught:
        drive(world, [])
    assert caught.value.details["parties"] == ["bank-a"]
    assert world.told[-1][1]["reasons"][0]["party"] == "bank-a"


def test_how_many_match_is_told_only_where_the_spec_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PsiWorld, "changes", {"tells_size": False})
    report = drive(PsiWorld(count=2), [])
    assert report["intersection"]["matched"] == {}
    assert "11" not in [str(row["value"]) for row in report["sections"][0]["rows"]]
    operator = next(row for row in report["disclosure"] if row["who"] == "operator")
    assert "how many match" not in operator["sees"]


PAIR = {"protocol": "openmined", "engine": {"name": "openmined", "version": "2.0.6"}}


@pytest.mark.parametrize(
    ("changes", "grows"),
    [
        ({}, True),
        (PAIR, False),
        ({**PAIR, "join": "left"}, True),
        ({"learns": "one"}, False),
    ],
    ids=["both by SPU", "both by openmined", "with rows of the other", "one"],
)
def test_where_bytes_tell_the_size_that_is_said(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], *, grows: bool
) -> None:
    """What goes to and fro in plain grows with what matches, and the report has its bytes."""
    whole = {"learns": "all", "tells_size": False, **changes}
    monkeypatch.setattr(PsiWorld, "changes", whole)
    report = drive(PsiWorld(count=2), [])
    assert report["intersection"]["matched"] == {}
    (row,) = [one for one in report["sections"][0]["rows"] if one["label"] == "keys that match"]
    assert ("the bytes over the channels" in row["value"]) == grows
    assert chinese(row["value"])
    sees = {one["who"]: one["sees"] for one in report["disclosure"]}
    assert ("about how many match" in sees["operator"]) == grows
    leaks = [one["value"] for one in report["sections"][-1]["rows"] if one["label"] == "Lets out"]
    assert any("worked out from the bytes" in one for one in leaks) == grows


def test_a_figure_that_is_no_count_is_none() -> None:
    world = PsiWorld(count=2)
    world.liar = lambda party, verb, given: (
        {**given, "figures": {**given["figures"], "matched": -1}} if verb == "peer_run" else given
    )
    report = drive(world, [])
    assert report["intersection"]["keys"] == {"bank-a": 12, "bank-b": 12}
    assert report["intersection"]["matched"] == {}


class Boasting(PsiWorld):
    """A party says that it ran over another number of keys than it committed to."""

    who: ClassVar = "bank-a"
    told: ClassVar[Any] = None

    def party_peer_run(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        given = super().party_peer_run(party, body)
        figures = {**given["figures"], "keys": self.told}
        return {**given, "figures": figures} if party == self.who else given


@pytest.mark.parametrize("who", ["bank-a", "bank-b"])
@pytest.mark.parametrize("told", [5000, "many", True, None])
def test_a_report_has_the_keys_that_were_committed_to(
    monkeypatch: pytest.MonkeyPatch, who: str, told: Any
) -> None:
    """A receiver that says other ones has no result; of another party there is no number."""
    monkeypatch.setattr(Boasting, "who", who)
    monkeypatch.setattr(Boasting, "told", told)
    world = Boasting(count=2)
    if who == "bank-a":
        with pytest.raises(SecureFlowError, match="bank-a says that it ran over") as caught:
            drive(world, [])
        assert caught.value.code == "peer_result_malformed"
        said = caught.value.details["failures"]["bank-a"]["message"]
    else:
        found = drive(world, [])["intersection"]
        assert found["keys"] == {"bank-a": 12}
        (reason,) = found["attempts"][0]["reasons"]
        assert (reason["party"], reason["code"]) == ("bank-b", "peer_result_malformed")
        said = text_in(reason, "reason")
    assert chinese(said)


def test_the_page_of_a_report_has_its_parts_in_both_languages() -> None:
    report = drive(OnceLost(count=2), [])
    for section in report["sections"]:
        assert chinese(section["title"]), section["title"]
        for row in section["rows"]:
            label = text_in(row, "label")
            assert label in {"bank-a", "bank-b"} or chinese(label), label
            value = text_in(row, "value") if isinstance(row["value"], str) else ""
            assert " " not in value or chinese(value), value
    assert "attempt 2" in render(report)


@pytest.mark.parametrize(
    ("count", "changes"),
    [
        (2, {}), (2, {"learns": "all", "join": "full"}), (3, {"minimum": 5}),
        (2, {"minimum": 5, "size_first": True}), (2, {"tells_size": True}),
        (2, {"learns": "all"}), (3, {"learns": "all"}),
        (2, {"learns": "size", "protocol": "openmined",
             "engine": {"name": "openmined", "version": "2.0.6"}}),
    ],
)  # fmt: skip
def test_every_row_of_the_explanation_has_its_chinese(count: int, changes: dict[str, Any]) -> None:
    roster = [{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in "abc"[:count]]
    spec = specified(roster, **changes)
    explained = PSI_ENGINE.explanation(spec, tee="", accounting=None, rounds=[], dropouts=[])
    for row in (*explained["disclosure"], *explained["attacks"], *explained["label"]):
        for name in ("sees", "why", "attack", "what"):
            assert not row.get(name) or chinese(text_in(row, name)), row[name]
    leaks = " ".join(row["why"] for row in explained["label"] if row["what"] == "Lets out")
    assert ("each single one of the others" in leaks) == (count > 2)
    stopped = [(row["attack"], row["stopped"]) for row in explained["attacks"]]
    told = [stop for attack, stop in stopped if attack.startswith("bank-a ") and "tells" in attack]
    assert told == (["partly", "no", "no"] if count > 2 and "learns" in changes else [])
    assert ("how many rows of bank-b do not match" in leaks) == (changes.get("join") == "full")
    assert ("and not which" in leaks) == (changes.get("learns") == "size")
    sized = changes.get("learns") == "size" or "size_first" in changes
    assert ("which of them is the word of its engine" in leaks) == sized
