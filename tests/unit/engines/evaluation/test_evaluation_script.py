"""The evaluation script without a network: driven whole, crashed everywhere, parties gone."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from secureflow.application.reports.pictures.evaluation import pictures
from secureflow.domain.figures import STABILITY
from secureflow.engines.ledger.reported import comparison_digest
from secureflow.engines.run.comparison import shortened
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import text_in
from tests.full import thinned
from tests.unit.engines.evaluation.world import ROWS, EvaluationWorld
from tests.unit.engines.training.world import Crash, Journal, drive

SILENT = SecureFlowError("party_silent", "gone")


class Told(EvaluationWorld):
    """Parties are told apart."""

    changes: ClassVar = {"per_party": True, "costs": {"false_positive": 1, "false_negative": 5}}


class Private(EvaluationWorld):
    """With noise, and parties told apart."""

    changes: ClassVar = {
        "per_party": True,
        "privacy": {"delta": 1e-6, "noise_multiplier": 0.5},
    }


class Compared(EvaluationWorld):
    """The second model was evaluated before."""

    changes: ClassVar = {
        "baseline": [
            {"job": "job_cccccccccc", "model": "cd" * 32, "edges": [0.0], "counts": [30.0, 70.0]}
        ]
    }


def auc(world: EvaluationWorld, model: int, parties: list[str]) -> float:
    rows = [world.rows(party, model) for party in parties]
    labels = np.concatenate([known for _, known in rows])
    return float(roc_auc_score(labels, np.concatenate([scores[:, 0] for scores, _ in rows])))


def lines_of(model: dict[str, Any]) -> list[str]:
    return [text_in(line, "line") for line in model["honest"]]


def told(report: dict[str, Any]) -> dict[str, Any]:
    """The report without the log's head, which holds the parties' fresh keys."""
    return {k: v for k, v in report.items() if k not in {"ledger", "history"}}


def test_figures_are_those_of_all_rows() -> None:
    world = EvaluationWorld(count=4)
    report = drive(world, [])
    models = report["evaluation"]["models"]
    assert [one["model"] for one in models] == [one.digest for one in world.spec.models]
    for at, one in enumerate(models):
        assert one["figures"]["rows"] == 4 * ROWS
        exact = auc(world, at, sorted(world.keys))
        assert one["figures"]["auc"] == pytest.approx(exact, abs=one["bounds"]["auc"] + 1e-9)
        assert one["contributors"] == sorted(world.keys)
        assert one["parties"] is None
    assert [one["seen"] for one in models] == [["bank-a", "bank-b"], []]
    said = [[line for line in lines_of(one) if "may have learned" in line] for one in models]
    assert [len(lines) for lines in said] == [1, 0]
    assert "rows of bank-a, bank-b that" in said[0][0]
    assert any("rows of bank-a, bank-b that" in str(one["rows"]) for one in report["sections"])
    assert report["evaluation"]["digest"] == digest(models)
    finished = next(one for one in world.entries if one.get("kind") == "job.finished")
    assert finished["document"]["comparison"] == comparison_digest(report["comparison"])
    assert finished["document"]["evaluation"] == digest(models)


def test_each_party_has_its_own_figures_only_where_the_spec_says_so() -> None:
    world = Told(count=4)
    first, _ = drive(world, [])["evaluation"]["models"]
    assert set(first["parties"]) == set(world.keys)
    for party, figures in first["parties"].items():
        assert figures["rows"] == ROWS
        assert figures["auc"] == pytest.approx(auc(world, 0, [party]), abs=0.03)
    assert first["costs"] == [1, 5]


def test_a_shift_is_told_of_the_model_that_has_a_baseline() -> None:
    report = drive(Compared(count=4), [])
    first, second = report["evaluation"]["models"]
    assert (first["psi"], second["psi"]["job"]) == (None, "job_cccccccccc")
    titles = [one["title"] for one in report["sections"]]
    assert titles.count(STABILITY) == 1
    (shift,) = (one for one in report["sections"] if one["title"] == STABILITY)
    assert shift["rows"][0] == {"label": "PSI", "value": shortened(second["psi"]["psi"])}
    assert str(pictures(report["evaluation"])).count("Share of rows in each group") == 1


@pytest.mark.parametrize("die_at", thinned(range(0, 36, 3), 3, pytest.mark.full))
def test_a_crash_at_any_effect_changes_nothing(die_at: int) -> None:
    undisturbed = told(drive(EvaluationWorld(count=4), []))
    world, journal = EvaluationWorld(count=4), Journal()
    try:
        drive(world, journal, die_at)
    except Crash:
        pass
    else:
        pytest.skip("the script has fewer effects")
    assert told(drive(world, journal)) == undisturbed


def test_a_party_that_goes_is_not_in_the_second_model_and_has_no_figures() -> None:
    world = Told(count=4)

    def leave(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if party == "bank-d" and verb == "answer":
            world.silent.add("bank-d")
        return reply

    world.liar = leave
    report = drive(world, [])
    first, second = report["evaluation"]["models"]
    rest = ["bank-a", "bank-b", "bank-c"]
    assert first["contributors"] == sorted(world.keys)
    assert (second["contributors"], sorted(second["parties"])) == (rest, rest)
    assert second["figures"]["auc"] == pytest.approx(auc(world, 1, rest), abs=0.01)
    assert report["survivors"] == rest


def test_too_few_parties_end_it_by_name() -> None:
    world = EvaluationWorld(count=4)
    world.refuse["bank-b", "mask"] = world.refuse["bank-c", "mask"] = SILENT
    with pytest.raises(SecureFlowError) as caught:
        drive(world, [])
    assert {"bank-b", "bank-c"} <= set(caught.value.details["parties"])


def test_code_of_a_model_that_fails_is_not_tried_in_a_simulation() -> None:
    world = EvaluationWorld(count=4)
    failed = SecureFlowError("bundle_output_refused", "it says more than 1")
    world.refuse["bank-b", "mask"] = world.refuse["bank-c", "mask"] = failed
    with pytest.raises(SecureFlowError, match="it says more than 1") as caught:
        drive(world, [])
    assert "model predict MODEL ROWS --bundle FOLDER" in caught.value.hint


def test_noise_is_the_same_for_the_same_model_and_is_in_every_part() -> None:
    reports = [drive(Private(count=4), []) for _ in range(2)]
    noisy, exact = reports[0]["evaluation"], drive(Told(count=4), [])["evaluation"]
    assert noisy == reports[1]["evaluation"]
    for one, other in zip(noisy["models"], exact["models"], strict=True):
        assert one["figures"]["auc"] != other["figures"]["auc"]
        for party in one["parties"]:
            assert one["parties"][party] != other["parties"][party]
        assert 0 <= one["figures"]["auc"] <= 1
        # A party has fewer rows and as much noise: what that does to its figures is told.
        assert set(one["parties_noise"]) == set(one["parties"])
        assert other["parties_noise"] is None
        for errors in one["parties_noise"].values():
            assert errors["rows"] > 0
            assert errors["auc"] > one["noise"]["auc"]
        (line,) = [told for told in lines_of(one) if "hold the whole noise" in told]
        assert all(f"{party} ± 0." in line for party in one["parties"])
        assert not any("hold the whole noise" in told for told in lines_of(other))


def test_sums_that_no_rows_have_end_the_job_and_name_who_contributed() -> None:
    class Lying(EvaluationWorld):
        def added(self, party: str, body: dict[str, Any]) -> Any:
            found = super().added(party, body)
            return found + (party == "bank-c") * 12345

    with pytest.raises(SecureFlowError) as caught:
        drive(Lying(count=4), [])
    assert caught.value.code == "totals_malformed"
    assert "bank-a, bank-b, bank-c, bank-d" in caught.value.hint
