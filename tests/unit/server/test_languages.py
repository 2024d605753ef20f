"""Answers in the language that was asked for name it, those that are kept and told again too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secureflow.domain.jobs import JobState
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from tests.unit.server.conftest import Api

CHINESE = {"Accept-Language": "zh-CN"}
KEY = {"Idempotency-Key": "key-1"}
LANGUAGES = [({}, "en", "Job x was cancelled."), (CHINESE, "zh", "任务 x 已被取消。")]


async def ended(api: Api, state: JobState) -> str:
    """End the stage's job; return its path."""
    stage = api.stage
    job = await stage.services.jobs.get(stage.operator, stage.ids["job"])
    paused = state is JobState.PAUSED
    code = "internal" if paused else "cancelled"
    error = SecureFlowError(code, Text("Job {id} was cancelled.", id="x")).as_json()
    progress: dict[str, Any] = {"waiting": [{"party": "p", **error}]}
    progress |= {} if paused else {"cancel": stage.scientist("bank-a").name}
    await stage.finish(job, state=state, error=error, progress=progress)
    return f"/jobs/{job.id}"


def said(answer: Any, language: str) -> str:
    """Check the headers of an answer; return its error's message."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-language"] == language
    assert "Accept-Language" in answer.headers["vary"]
    assert int(answer.headers["content-length"]) == len(answer.content)
    return str(answer.json()["error"]["message"])


@pytest.mark.parametrize(("headers", "language", "message"), LANGUAGES)
async def test_an_answer_names_its_language(
    api: Api, headers: dict[str, str], language: str, message: str
) -> None:
    path = await ended(api, JobState.CANCELLED)
    ada = api.stage.scientist("bank-a")
    assert said(await api.call("GET", path, ada, headers=headers), language) == message


@pytest.mark.parametrize(("headers", "language", "message"), LANGUAGES)
async def test_a_job_that_is_cancelled_is_told_in_the_language(
    api: Api, headers: dict[str, str], language: str, message: str
) -> None:
    """The answer is kept in English, for whoever asks again in another language."""
    path = f"{await ended(api, JobState.CANCELLED)}/cancel"
    ada = api.stage.scientist("bank-a")
    assert said(await api.call("POST", path, ada, headers=headers | KEY), language) == message
    ((_, _, kept),) = api.stage.database.tables.answers.values()
    assert kept["error"]["message"] == "Job x was cancelled."
    for others, other, text in LANGUAGES:
        again = await api.call("POST", path, ada, headers=others | KEY)
        assert again.headers["idempotent-replay"] == "true"
        assert said(again, other) == text
    assert said(await api.call("POST", path, ada, headers=headers), language) == message


@pytest.mark.parametrize(("headers", "language", "message"), LANGUAGES)
async def test_a_job_that_is_resumed_is_told_in_the_language(
    api: Api, headers: dict[str, str], language: str, message: str
) -> None:
    path, ada = await ended(api, JobState.PAUSED), api.stage.scientist("bank-a")
    answer = await api.call("POST", f"{path}/resume", ada, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-language"] == language
    assert answer.json()["progress"]["waiting"][0]["message"] == message


async def test_the_description_tells_of_the_header(api: Api) -> None:
    paths = api.app.openapi()["paths"]
    for verb in ("cancel", "resume"):
        assert "Accept-Language" in json.dumps(paths[f"/api/v1/jobs/{{key}}/{verb}"])
