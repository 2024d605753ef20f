"""Which parties a round asks: drawn by the spec, never fewer than must sign."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from peers.private_jobs import private_spec

from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.leavingrows import part_problem
from secureflow.domain.specs.partforms import Part
from secureflow.domain.specs.roundparties import check_drawn, drawn_parties
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

PARTIES = [f"bank-{chr(97 + n)}" for n in range(9)]


def spec(asked: int | None, **more: Any) -> TrainingSpec:
    keys = {p: SigningKey.from_seed(bytes([n + 1]) * 32).public for n, p in enumerate(PARTIES)}
    document = {
        "project": "prj_0123456789", "name": "rounds", "purpose": "test", "submitter": "usr",
        "roster": [{"party": p, "key": k} for p, k in keys.items()],
        "model": {"family": "rehearsal", "parameters": 8},
        **more,
        "plan": {"rounds": 3, "validation": 0.0, "parties_per_round": asked},
    }  # fmt: skip
    return parse(TrainingSpec, document)


def refused(made: TrainingSpec) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        check(made)
    return caught.value


def test_all_are_asked_where_the_plan_says_nothing() -> None:
    assert drawn_parties(spec(None), "0" * 64, 1) == tuple(PARTIES)


def test_the_draw_follows_from_the_spec_and_the_round_alone() -> None:
    made = spec(7)
    digest = spec_digest(made)
    rounds = [drawn_parties(made, digest, n) for n in range(1, 301)]
    assert rounds == [drawn_parties(made, digest, n) for n in range(1, 301)]
    assert all(len(one) == 7 == len(set(one)) for one in rounds)
    assert all(list(one) == sorted(one) for one in rounds)  # the roster's order
    counts = Counter(party for one in rounds for party in one)
    assert set(counts) == set(PARTIES)
    # 300 rounds at 7/9: mean 233, standard deviation 7.2; six of them to either side.
    assert all(190 <= count <= 277 for count in counts.values()), counts
    other = [drawn_parties(made, "f" * 64, n) for n in range(1, 301)]
    assert other != rounds


def test_whoever_was_not_drawn_refuses_the_round() -> None:
    made = spec(7)
    digest = spec_digest(made)
    drawn = drawn_parties(made, digest, 2)
    for party in PARTIES:
        if party in drawn:
            check_drawn(made, digest, 2, party)
            continue
        with pytest.raises(SecureFlowError) as caught:
            check_drawn(made, digest, 2, party)
        assert caught.value.code == "not_drawn"
        assert party in caught.value.message


@pytest.mark.parametrize("asked", [7, 8])
def test_as_many_as_must_sign_may_be_asked(asked: int) -> None:
    check(spec(asked))


@pytest.mark.parametrize(
    ("asked", "more", "told"),
    [
        (6, {}, "7 of 9 parties must contribute"),
        (7, {"min_contributors": 8}, "8 of 9 parties must contribute"),
        (9, {}, "the job has 9 parties"),
        (12, {}, "the job has 9 parties"),
    ],
)
def test_fewer_than_must_sign_and_all_are_refused(
    asked: int, more: dict[str, Any], told: str
) -> None:
    error = refused(spec(asked, **more))
    assert error.code == "contradictory_spec"
    assert "plan.parties_per_round" in error.message
    assert told in error.message


def test_what_is_counted_for_all_parties_asks_all() -> None:
    made = spec(7)
    trees = parse(TrainingSpec, {
        "project": "prj_0123456789", "name": "rounds", "purpose": "test", "submitter": "usr",
        "roster": [{"party": one.party, "key": one.key} for one in made.roster],
        "features": {"label": {"column": "y", "positive": "1"},
                     "numeric": [{"column": "a", "bounds": [0, 1], "scale": "bounds"}]},
        "model": {"family": "xgboost"}, "plan": {"rounds": 3, "parties_per_round": 7},
    })  # fmt: skip
    assert "level of a tree" in refused(trees).message
    features = {"label": None, "numeric": dump(trees)["features"]["numeric"]}
    means = {**dump(trees), "features": features, "model": {"family": "kmeans", "clusters": 2}}
    error = refused(parse(TrainingSpec, means))
    assert "the next model of kmeans is a mean over the rows of whoever was asked" in error.message
    private = private_spec(plan={"rounds": 3, "validation": 0.0, "parties_per_round": 3})
    assert "what a round hides is counted for all parties" in refused(private).message
    check(replace(private, plan=replace(private.plan, parties_per_round=None)))


def test_no_other_job_starts_one_whose_rounds_ask_other_parties() -> None:
    """Owners are asked once for all that a job starts, and its own facts do not say this."""
    made = spec(7)
    assert (part_problem(made) or [""])[0] == "plan.parties_per_round"
    assert part_problem(spec(None)) is None
    error = refused(replace(made, part_of=Part("job_0123456789", 1)))
    assert "step of another job" in error.message
