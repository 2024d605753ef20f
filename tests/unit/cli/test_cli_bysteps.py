"""What a step takes of another is told by the step: a job that does not exist yet has no id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.cli.bysteps import StepName, model_in_words, prediction_in_words, start_in_words
from secureflow.cli.componentwords import step_in_words
from secureflow.cli.kinds import CLI_KINDS
from secureflow.cli.texts import speaking
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.notyet import NOT_YET
from secureflow.domain.specs.training import Resume
from tests.unit.engines.pipeline.world import specified

ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in "abc"]


def test_the_owner_reads_which_step_makes_a_recipe_and_a_model() -> None:
    kind, spec = CLI_KINDS.read(dump(specified(ROSTER)))
    assert NOT_YET in str(dump(spec))
    told = kind.task(spec)
    assert NOT_YET not in told
    assert "the recipe made by step prepare" in told
    assert "made by step train" in told


def test_in_chinese_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    kind, spec = CLI_KINDS.read(dump(specified(ROSTER)))
    told = kind.task(spec)
    assert NOT_YET not in told
    assert "由步骤 prepare 产生的配方" in told
    assert "由步骤 train 产生的" in told
    for raw in ("recipe", "impute", "mean", "standardise", "one_hot"):
        assert raw not in told, told
    assert "配方" in told.split("取用")[1]


@pytest.mark.parametrize(
    ("step", "how", "english", "chinese"),
    [
        ("impute", "mean", "impute (mean)", "填补缺失值 (均值)"),
        ("one_hot", "", "one_hot", "独热编码"),
        ("min_max", "rows", "min_max (rows)", "区间缩放 (数据行的最值（不私密）)"),
        ("later", "other", "later (other)", "later (other)"),
    ],
)
def test_steps_are_called_as_on_the_canvas(step: str, how: str, english: str, chinese: str) -> None:
    for language, told in (("en", english), ("zh", chinese)):
        with speaking(language):  # type: ignore[arg-type]
            assert step_in_words(step, how) == told


def test_what_a_job_released_is_still_told_by_its_job() -> None:
    spec: Any = specified(ROSTER)
    model = replace(spec.steps[2].job.models[0], job="job_00000000000000000001", name="risk@2")
    assert "job_00000000000000000001 (risk@2)" in model_in_words(model)
    assert "job_00000000000000000001 (risk@2)" in prediction_in_words(model)
    by_step = replace(model, job=StepName("train"))
    assert prediction_in_words(by_step).endswith("made by step train")
    start = Resume(job="job_00000000000000000001", round=2, model="a" * 64)
    assert "job_00000000000000000001" in start_in_words(start)
    assert start_in_words(replace(start, job=StepName("train"))).endswith("made by step train")
