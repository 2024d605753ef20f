"""Scores in a record: what the centre alters of them is seen, by what others signed."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from secureflow.domain.scoredocument import scores_digest, shares_of
from secureflow.engines.ledger.bundle import BundleVerdict, verify_bundle
from secureflow.kit.canonical import digest

from .test_bundle import BANKS, CHARTER, ENCLAVE, EVIL, JOB, SPEC, Action, Story, honest_actions

PLAN = {
    "rows": 20, "method": "gtg_shapley", "permutations": 4, "within": 0.001, "between": 0.0,
}  # fmt: skip
SCORED_SPEC = {**SPEC, "plan": {"rounds": 2, "contribution": PLAN}}
SCORES = {"bank-a": 3021, "bank-b": 1007, "bank-c": -500, "bank-d": 1}
SHARES = dict(zip(SCORES, shares_of(list(SCORES.values())), strict=True))


def commitment(bank: str) -> str:
    return digest({"rows of": bank})


def document(**changes: Any) -> dict[str, Any]:
    lines = {
        bank: {"score": one / 1e4, "low": (one - 7) / 1e4, "high": (one + 7) / 1e4,
               "share": SHARES[bank] / 1e4}
        for bank, one in SCORES.items()
    }  # fmt: skip
    return {
        "job": JOB, "spec": digest(SCORED_SPEC), "scored": True, **PLAN, "seed": "ab" * 32,
        "rounds": [1, 2], "evaluations": 32, "seconds": 0.25,
        "commitments": {bank: commitment(bank) for bank in BANKS}, "scores": lines, **changes,
    }  # fmt: skip


def signed(told: dict[str, Any], key: Any = ENCLAVE) -> dict[str, Any]:
    return {"document": told, "signature": key.sign("contribution", told)}


HONEST = signed(document())


def scored_actions(told: Any = HONEST, named: str = scores_digest(HONEST)) -> list[Action]:
    """Return the deeds of a scored job; the ends of all banks name these scores."""
    actions = []
    for one in honest_actions():
        if one.kind == "update" and one.document == {"round": 0}:
            rows = {"round": 0, "stage": "validation", "update": commitment(one.author)}
            actions.append(replace(one, document=rows))
        elif one.kind == "job.finished" and one.job == JOB:
            outcome = {"outcome": "succeeded"} | ({} if told is None else {"contribution": told})
            actions.append(replace(one, document=outcome))
        else:
            actions.append(replace(one, scores=named) if one.kind == "finished" else one)
    return actions


def story(
    told: Any = HONEST, *, named: str = scores_digest(HONEST), spec: dict[str, Any] = SCORED_SPEC
) -> Story:
    return Story(scored_actions(told, named), spec)


def verdict(told: Any = HONEST, report: Any = None, **changes: Any) -> BundleVerdict:
    return verify_bundle(story(told, **changes).bundle(), CHARTER, report=report)


def failures(*args: Any, **changes: Any) -> str:
    found = verdict(*args, **changes)
    assert found.status == "broken"
    return "\n".join(found.failures)


def altered(**scores: Any) -> dict[str, Any]:
    """Return what a centre makes of the scores: another number, the signature as it was."""
    told = copy.deepcopy(HONEST)
    told["document"]["scores"]["bank-b"] |= scores
    return told


def test_scores_that_an_attested_enclave_signed_verify() -> None:
    assert verdict().ok
    assert verify_bundle(story().bundle(), None).status == "consistent, unauthenticated"


def test_a_score_that_the_centre_altered_breaks_the_record() -> None:
    assert "shares do not follow" in failures(altered(score=0.1008, high=0.2), named="")
    told = altered(high=0.2)
    lines = failures(told, named="").splitlines()
    assert lines == ["no enclave that enough members of the roster vouch for signed the scores"]
    assert "bank-a ended the job with other scores than the centre's outcome" in failures(told)


def test_scores_of_a_key_that_nobody_attested_are_none() -> None:
    for key in (EVIL, BANKS["bank-a"]):
        other = signed(document(), key)
        found = failures(other, named=scores_digest(other))
        assert "no enclave that enough members of the roster vouch for" in found


def test_a_key_that_only_a_colluder_attests_signs_no_scores() -> None:
    told = signed(document(), EVIL)
    actions = scored_actions(told, "")
    actions.insert(9, Action("bank-a", "attested", {"release": EVIL.public, "job": JOB}))
    found = verify_bundle(Story(actions, SCORED_SPEC).bundle(), CHARTER).failures
    assert found == ("no enclave that enough members of the roster vouch for signed the scores",)


def test_ends_that_name_other_scores_contradict_the_centre() -> None:
    other = signed(document(seed="cd" * 32))  # of the enclave, and not those that parties verified
    found = failures(other)
    assert found.count("ended the job with other scores than the centre's outcome holds") == 4
    assert verdict(other, named="").ok  # nobody who signed an end compared them


def test_rows_of_another_commitment_were_not_scored() -> None:
    told = document()
    told["commitments"]["bank-c"] = "00" * 32
    other = signed(told)
    found = failures(other, named=scores_digest(other))
    assert found == "bank-c committed to no such validation rows as were scored"


def twice(*, opened: bool = True) -> Story:
    """Return the record of a party that committed to other rows, too: for another enclave."""
    actions = scored_actions()
    at = next(n for n, one in enumerate(actions) if (one.author, one.kind) == ("bank-c", "update"))
    rows = {"round": 0, "stage": "validation", "update": "00" * 32}
    actions.insert(at, Action("bank-c", "update", rows if opened else None))
    return Story(actions, SCORED_SPEC)


def test_a_party_that_committed_to_rows_twice_could_choose_among_scores() -> None:
    found = verify_bundle(twice().bundle(), CHARTER).failures
    assert found == ("bank-c committed to validation rows more than once",)
    hidden = verify_bundle(twice(opened=False).bundle(), CHARTER)
    assert hidden.status == "unfinished"
    assert "bank-c commits to its rows comes without" in "\n".join(hidden.missing)


def test_a_commitment_without_its_document_leaves_the_record_unfinished() -> None:
    actions = [
        replace(one, document=None)
        if one.author == "bank-b" and isinstance(one.document, dict) and "stage" in one.document
        else one
        for one in scored_actions()
    ]
    found = verify_bundle(Story(actions, SCORED_SPEC).bundle(), CHARTER)
    assert found.status == "unfinished"
    assert "bank-b commits to its rows comes without" in "\n".join(found.missing)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"job": "job_other"}, "of another job or spec"),
        ({"spec": "00" * 32}, "of another job or spec"),
        ({"permutations": 5}, "not made as the plan says"),
        ({"within": 0.01}, "not made as the plan says"),
        ({"seed": "ab"}, "form is wrong"),
        ({"rounds": [2, 1]}, "form is wrong"),
        ({"rounds": [True]}, "form is wrong"),
        ({"seconds": -1}, "form is wrong"),
        ({"more": 1}, "form is wrong"),
        ({"commitments": {}}, "parties are not the roster"),
        ({"scores": {"bank-a": {}}}, "parties are not the roster"),
        ({"scored": False}, "form is wrong"),
        ({"scored": None}, "form is wrong"),
    ],
)
def test_what_follows_from_the_document_is_computed_again(
    changes: dict[str, Any], reason: str
) -> None:
    other = signed(document(**changes))
    assert reason in failures(other, named=scores_digest(other))


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({"share": 0.9}, "shares do not follow"),
        ({"score": 0.9, "high": 1}, "shares do not follow"),
        ({"score": 0.10071}, "form is wrong"),
        ({"score": 1e300}, "form is wrong"),
        ({"low": 0.2}, "form is wrong"),
        ({"share": "0.25"}, "form is wrong"),
        ({"score": True}, "form is wrong"),
    ],
)
def test_figures_are_held_to_the_shares(figures: dict[str, Any], reason: str) -> None:
    other = signed(altered(**figures)["document"])
    assert reason in failures(other, named=scores_digest(other))


def test_an_enclave_that_lost_them_says_so_of_the_roster() -> None:
    lost = {"job": JOB, "spec": digest(SCORED_SPEC), "scored": False, "parties": sorted(BANKS)}
    told = signed(lost)
    assert verdict(told, named=scores_digest(told)).ok
    for parties in (sorted(BANKS)[1:], [*sorted(BANKS)[1:], 1], None):
        other = signed({**lost, "parties": parties})
        assert "form is wrong" in failures(other, named="")


@pytest.mark.parametrize("told", [None, {}, {"document": 1, "signature": ""}, 7])
def test_a_scored_job_does_not_succeed_without_scores(told: Any) -> None:
    assert "without the scores that its spec asks for" in failures(told, named="")


def test_a_job_that_asks_for_none_has_none() -> None:
    assert "that the spec asks not for" in failures(spec=SPEC)
    assert verdict(None, named="", spec=SPEC).ok


def rows_of(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"label": "bank-a", "value": ["0.3021", "[0.3014, 0.3028]", "74.98 %"]},
        {"label": "bank-b", "value": ["0.1007", "[0.1000, 0.1014]", "24.99 %"]},
        {"label": "bank-c", "value": ["-0.0500", "[-0.0507, -0.0493]", "0.00 %"]},
        {"label": "bank-d", "value": ["0.0001", "[-0.0006, 0.0008]", "0.03 %"]},
        {"label": "validation rows of each party", "value": told["document"]["rows"]},
    ]


def report(told: dict[str, Any] = HONEST) -> dict[str, Any]:
    sections = [{"title": "scores", "rows": rows_of(told)}]
    return {"job": JOB, "contribution": told, "sections": sections}


def test_a_report_tells_the_recorded_scores() -> None:
    assert verdict(report=report()).ok
    other = altered(score=0.2)
    assert "the report tells other scores" in failures(report=report(other))
    assert "the report tells other scores" in failures(report={"job": JOB})
    shown = report()
    shown["sections"][0]["rows"][0]["value"][0] = "0.9021"
    assert failures(report=shown) == "the report shows other scores of bank-a than the record"


@pytest.mark.parametrize(
    "line",
    [
        {"label": "bank-a", "value": ["0.9", "[0.9, 0.9]", "90 %", ""]},
        {"label": "bank-a", "value": ["0.9", " [0.9, 0.9]", "90 %"]},
        {"label": "bank-a ", "value": ["0.9", "[0.9, 0.9]", "90 %"]},
        {"label": "bank-a", "value": "0.9 [0.9, 0.9] 90 %"},
        {"label": "bank-a", "value": ["0.9021", "[0.3014, 0.3028]", "74.98 %"]},
        None,
    ],
)
def test_a_line_of_another_form_does_not_stand_for_the_right_one(line: Any) -> None:
    shown = report()
    shown["sections"][0]["rows"][:1] = [] if line is None else [line]
    assert failures(report=shown) == "the report shows other scores of bank-a than the record"


def test_shares_add_up_and_ties_go_to_the_first() -> None:
    assert shares_of([1, 1, 1]) == [3334, 3333, 3333]
    assert shares_of([-5, 0, -1]) == [0, 0, 0]
    assert sum(shares_of([7, 11, 13, 10**13, -3])) == 10_000
