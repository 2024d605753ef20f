"""The event stream: the parser under hostile bytes, resuming, and the end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.connection import STREAM_TRIES
from secureflow.sdk.events import MAX_EVENT_BYTES, Event, Subscription

ROUND = b'id: 7\nevent: round\ndata: {"round": 1,\ndata: "loss": 0.5}\n\n'
DONE = b'id: 9\nevent: done\ndata: {"report": {}}\n\n'


def test_lines_make_events() -> None:
    subscription = Subscription("job_00000000")
    assert subscription.feed(b": ping\n\n" + ROUND) == [
        Event(7, "round", {"round": 1, "loss": 0.5})
    ]
    assert subscription.headers()["Last-Event-ID"] == "7"
    assert not subscription.done
    assert subscription.feed(DONE.replace(b"\n", b"\r\n"))[0].kind == "done"
    assert subscription.done


@given(cuts=st.lists(st.integers(0, len(ROUND + DONE)), max_size=8))
def test_cutting_the_stream_anywhere_changes_nothing(cuts: list[int]) -> None:
    whole, subscription = ROUND + DONE, Subscription("job_00000000")
    events: list[Event] = []
    places = [0, *sorted(cuts), len(whole)]
    for start, end in itertools.pairwise(places):
        events += subscription.feed(whole[start:end])
    assert [event.id for event in events] == [7, 9]


def test_a_text_separator_inside_a_text_is_no_line_end() -> None:
    data = 'id: 1\nevent: error\ndata: {"message": "a\u2028b\x85c"}\n\n'.encode()
    assert Subscription("job_00000000").feed(data)[0].data == {"message": "a\u2028b\x85c"}


def test_what_was_seen_is_not_seen_again() -> None:
    subscription = Subscription("job_00000000", last=7)
    assert [event.id for event in subscription.feed(ROUND + DONE)] == [9]


@pytest.mark.parametrize(
    "data",
    [
        b"id: x\ndata: {}\n\n",
        b"data: {}\n\n",
        b"id: -1\ndata: {}\n\n",
        b"id: " + b"9" * 19 + b"\ndata: {}\n\n",
        b"id: 1\ndata: []\n\n",
        b"id: 1\ndata: {\n\n",
        b"id: 1\ndata: NaN\n\n",
        b"data: " + b"x" * MAX_EVENT_BYTES,
        (b"data: " + b"x" * 999 + b"\n") * (MAX_EVENT_BYTES // 1000 + 1),
    ],
)
def test_malformed_events_are_refused(data: bytes) -> None:
    with pytest.raises(SecureFlowError) as caught:
        Subscription("job_00000000").feed(data)
    assert caught.value.code == "malformed_event"


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_hostile_bytes_give_events_or_the_typed_error(data: bytes) -> None:
    _survives(data)


@pytest.mark.soak
@settings(max_examples=1_000_000, deadline=None)
@given(
    st.lists(st.sampled_from([b"id", b":", b" 1", b"\n", b"\r", b"data", b"{}", b"\xff", b"event"]))
)
def test_hostile_bytes_for_long(parts: list[bytes]) -> None:
    _survives(b"".join(parts))


def _survives(data: bytes) -> None:
    subscription = Subscription("job_00000000")
    code = "malformed_event"
    try:
        subscription.feed(data)
    except SecureFlowError as error:
        code = error.code
    assert code == "malformed_event"


class Breaking(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that breaks off after its bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __iter__(self) -> Iterator[bytes]:
        yield self.data
        raise httpx.ReadError("cut")

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        yield self.data
        raise httpx.ReadError("cut")


def stream(data: bytes) -> httpx.Response:
    return httpx.Response(200, content=data, headers={"Content-Type": "text/event-stream"})


def test_a_broken_stream_is_resumed_after_the_last_event(sdk_server: type) -> None:
    server = sdk_server(
        httpx.Response(200, stream=Breaking(ROUND + b"id: 8\ndata: {")),
        httpx.Response(503),
        httpx.ConnectError("refused"),
        stream(ROUND + DONE),
    )
    events = list(server.client().jobs.watch("job_00000000"))
    assert [event.id for event in events] == [7, 9]
    assert [r.headers.get("Last-Event-ID") for r in server.requests] == [None, "7", "7", "7"]
    assert len(server.pauses) == 3


async def test_async_resumes_too(sdk_server: type) -> None:
    server = sdk_server(httpx.Response(200, stream=Breaking(ROUND)), stream(DONE))
    events = [event async for event in server.async_client().jobs.watch("job_00000000")]
    assert [event.id for event in events] == [7, 9]


def test_a_stream_that_the_server_closed_ends_when_the_job_has(sdk_server: type) -> None:
    running, failed = ({"state": state} for state in ("running", "failed"))
    server = sdk_server(
        stream(ROUND),
        httpx.Response(200, json=running),
        stream(b""),
        httpx.Response(200, json=failed),
    )
    assert [event.id for event in server.client().jobs.watch("job_00000000")] == [7]
    assert len(server.pauses) == 1


RUNNING = {"state": "running"}


async def test_a_server_that_stops_in_order_is_waited_for_like_one_that_broke(
    sdk_server: type,
) -> None:
    """It closes its streams whole, and then it is away for as long as a restart takes."""

    def server() -> Any:
        return sdk_server(
            stream(ROUND),
            *[httpx.ConnectError("refused")] * 9,
            stream(b""),
            httpx.Response(503),  # its database is not there yet
            stream(DONE),
        )

    restarted = server()
    assert [event.id for event in restarted.client().jobs.watch("job_00000000")] == [7, 9]
    assert len(restarted.pauses) == 10
    following = server().async_client().jobs.watch("job_00000000")
    assert [event.id async for event in following] == [7, 9]


def test_a_job_that_is_asked_for_and_not_there_ends_the_watching(sdk_server: type) -> None:
    problem = httpx.Response(404, json={"code": "not_found", "detail": "No such job."})
    server = sdk_server(stream(ROUND), problem)
    with pytest.raises(SecureFlowError, match="No such job"):
        list(server.client().jobs.watch("job_00000000"))


def test_breaks_far_apart_are_not_counted_together(sdk_server: type) -> None:
    """A job that waits a week for an approval, on a laptop whose link breaks now and then."""
    kept = [httpx.Response(200, stream=Breaking(b": ping\r\n\r\n")) for _ in range(STREAM_TRIES)]
    server = sdk_server(*kept, stream(DONE))
    assert [event.id for event in server.client().jobs.watch("job_00000000")] == [9]
    cut = [httpx.Response(200, stream=Breaking(b"")) for _ in range(STREAM_TRIES)]
    with pytest.raises(SecureFlowError) as caught:
        list(sdk_server(*cut).client().jobs.watch("job_00000000"))
    assert caught.value.code == "unavailable"


def test_a_server_that_stays_away_is_reported(sdk_server: type) -> None:
    server = sdk_server(*[httpx.ConnectError("refused")] * STREAM_TRIES)
    with pytest.raises(SecureFlowError) as caught:
        list(server.client().jobs.watch("job_00000000"))
    assert caught.value.code == "unavailable"


def test_a_refused_stream_is_not_tried_again(sdk_server: type) -> None:
    problem = httpx.Response(404, json={"code": "not_found", "detail": "No such job."})
    server = sdk_server(problem)
    with pytest.raises(SecureFlowError, match="No such job"):
        list(server.client().jobs.watch("job_00000000"))


@pytest.mark.parametrize(
    ("state", "error", "code"),
    [
        ("failed", {"code": "round_lost", "message": "Round 3 of bank-b is lost."}, "round_lost"),
        ("failed", None, "job_failed"),
        ("cancelled", None, "cancelled"),
    ],
)
async def test_waiting_raises_what_ended_the_job(
    sdk_server: type, sdk_job: dict[str, object], state: str, error: object, code: str
) -> None:
    def server() -> Any:
        ended = httpx.Response(200, json=sdk_job | {"state": state, "error": error})
        return sdk_server(stream(DONE), ended)

    with pytest.raises(SecureFlowError) as caught:
        server().client().jobs.wait("job_00000000")
    assert caught.value.code == code
    with pytest.raises(SecureFlowError) as caught:
        await server().async_client().jobs.wait("job_00000000")
    assert caught.value.code == code


def test_waiting_returns_the_job_that_succeeded(
    sdk_server: type, sdk_job: dict[str, object]
) -> None:
    ended = httpx.Response(200, json=sdk_job | {"state": "succeeded"})
    assert sdk_server(stream(DONE), ended).client().jobs.wait("job_00000000").state == "succeeded"


class Open(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A stream as a server has it whose job goes on: after its bytes it stays open."""

    def __init__(self, *data: bytes) -> None:
        self.data = data

    def __iter__(self) -> Iterator[bytes]:
        yield from self.data
        raise AssertionError("still reading")

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        for one in self:
            yield one


