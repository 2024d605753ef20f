"""`secureflow job sweep`: what is asked, and the table of points for people, none shortened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent.owner.inbox import item_id
from secureflow.agent.record.records import InboxItem
from secureflow.cli.decision import PendingRequest, screen
from secureflow.cli.explaining import show_explanation
from secureflow.cli.kinds import CLI_KINDS
from secureflow.cli.points import show_points
from secureflow.cli.watching import point_line
from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.sweep import SweepSpec
from secureflow.kit.text import Text, with_texts
from secureflow.sdk import TrainingRequest
from tests.full import thinned
from tests.unit.cli.test_cli_inbox import COMMON, HERE, TRAINING
from tests.unit.cli.test_cli_watching import drawn, fed

VALUES = thinned(
    ["x\u202e", True, 3, [5], [], {"a": 1}, [[]], {}, None, 10**400], 5, pytest.mark.full
)
"""What a centre may say in the place of something else."""

JOB = "job_1m8nje847evwjh6gfj1c"
FILE = """project: prj_00000000
name: rates
purpose: scoring
datasets: [dst_00000000]
sweep:
  grid: {plan.learning_rate: [0.03, 0.1]}
"""
MODEL = {"digest": "ab" * 32, "id": "mdl_1m8nje847evwjh6gfj1c", "version": 1}
POINTS = [
    {"point": 1, "job": part_id(JOB, 1), "sets": {"plan.learning_rate": 0.03}, "rounds": 3,
     "state": "succeeded", "metrics": {"rows": 80.0, "auc": 0.71, "loss": 0.6}, "model": MODEL},
    {"point": 2, "job": part_id(JOB, 2), "sets": {"plan.learning_rate": 0.1},
     "state": "failed", "error": {"code": "party_silent", "message": "bank-b is silent"}},
]  # fmt: skip
BEST = {"metric": {"name": "auc", "better": "higher"}, "point": 1, "job": part_id(JOB, 1),
        "sets": {"plan.learning_rate": 0.03}, "model": MODEL, "value": 0.71}  # fmt: skip
CHOOSING = Text("The best of {count} points was chosen on the rows that measured it, so its figure "
                "flatters it: measure it on other rows before relying on it.", count=2)  # fmt: skip
REPORT = with_texts({"points": POINTS, "best": BEST, "metric": BEST["metric"], "folds": [],
                     "choosing": CHOOSING, "state": "succeeded"})  # fmt: skip


def sent(centre: Any, path: str) -> Any:
    return next(body for asked, _, body in centre.asked if asked == path)


def test_a_job_file_is_submitted_as_a_sweep(centre: Any, cli: Any, tmp_path: Path) -> None:
    file = tmp_path / "rates.yaml"
    file.write_text(FILE)
    centre.answers["GET /datasets"] = (200, {"items": [], "next": ""})
    details = {
        "rounds": 40,
        "points": [{"point": n, "sets": {"plan.learning_rate": rate}, "rounds": 20}
                   for n, rate in ((1, 0.03), (2, 0.1))],
    }  # fmt: skip
    answer = {"digest": "d" * 64, "spec": {}, "details": details}
    centre.answers["POST /jobs/dry-run"] = (200, answer)
    status, out, err = cli("job", "sweep", file, "--dry-run")
    assert status == 0, err
    asked = sent(centre, "POST /jobs/dry-run")
    assert asked["kind"] == "sweep"
    assert asked["sweep"] == {"grid": {"plan.learning_rate": [0.03, 0.1]}}
    assert "plan.learning_rate" in out
    assert [line.split()[:2] for line in out.splitlines() if line[:1].isdigit()] == [
        ["1", "0.03"], ["2", "0.1"],
    ]  # fmt: skip


def test_a_file_without_points_is_refused_with_an_example(
    centre: Any, cli: Any, tmp_path: Path
) -> None:
    file = tmp_path / "rates.yaml"
    file.write_text(FILE[: FILE.index("sweep:")])
    centre.answers["GET /datasets"] = (200, {"items": [], "next": ""})
    status, _, err = cli("job", "sweep", file)
    assert status == 2
    assert "no `sweep:` section" in err
    assert "plan.learning_rate: [0.03, 0.1, 0.3]" in err


def test_the_table_shows_ids_in_full_and_names_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    show_points(REPORT)
    out = capsys.readouterr().out
    for one in (part_id(JOB, 1), part_id(JOB, 2), MODEL["id"]):
        assert out.count(str(one)) >= 1
    assert "failed: party_silent" in out
    assert f"best: point 1 (plan.learning_rate = 0.03), auc 0.71, model {MODEL['id']}" in out
    assert "measure it on other rows" in out
    header = next(line for line in out.splitlines() if "plan.learning_rate" in line).split()
    assert header.index("auc") < header.index("loss")  # the one that decides comes first


def test_points_that_are_equally_good_are_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    show_points({**REPORT, "best": {**BEST, "tied": 2}})
    assert "2 are equally good: the first of them is named." in capsys.readouterr().out
    show_points(REPORT)
    assert "equally good" not in capsys.readouterr().out


def test_folds_are_told_with_their_deviation(capsys: pytest.CaptureFixture[str]) -> None:
    folds = [{"sets": {"plan.seed": 1}, "mean": 0.5, "deviation": 0.125, "folds": 4}]
    best = {**folds[0], "value": 0.5, "metric": BEST["metric"]}
    show_points({**REPORT, "folds": folds, "best": best})
    out = capsys.readouterr().out
    assert "Over the folds" in out
    assert "with a mean auc of 0.5 ± 0.125 over 4 folds" in out


def test_an_explanation_lists_the_points(capsys: pytest.CaptureFixture[str]) -> None:
    show_explanation({**REPORT, "rounds": 3, "protection": "secagg"})
    out = capsys.readouterr().out
    assert "Points" in out
    assert part_id(JOB, 2) in out
    assert "measure it on other rows" in out


def test_watchers_see_each_point_begin_and_end() -> None:
    begun = {**POINTS[0], "state": "started", "points": 2, "metrics": None}
    assert point_line(begun).startswith("point 1/2  started  plan.learning_rate = 0.03  job_")
    ended = point_line({**POINTS[0], "points": 2})
    assert "auc 0.7100" in ended
    assert ended.endswith(part_id(JOB, 1))
    assert "bank-b is silent" in point_line({**POINTS[1], "points": 2})


def test_the_live_picture_has_a_line_for_each_point() -> None:
    begun = {**POINTS[0], "state": "started", "points": 2, "metrics": None}
    text = drawn(fed(("point", begun), ("point", {**POINTS[0], "points": 2})))
    assert text.count("point 1/2") == 1
    assert "succeeded" in text


def requested() -> tuple[PendingRequest, list[dict[str, float]]]:
    """A private sweep of 64 points that waits in an inbox."""
    points = [{"plan.learning_rate": round(0.001 * n, 4)} for n in range(1, 65)]
    private = {"delta": 1e-6, "noise_multiplier": 8.0, "rows": 900}
    training = {**TRAINING, "privacy": private, "plan": {"rounds": 2, "validation": 0.0}}
    training |= {"protection": "secagg", "privacy": {**private, "noise": "shared"}}
    common = {"delta": 1e-6, "unit": "record", "noise": "shared"}
    spec = parse(
        SweepSpec,
        {**COMMON, "training": training, "points": points, "privacy": common},
        stored=True,
    )
    facts = {"dataset": "customers", "columns": ["age"], "sensitive": [], "epsilon": 9.5}
    identity = item_id(JOB, spec_digest(spec), facts, ("why",), 1_800_000_000)
    item = InboxItem(identity, JOB, spec_digest(spec), facts, dump(spec), ("why",), "waiting", 1,
                     1_800_000_000)  # fmt: skip
    return PendingRequest(item, {"here": HERE}), points


def test_an_owner_is_shown_every_point_and_how_what_is_contributed_is_protected() -> None:
    request, points = requested()
    told = "\n".join(screen(request, CLI_KINDS))
    for number, point in enumerate(points, 1):
        assert f"{number}. plan.learning_rate = {point['plan.learning_rate']}\n" in told + "\n"
    assert "64 jobs one after the other, 128 rounds in all" in told
    assert "masked (SecAgg)" in told
    assert "nothing is contributed" not in told
    assert "models and figures of all 64 points" in " ".join(told.split())


def test_an_owner_reads_of_it_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    request, _ = requested()
    told = "".join(line.strip() for line in screen(request, CLI_KINDS))
    assert "参数扫描：依次运行 64 个任务，共 128 轮" in told
    assert "全部 64 个参数点的模型和指标" in told


def test_an_owner_is_told_what_a_sweep_without_noise_releases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = parse(SweepSpec, {**COMMON, "training": TRAINING, "points": [{}]}, stored=True)
    facts = {"dataset": "customers", "columns": ["age"], "sensitive": [], "epsilon": None}
    identity = item_id(JOB, spec_digest(spec), facts, ("why",), 1_800_000_000)
    item = InboxItem(identity, JOB, spec_digest(spec), facts, dump(spec), ("why",), "waiting", 1,
                     1_800_000_000)  # fmt: skip
    told = " ".join(" ".join(screen(PendingRequest(item, {"here": HERE}), CLI_KINDS)).split())
    assert "NONE: what is released may reveal single rows" in told
    assert "every sum is over at least" in told
    assert "no budget is charged" not in told
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    chinese = "".join(screen(PendingRequest(item, {"here": HERE}), CLI_KINDS))
    assert "models and figures" not in chinese
    assert "全部 1 个参数点" in chinese.replace("\n", "")


def test_the_sdk_asks_for_a_sweep(centre: Any, cli: Any) -> None:
    from secureflow.cli.session import client

    centre.answers["POST /jobs"] = (201, {**_job(), "id": JOB})
    request = TrainingRequest("prj_00000000", "rates", "scoring", ("dst_00000000",))
    with client() as connection:
        connection.jobs.sweep(request, grid={"plan.seed": range(3)}, metric="auc", folds=2)
    asked = sent(centre, "POST /jobs")
    assert (asked["kind"], asked["name"]) == ("sweep", "rates")
    assert asked["sweep"]["grid"] == {"plan.seed": [0, 1, 2]}
    assert (asked["sweep"]["metric"], asked["sweep"]["folds"]) == ("auc", 2)


def test_a_running_sweep_shows_its_points_and_the_jobs_that_have_begun(
    centre: Any, cli: Any
) -> None:
    points = [{"plan.seed": 1}, {"plan.seed": 2}]
    job = {**_job(), "id": JOB, "spec": {"points": points}, "progress": {"point": 1, "points": 2}}
    centre.answers[f"GET /jobs/{JOB}"] = (200, job)
    status, out, err = cli("job", "show", JOB)
    assert status == 0, err
    assert part_id(JOB, 1) in out
    assert part_id(JOB, 2) not in out
    assert "plan.seed" in out


@pytest.mark.parametrize("point", [10**12, "x", [1], True, -1, None])
def test_what_a_centre_says_of_how_far_a_sweep_is_costs_no_memory(
    centre: Any, cli: Any, point: Any
) -> None:
    job = {**_job(), "id": JOB, "spec": {"points": [{"plan.seed": 1}, 5]},
           "progress": {"point": point, "points": 2}}  # fmt: skip
    centre.answers[f"GET /jobs/{JOB}"] = (200, job)
    status, out, err = cli("job", "show", JOB)
    assert status == 0, err
    assert (part_id(JOB, 2) in out) == (point == 10**12)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "place",
    ["points", "points.sets", "points.metrics", "points.model", "points.error", "points.state",
     "best", "best.value", "best.sets", "best.metric", "best.model", "best.folds", "best.deviation",
     "best.tied", "folds", "folds.sets", "folds.mean", "metric", "choosing", "texts"],
)  # fmt: skip
def test_no_report_of_a_centre_ends_the_command_line(
    cli: Any, centre: Any, place: str, value: Any
) -> None:
    whole = json.loads(json.dumps(REPORT))
    whole["folds"] = [{"sets": {"plan.seed": 1}, "mean": 0.7, "deviation": 0.1, "folds": 5}]
    name, _, member = place.partition(".")
    held = whole[name][0] if isinstance(whole[name], list) and member else whole[name]
    changed = {**held, member: value} if member else value
    if member and isinstance(whole[name], list):
        changed = [changed]
    centre.answers[f"GET /jobs/{JOB}/report?format=json"] = (200, {**whole, name: changed})
    status, out, err = cli("job", "report", JOB)
    assert (status, "\u202e" in out) == (0, False), err


def _job() -> dict[str, Any]:
    return json.loads(
        json.dumps(
            {
                "id": JOB, "project": "prj_00000000", "organisation": "bank-a", "name": "rates",
                "submitter": "ann", "kind": "sweep", "script": "sweep/1", "spec": {},
                "digest": "ab" * 32, "state": "running", "created": 1, "updated": 2,
                "error": None, "report": None, "progress": {},
            }
        )
    )  # type: ignore[no-any-return]  # fmt: skip


def test_a_noised_best_point_is_shown_with_what_noise_alone_may_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    noised = {**POINTS[0], "metrics_errors": {"auc": 0.0533, "loss": 0.03}}
    show_points({**REPORT, "points": [noised, POINTS[1]]})
    assert "moves this figure by ± 0.1 in 95 of 100 cases" in " ".join(
        capsys.readouterr().out.split()
    )
    show_points(REPORT)
    assert "Noise" not in capsys.readouterr().out
