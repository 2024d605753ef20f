"""The prediction script without a network: driven whole, crashed everywhere, parties gone."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.ledger.leaves import leaf_from_json
from secureflow.engines.prediction.kind import PREDICTION_ENGINE
from secureflow.engines.run.kept import KEPT
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese
from tests.unit.engines.prediction.world import DeliveredWorld, PredictionWorld, specified
from tests.unit.engines.training.world import JOB, Crash, Journal, drive, told_dropouts

SILENT = SecureFlowError("party_silent", "gone")
BAD_CELL = SecureFlowError("malformed_cell", "A row of bank-b does not fit in column 'age'.")


class All(PredictionWorld):
    """Every party must be done."""

    changes: ClassVar = {"min_contributors": 4}


def told(report: dict[str, Any]) -> dict[str, Any]:
    """The report without what a second run measures anew."""
    return {k: v for k, v in report.items() if k not in {"ledger", "history"}}


def test_every_party_keeps_its_own_and_the_report_has_commitments_alone() -> None:
    world = PredictionWorld(count=4)
    report = drive(world, [])
    kept = report["prediction"]["kept"]
    assert sorted(kept) == sorted(world.keys)
    for party, one in kept.items():
        leaves = [leaf_from_json(made["leaf"]) for made in world.made[party]]
        (leaf,) = [made for made in leaves if made.leaf.kind == KEPT]
        assert one == {"leaf": leaf.hash(), "commitment": leaf.leaf.commitment}
    outcome = {name: one for name, one in report["prediction"].items() if name != "digest"}
    assert report["prediction"]["digest"] == digest(outcome)
    finished = next(one for one in world.entries if one.get("kind") == "job.finished")
    assert finished["document"]["prediction"] == digest(outcome)
    assert report["contributions"]["bank-a"] == {"rounds": 1, "rows": None}
    assert {verb for _, verb in world.asked} == {"consent", "keep", "cosign", "finish"}


def test_the_log_has_no_word_of_what_is_kept() -> None:
    world = PredictionWorld(count=4)
    report = drive(world, [])
    shown = json.dumps([world.bundle(), report, world.told])
    assert '"rows": 7' not in shown
    verdict = verify_bundle(json.loads(json.dumps(world.bundle())), world.charter)
    assert (verdict.status, verdict.failures) == ("verified", ())


@pytest.mark.parametrize("die_at", range(22))
def test_a_crash_at_any_effect_changes_nothing(die_at: int) -> None:
    undisturbed = told(drive(PredictionWorld(count=4), []))
    world, journal = PredictionWorld(count=4), Journal()
    try:
        drive(world, journal, die_at)
    except Crash:
        pass
    else:
        pytest.skip("the script has fewer effects")
    assert told(drive(world, journal)) == undisturbed
    assert all(len([one for one in made if one["leaf"]["leaf"]["kind"] == KEPT]) == 1
               for made in world.made.values())  # fmt: skip


def test_a_party_that_is_away_is_missing_where_the_spec_lets_it() -> None:
    world = PredictionWorld(count=4)
    world.refuse["bank-d", "keep"] = SILENT
    report = drive(world, [])
    assert report["survivors"] == ["bank-a", "bank-b", "bank-c"]
    assert "bank-d" not in report["prediction"]["kept"]
    (gone,) = told_dropouts(world)
    assert (gone["party"], gone["stage"], gone["code"]) == ("bank-d", "predict", "party_silent")


def test_a_row_that_does_not_fit_ends_a_job_of_which_all_must_be_done() -> None:
    world = All(count=4)
    world.refuse["bank-b", "keep"] = BAD_CELL
    with pytest.raises(SecureFlowError, match=r"3 of 4 parties .* 4 must") as caught:
        drive(world, [])
    assert "in column 'age'" in caught.value.message
    assert caught.value.details["parties"] == ["bank-b"]
    # What the others signed for is in the log all the same.
    logged = [one for one in world.log if b'"kind":"kept"' in one.data]
    assert len(logged) == 3


def test_whoever_applied_a_model_of_code_that_fails_is_told_what_to_do_with_it() -> None:
    """It trains nothing: a simulation would not call what failed."""
    world = All(count=4)
    world.refuse["bank-b", "keep"] = SecureFlowError("bundle_failed", "bank-b: it failed")
    with pytest.raises(SecureFlowError, match="bank-b: it failed") as caught:
        drive(world, [])
    assert "model predict MODEL ROWS --bundle FOLDER" in caught.value.hint
    assert f"agent bundle log {JOB}" in caught.value.hint
    assert "simulate" not in caught.value.hint
    assert chinese(caught.value.hint)


@pytest.mark.parametrize("reply", ["none", "other kind"])
def test_an_answer_without_a_commitment_is_none(reply: str) -> None:
    world = PredictionWorld(count=4)

    def lie(party: str, verb: str, given: dict[str, Any]) -> dict[str, Any]:
        if (party, verb) != ("bank-c", "keep"):
            return given
        return {} if reply == "none" else {**world.made["bank-c"][0], "leaves": []}

    world.liar = lie
    report = drive(world, [])
    assert report["survivors"] == ["bank-a", "bank-b", "bank-d"]
    assert told_dropouts(world)[0]["code"] == "malformed_reply"


def test_files_go_to_whom_the_spec_says_and_the_centre_forgets_them() -> None:
    world = DeliveredWorld(count=4)
    report = drive(world, [])
    others = ["bank-a", "bank-c", "bank-d"]
    assert report["prediction"]["delivered"] == {"to": "bank-b", "parties": others}
    assert world.stored == set()
    (section,) = report["sections"]
    assert section["rows"][-1]["value"] == "bank-b"
    assert all(chinese(text) for text in (section["title"], section["rows"][-1]["label"]))
    asked = [(party, verb) for party, verb in world.asked if verb in {"receive", "collect"}]
    assert asked == [("bank-b", "receive"), ("bank-b", "collect")]
    sealing = {party for party, verb in world.asked if verb in {"seal", "hand_over"}}
    assert sealing == set(others)
    entry = next(one for one in world.entries if one.get("kind") == "results.delivered")
    assert entry["document"] == {"stage": "predict", "to": "bank-b", "parties": others}
    verdict = verify_bundle(json.loads(json.dumps(world.bundle())), world.charter)
    assert (verdict.status, verdict.failures) == ("verified", ())


@pytest.mark.parametrize("die_at", range(10, 32))
def test_a_crash_during_a_delivery_changes_nothing(die_at: int) -> None:
    undisturbed = told(drive(DeliveredWorld(count=4), []))
    world, journal = DeliveredWorld(count=4), Journal()
    try:
        drive(world, journal, die_at)
    except Crash:
        pass
    else:
        pytest.skip("the script has fewer effects")
    assert told(drive(world, journal)) == undisturbed


@pytest.mark.parametrize("verb", ["seal", "hand_over"])
def test_a_party_that_goes_before_its_file_arrived_is_missing_in_the_delivery(verb: str) -> None:
    world = DeliveredWorld(count=4)
    world.refuse["bank-d", verb] = SILENT
    report = drive(world, [])
    assert report["prediction"]["delivered"]["parties"] == ["bank-a", "bank-c"]
    assert report["survivors"] == ["bank-a", "bank-b", "bank-c", "bank-d"]  # it keeps its file
    assert told_dropouts(world)[0]["party"] == "bank-d"


class Another(DeliveredWorld):
    """The centre has a file of bank-d's other than the one that it sealed."""

    def party_hand_over(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        sent = super().party_hand_over(party, body)
        return {"vector": "ee" * 32} if party == "bank-d" else sent


@pytest.mark.parametrize("least", [3, 4])
def test_a_party_that_sends_another_file_than_it_sealed_is_told_of(
    least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Another, "changes", {**Another.changes, "min_contributors": least})
    world = Another(count=4)
    if least == 4:  # all are needed
        with pytest.raises(SecureFlowError, match="bank-d sent another file") as caught:
            drive(world, [])
        assert caught.value.details["parties"] == ["bank-d"]
        return
    report = drive(world, [])
    assert report["prediction"]["delivered"]["parties"] == ["bank-a", "bank-c"]
    (gone,) = told_dropouts(world)
    assert (gone["party"], gone["stage"], gone["code"]) == ("bank-d", "predict", "malformed_reply")
    assert chinese(gone["reason"])


class Opening(DeliveredWorld):
    """The recipient opens no file of bank-d, or answers with a leaf of another kind."""

    error: ClassVar = SecureFlowError("chunk_forged", "What bank-d sent.", "", {"party": "bank-d"})
    received: ClassVar = True

    def party_collect(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
        if not self.received:
            return self.made[party][-1]
        if "bank-d" in body["files"]:
            raise self.error
        return super().party_collect(party, body)


@pytest.mark.parametrize("least", [3, 4])
def test_a_file_that_does_not_open_costs_the_others_nothing(
    least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Opening, "changes", {**Opening.changes, "min_contributors": least})
    world = Opening(count=4)
    if least == 4:  # all are needed
        with pytest.raises(SecureFlowError, match="What bank-d sent") as caught:
            drive(world, [])
        assert caught.value.code == "too_few_contributors"
        return
    report = drive(world, [])
    assert report["prediction"]["delivered"]["parties"] == ["bank-a", "bank-c"]
    assert [one for one in world.asked if one[1] == "collect"] == [("bank-b", "collect")] * 2
    assert told_dropouts(world)[0]["party"] == "bank-d"


@pytest.mark.parametrize(
    "error",
    [
        SecureFlowError("chunk_forged", "of nobody", "", {"party": "bank-x"}),
        SecureFlowError("dataset_changed", "own fault", "", {"party": "bank-d"}),
        SecureFlowError("chunk_forged", "of no name", "", {"party": ["bank-d"]}),
    ],
    ids=["another party", "another failure", "no name"],
)
def test_a_failure_of_the_recipient_itself_ends_the_job(
    error: SecureFlowError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Opening, "error", error)
    with pytest.raises(SecureFlowError, match=str(error.message)):
        drive(Opening(count=4), [])


def test_a_recipient_that_commits_to_nothing_has_received_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Opening, "received", False)
    with pytest.raises(SecureFlowError, match="bank-b does not commit to what it keeps"):
        drive(Opening(count=4), [])


@pytest.mark.parametrize("verb", ["receive", "collect"])
def test_without_the_recipient_the_job_ends_and_the_centre_forgets(verb: str) -> None:
    world = DeliveredWorld(count=4)
    world.refuse["bank-b", verb] = SILENT
    with pytest.raises(SecureFlowError, match="gone"):
        drive(world, [])
    assert world.stored == set()
    assert world.asked[-1] == ("aggregator", "finish")


@pytest.mark.parametrize("deliver", [None, {"to": "bank-b"}])
def test_every_row_of_the_explanation_has_its_chinese(deliver: dict[str, str] | None) -> None:
    spec = specified([{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in "abc"],
                     **({"deliver": deliver} if deliver else {}))  # fmt: skip
    explained = PREDICTION_ENGINE.explanation(spec, tee="", accounting=None, rounds=[], dropouts=[])
    for row in (*explained["disclosure"], *explained["attacks"]):
        for name in ("sees", "why", "attack"):
            assert not row.get(name) or chinese(row[name]), row[name]
    operator = next(row for row in explained["disclosure"] if row["who"] == "operator")
    assert ("sealed file" in operator["sees"]) == (deliver is not None)
