"""Which steps may take the rows that match in an intersection, and what that costs and tells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from peers.rows_world import EDGE, PRIVATE, fitting, matching, specified

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.contributors import contributing, two_sum
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.matchedrows import MatchedRows, moved_rows
from secureflow.domain.specs.outputs import Given, Outputs
from secureflow.domain.specs.pipeline import PipelineSpec
from secureflow.engines.kinds import ENGINE_KINDS
from secureflow.engines.pipeline.label import together
from secureflow.kit.errors import SecureFlowError

ROSTER = [{"party": f"bank-{n}", "key": n * 44, "dataset": "d"} for n in "abc"]
JOB = "job_1m8nje847evwjh6gfj1c"
DIGESTS = {one["party"]: one["party"][-1] * 64 for one in ROSTER}
EXACT = {"privacy": None}


def asked(match: dict[str, Any] | None = None, fit: dict[str, Any] | None = None) -> PipelineSpec:
    return specified(ROSTER, matching(ROSTER, **(match or {})), fitting(ROSTER, **(fit or {})))


def refusal(spec: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        SPEC_KINDS.check(spec)
    assert caught.value.code == "contradictory_spec", caught.value
    return caught.value


def test_a_step_takes_the_rows_that_match_and_is_read_back_as_it_was_written() -> None:
    spec = asked()
    SPEC_KINDS.check(spec)
    assert parse(PipelineSpec, dump(spec)) == spec
    given = {"match": Given(spec.steps[0].job, JOB, Outputs(rows=DIGESTS))}
    part = spec.derived(JOB, 3, given)
    assert part.rows == MatchedRows.of(JOB, DIGESTS)
    assert part.rows is not None
    assert part.rows.digests == DIGESTS
    SPEC_KINDS.check(part)


@pytest.mark.parametrize("learns", ["one", "size"])
def test_only_a_party_that_learns_which_rows_match_can_be_asked_for_them(learns: str) -> None:
    changes: dict[str, Any] = {"learns": learns, "receiver": "bank-a"}
    if learns == "size":
        changes |= {"protocol": "openmined", "engine": {"name": "openmined", "version": "2.0.6"}}
    error = refusal(asked(changes))
    party = "bank-b" if learns == "one" else "bank-a"
    assert error.details["field"] == "steps.fit.rows"
    assert f"{party} does not learn which of its rows match in match" in error.message


@pytest.mark.parametrize("minimum", [0, 9])
def test_exact_figures_are_of_ten_rows_that_match_or_more(minimum: int) -> None:
    error = refusal(asked({"minimum": minimum}, EXACT))
    assert error.details["field"] == "steps.match.minimum"
    SPEC_KINDS.check(asked({"minimum": 10}, EXACT))


def test_rows_come_over_an_edge_and_of_every_owner() -> None:
    spec = asked()
    fit = spec.steps[1]
    without = replace(fit, takes=())
    assert "nothing gives it" in refusal(replace(spec, steps=(spec.steps[0], without))).message
    for rows in (None, MatchedRows.of(JOB, DIGESTS)):
        other = replace(fit, job=replace(fit.job, rows=rows))
        assert "fit" in refusal(replace(spec, steps=(spec.steps[0], other))).message
    refusal(replace(spec, rows=fit.job.rows))
    alone = parse(type(fit.job), dump(fit.job))
    assert "pipeline" in refusal(alone).message


def test_rows_of_other_parties_do_not_fit() -> None:
    spec = asked()
    given = {"match": Given(spec.steps[0].job, JOB, Outputs(rows={"bank-a": "a" * 64}))}
    with pytest.raises(SecureFlowError) as caught:
        spec.derived(JOB, 3, given)
    assert caught.value.code == "step_output_unfit"


def test_a_training_with_noise_takes_none() -> None:
    spec = asked()
    features = {"label": {"column": "age", "positive": "1"},
                "numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}]}  # fmt: skip
    head = {name: value for name, value in fitting(ROSTER).items()
            if name in {"project", "name", "purpose", "submitter", "roster", "rows"}}  # fmt: skip
    privacy = {**PRIVATE, "clipping_norm": 1.0}
    step = {"id": "train", "takes": [EDGE], "job": {
        **head, "kind": "training", "features": features, "plan": {"rounds": 1}, "privacy": privacy,
    }}  # fmt: skip
    value = {**dump(spec), "steps": [dump(spec)["steps"][0], step],
             "privacy": {"delta": 1e-6, "unit": "record", "noise": "enclave"}}  # fmt: skip
    error = refusal(parse(PipelineSpec, value))
    assert error.details["field"] == "steps.train.privacy"


def test_a_person_counts_at_every_owner_where_rows_match() -> None:
    """Three owners: as noise a third as great hides one row (group privacy)."""
    fit: Any = asked().steps[1].job
    assert (moved_rows(fit), moved_rows(replace(fit, rows=None))) == (3, 1)
    (matched,) = ENGINE_KINDS.of(fit).charge(fit)
    (every,) = ENGINE_KINDS.of(fit).charge(replace(fit, rows=None))
    assert matched == replace(every, noise=every.noise / 3)


def test_the_label_says_whose_figures_these_are_and_what_noise_hides() -> None:
    rows = together(asked())
    said = " ".join(f"{row['sees']} {row['why']}" for row in rows)
    assert "figures of fit, of the rows alone that match" in said
    assert "a row at each of 3 owners" in said
    exact = " ".join(f"{row['why']}" for row in together(asked({"minimum": 10}, EXACT)))
    assert "owners" not in exact
    assert "differ by one person" in exact
    assert "differ by one person" not in said


def test_what_an_intersection_contributes_to_no_sum_is_no_sum_of_two() -> None:
    two = ROSTER[:2]
    spec = specified(two, matching(two), fitting(two))
    assert not two_sum(spec)
    assert contributing(spec).protection == "secagg"
    assert two_sum(specified(two, matching(two, minimum=10), fitting(two, **EXACT)))
