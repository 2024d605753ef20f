"""The table of open requests by itself: one answer each, whatever arrives."""

from __future__ import annotations

import asyncio

import pytest

from secureflow.adapters.link.requests import OpenRequests, silent
from secureflow.application.ports.courier import Request
from secureflow.kit.errors import SecureFlowError

REQUEST = Request("job_1/1/bank-a", "bank-a", "train", {}, 20.0)


async def _asked(requests: OpenRequests) -> asyncio.Task[object]:
    asking = asyncio.create_task(requests.ask(REQUEST))
    await asyncio.sleep(0)
    return asking


async def test_the_first_answer_counts() -> None:
    delivered: list[Request] = []
    requests = OpenRequests(delivered.append)
    asking = await _asked(requests)
    requests.answer(REQUEST.id, "bank-a", 1)
    requests.answer(REQUEST.id, "bank-a", 2)
    requests.fail(REQUEST.id, "bank-a", SecureFlowError("late", "Too late."))
    requests.progress(REQUEST.id, "bank-a")
    assert await asking == 1
    assert delivered == [REQUEST]
    assert not requests.of_party("bank-a")


async def test_a_refusal_stands_against_a_later_answer() -> None:
    requests = OpenRequests(lambda _: None)
    asking = await _asked(requests)
    requests.fail(REQUEST.id, "bank-a", SecureFlowError("consent_refused", "No."))
    requests.answer(REQUEST.id, "bank-a", 2)
    with pytest.raises(SecureFlowError, match="No"):
        await asking


async def test_an_asker_that_leaves_takes_its_request_along() -> None:
    requests = OpenRequests(lambda _: None)
    asking = await _asked(requests)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert not requests.of_party("bank-a")
    requests.answer(REQUEST.id, "bank-a", 1)


async def test_withdrawing_ends_the_jobs_requests_only() -> None:
    requests = OpenRequests(lambda _: None)
    asking = await _asked(requests)
    assert set(requests.withdraw("job_")) == set()
    assert not asking.done()
    assert set(requests.withdraw("job_1")) == {"bank-a"}
    with pytest.raises(SecureFlowError) as caught:
        await asking
    assert caught.value.code == "cancelled"


@pytest.mark.parametrize(
    ("party", "command"), [("bank-a", "agent doctor"), ("enclave", "enclave check")]
)
def test_who_is_silent_is_looked_at_with_its_own_command(party: str, command: str) -> None:
    """`secureflow doctor` is for people who are logged in at the centre."""
    assert f"`secureflow {command}` there" in silent(Request("i", party, "x", {}, 1.0)).hint
