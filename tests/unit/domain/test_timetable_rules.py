"""What a timetable may say, and the runs that follow from it."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.domain.specs.base import JobSpec, dump, spec_digest
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.partforms import Part
from secureflow.kit.errors import SecureFlowError

JOB = "job_0123456789"
DAY = 86_400
TIMES = {"first": 1_900_000_000, "every": DAY, "runs": 3, "window": 3600}
PARTIES = ("bank-a", "bank-b", "bank-c", "bank-d")
HEAD: dict[str, Any] = {
    "project": "prj_0123456789", "name": "nightly", "purpose": "testing", "submitter": "ann",
    "roster": [{"party": one, "key": one[-1] * 44, "dataset": "d"} for one in PARTIES],
}  # fmt: skip
PRIVACY = {"delta": 1e-6, "unit": "record", "noise": "shared"}
RUN: dict[str, Any] = {
    **HEAD, "kind": "statistics", "queries": [{"name": "rows", "measure": "count"}], "columns": [],
    "contributions": 1, "min_contributors": 3,
    "privacy": {"delta": 1e-6, "noise_multiplier": 4.0},
}  # fmt: skip
TRAINING: dict[str, Any] = {
    **HEAD, "kind": "training", "min_contributors": 4,
    "features": {
        "label": {"column": "income", "positive": "high"},
        "numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}],
    },
    "plan": {"rounds": 2, "validation": 0.2, "draws": "words"},
}  # fmt: skip


def timetable(run: Any = RUN, times: Any = None, **more: Any) -> Any:
    private = PRIVACY if run.get("privacy") else None
    value = {**HEAD, "kind": "timetable", "job": run, "timetable": TIMES | (times or {})}
    spec = SPEC_KINDS.parse({**value, "privacy": private, **more})
    SPEC_KINDS.check(spec)
    return spec


def refused(*given: Any, **more: Any) -> str:
    with pytest.raises(SecureFlowError) as caught:
        timetable(*given, **more)
    assert caught.value.code == "contradictory_spec", caught.value
    assert caught.value.hint
    return str(caught.value.details["field"])


def test_each_run_differs_in_number_name_and_time_alone() -> None:
    spec = timetable()
    runs = spec.parts(JOB)
    assert [one.part_of for one in runs] == [Part(JOB, number) for number in (1, 2, 3)]
    assert [(one.not_before, one.not_after) for one in runs] == [
        (TIMES["first"] + n * DAY, TIMES["first"] + n * DAY + 3600) for n in range(3)
    ]
    own = {"part_of", "name", "not_before", "not_after"}

    def rest(one: JobSpec) -> dict[str, Any]:
        return {name: value for name, value in dump(one).items() if name not in own}

    assert all(rest(one) == {k: v for k, v in dump(spec.job).items() if k not in own}
               for one in runs)  # fmt: skip
    assert spec_digest(SPEC_KINDS.parse(dump(spec))) == spec_digest(spec)
    assert (spec.timetable.last, spec.timetable.ends) == (runs[-1].not_before, 1_900_259_200)


def test_what_was_signed_before_there_were_timetables_keeps_its_bytes() -> None:
    plain = dump(SPEC_KINDS.parse(RUN))
    assert not {"part_of", "not_before", "not_after"} & plain.keys()


def test_it_speaks_of_a_run() -> None:
    spec = timetable(TRAINING)
    assert spec.column_names == spec.job.column_names
    assert spec.bounds == spec.job.bounds
    assert spec.planned_rounds == 6
    assert (spec.reads_rows, spec.all_private, spec.tells_rows) == (True, False, True)
    assert spec.facts()["family"] == spec.job.facts()["family"]
    assert {"of": "training", "runs": 3, "every": DAY}.items() <= spec.facts().items()


@pytest.mark.parametrize(
    ("times", "field"),
    [
        ({"window": 2 * DAY}, "timetable.window"),
        ({"runs": 400}, "timetable.runs"),
    ],
)
def test_times_that_contradict_each_other_are_refused(times: Any, field: str) -> None:
    assert refused(RUN, times) == field


@pytest.mark.parametrize(
    "run",
    [
        {**RUN, "purpose": "advertising"},
        {**RUN, "not_before": 5},
        {**RUN, "not_after": 5},
        {**RUN, "part_of": {"job": JOB, "number": 1}},
    ],
    ids=["purpose", "not_before", "not_after", "part_of"],
)
def test_a_run_says_nothing_else_than_its_timetable(run: Any) -> None:
    assert refused(run) == "job"


def test_a_timetable_is_no_part_and_has_no_time_of_its_own() -> None:
    assert refused(RUN, not_before=5) == "job"
    assert refused(RUN, part_of={"job": JOB, "number": 1}) == "job"


def test_a_name_leaves_room_for_numbers() -> None:
    long = "x" * 191
    assert refused({**RUN, "name": long}, name=long) == "name"


@pytest.mark.parametrize(
    "privacy", [None, {**PRIVACY, "delta": 1e-5}, {**PRIVACY, "noise": "party"}]
)
def test_what_all_runs_cost_is_told_in_the_terms_of_each(privacy: Any) -> None:
    assert refused(RUN, privacy=privacy) == "privacy"


def test_without_privacy_no_party_is_missing_in_a_run() -> None:
    """Of two sums over nearly the same rows the difference would be that party's."""
    few = {**TRAINING, "min_contributors": 3}
    assert refused(few) == "min_contributors"
    assert timetable(few, {"runs": 1})
    assert timetable(TRAINING)


def test_a_run_contradicts_itself_in_a_timetable_as_well() -> None:
    query = {"name": "rows", "measure": "mean"}
    assert refused({**RUN, "queries": [query]}).startswith("queries")


@pytest.mark.parametrize("kind", ["sweep", "timetable", "unknown"])
def test_it_runs_no_job_that_starts_others(kind: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        timetable({**RUN, "kind": kind})
    assert caught.value.code == "invalid_spec"