PAUSED = b'id: 3\nevent: state\ndata: {"state": "paused", "reason": "no"}\n\n'


def _paused(sdk_job: dict[str, object], code: str) -> httpx.Response:
    error = {"code": code, "message": "It cannot go on.", "hint": ""}
    return httpx.Response(200, json=sdk_job | {"state": "paused", "error": error})


async def test_a_job_that_only_somebodys_word_takes_up_is_not_waited_for(
    sdk_server: type, sdk_job: dict[str, object]
) -> None:
    def server() -> Any:
        still_open = httpx.Response(200, stream=Open(PAUSED))
        return sdk_server(still_open, _paused(sdk_job, "script_changed"))

    with pytest.raises(SecureFlowError) as caught:
        server().client().jobs.wait("job_00000000")
    assert caught.value.code == "job_paused"
    assert caught.value.details["cause"]["code"] == "script_changed"
    assert "secureflow job resume job_00000000" in caught.value.hint
    with pytest.raises(SecureFlowError, match="job_paused"):
        await server().async_client().jobs.wait("job_00000000")


def test_a_job_that_its_servers_database_paused_is_told_of_and_waited_for(
    sdk_server: type, sdk_job: dict[str, object]
) -> None:
    ended = httpx.Response(200, json=sdk_job | {"state": "succeeded"})
    still_open = httpx.Response(200, stream=Open(PAUSED + b"id: 4\ndata: {\n"))
    server = sdk_server(still_open, _paused(sdk_job, "database_busy"), stream(DONE), ended)
    told: list[str] = []
    found = server.client().jobs.wait("job_00000000", on_pause=lambda job: told.append(job.id))
    assert (found.state, told) == ("succeeded", ["job_00000000"])


def test_a_pause_that_is_over_is_no_news(sdk_server: type, sdk_job: dict[str, object]) -> None:
    running = httpx.Response(200, json=sdk_job | {"state": "running"})
    ended = httpx.Response(200, json=sdk_job | {"state": "succeeded"})
    server = sdk_server(stream(PAUSED), running, stream(DONE), ended)
    told: list[str] = []
    server.client().jobs.wait("job_00000000", on_pause=lambda job: told.append(job.id))
    assert told == []


def test_what_holds_now_has_no_id_and_is_told_each_time() -> None:
    waiting = b'event: waiting\ndata: {"waiting": []}\n\n'
    subscription = Subscription("job_00000000", last=7)
    assert subscription.feed(waiting + waiting) == [Event(0, "waiting", {"waiting": []})] * 2
    assert subscription.headers()["Last-Event-ID"] == "7"  # nothing to go on from
    assert not subscription.done
