"""Who refused, and why: in one sentence a party, and in the details for programs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from secureflow.application.ports.courier import Request
from secureflow.application.running.asking import Asking
from secureflow.application.running.disapprovals import disapproval
from secureflow.cli.texts import explained
from secureflow.engines.script import Ask
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

PARTIES = ("bank-a", "bank-b", "bank-c")
NO = SecureFlowError(
    "consent_refused",
    "Job job_1 was refused: not for this purpose.",
    "Change the job accordingly, or ask the data owner.",
    {"reason": "not for this purpose"},
)


class Courier:
    """Answers as the parties would; a party without an answer says nothing until it is cut off."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers
        self._answered = asyncio.Event()

    async def ask(self, request: Request) -> Any:
        answer = self._answers.get(request.party)
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, SecureFlowError):
            await self._answered.wait()  # those who agree are faster
            raise answer
        self._answered.set()
        return answer

    async def withdraw(self, job: str) -> None:
        return


async def refused(**answers: Any) -> SecureFlowError:
    async def cosigned(*_: object) -> None:
        return

    named = {name.replace("_", "-"): answer for name, answer in answers.items()}
    courier: Any = Courier(named)
    ask = Ask(PARTIES, "consent", {}, patience=None)
    with pytest.raises(SecureFlowError) as error:
        await Asking(courier, cosigned).perform("job_1", 0, ask, asyncio.Event())
    return error.value


async def test_a_refusal_says_who_and_why_once() -> None:
    error = await refused(bank_a={"approval": {}}, bank_b=NO)
    assert error.code == "consent_refused"
    assert error.message == (
        "bank-b refused: not for this purpose. Approved: bank-a; undecided: bank-c."
    )
    assert error.hint == NO.hint
    assert error.details["refusals"] == [
        {
            "party": "bank-b",
            "code": "consent_refused",
            "reason": "not for this purpose",
            "refused": True,
        }
    ]
    assert error.details["failures"]["bank-b"]["code"] == "consent_refused"  # for accusations


async def test_a_question_is_not_followed_by_a_full_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    asks = SecureFlowError("consent_refused", "No.", "", {"reason": "why two rounds?"})
    error = disapproval(PARTIES, {"bank-a": {}}, {"bank-b": asks.as_json()})
    assert error.message.startswith('bank-b refused: "why two rounds?". Approved: bank-a;')
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    assert explained(error.code, error.message).startswith(
        "bank-b 拒绝了：“why two rounds?”。已同意"
    )


@pytest.mark.parametrize(
    ("replies", "refusing", "english", "chinese"),
    [
        (["a", "c"], ["b"], ". Approved: bank-a, bank-c.", "。已同意：bank-a、bank-c。"),
        (
            ["a"],
            ["b"],
            ". Approved: bank-a; undecided: bank-c.",
            "。已同意：bank-a；未决定：bank-c。",
        ),
        ([], ["b"], ". Undecided: bank-a, bank-c.", "。未决定：bank-a、bank-c。"),
        ([], ["a", "b", "c"], ".", "。"),
    ],
)
def test_only_those_are_listed_that_there_are_and_a_sentence_ends_once(
    monkeypatch: pytest.MonkeyPatch,
    replies: list[str],
    refusing: list[str],
    english: str,
    chinese: str,
) -> None:
    no = SecureFlowError("consent_refused", "No.", "", {"reason": "用途不符。"}).as_json()
    approved, failures = ({f"bank-{one}": given for one in ones}
                          for ones, given in ((replies, {}), (refusing, no)))  # fmt: skip
    error = disapproval(PARTIES, approved, failures)
    assert error.message.endswith(f"用途不符{english}")
    assert "–" not in error.message
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    told = explained(error.code, error.message)
    assert told.endswith(f"用途不符{chinese}")
    assert "。。" not in told
    assert "”。" not in told


async def test_what_no_person_decided_is_told_with_its_code() -> None:
    over = SecureFlowError("budget_exceeded", "The budget of visits has ε = 0.1 left.")
    error = await refused(bank_a={"approval": {}}, bank_b=over)
    assert error.code == "consent_refused"
    assert error.message.startswith(
        "bank-b refused (budget_exceeded): The budget of visits has ε = 0.1 left."
    )


async def test_an_agent_that_could_not_answer_did_not_refuse() -> None:
    full = SecureFlowError("inbox_full", "256 requests already wait for a person here.")
    error = await refused(bank_a={"approval": {}}, bank_b=full)
    assert error.code == "too_few_answers"
    assert error.message.startswith("bank-b could not answer (inbox_full): 256 requests already")
    assert error.details["refusals"][0]["refused"] is False
    malformed = await refused(bank_a={"approval": {}, "leaves": 7})
    assert malformed.code == "too_few_answers"
    assert "bank-a could not answer (malformed_reply)" in malformed.message


async def test_every_owner_that_refused_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    full = SecureFlowError("inbox_full", "No place.")
    error = disapproval(
        PARTIES, {}, {"bank-b": NO.as_json(), "bank-c": full.as_json(), "bank-a": NO.as_json()}
    )
    assert error.code == "consent_refused"
    assert error.message == (
        "bank-a refused: not for this purpose. bank-b refused (consent_refused): not for this "
        "purpose. bank-c could not answer (inbox_full): No place."
    )
    crowd = tuple(f"bank-{number:03d}" for number in range(256))
    error = disapproval(crowd, {}, dict.fromkeys(crowd, NO.as_json()))
    assert len(error.message) < 2000
    assert len(error.details["refusals"]) == 256
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    one = disapproval(PARTIES, {"bank-a": {}}, {"bank-b": NO.as_json()})
    shown = explained(one.code, one.message)
    assert shown == "bank-b 拒绝了：not for this purpose。已同意：bank-a；未决定：bank-c。"


async def test_what_a_party_says_is_one_line_of_bounded_length() -> None:
    nasty = "no\x1b[2J\n\u202eyes\r" + "x" * 10_000
    words = SecureFlowError("made_up", nasty, nasty, {"reason": nasty})
    error = await refused(bank_a={"approval": {}}, bank_b=words)
    for text in (error.message, error.hint, error.details["refusals"][0]["reason"]):
        assert text.isprintable()
        assert len(text) < 500
    assert error.details["refusals"][0]["code"] == "internal"


@pytest.mark.parametrize(
    "facts",
    [
        {"job": "job_1", "more": "x" * 5000},
        {"job": {"template": "{a}", "facts": {"a": "x" * 5000}, "english": "job_1"}},
    ],
)
def test_what_a_reason_is_made_of_is_as_short_as_the_reason(facts: dict[str, Any]) -> None:
    """Else each party fills what is stored of the job, and what other languages are told."""
    message = "Job job_1 was cancelled."
    texts = {"message": {"template": "Job {job} was cancelled.", "facts": facts}}
    no = SecureFlowError.foreign("forbidden", message, "", {}, texts)
    error = disapproval(PARTIES, {}, {"bank-b": no.as_json()})
    (one,) = error.details["refusals"]
    assert one["reason"] == message
    assert len(json.dumps(one)) < 1000
    assert len(json.dumps(error.as_json()["texts"])) < 1000


def test_a_short_reason_keeps_its_facts() -> None:
    no = SecureFlowError("forbidden", Text("Job {id} was cancelled.", id="job_1")).as_json()
    (one,) = disapproval(PARTIES, {}, {"bank-b": no}).details["refusals"]
    assert one["texts"]["reason"]["facts"] == {"id": "job_1"}
