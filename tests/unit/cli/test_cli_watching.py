"""The live picture of a job: what events leave on it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from secureflow.cli.console import moment
from secureflow.cli.watching import Progress, picture, sparkline, waiting_lines
from secureflow.engines.ledger.setback import Hold, set_back
from secureflow.kit.disk import describe
from secureflow.kit.text import Text, with_texts
from secureflow.sdk import Event


def drawn(progress: Progress) -> str:
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(picture(progress))
    return console.export_text()


def fed(*events: tuple[str, dict[str, Any]]) -> Progress:
    progress = Progress("job_00000000")
    for number, (kind, data) in enumerate(events, 1):
        progress.take(Event(number, kind, data))
    return progress


def test_a_job_of_which_nothing_is_known_yet() -> None:
    assert "job_00000000  proposed" in drawn(Progress("job_00000000"))


def test_rounds_curves_and_parties_are_drawn() -> None:
    rounds = [
        ("round", {"round": n, "rounds": 40, "loss": 1 / n, "auc": n / 20, "survivors": 3})
        for n in range(1, 16)
    ]
    text = drawn(
        fed(
            ("state", {"state": "running"}),
            ("party", {"party": "bank-a", "state": "admitted"}),
            *rounds,
        )
    )
    assert "round 15/40" in text
    assert "(a round's figures are of the model that it starts from)" in text
    assert "running" in text
    assert "bank-a: admitted" in text
    assert "█▄▃▂▂▂▂▁▁▁▁▁▁▁▁ 0.0667" in text
    assert "\n    3 " not in text  # only the newest rounds stand in the table


def test_the_sums_of_a_bundle_are_told_of_every_round() -> None:
    events = [
        ("round", {"round": n, "rounds": 3, "loss": 0.5, "correct": n / 4, "survivors": 3,
                   "seconds": 1.0, "rows": {"bank-a": 9}, "stage": "train", "\x1b[b]x": 0.5})
        for n in (1, 2, 3)
    ]  # fmt: skip
    assert "round 2/3  loss 0.5000  correct 0.5000" in told(*events)[1]
    text = drawn(fed(*events))
    assert "correct ▁▅█ 0.7500" in text
    assert any(line.split()[:3] == ["round", "loss", "accuracy"] for line in text.splitlines())
    assert any(line.split()[:3] == ["3", "0.5000", "0.7500"] for line in text.splitlines())
    assert "\x1b" not in text + "".join(told(*events))


def test_one_step_without_figures_is_no_round(monkeypatch: pytest.MonkeyPatch) -> None:
    step = {"round": 1, "rounds": 1, "stage": "intersect", "survivors": 2, "seconds": 3.0}
    assert told(("round", step)) == ["done: intersect"]
    assert told(("round", {**step, "stage": "train", "loss": 0.5}))[0].startswith("round 1/1")
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    assert told(("round", step)) == ["完成：求交"]


def test_an_error_and_unknown_events_are_taken() -> None:
    text = drawn(fed(("error", {"message": "bank-b is silent"}), ("later", {"x": 1})))
    assert "bank-b is silent" in text


REFUSAL = {
    "code": "consent_refused",
    "message": "bank-b refused: not for this purpose. bank-a had approved.",
    "details": {"refusals": [{"party": "bank-b", "code": "consent_refused", "refused": True}]},
}


def told(*events: tuple[str, dict[str, Any]]) -> list[str]:
    """Return the plain lines of events."""
    progress, lines = Progress("job_00000000"), []
    for number, (kind, data) in enumerate(events, 1):
        progress.take(Event(number, kind, data))
        lines.append(progress.line(Event(number, kind, data)))
    return [line for line in lines if line]


def test_why_a_job_ended_is_left_to_the_error_that_ends_the_command() -> None:
    ending = (
        ("state", {"state": "failed", "reason": REFUSAL["message"]}),
        ("error", REFUSAL),
        ("done", {"state": "failed"}),
    )
    assert told(*ending) == ["failed"]
    text = drawn(fed(*ending))
    assert "bank-b: refused" in text
    assert "not for this purpose" not in text


def test_why_a_job_pauses_is_told_once() -> None:
    why = "Job job_00000000 cannot go on."
    lines = told(("state", {"state": "paused", "reason": why}), ("error", {"message": why}))
    assert lines == [f"paused  {why}"]
    assert told(("error", {"message": why}), ("error", {"message": why})) == [why]
    hint = "Run it again: secureflow job resume job_00000000."
    error = {"code": "script_changed", "message": why, "hint": hint}
    lines = told(("state", {"state": "paused", "reason": why}), ("error", error))
    assert lines == [f"paused  {why}", f"→ {hint}"]


def test_dropouts_are_told_line_by_line() -> None:
    gone = [
        {"party": "bank-b", "round": 2, "stage": "train", "reason": "it is silent"},
        {"party": "bank-c", "round": 2, "stage": "train"},
    ]
    line = Progress("job_00000000").line(Event(1, "dropouts", {"dropouts": gone}))
    assert line.splitlines() == [
        "bank-b dropped out of round 2 (train): it is silent",
        "bank-c dropped out of round 2 (train): ",
    ]


def test_why_somebody_dropped_out_is_told_in_the_readers_language(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reason = Text("The bundle failed: {reason}.", reason="a method raised an exception")
    gone = {"party": "bank-b", "round": 2, "stage": "train", "code": "bundle_failed"}
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    event = Event(1, "dropouts", {"dropouts": [with_texts({**gone, "reason": reason})]})
    line = Progress("job_00000000").line(event)
    assert line.endswith("代码包运行失败：某个方法抛出了异常。")
    assert "bundle" not in line


@pytest.mark.parametrize(
    ("values", "bars"), [([1.0], "▁"), ([2.0, 2.0], "▁▁"), ([0.0, 0.5, 1.0], "▁▅█")]
)
def test_sparklines_span_their_values(values: list[float], bars: str) -> None:
    assert sparkline(values) == bars


def waits(party: str, whose: str, part: str, *numbers: int) -> dict[str, Any]:
    message = describe("disk_full", whose, part, *numbers)
    told = with_texts({"code": "disk_full", "message": message})
    return {"party": party, "since": 1_800_000_000, **told}


WAITING = {
    "waiting": [
        waits("bank-b", "bank-b", "model files", 5_000_000, 2_000_000),
        waits("aggregator", "the centre", "stored models", 0, 2),
    ]
}


def test_who_waits_is_told_and_drawn_until_nobody_does(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = ("state", {"state": "running"})
    since = moment(1_800_000_000)
    assert told(begun, ("waiting", WAITING))[1].splitlines() == [
        f"{who} has been waiting since {since}: {one['message']}"
        for who, one in zip(("bank-b", "the centre"), WAITING["waiting"], strict=True)
    ]
    assert "bank-b has been waiting since" in drawn(fed(begun, ("waiting", WAITING)))
    gone = (begun, ("waiting", WAITING), ("waiting", {"waiting": []}))
    assert told(*gone)[2] == "nobody is waiting any more"
    assert "waiting" not in drawn(fed(*gone))
    assert "waiting" not in drawn(fed(begun, ("waiting", WAITING), ("done", {})))
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    first, second = waiting_lines(WAITING["waiting"])
    assert first.endswith("起等待：bank-b 的磁盘已满：其模型文件需要 5.0 MB，可用 2.0 MB。")
    assert second.startswith("协调中心 自 ")


@pytest.mark.parametrize(
    ("lang", "said"), [("en", "The log x.y was rolled back"), ("zh", "账本 x.y 被回退")]
)
def test_of_a_held_log_the_way_on_is_told(
    monkeypatch: pytest.MonkeyPatch, lang: str, said: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    error = set_back(Hold("shrunk", 1, 3), "x.y")
    one = {"party": "server", "since": 1, "code": error.code, "message": error.message}
    (line,) = waiting_lines([{**one, "hint": error.hint}])
    assert said in line
    assert line.endswith(("secureflow charter continue.", "secureflow charter continue。"))


@pytest.mark.parametrize("data", [None, {}, 7, "x", [None, 7], [{"since": "x", "party": 7}]])
def test_what_is_no_list_of_who_waits_harms_nobody(data: Any) -> None:
    progress = fed(("waiting", {"waiting": data}))
    assert isinstance(progress.line(Event(0, "waiting", {"waiting": data})), str)
    drawn(progress)


def test_the_state_of_a_party_is_told_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    event = Event(1, "party", {"party": "bank-a", "state": "approved"})
    assert Progress("job_00000000").line(event) == "bank-a  已批准"


RESUMED = Text("resumed by {name}", name="ann")


def test_rounds_and_reasons_are_told_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    progress = Progress("job_00000000")
    told = []
    for kind, data in (
        ("state", {"state": "proposed", "reason": "submitted"}),
        ("state", with_texts({"state": "running", "reason": RESUMED})),
        ("round", {"round": 1, "rounds": 400, "loss": 0.5, "accuracy": 0.75, "auc": 0.25}),
    ):
        progress.take(event := Event(1, kind, data))
        told.append(progress.line(event))
    assert told == [
        "待批准  已提交\n正在询问每个所有者：由其策略或由人决定（secureflow agent inbox list）。",
        "运行中  由 ann 恢复",
        "轮次 1/400  损失 0.5000  准确率 0.7500  AUC 0.2500  （每一轮的指标属于该轮开始时的模型）",
    ]
    assert "\n    损失 ▁ 0.5000" in drawn(progress)


def test_a_point_that_is_no_number_is_not_drawn_and_ends_nothing() -> None:
    points = [
        {"point": one, "points": 2, "state": "running", "job": f"job-{at}"}
        for at, one in enumerate(([1], {"a": 1}, "x", True, None, 1, 2, 1))
    ]
    progress = fed(*(("point", one) for one in points))
    assert list(progress.points) == [1, 2]  # the newest of each, however often it is told
    text = drawn(progress)
    assert ("job-7" in text, "job-6" in text, "job-5" in text) == (True, True, False)
    assert "job-0" not in text
    lines = [progress.line(Event(1, "point", one)) for one in points]
    assert all(f"job-{at}" in line for at, line in enumerate(lines))
